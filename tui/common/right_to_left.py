"""Text from right to left, laid out where the terminal does not do it.

Each line of a widget is put into the order in which it is seen before it is drawn, with the forms
that Arabic letters have beside each other. What has a place of its own keeps it: borders, and
columns, which two spaces part. What is isolated is laid out by itself. The cells stay as many as
they were, and each keeps its style, so the cursor of a field is where the next letter goes.
"""

import contextlib
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from unicodedata import decomposition

from rich.segment import Segment
from textual._styles_cache import StylesCache
from textual.errors import NoWidget
from textual.events import MouseDown, MouseEvent
from textual.strip import Strip
from textual.widgets import Input, Label, Static, TextArea

from tui.common import language
from tui.common.terminal_cells import Cell, cells_of

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget

    from tui.common.config import Bidi

_LETTERS = language.RIGHT_TO_LEFT_LETTERS
_ANY_LETTER = re.compile(f"[{_LETTERS}]")
_ISOLATES = re.compile(f"[{language.ISOLATE}{language.ISOLATE_END}]")
_LAID_OUT = re.compile(f"[{_LETTERS}{language.ISOLATE}{language.ISOLATE_END}]")
_STRONG = re.compile(f"[{_LETTERS}]|[^\\W\\d_]")
_PLACES = "\u2500-\u259f\u2800-\u28ff"
"""What keeps its place: lines, blocks and the dots of maps."""
_PARTS = re.compile(f"^ +| +$| ?[{_PLACES}]+ ?|  +")
_WHOLE_LINE = re.compile(
    f"([{_PLACES}]*)( *)((?:(?!  )[^{_PLACES}])*[^ {_PLACES}])( *)([{_PLACES}]*)"
)
_FIGURE = re.compile(
    r"\+\d[\d ()/.-]*\d"  # a phone number
    r"|\d+(?:-\d+){2}"  # a date
    r"|\^\w"  # a key
    rf"|[#€$£¥±+−-]?{language.FIGURE}(?: ?[%€$£¥]|{language.UNIT}\b)?"
)
"""One number or key with its signs: by the algorithm alone, Arabic letters before it have `€12.30`,
`#42` and `21 kB` read as `12.30€`, `42#` and `kB 21`."""
_NON_JOINER, _STRETCH, _LAM = "\u200c", "\u0640", "\u0644"
LAM_ALEF = frozenset(map(chr, range(0xFEF5, 0xFEFD)))
"""Two letters in one cell."""

Marks = tuple[tuple[int, str], ...]
"""Begins and ends of isolates, each with the index of the character before which it is."""

_on = False


def set_layout(setting: "Bidi", environment: Mapping[str, str]) -> bool:
    """Whether this process lays out such text: not where the terminal is known to do so itself and
    cannot be told otherwise."""
    global _on
    terminals = environment.get("TERM_PROGRAM") == "Apple_Terminal" or any(
        name in environment for name in ("KONSOLE_VERSION", "MLTERM")
    )
    _on = setting == "app" or (setting == "auto" and not terminals)
    language.isolate_data(_on)
    return _on


class LaidOutCache(StylesCache):
    """A widget's lines, each laid out when it is rendered."""

    def __init__(self, kind: "type[Widget]") -> None:
        super().__init__()
        # a label stands beside its field, at a distance
        self._flows = issubclass(kind, Static | Input | TextArea) and not issubclass(kind, Label)
        self._edited = issubclass(kind, Input | TextArea)
        # such as keys, each before what it does, also where that is read from right to left
        self._parted = getattr(kind, "OF_PARTS", False)
        self._cells: dict[int, list[int]] = {}
        """Of edited text, by line: which cell, as the field has it, is drawn in each."""

    def render_line(self, styles: Any, y: int, *line: Any) -> Strip:
        """A line with borders and padding."""
        strip = super().render_line(styles, y, *line)
        self._cells.pop(y, None)
        order = _cells_in_order(strip, self._flows, self._edited, self._parted)
        if self._edited and order is not None:
            self._cells[y] = [cell for _char, first, end in order for cell in range(first, end)]
        return strip if order is None else _drawn(strip, order)

    def cell_under(self, x: int, y: int) -> int:
        """Which cell of the line, as the field has it, is drawn at x. A field of one line has only
        that one, also for a mouse that leaves it while it selects."""
        line = self._cells.get(y if len(self._cells) > 1 else min(self._cells, default=y), [])
        return line[x] if 0 <= x < len(line) else x


