"""The user's settings: `config.toml`, the environment, the command line; and what is remembered."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from platformdirs import user_config_path

from tui.common import language
from tui.common.client.address import DEFAULT_SERVER
from tui.common.client.files import read_regular
from tui.common.client.token_store import state_folder
from tui.common.language import _, marked
from tui.common.sanitize import plain

LARGEST_FILE = 256 * 1024

Clock = Literal["24h", "12h"]
Notifications = Literal["auto", "osc9", "osc777", "off"]
Progress = Literal["auto", "on", "off"]
Motion = Literal["full", "reduced"]
Bidi = Literal["auto", "app", "terminal", "off"]
Roll = Literal["32", "42", "48"]
"""Characters a line of the usual rolls: 58 mm, and 80 mm in two fonts."""
TicketFormat = Literal["auto", "text", "escpos"]


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one run of an app; the defaults are those of an empty file."""

    server: str = DEFAULT_SERVER
    theme: str = ""
    language: str = ""
    bidi: Bidi = "auto"
    clock: Clock = "24h"
    bell: bool = True
    notifications: Notifications = "auto"
    progress: Progress = "auto"
    title: bool = True
    motion: Motion = "full"
    vim: bool = False
    tickets: str = ""
    tickets_auto: bool = False
    tickets_width: Roll = "42"
    tickets_format: TicketFormat = "auto"
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys by the id of their binding: `{"orders.new_order": "ctrl+n,n"}`."""
    problems: tuple[str, ...] = ()
    """What is wrong with the settings, in sentences; each has its default instead."""
    folder: Path | None = None
    """Where `config.toml` and `themes` are; None: nothing was read."""
    remembered: Path | None = None
    """The file that keeps the theme chosen last; None: nothing is remembered."""


SETTINGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "server": (marked("the server's address"), ()),
    "theme": (
        marked("a theme of Tiffin, Textual or the folder themes; empty: the one chosen last"),
        (),
    ),
    "language": (
        marked(
            "the language of the words; empty: that of the locale, if there is such a catalogue"
        ),
        ("", *language.languages()),
    ),
    "bidi": (
        marked("who lays out text from right to left: the app or the terminal; off: nobody"),
        get_args(Bidi),
    ),
    "clock": (marked("how times of day are written"), get_args(Clock)),
    "bell": (marked("ring for a new order and a chat"), ()),
    "notifications": (
        marked("notifications by the terminal (OSC 9 or 777) while another window is in focus"),
        get_args(Notifications),
    ),
    "progress": (
        marked("an order's progress by OSC 9;4; auto: in terminals known to show it"),
        get_args(Progress),
    ),
    "title": (marked("show the order's state in the terminal's title"), ()),
    "motion": (marked("reduced: nothing moves or blinks by itself"), get_args(Motion)),
    "vim": (marked("j k g G ctrl+d ctrl+u move in lists"), ()),
    "tickets": (
        marked("where a kitchen's tickets go: a printer such as printer:9100, a device, a file"),
        (),
    ),
    "tickets_auto": (marked("print a ticket for each new order by itself"), ()),
    "tickets_width": (marked("characters a line of a ticket"), get_args(Roll)),
    "tickets_format": (
        marked("ESC/POS or text; auto: text for a file, ESC/POS for a printer"),
        get_args(TicketFormat),
    ),
}
"""Each setting of the file: what it does, and its values, where only some are allowed."""
DEFAULTS: dict[str, str | bool] = {name: getattr(Config(), name) for name in SETTINGS}


def config_folder() -> Path:
    """The folder of `config.toml` and `themes`; it may not be there yet."""
    return user_config_path("tiffin", appauthor=False)


def choose_language() -> None:
    """Take the words of the language that is set, or else of the locale: before the modules with
    words are imported. What is wrong with the setting is said by `read_config`."""
    named = os.environ.get("TIFFIN_LANGUAGE", "").strip()
    if not named:
        named = str(_load(config_folder() / "config.toml", [])[0].get("language", ""))
    language.use(named if named in language.languages() else language.of_locale())


def read_config(**options: str) -> Config:
    """The settings: of each the first of `options` (those that are not empty), the environment's
    `TIFFIN_<NAME>`, the file's, the default. Raises nothing: what is wrong is in `problems`."""
    folder, state = config_folder(), state_folder() / "settings.json"
    path = folder / "config.toml"
    problems: list[str] = []
    values: dict[str, Any] = {}
    table, text = _load(path, problems)
    keys = table.pop("keys", {})
    if not isinstance(keys, dict) or not all(isinstance(one, str) for one in keys.values()):
        place = place_of(path, text, "keys")
        problems.append(
            _('{place}: [keys] takes lines such as "app.theme" = "ctrl+t".').format(place=place)
        )
        keys = {}
    for name, value in table.items():
        place = place_of(path, text, name)
        if name not in SETTINGS:
            names = ", ".join([*SETTINGS, "[keys]"])
            problems.append(
                _("{place}: there is no setting “{name}”. There are {names}.").format(
                    place=place, name=plain(name), names=names
                )
            )
        elif fault := _fault(name, value):
            problems.append(f"{place}: {fault}")
        else:
            values[name] = value
    if os.environ.get("NO_MOTION") or os.environ.get("TEXTUAL_ANIMATIONS", "").lower() == "none":
        values["motion"] = "reduced"
    for name, default in DEFAULTS.items():
        for place, raw in (
            (f"TIFFIN_{name.upper()}", os.environ.get(f"TIFFIN_{name.upper()}", "").strip()),
            (f"--{name}", options.get(name, "").strip()),
        ):
            if not raw:
                continue
            value = {"true": True, "1": True, "false": False, "0": False}.get(raw.lower(), raw)
            value = value if isinstance(default, bool) else raw
            if fault := _fault(name, value):
                problems.append(f"{place}: {fault}")
            else:
                values[name] = value
    if not values.get("theme"):
        values["theme"] = _remembered_theme(state)
    return Config(**values, keys=keys, problems=tuple(problems), folder=folder, remembered=state)


