"""What people write, made fit for a terminal: nothing steers it, nothing is torn apart."""

import unicodedata
from functools import lru_cache

ZWNJ, ZWJ = "\u200c", "\u200d"
MARKS_AT_MOST = 8
"""Combining marks on one character: no script needs more, and heaps of them run into the lines
above."""
TAB = "    "

_BREAKS = frozenset("\n\u2028\u2029\x0b\x0c\x85")
_STEERS = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_MARKS = frozenset({"Mn", "Me", "Mc"})


@lru_cache(4096)
def legible(text: str) -> str:
    """`text` as lines of what can be seen: no control character, no bidirectional override.

    Line breaks stay, as `\\n`. A joiner stays where it makes two characters one: between emoji, and
    within scripts whose letters change with it, such as Arabic and Devanagari; it takes no cell.
    """
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    kept: list[str] = []
    marks = 0
    for at, char in enumerate(text):
        category = unicodedata.category(char)
        if category in _MARKS:
            marks += 1
            if marks <= MARKS_AT_MOST:
                kept.append(char)
            continue
        if char in (ZWJ, ZWNJ):
            if _joins(char, kept, text[at + 1 : at + 2]):
                kept.append(char)
            continue
        if category in _STEERS and char not in _BREAKS and char != "\t":
            continue
        marks = 0
        kept += "\n" if char in _BREAKS else TAB if char == "\t" else char
    return "".join(kept)


def _joins(joiner: str, before: list[str], after: str) -> bool:
    """Whether the joiner has something on both sides that it may change."""
    if not before or not after:
        return False
    left = next((char for char in reversed(before) if not _is_attached(char)), "")
    if joiner == ZWJ and _is_pictograph(left) and _is_pictograph(after):
        return before[-1] not in (ZWJ, ZWNJ)
    return _is_shaped(left) and _is_shaped(after) and before[-1] not in (ZWJ, ZWNJ)


def _is_attached(char: str) -> bool:
    """A variation selector, a skin tone, a mark: part of what stands before."""
    return unicodedata.category(char) in _MARKS or "\U0001f3fb" <= char <= "\U0001f3ff"


def _is_pictograph(char: str) -> bool:
    # ♀ ♂ ⚕ ✈ and the like are among the symbols below.
    return bool(char) and unicodedata.category(char) == "So"


def _is_shaped(char: str) -> bool:
    """A letter of a script whose letters join: Arabic, the Indic ones, Mongolian."""
    ranges = (("\u0600", "\u0fff"), ("\u1800", "\u18af"), ("\ufb50", "\ufefc"))
    return any(first <= char <= last for first, last in ranges)