def with_mouse_in_text(app: "App[None]", event: MouseEvent) -> MouseEvent:
    """The event, in a text that is edited, at the place where the field has what is drawn there."""
    widget = app.mouse_captured
    if widget is None and isinstance(event, MouseDown):
        with contextlib.suppress(NoWidget):
            widget = app.get_widget_at(event.x, event.y)[0]
    cache = None if widget is None else widget._styles_cache
    if widget is None or not isinstance(cache, LaidOutCache):
        return event
    x = event.x - widget.region.x
    return event._apply_offset(cache.cell_under(x, event.y - widget.region.y) - x, 0)


def laid_out(
    strip: Strip, *, flows: bool = False, edited: bool = False, parted: bool = False
) -> Strip:
    """The line as it is seen. Where it `flows`, it is not of columns: text from right to left
    begins at the right. Of `edited` text each letter keeps a cell of its own, for the cursor. A
    line that is `parted` is laid out style by style, as one of keys and what they do."""
    order = _cells_in_order(strip, flows, edited, parted)
    return strip if order is None else _drawn(strip, order)


def _cells_in_order(
    strip: Strip, flows: bool, edited: bool, parted: bool
) -> list[tuple[str, int, int]] | None:
    """What is seen from left to right: each character, and the cells of the one it stands for; None
    for a line that stays as it is."""
    if not _on or not any(_LAID_OUT.search(part.text) for part in strip._segments):
        return None
    cells = cells_of(strip)
    starts = [at for at, cell in enumerate(cells) if cell is not None] + [len(cells)]
    units = [cell for cell in cells if cell is not None]
    order: list[tuple[str, int]] = []
    for first, last in _runs(units) if parted else [(0, len(units))]:
        text = "".join(cell[0][:1] or " " for cell in units[first:last])
        breaks, marks = _breaks(units[first:last]), _marks(units[first:last])
        run = _order(text, breaks, marks, flows, edited)
        order += [(char, first + source) for char, source in run]
    drawn: list[tuple[str, int, int]] = []
    for char, source in order:
        accents = "" if char == " " else units[source][0][1:]
        if char in LAM_ALEF:
            accents += units[source + 1][0][1:]
        drawn.append((char + _ISOLATES.sub("", accents), starts[source], starts[source + 1]))
    return drawn


def _drawn(strip: Strip, order: list[tuple[str, int, int]]) -> Strip:
    cells = cells_of(strip)
    laid: list[Cell] = []
    for text, first, end in order:
        cell = cells[first]
        laid.append((text, None if cell is None else cell[1]))
        laid += [None] * (end - first - 1)
    return Strip(_segments(laid), len(cells))


def _runs(units: list[tuple[str, Any]]) -> list[tuple[int, int]]:
    """First and last unit of each style."""
    changes = [at for at in range(1, len(units)) if units[at][1] != units[at - 1][1]]
    return list(pairwise([0, *changes, len(units)]))


def _breaks(units: list[tuple[str, Any]]) -> frozenset[int]:
    """After which units letters do not join."""
    return frozenset(at for at, (text, _) in enumerate(units) if _NON_JOINER in text)


def _marks(units: list[tuple[str, Any]]) -> Marks:
    """The isolates' begins and ends, which are with the character before them."""
    return tuple(
        (at, mark)
        for at, (text, _) in enumerate(units, 1)
        if len(text) > 1
        for mark in _ISOLATES.findall(text)
    )


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
    text: str, breaks: frozenset[int], marks: Marks, flows: bool, edited: bool
) -> tuple[tuple[str, int], ...]:
    """What is seen from left to right: each character, and the index of the one it stands for."""
    whole = _WHOLE_LINE.fullmatch(text) if flows else None
    if whole is not None and _begins_right(text, *whole.span(3), marks):
        before, left, _field, right, after = (
            [(text[at], at) for at in range(*whole.span(group))] for group in range(1, 6)
        )
        seen = _seen(text, *whole.span(3), breaks, marks, edited)
        return *before, *right[::-1], *seen, *left[::-1], *after
    laid: list[tuple[str, int]] = []
    at = 0
    for part in (*_PARTS.finditer(text), None):
        start, end = part.span() if part else (len(text), len(text))
        if _ANY_LETTER.search(text, at, start):
            laid += _seen(text, at, start, breaks, marks, edited)
        else:
            laid += [(text[one], one) for one in range(at, start)]
        laid += [(text[one], one) for one in range(start, end)]
        at = end
    return tuple(laid)