def remember_theme(path: Path, theme: str) -> None:
    """Keep the theme for the next start; the file is replaced as a whole. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_text(json.dumps({"theme": theme}) + "\n", encoding="utf-8")
    new.replace(path)


def described(config: Config) -> str:
    """The file's path, and a file with every default as a comment, to begin one's own with."""
    lines = [
        f"# {config.folder and config.folder / 'config.toml'}",
        *_(
            "# Remove the # before a setting to change it. An option of the command line wins "
            "over the\n"
            "# environment (TIFFIN_CLOCK=12h), which wins over this file. Themes of your own are\n"
            "# themes/NAME.toml beside it: dark, primary, background … and a table [variables]."
        ).splitlines(),
    ]
    for name, (words, values) in SETTINGS.items():
        default = DEFAULTS[name]
        allowed = (True, False) if isinstance(default, bool) else values
        choice = f": {', '.join(map(_toml, allowed))}" if allowed else ""
        lines += ["", f"# {_(words)}{choice}", f"#{name} = {_toml(default)}"]
    return "\n".join(lines) + "\n"


def place_of(path: Path, text: str, name: str) -> str:
    """The file and its line that sets `name`, the first where none can be found, in words."""
    pattern = re.compile(rf"""\s*\[?\s*["']?{re.escape(name)}["']?\s*[\].=]""")
    lines = enumerate(text.splitlines(), start=1)
    line = next((number for number, line in lines if pattern.match(line)), 1)
    return _("{path}, line {line}").format(path=path, line=line)


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """A TOML file's table and its text; empty where there is no file. Raises ValueError, in words
    that begin with the path."""
    try:
        text = read_regular(path, LARGEST_FILE).decode("utf-8")
        return tomllib.loads(text), text
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        raise ValueError(
            _("{path} cannot be read: {strerror}.").format(
                path=path, strerror=error.strerror or error
            )
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ValueError(
            _("{path}, line {line}: it is not UTF-8. Save it as UTF-8.").format(
                path=path, line=line
            )
        ) from None
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits, 1,000 brackets
        words, _at, at = str(error).partition(" (at ")
        place = f", {at.rstrip(')')}" if at else ""
        raise ValueError(
            _("{path}{place}: {words}. It takes lines such as bell = true.").format(
                path=path, place=place, words=words
            )
        ) from None


def _load(path: Path, problems: list[str]) -> tuple[dict[str, Any], str]:
    try:
        return read_toml(path)
    except ValueError as error:
        problems.append(_("{error} None of it is used.").format(error=error))
        return {}, ""


def _fault(name: str, value: object) -> str:
    """What is wrong with a setting's value and what is allowed; empty if nothing."""
    allowed = SETTINGS[name][1]
    if isinstance(DEFAULTS[name], bool):
        return "" if isinstance(value, bool) else _("{name} is true or false.").format(name=name)
    if allowed and value not in allowed:
        return _("{name} is one of {values}.").format(
            name=name, values=", ".join(map(_toml, allowed))
        )
    return "" if isinstance(value, str) else _("{name} is a text in quotes.").format(name=name)


def _remembered_theme(path: Path) -> str:
    """The theme that was chosen last; empty where that cannot be known."""
    try:
        theme = json.loads(read_regular(path, LARGEST_FILE))["theme"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    return theme if isinstance(theme, str) else ""


def _toml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
