"""The apps' words in the user's language, from the gettext catalogues in `tui/locale`.

`use` comes before the modules with words are imported: many of them, such as a key's description,
are looked up once, as their class is made.
"""

import gettext
import os
from pathlib import Path

CATALOGUES = Path(__file__).resolve().parent.parent / "locale"
ENGLISH = "en"
RIGHT_TO_LEFT = ("ar", "fa", "he", "ur")

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
    """The language of the user's locale, `ar` for `ar_EG.UTF-8`; it may have no catalogue."""
    names = (os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return next((name for name in names if name), "").partition(".")[0].partition("_")[0]


def current() -> str:
    """The language in use."""
    return _language


def right_to_left() -> bool:
    """Whether the language in use is written from right to left."""
    return _language in RIGHT_TO_LEFT


def _(message: str) -> str:
    """The message in the user's language."""
    return _catalogue.gettext(message)


def ngettext(singular: str, plural: str, count: int) -> str:
    """The form of the message that goes with the count."""
    return _catalogue.ngettext(singular, plural, count)


def marked(message: str) -> str:
    """The message itself, to be looked up by `_` where it is shown: for modules that are imported
    before the language is known."""
    return message