def _begins_right(text: str, start: int, end: int, marks: Marks) -> bool:
    """Whether a text is read from right to left: in a language that is, all that has such letters;
    otherwise what begins with one."""
    if language.right_to_left():
        return _ANY_LETTER.search(text, start, end) is not None
    return _first_is_right(text, start, end, marks)


def _first_is_right(text: str, start: int, end: int, marks: Marks) -> bool:
    """Whether the first letter that is not isolated is one from right to left."""
    for first, last, _inner in (*_isolates(start, end, marks), (end, end, ())):
        letter = _STRONG.search(text, start, first)
        if letter is not None:
            return _ANY_LETTER.match(letter[0]) is not None
        start = last
    return False


def _isolates(start: int, end: int, marks: Marks) -> list[tuple[int, int, Marks]]:
    """The outermost isolates of a part of the text: begin, end, and what is marked within. One that
    began on the line before begins with the part; one without an end ends with it."""
    found: list[tuple[int, int, Marks]] = []
    opened: list[int] = []
    for index, (at, mark) in enumerate(marks):
        if mark == language.ISOLATE:
            if start <= at < end:
                opened.append(index)
        elif start < at <= end:
            begin = opened.pop() if opened else -1
            if begin < 0:
                found = [(start, at, marks[:index])]
            elif not opened:
                found.append((marks[begin][0], at, marks[begin + 1 : index]))
    if opened:
        found.append((marks[opened[0]][0], end, marks[opened[0] + 1 :]))
    return [one for one in found if one[0] < one[1]]


def _seen(
    text: str, start: int, end: int, breaks: frozenset[int], marks: Marks, edited: bool
) -> list[tuple[str, int]]:
    """A part of the text, reordered by the Unicode algorithm."""
    right = _begins_right(text, start, end, marks)
    seen = _reordered(text, start, end, breaks, marks, edited, right)
    pad = [(" ", end - 1)] * (end - start - len(seen))
    return [*pad, *seen] if right else [*seen, *pad]


def _reordered(
    text: str,
    start: int,
    end: int,
    breaks: frozenset[int],
    marks: Marks,
    edited: bool,
    right: bool,
) -> list[tuple[str, int]]:
    from bidi import algorithm  # most never need it

    shaped: list[tuple[str, int]] = []
    isolated: dict[int, list[tuple[str, int]]] = {}
    at = start
    for first, last, inner in (*_isolates(start, end, marks), (end, end, ())):
        shaped += _shaped(text, at, first, breaks, ligatures=not edited)
        if first < last:
            own = _first_is_right(text, first, last, inner)
            isolated[first] = _reordered(text, first, last, breaks, inner, edited, own)
            shaped.append(("\ufffc", first))
        at = last
    storage = algorithm.get_empty_storage()
    storage["base_level"], storage["base_dir"] = int(right), "R" if right else "L"
    # what the algorithm leaves out, such as a filler, keeps its cell as a neutral sign
    drawn = "".join(
        "\ufffd" if at in isolated or not text[at].isprintable() else text[at] for _, at in shaped
    )
    algorithm.get_embedding_levels(drawn, storage)
    for figure in _FIGURE.finditer(drawn):
        for char in storage["chars"][slice(*figure.span())]:
            char["type"] = "EN"
    for char, (form, at) in zip(storage["chars"], shaped, strict=True):
        char["ch"], char["at"] = form, at
    algorithm.explicit_embed_and_overrides(storage)
    algorithm.resolve_weak_types(storage)
    algorithm.resolve_neutral_types(storage, False)
    algorithm.resolve_implicit_levels(storage, False)
    algorithm.reorder_resolved_levels(storage, False)
    algorithm.apply_mirroring(storage, False)
    return [
        one
        for char in storage["chars"]
        for one in isolated.get(char["at"], [(char["ch"], char["at"])])
    ]


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
