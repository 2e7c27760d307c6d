"""The apps' words in the user's language, from the gettext catalogues in `tui/locale`.

`use` comes before the modules with words are imported: many of them, such as a key's description,
are looked up once, as their class is made.
"""

import gettext
from pathlib import Path

CATALOGUES = Path(__file__).resolve().parent.parent / "locale"

_catalogue: gettext.NullTranslations = gettext.NullTranslations()


def use(language: str) -> None:
    """Take the words from `tui/locale/<language>`; English where there is no such catalogue."""
    global _catalogue
    _catalogue = gettext.translation("tiffin", CATALOGUES, [language], fallback=True)


def _(message: str) -> str:
    """The message in the user's language."""
    return _catalogue.gettext(message)


def ngettext(singular: str, plural: str, count: int) -> str:
    """The form of the message that goes with the count."""
    return _catalogue.ngettext(singular, plural, count)
