"""The apps' words in the user's language, from the gettext catalogues in `tui/locale`.

`use` comes before the modules with words are imported: many of them, such as a key's description,
are looked up once, as their class is made.
"""

import gettext
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CATALOGUES = Path(__file__).resolve().parent.parent / "locale"
ENGLISH = "en"
RIGHT_TO_LEFT = ("ar", "fa", "he", "ur")
RIGHT_TO_LEFT_LETTERS = (
    "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
)
ISOLATE, ISOLATE_END = "\u2068", "\u2069"
"""Around a part of a text whose direction is its own."""
_LETTER = re.compile(f"[{RIGHT_TO_LEFT_LETTERS}]")
FIGURE, UNIT = r"\d(?:[\d.,:]*\d)?", r" ?(?:[kM]?B|k?m|ms)"
_FIGURE = re.compile(f"{FIGURE}(?:{UNIT})?")
"""A number, to which a sign of the message may belong, as in `±{error}`."""

_isolating = False
_language = ENGLISH
_catalogue: gettext.NullTranslations = gettext.NullTranslations()


def languages() -> tuple[str, ...]:
    """The languages that there are: English, and those with a catalogue."""
    return ENGLISH, *sorted(one.parent.parent.name for one in CATALOGUES.glob("*/*/tiffin.mo"))


def use(language: str) -> None:
    """Take the words of one of `languages`; English for any other text, which may be a path."""
    global _language, _catalogue
    _language = language if language in languages() else ENGLISH
    _catalogue = gettext.translation("tiffin", CATALOGUES, [_language], fallback=True)


def of_locale() -> str:
    """The language that the environment asks for: the first that there is of those in `LANGUAGE`,
    such as `fr:ar`, else that of the locale, `ar` for `ar_EG.UTF-8`."""
    names = (os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    wanted = [*os.environ.get("LANGUAGE", "").split(":"), next(filter(None, names), "")]
    known = languages()
    short = (name.partition(".")[0].partition("_")[0] for name in wanted)
    return next((name for name in short if name in known), ENGLISH)


def current() -> str:
    """The language in use."""
    return _language


def right_to_left() -> bool:
    """Whether the language in use is written from right to left."""
    return _language in RIGHT_TO_LEFT


def isolate_data(on: bool) -> None:
    """Whether data in messages is isolated, for an app that lays out lines itself."""
    global _isolating
    _isolating = on


def without_isolates(text: str) -> str:
    """The text as it leaves the app: for a file, the clipboard, a printer, the terminal."""
    return text.replace(ISOLATE, "").replace(ISOLATE_END, "")


class Message(str):
    """A message, into which data goes by `format`: as a part with a direction of its own, so that
    a sentence from right to left does not turn `12 Main Street` round. Of others' text, which is no
    message, `sanitize.plain` takes such marks away."""

    __slots__ = ()

    def format(self, /, *args: Any, **fields: Any) -> str:
        """The message with the data."""
        if _isolating:
            args = tuple(map(_isolated, args))
            fields = {name: _isolated(value) for name, value in fields.items()}
        return Message(super().format(*args, **fields))


def listed(parts: Iterable[str]) -> str:
    """Names beside each other: `Soup, rice`."""
    return Message(_(", ").join(map(isolated, parts)))


def isolated(text: str) -> str:
    """A text of somebody else's for a line that is put together of parts, as by `format`."""
    return str(_isolated(text)) if _isolating else text


def _isolated(value: Any) -> Any:
    if not isinstance(value, str) or not (right_to_left() or _LETTER.search(value)):
        return value
    if _FIGURE.fullmatch(value):
        return value
    return f"{ISOLATE}{value}{ISOLATE_END}" if value else value


def _(message: str) -> str:
    """The message in the user's language."""
    return Message(_catalogue.gettext(message))


def ngettext(singular: str, plural: str, count: int) -> str:
    """The form of the message that goes with the count."""
    return Message(_catalogue.ngettext(singular, plural, count))


def marked(message: str) -> str:
    """The message itself, to be looked up by `_` where it is shown: for modules that are imported
    before the language is known."""
    return message
