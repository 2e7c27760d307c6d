"""Renders no line that has not changed, and writes no cell that the terminal shows already.

Textual renders every widget in the rectangle around all that has changed, and writes whole widgets.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import get_character_cell_size
from rich.console import Console
from rich.control import Control
from rich.style import Style
from textual._compositor import (
    ChopsUpdate,
    Compositor,
    CompositorMap,
    CompositorUpdate,
    LayoutUpdate,
    ReflowResult,
)
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui.common.sanitize import has_sure_width

Cell = tuple[str, Style | None] | None
"""A character with its style, or a part of one; None is the right half of a wide one."""
UNKNOWN: Cell = ("", None)
Piece = tuple[int, int, Strip]
"""Column, line, and what is drawn from there."""

GAP_CELLS = 16
"""Equal cells between two runs that differ: to write fewer takes no more than to skip them."""


class CellUpdate(CompositorUpdate):
    """Draws pieces, each where it belongs."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = pieces

    def render_segments(self, console: Console) -> str:
        """The pieces as the terminal takes them."""
        drawn = [(Control.move_to(x, y), strip.render(console)) for x, y, strip in self.pieces]
        return "".join(move.segment.text + text for move, text in drawn)


class LayoutCompositor(Compositor):
    """Compares a layout with the one before. Textual compares it with what it has found out in
    between, where a widget asked for its place before the layout: one that has become larger is
    then not told so, and one that has moved not painted."""

    def __init__(self) -> None:
        super().__init__()
        self._laid_out: CompositorMap = {}

    def reflow(self, parent: Widget, size: Size) -> ReflowResult:
        """Lay out all widgets; returns which are hidden, shown and of another size since the last
        time."""
        self._full_map = self._laid_out
        result = super().reflow(parent, size)
        self._laid_out = self._full_map
        return result


class LineCompositor(LayoutCompositor):
    """Asks each widget only for the lines of it that are in view and have changed."""

    def render_partial_update(self) -> CellUpdate | None:  # type: ignore[override]
        """What has changed since the last time; None where nothing has."""
        screen = self.size.region
        regions = [region.intersection(screen) for region in self._dirty_regions]
        self._dirty_regions.clear()
        missing: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for y, first, last in self._regions_to_spans(regions):
            missing[y].append((first, last))
        pieces: list[Piece] = []
        for widget, (region, clip) in self.visible_widgets.items():  # from front to back
            shown = region.intersection(clip)
            left, right = shown.column_span
            lines = [
                y
                for y in missing
                if shown.y <= y < shown.bottom
                and any(first < right and last > left for first, last in missing[y])
            ]
            if lines:
                # A layout under way may have made it smaller: it has no lines below that any more.
                bottom = region.y + widget.region.height
                lines = [y for y in lines if y < bottom]
            if not lines:
                continue
            top = min(lines)
            part = Region(left, top, shown.width, max(lines) - top + 1)
            strips = widget.render_lines(part.translate((-region.x, -region.y)))
            for y in lines:
                spans, strip = missing.pop(y), strips[y - top]
                if not strip.text.isascii():
                    spans = [self._widened(span, widget, left, y, strip) for span in spans]
                pieces += _cut(spans, left, y, strip)
                if left_over := _without(spans, left, right):
                    missing[y] = left_over
        return CellUpdate(pieces) if pieces else None

    def _widened(
        self, span: tuple[int, int], widget: Widget, x: int, y: int, strip: Strip
    ) -> tuple[int, int]:
        """The span with the other halves of wide characters at its ends that it would cut.

        Something in front has hidden a half: the terminal shows the other half as a blank.
        """
        first, last = span
        cells = cells_of(strip)

        def cut_at(column: int) -> bool:
            """Whether a character reaches over that edge, and nothing is in front of it."""
            at = column - x
            if not (0 < at < len(cells) and cells[at] is None):
                return False
            return all(self.get_widget_at(one, y)[0] is widget for one in (column - 1, column))

        return first - cut_at(first), last + cut_at(last)


def _cut(spans: Iterable[tuple[int, int]], x: int, y: int, strip: Strip) -> Iterator[Piece]:
    """The parts of a strip at `x` that are within the spans."""
    for first, last in spans:
        start, end = max(first - x, 0), min(last - x, strip.cell_length)
        if start < end:
            yield x + start, y, strip.crop(start, end)


def _without(spans: Iterable[tuple[int, int]], left: int, right: int) -> list[tuple[int, int]]:
    """What is left of the spans without the columns from `left` to before `right`."""
    parts = [part for a, b in spans for part in ((a, min(b, left)), (max(a, right), b))]
    return [(first, last) for first, last in parts if first < last]


class TerminalCells:
    """Knows of each cell what was written last, or that it does not know."""

    def __init__(self) -> None:
        self._lines: dict[int, list[Cell]] = {}
        self._whole: dict[int, Sequence[Strip]] = {}
        """Lines written whole, until their cells are asked for: the first frame needs none."""

    def forget(self) -> None:
        """The terminal may show something else by now."""
        self._lines.clear()
        self._whole.clear()

    def store(self, update: LayoutUpdate) -> None:
        """The whole screen is written."""
        self._lines.clear()
        self._whole = dict(enumerate(map(tuple, update.strips), update.region.y))

    def changes(self, pieces: Iterable[Piece]) -> CellUpdate | None:
        """The part of it that the terminal does not show yet; None where it shows all."""
        changed = [part for piece in pieces for part in self._changes(*piece)]
        return CellUpdate(changed) if changed else None

    def _changes(self, x: int, y: int, strip: Strip) -> Iterator[Piece]:
        new = cells_of(strip)
        end = x + len(new)
        line = self._lines.get(y)
        if line is None:
            strips = self._whole.pop(y, ())
            line = self._lines[y] = [cell for strip in strips for cell in cells_of(strip)]
        line += [UNKNOWN] * (end - len(line))
        old, line[x:end] = line[x:end], new
        if old == new:
            return
        if not has_sure_width(strip.text):
            yield x, y, strip
            return
        for first, last in _runs(old, new):
            yield x + first, y, strip.crop(first, last)


def cells_of(strip: Strip) -> list[Cell]:
    """The cells that a strip fills."""
    cells: list[Cell] = []
    for text, style, control in strip:
        if control:
            continue
        if text.isascii():
            cells += [(char, style) for char in text]
            continue
        for char in text:
            width = get_character_cell_size(char)
            if width:
                cells.append((char, style))
                cells += [None] * (width - 1)
            elif cells:  # it is drawn with the one before
                at = len(cells) - 1
                while at and cells[at] is None:
                    at -= 1
                before = cells[at]
                cells[at] = (f"{before[0] if before else ''}{char}", style)
    return cells


def pieces_of(update: ChopsUpdate) -> Iterator[Piece]:
    """What Textual's update would write."""
    for y, first, last in update.spans:
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is not None and x <= last and end > first:
                whole = first <= x < last and end <= last
                yield x, y, strip if whole else strip.crop(0, min(end, last) - x)


def _runs(old: Sequence[Cell], new: Sequence[Cell]) -> list[tuple[int, int]]:
    """Where the two differ: first cell, and the one after the last. No character is cut in two."""
    runs: list[tuple[int, int]] = []
    for at, (before, after) in enumerate(zip(old, new, strict=True)):
        if before == after:
            continue
        first, last = at, at + 1
        while first and (old[first] is None or new[first] is None):
            first -= 1
        while last < len(new) and (old[last] is None or new[last] is None):
            last += 1
        if runs and first - runs[-1][1] < GAP_CELLS:
            first = runs.pop()[0]
        runs.append((first, last))
    return runs
