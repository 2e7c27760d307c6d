"""Text from right to left, laid out where the terminal does not do it.

Each line of a widget is put into the order in which it is seen before it is drawn, with the forms
that Arabic letters have beside each other. What has a place of its own keeps it: borders, and
columns, which two spaces part. The cells stay as many as they were, and each keeps its style, so
the cursor of a field is where the next letter goes.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from unicodedata import decomposition

from rich.segment import Segment
from textual._styles_cache import StylesCache
from textual.strip import Strip
from textual.widgets import Input, Static, TextArea

from tui.common import language
from tui.common.terminal_cells import Cell, cells_of

if TYPE_CHECKING:
    from textual.widget import Widget

    from tui.common.config import Bidi

_LETTERS = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
_ANY_LETTER = re.compile(f"[{_LETTERS}]")
_LEFT_TO_RIGHT = re.compile(f"[^\\W\\d_{_LETTERS}]")
_PLACES = "\u2500-\u259f\u2800-\u28ff"
"""What keeps its place: lines, blocks and the dots of maps."""
_PARTS = re.compile(f"^ +| +$| ?[{_PLACES}]+ ?|  +")
_WHOLE_LINE = re.compile(
    f"([{_PLACES}]*)( *)((?:(?!  )[^{_PLACES}])*[^ {_PLACES}])( *)([{_PLACES}]*)"
)
_NON_JOINER, _STRETCH, _LAM = "\u200c", "\u0640", "\u0644"
LAM_ALEF = frozenset(map(chr, range(0xFEF5, 0xFEFD)))
"""Two letters in one cell."""

_on = False


def set_layout(setting: "Bidi", environment: Mapping[str, str]) -> bool:
    """Whether this process lays out such text: not where the terminal is known to do so itself and
    cannot be told otherwise."""
    global _on
    terminals = environment.get("TERM_PROGRAM") == "Apple_Terminal" or any(
        name in environment for name in ("KONSOLE_VERSION", "MLTERM")
    )
    _on = setting == "app" or (setting == "auto" and not terminals)
    return _on


class LaidOutCache(StylesCache):
    """A widget's lines, each laid out when it is rendered."""

    def __init__(self, kind: "type[Widget]") -> None:
        super().__init__()
        self._flows = issubclass(kind, Static | Input | TextArea)
        self._edited = issubclass(kind, Input | TextArea)
        # such as keys, each before what it does, also where that is read from right to left
        self._parted = getattr(kind, "OF_PARTS", False)

    def render_line(self, *line: Any) -> Strip:
        """A line with borders and padding."""
        strip = super().render_line(*line)
        return laid_out(strip, flows=self._flows, edited=self._edited, parted=self._parted)


def laid_out(
    strip: Strip, *, flows: bool = False, edited: bool = False, parted: bool = False
) -> Strip:
    """The line as it is seen. Where it `flows`, it is not of columns: text from right to left
    begins at the right. Of `edited` text each letter keeps a cell of its own, for the cursor. A
    line that is `parted` is laid out style by style, as one of keys and what they do."""
    if not _on or not any(_ANY_LETTER.search(part.text) for part in strip._segments):
        return strip
    cells = cells_of(strip)
    starts = [at for at, cell in enumerate(cells) if cell is not None] + [len(cells)]
    units = [cell for cell in cells if cell is not None]
    order: list[tuple[str, int]] = []
    for first, last in _runs(units) if parted else [(0, len(units))]:
        text = "".join(cell[0][:1] or " " for cell in units[first:last])
        run = _order(text, _breaks(units[first:last]), flows, edited)
        order += [(char, first + source) for char, source in run]
    laid: list[Cell] = []
    for char, source in order:
        cell = units[source]
        marks = "" if char == " " else cell[0][1:]
        if char in LAM_ALEF:
            marks += units[source + 1][0][1:]
        laid.append((char + marks, cell[1]))
        laid += [None] * (starts[source + 1] - starts[source] - 1)
    return Strip(_segments(laid), len(cells))


def _runs(units: list[tuple[str, Any]]) -> list[tuple[int, int]]:
    """First and last unit of each style."""
    changes = [at for at in range(1, len(units)) if units[at][1] != units[at - 1][1]]
    return list(pairwise([0, *changes, len(units)]))


def _breaks(units: list[tuple[str, Any]]) -> frozenset[int]:
    """After which units letters do not join."""
    return frozenset(at for at, (text, _) in enumerate(units) if _NON_JOINER in text)


