"""Rules for text: what may be written, what is visible, and how control characters are escaped.

Server and apps share these rules. But for `fold`, they depend on what a character does to a
terminal, and not on Python's Unicode tables, which are as old as the interpreter.
"""

import re
import unicodedata
from functools import lru_cache

from wcwidth import wcwidth

MARKS_AT_MOST = 8
"""Combining characters on one base character: no script and no emoji needs more, and a stack of
them is drawn over the lines above."""

_LINE_ENDS = re.compile("\r\n?")
_OTHER_ENDS = re.compile("[\x0b\x0c\x85\u2028\u2029]")
# Control characters, bidirectional embeddings and overrides, surrogates and noncharacters. Those of
# the supplementary planes are left out: they are drawn as boxes, and the search is far faster.
_NO_TEXT = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
)
UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
"""Invisible characters, as a class of a regular expression: Unicode's stable property
Default_Ignorable_Code_Point, with separators and annotations."""
_STEERS = re.compile(f"[{_NO_TEXT}]")
_SPELLED = re.compile(f"[{_NO_TEXT}{UNSEEN}]")
_LONG_RUN = re.compile(f"[^\x00-\u02ff]{{{MARKS_AT_MOST + 1}}}")
"""Without such a run there is no stack of marks, and no width has to be looked up."""
# These have a width but are drawn blank.
_BLANK = frozenset("\u00ad\u115f\u2800\U00013441\U00013442\U0001d159")

MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc]+"
)
"""Accents, and the vowel signs and stretches of Hebrew and Arabic: nobody types them to search."""
PLAIN_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "ی": "ي", "ک": "ك"}
)
"""Letters that Unicode does not take apart."""
NOT_ASCII = re.compile("[^\0-\x7f]+")
FOLDED = 8192


def line_ends(text: str) -> str:
    """The text with `\\n` for CR LF and for CR alone."""
    return _LINE_ENDS.sub("\n", text)


def fault(text: str) -> str | None:
    """Why this is not valid text, as words that follow a field's name; None where it is.

    `\\n` and tabs are valid.
    """
    if text.isascii() and text.isprintable():
        return None
    if found := _STEERS.search(text):
        code = ord(found[0])
        return f"must not contain control characters or bidirectional overrides (U+{code:04X})"
    if _without_stacks(text) != text:
        return f"must not have more than {MARKS_AT_MOST} marks on one character"
    return None


def clean(text: str) -> str:
    """Any string as text: it has no `fault`, and everything visible stays.

    Other line and page ends become `\\n`. A surrogate, as in a file name that is not UTF-8, becomes
    U+FFFD.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _OTHER_ENDS.sub("\n", line_ends(text))
    text = _STEERS.sub(lambda found: "\ufffd" if "\ud800" <= found[0] <= "\udfff" else "", text)
    return _without_stacks(text)


def shows(text: str) -> bool:
    """Whether it has a visible character: one with a width that is not blank."""
    return any(not char.isspace() and char not in _BLANK and wcwidth(char) > 0 for char in text)


def spelled(text: str) -> str:
    """The text with control and invisible characters escaped: `\\x9b`, `\\u202e`.

    Line breaks and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return _SPELLED.sub(lambda found: ascii(found[0])[1:-1], text)


def _without_stacks(text: str) -> str:
    if not _LONG_RUN.search(text):
        return text
    kept: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if wcwidth(char) == 0 else 0
        if marks <= MARKS_AT_MOST:
            kept.append(char)
    return "".join(kept)


@lru_cache(FOLDED)
def fold(text: str) -> str:
    """`text` without case and accents, as filters and searches compare it."""
    text = text.lower()
    # only the letters that need it: a filter folds all its rows at once
    return text if text.isascii() else NOT_ASCII.sub(_fold_letters, text)


def _fold_letters(found: re.Match[str]) -> str:
    bare = MARKS.sub("", unicodedata.normalize("NFKD", found[0].casefold()))
    return bare.translate(PLAIN_LETTERS)
