"""What `config.toml`, the environment and the command line set, and what is remembered."""

import json
from pathlib import Path

import pytest
from frame_window import Window, opened, settled
from textual.color import Color

from support.live_server import LiveServer
from support.rest import Rest
from support.screen import sees, told
from support.waiting import wait_until
from tui.cli import run_app
from tui.common.config import read_config
from tui.common.keys import key_problems
from tui.common.themes import PALETTES, completed
from tui.common.wire.log import FrameLog
from tui.customer.app import CustomerApp

BROKEN = """\
clock = "13h"
vim = "yes"
them = "x"
server = "http://file:1"
[keys]
"app.zoom" = "ctrl-z"
"app.zoo" = "b"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of `config.toml`; the state is kept beside it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("TIFFIN_SERVER", "NO_MOTION", "TEXTUAL_ANIMATIONS"):
        monkeypatch.delenv(name, raising=False)
    made = tmp_path / "config" / "tiffin"
    (made / "themes").mkdir(parents=True)
    return made


def test_an_option_wins_over_the_environment_and_that_over_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_config().problems == ()
    (folder / "config.toml").write_text('server = "http://file:1"\nclock = "12h"\nbell = false')
    found = read_config()
    assert (found.server, found.clock, found.bell) == ("http://file:1", "12h", False)
    monkeypatch.setenv("TIFFIN_SERVER", "http://environment:1")
    monkeypatch.setenv("TIFFIN_BELL", "true")
    monkeypatch.setenv("NO_MOTION", "1")
    found = read_config()
    assert (found.server, found.bell, found.motion) == ("http://environment:1", True, "reduced")
    assert read_config(server="http://option:1").server == "http://option:1"
    monkeypatch.setenv("TIFFIN_BELL", "loud")
    assert read_config().problems == ("TIFFIN_BELL: bell is true or false.",)


def test_what_is_wrong_is_said_with_its_line_and_what_is_allowed(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = folder / "config.toml"
    path.write_text(BROKEN)
    found = read_config()
    assert (found.clock, found.vim, found.server) == ("24h", False, "http://file:1")
    problems = [*found.problems, *key_problems(found).values()]
    assert [one.split(":")[0] for one in problems] == [f"{path}, line {n}" for n in (1, 2, 3, 6, 7)]
    for words, one in zip(
        ('"24h", "12h"', "true or false", "theme", "ctrl+n", "app.zoom"), problems, strict=True
    ):
        assert words in one
    (folder / "themes" / "bad.toml").write_text('primary = "#zzz"')
    assert run_app(CustomerApp, ["config"]) == 1
    out, err = capfd.readouterr()
    (bad,) = {*err.splitlines()} - {*problems}
    assert bad.startswith(f"{folder}/themes/bad.toml, line 1")
    for name, style in (("link-style", "5"), ("link-style-hover", '"red"')):
        bad_style = f'primary = "red"\n[variables]\n{name} = {style}\n'
        (folder / "themes" / "bad.toml").write_text(bad_style)
        assert run_app(CustomerApp, ["config"]) == 1
        assert f"bad.toml, line 3: {name} is one of" in capfd.readouterr().err
    (folder / "themes" / "bad.toml").unlink()
    steering = folder / "themes" / "\x1b[2J.toml"
    for colour in ("red", "no colour"):
        steering.write_text(f'primary = "{colour}"')
        assert run_app(CustomerApp, ["config", "--theme", "none"]) == 1
        assert "\x1b" not in capfd.readouterr().err
    steering.unlink()
    assert out.startswith(f"# {path}\n")
    defaults = "".join(
        line.removeprefix("#") + "\n" for line in out.splitlines() if "# " not in line[:2]
    )
    path.write_text(defaults)
    assert read_config().problems == ()
    assert len(read_config().keys) > 80
    assert run_app(CustomerApp, ["config"]) == 0
    for text, place in (
        (b"bell = \n", ", line 1"),
        (b"\nbell\n", ", line 2"),
        (b"\n\n\xff", ", line 3"),
        (b"bell = " + b"[" * 50_000, ": "),
        (b"bell = " + b"9" * 5_000, ": "),
    ):
        path.write_bytes(text)
        (problem,) = read_config().problems
        assert problem.startswith(f"{path}{place}")


async def test_a_window_follows_its_settings_and_remembers_its_theme(
    demo_server: LiveServer, folder: Path, tmp_path: Path
) -> None:
    (folder / "themes" / "mine.toml").write_text('dark = false\nprimary = "#123456"\n')
    (folder / "themes" / "bad.toml").write_text('primary = "#123456"\nsurface = "no colour"\n')
    before = 'theme = "mine"\nvim = true\n[keys]\n"app.zoom" = "v"\n"app.hold_cut" = "x"\n'
    (folder / "config.toml").write_text(before)
    async with Rest(demo_server.url) as rest:
        tokens = await (await rest.demo("customer")).keep_in(tmp_path / "tokens.json")
    app = Window(demo_server.url, tokens=tokens, config=read_config())
    async with opened(app) as pilot:
        await settled(app)
        await told(app, "themes/bad.toml, line 2: surface is a colour")
        await told(app, "x is also the key of “app.cut”")
        await sees(app, "v Zoom")
        assert app.screen.active_bindings["X"].binding.action == "hold_cut", "the default instead"
        assert app.theme_variables["primary"] == Color.parse("#123456").hex
        await pilot.press("v")
        assert app.grid.zoomed
        await pilot.press("v", "z")
        assert not app.grid.zoomed
        await pilot.press("2")
        log = app.query_one(FrameLog)
        log.focus()
        await wait_until(lambda: log.has_focus)
        await pilot.press("j", "j")
        await wait_until(lambda: log._selected is not None, what="a frame selected by j")
        app.theme = "nord"
        await wait_until((tmp_path / "state/tiffin/settings.json").exists, what="the theme kept")
    assert json.loads((tmp_path / "state/tiffin/settings.json").read_text()) == {"theme": "nord"}
    assert (folder / "config.toml").read_text() == before
    assert read_config().theme == "mine"
    (folder / "config.toml").unlink()
    assert Window(demo_server.url, config=read_config()).theme == "nord"


def contrast(one: Color, other: Color) -> float:
    """The contrast ratio of WCAG 2, from 1 to 21."""

    def luminance(colour: Color) -> float:
        parts = (part / 255 for part in colour.rgb)
        red, green, blue = (
            part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_each_theme_has_every_colour_that_is_drawn_with() -> None:
    full = PALETTES["truecolor"][0].variables.keys()
    app = Window()
    for theme in app.available_themes.values():
        assert completed(theme).variables.keys() >= full, theme.name
    levels, greys = {0, 95, 135, 175, 215, 255}, range(8, 239, 10)
    sixteen = {(0, 85, 170, 255)[at] for at in range(4)}
    for name, pair in PALETTES.items():
        for theme in pair:
            own = [theme.primary, theme.foreground, theme.surface, theme.panel]
            for ground in ("block-cursor-background", "block-cursor-blurred-background"):
                ink, under = (Color.parse(theme.variables[one]) for one in ("wire-ink", ground))
                assert contrast(ink, under) >= 3, (theme.name, ground)
            drawn = [one for one in (*own, *theme.variables.values()) if one and one[0] == "#"]
            for parts in (Color.parse(one).rgb for one in drawn):
                if name == "256":
                    assert levels >= {*parts} or (len({*parts}) == 1 and parts[0] in greys)
                elif name == "standard":
                    assert sixteen >= {*parts}, (theme.name, parts)