def _segments(cells: list[Cell]) -> list[Segment]:
    parts: list[Segment] = []
    text, style = "", None
    for cell in cells:
        if cell is None:
            continue
        if text and cell[1] is not style:
            parts.append(Segment(text, style))
            text = ""
        text, style = text + cell[0], cell[1]
    return [*parts, Segment(text, style)]


@lru_cache(4096)
def _order(
    text: str, breaks: frozenset[int], flows: bool, edited: bool
) -> tuple[tuple[str, int], ...]:
    """What is seen from left to right: each character, and the index of the one it stands for."""
    whole = _WHOLE_LINE.fullmatch(text) if flows else None
    if whole is not None and _begins_right(whole[3]):
        before, left, _field, right, after = (
            [(text[at], at) for at in range(*whole.span(group))] for group in range(1, 6)
        )
        seen = _seen(text, *whole.span(3), breaks, edited)
        return *before, *right[::-1], *seen, *left[::-1], *after
    laid: list[tuple[str, int]] = []
    at = 0
    for part in (*_PARTS.finditer(text), None):
        start, end = part.span() if part else (len(text), len(text))
        if _ANY_LETTER.search(text, at, start):
            laid += _seen(text, at, start, breaks, edited)
        else:
            laid += [(text[one], one) for one in range(at, start)]
        laid += [(text[one], one) for one in range(start, end)]
        at = end
    return tuple(laid)


def _begins_right(text: str) -> bool:
    """Whether a text is read from right to left: in a language that is, all that has such letters;
    otherwise what begins with one."""
    letter = _ANY_LETTER.search(text)
    if letter is None or language.right_to_left():
        return letter is not None
    return not _LEFT_TO_RIGHT.search(text, 0, letter.start())


def _seen(
    text: str, start: int, end: int, breaks: frozenset[int], edited: bool
) -> list[tuple[str, int]]:
    """A part of the text, reordered by the Unicode algorithm."""
    from bidi import algorithm  # most never need it

    shaped = _shaped(text, start, end, breaks, ligatures=not edited)
    base = "R" if _begins_right(text[start:end]) else "L"
    storage = algorithm.get_empty_storage()
    storage["base_level"], storage["base_dir"] = int(base == "R"), base
    # what the algorithm leaves out, such as a filler, keeps its cell as a neutral sign
    drawn = "".join(text[at] if text[at].isprintable() else "\ufffd" for _, at in shaped)
    algorithm.get_embedding_levels(drawn, storage)
    for char, (form, at) in zip(storage["chars"], shaped, strict=True):
        char["ch"], char["at"] = form, at
    algorithm.explicit_embed_and_overrides(storage)
    algorithm.resolve_weak_types(storage)
    algorithm.resolve_neutral_types(storage, False)
    algorithm.resolve_implicit_levels(storage, False)
    algorithm.reorder_resolved_levels(storage, False)
    algorithm.apply_mirroring(storage, False)
    seen = [(char["ch"], char["at"]) for char in storage["chars"]]
    pad = [(" ", shaped[-1][1])] * (end - start - len(seen))
    return [*pad, *seen] if base == "R" else [*seen, *pad]


def _shaped(
    text: str, start: int, end: int, breaks: frozenset[int], *, ligatures: bool
) -> list[tuple[str, int]]:
    """The form of each letter by those beside it; lam and alef are one letter."""
    found: list[tuple[str, int]] = []
    forms = _forms()
    joined = False
    at = start
    while at < end:
        letter, first = text[at], at
        if ligatures and letter == _LAM and at + 1 < end and at not in breaks:
            pair = forms.get(text[at : at + 2])
            letter, at = (text[at : at + 2], at + 1) if pair else (letter, at)
        own = forms.get(letter, {})
        following = text[at + 1] if at + 1 < end else ""
        to_next = "initial" in own and at not in breaks
        to_next = to_next and (following == _STRETCH or "final" in forms.get(following, {}))
        name = ("medial" if to_next else "final") if joined else ("initial" if to_next else "")
        found.append((own.get(name or "isolated", letter), first))
        joined = to_next or (letter == _STRETCH and at not in breaks)
        at += 1
    return found


@cache
def _forms() -> dict[str, dict[str, str]]:
    """The forms of each Arabic letter, and of lam with alef: isolated, initial, medial, final."""
    forms: dict[str, dict[str, str]] = {}
    for code in (*range(0xFB50, 0xFBFE), *range(0xFE80, 0xFEFD)):
        name, *letters = decomposition(chr(code)).split() or ("",)
        text = "".join(chr(int(letter, 16)) for letter in letters)
        forms.setdefault(text, {})[name.strip("<>")] = chr(code)
    return {text: own for text, own in forms.items() if len(text) == 1 or text[:1] == _LAM}
