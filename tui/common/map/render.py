"""Renders the basemap, and over it trail, route, markers, labels and corner text.

Drawn by hand: no stock widget draws in quadrants and braille.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, cosh, floor
from typing import NamedTuple

from rich.cells import cell_len
from rich.style import Style

from tui.common.format import fit
from tui.common.map.basemap import Basemap, Kind
from tui.common.map.bitmap import BRAILLE, Bitmap, BrailleLines, Cell, Dot, Quadrants
from tui.common.map.geometry import (
    EARTH_METRES,
    Marker,
    Overlay,
    View,
    grid_metres,
    scale_bar,
    to_mercator,
)
from tui.common.map.palette import Palette, Rgb, mix, style

LABEL_CELLS = 22
ARROWS = "▲▶▼◀"
GLYPHS = {"driver": "●", "restaurant": "◆", "home": "⌂"}
CROSSHAIR = (
    (-2, 0, "━"), (-1, 0, "━"), (1, 0, "━"), (2, 0, "━"), (0, -1, "┃"), (0, 1, "┃"), (0, 0, "╋"),
)  # fmt: skip
"""Cells right and down of its middle."""
PILL = 3
"""Cells."""


class Span(NamedTuple):
    """Cells in one row: from `column` on, `cells` of them."""

    row: int
    column: int
    cells: int

    def meets(self, other: "Span") -> bool:
        """Whether a cell is in both."""
        return (
            self.row == other.row
            and self.column < other.column + other.cells
            and other.column < self.column + self.cells
        )


@dataclass
class Occupied:
    """The cells of a window that are in use."""

    columns: int
    rows: int
    taken: list[Span] = field(default_factory=list)

    def free(self, span: Span) -> bool:
        """Whether it is in the window and unused."""
        inside = (
            0 <= span.row < self.rows
            and span.column >= 0
            and span.column + span.cells <= self.columns
        )
        return inside and not any(span.meets(other) for other in self.taken)

    def reserve(self, span: Span) -> bool:
        """Use it if it is free; False where it is not."""
        if not self.free(span):
            return False
        self.taken.append(span)
        return True


def glyph(marker: Marker) -> str:
    """One character: an arrow along the heading; `?` for a stale one."""
    if marker.stale:
        return "?"
    if marker.kind == "driver" and marker.heading is not None:
        return ARROWS[round(marker.heading / 90) % 4]
    return GLYPHS[marker.kind]


def pill(marker: Marker, mono: bool) -> str:
    """The marker's three cells."""
    return f"[{glyph(marker)}]" if mono else f" {glyph(marker)} "


def label(marker: Marker, columns: int) -> str:
    """The text beside a marker; empty where the window is too narrow for labels."""
    text = fit(marker.label.strip(), min(LABEL_CELLS, columns // 3))
    return f" {text} " if text and columns >= 24 else ""


def label_spans(at: Span, cells: int) -> Iterator[Span]:
    """Where a marker's label may be, the best first."""
    row, column = at.row, at.column
    middle = column + at.cells // 2 - cells // 2
    yield Span(row, column + at.cells, cells)
    yield Span(row, column - cells, cells)
    for other in (row - 1, row + 1):
        yield Span(other, middle, cells)
    for other in (row - 1, row + 1):
        yield Span(other, column, cells)
        yield Span(other, column + at.cells - cells, cells)


def corner_spans(columns: int, rows: int, text: str) -> Iterator[Span]:
    """Where the corner text may be, the best first."""
    cells = cell_len(text)
    for row in (0, max(0, rows - 1)):
        yield Span(row, columns - cells, cells)
        yield Span(row, 0, cells)


THINNEST = {Kind.MAIN: 2.0, Kind.BRIDGE: 1.5}
"""Dots; other streets are at least one dot wide."""
HIDDEN_FROM = {Kind.PATH: 9.0, Kind.SIDE: 70.0}
"""Metres a dot from which on they are left out."""
NAMES_UP_TO = 4.5
"""Metres a dot up to which street names are drawn."""


@dataclass(frozen=True)
class RenderedBasemap:
    """Rows of cells. Drawn once for each window, and kept."""

    rows: list[list[Cell]]
    names: list[tuple[Span, str]]
    """Of streets, where they may be drawn."""

    @classmethod
    def draw(cls, basemap: Basemap | None, view: View, palette: Palette) -> "RenderedBasemap":
        """Streets, waters and parks; without a basemap a grid of known width."""
        bitmap = Bitmap(view.wide, view.high)
        if basemap is None:
            _grid(bitmap, view)
        else:
            _areas(bitmap, basemap, view)
            _streets(bitmap, basemap, view)
        quadrants = Quadrants(palette.basemap(view.metres_a_dot), palette["name"], palette.mono)
        names = (
            list(_street_names(basemap, view))
            if basemap and view.metres_a_dot <= NAMES_UP_TO
            else []
        )
        return cls(list(quadrants.rows(bitmap)), names)


def _areas(bitmap: Bitmap, basemap: Basemap, view: View) -> None:
    west, south, east, north = view.box()
    dot = view.dot
    for area in basemap.areas:
        if area.box[0] < east and area.box[2] > west and area.box[1] < north > south < area.box[3]:
            bitmap.fill([[dot(point) for point in ring] for ring in area.rings], area.kind)
    for water in basemap.waters:
        width = water.metres / view.metres_a_dot
        for a, b in pairwise(water.points):
            bitmap.line(dot(a), dot(b), width, Kind.WATER)


def _streets(bitmap: Bitmap, basemap: Basemap, view: View) -> None:
    metres_a_dot = view.metres_a_dot
    widths = [
        max(THINNEST.get(street.kind, 1.0), street.metres / metres_a_dot)
        if metres_a_dot <= HIDDEN_FROM.get(street.kind, metres_a_dot)
        else 0.0
        for street in basemap.streets
    ]
    kinds = [street.kind for street in basemap.streets]
    x, y, scale, columns, middle = view.x, view.y, view.scale, view.columns, 2 * view.rows
    for owner, ax, ay, bx, by in basemap.segments.near(view.box(margin=8)):
        width = widths[owner]
        if width:
            a = ((ax - x) * scale + columns, (y - ay) * scale + middle)
            b = ((bx - x) * scale + columns, (y - by) * scale + middle)
            bitmap.line(a, b, width, kinds[owner])


def _grid(bitmap: Bitmap, view: View) -> None:
    """Lines fixed to the globe, a round number of metres apart."""
    step = grid_metres(view) * cosh(view.y) / EARTH_METRES
    west, south, east, north = view.box()
    for number in range(ceil(west / step), floor(east / step) + 1):
        right = (number * step - view.x) * view.scale + view.columns
        bitmap.line((right, 0.0), (right, float(view.high)), 1.0, Kind.GRID)
    for number in range(ceil(south / step), floor(north / step) + 1):
        down = (view.y - number * step) * view.scale + 2 * view.rows
        bitmap.line((0.0, down), (float(view.wide), down), 1.0, Kind.GRID)


def _street_names(basemap: Basemap, view: View) -> Iterator[tuple[Span, str]]:
    """Where a street is level for long enough to hold its name; main streets first."""
    done: set[str] = set()
    west, south, east, north = view.box()
    for street in reversed(basemap.streets):
        box = street.box
        outside = box[0] > east or box[2] < west or box[1] > north or box[3] < south
        if street.name and street.name not in done and not outside:
            name = f" {street.name} "
            span = _level(view, [view.dot(point) for point in street.points], cell_len(name))
            if span is not None:
                done.add(street.name)
                yield span, name


def _level(view: View, dots: list[Dot], cells: int) -> Span | None:
    """Where the line through these dots stays in one row for so many cells."""
    if dots[0][0] > dots[-1][0]:
        dots = dots[::-1]
    half = float(cells)
    for (ax, _), (bx, _) in pairwise(dots):
        # A segment may be shorter than the name: the line's row at the name's ends counts.
        x = (max(ax, 0.0) + min(bx, view.wide)) / 2
        if not half + 2 <= x <= view.wide - half - 2 or bx <= ax:
            continue
        ends = [_height(dots, at) for at in (x - half, x, x + half)]
        rows = {floor(y / 4) for y in ends if y is not None}
        if None not in ends and len(rows) == 1 and 0 <= (row := rows.pop()) < view.rows:
            return Span(row, int(x / 2 - cells / 2), cells)
    return None


def _height(dots: list[Dot], x: float) -> float | None:
    """How far down the line is at `x`."""
    for (ax, ay), (bx, by) in pairwise(dots):
        if ax <= x <= bx and bx > ax:
            return ay + (by - ay) * (x - ax) / (bx - ax)
    return None


BROAD_UP_TO = 4.0
"""Metres a dot up to which the trail is broad."""

Drawn = dict[int, tuple[str, Style]]
"""By cell, row by row: text and style. Text of several cells is followed by empty ones."""


def draw(
    overlay: Overlay, view: View, rendered: RenderedBasemap, palette: Palette, square: bool
) -> Drawn:
    """The overlay's cells; `square` where the basemap is a plain grid."""
    drawn: Drawn = {}
    _lines(drawn, overlay, view, rendered, palette)
    occupied = Occupied(view.columns, view.rows)
    at = {
        marker: span
        for marker in overlay.markers
        if (span := _marker_span(marker, view)) is not None
    }
    occupied.taken += at.values()
    if overlay.aim is not None:
        column, row = view.cell(overlay.aim)
        occupied.taken += [Span(row + down, column + right, 1) for right, down, _ in CROSSHAIR]
    paper = palette["label"]
    _corner(drawn, overlay.hud, occupied, style(palette["label-ink"], paper, True))
    _bar(
        drawn,
        scale_bar(view, square),
        occupied,
        style(mix(paper, palette["label-ink"], 0.75), paper),
    )
    order = sorted(at, key=_priority)
    for marker in reversed(order):
        text = label(marker, view.columns)
        spans = label_spans(at[marker], cell_len(text)) if text else ()
        found = next((span for span in spans if occupied.reserve(span)), None)
        if found is not None:
            ink = mix(paper, palette["label-ink"], 0.6 if marker.stale else 1.0)
            _put(drawn, view.columns, found, text, style(ink, paper, marker.chosen))
    _names(drawn, occupied, rendered, palette)
    for marker in order:
        span, pill_style = at[marker], _pill_style(marker, palette)
        for column, char in enumerate(pill(marker, palette.mono), span.column):
            if 0 <= column < view.columns:
                drawn[span.row * view.columns + column] = (char, pill_style)
    if overlay.aim is not None:
        _crosshair(drawn, view.cell(overlay.aim), rendered, palette)
    return drawn


def _lines(
    drawn: Drawn, overlay: Overlay, view: View, rendered: RenderedBasemap, palette: Palette
) -> None:
    for lat_lngs, ink, dashed in (
        (overlay.route, palette["route"], True),
        (overlay.trail, palette["trail"], False),
    ):
        if len(lat_lngs) < 2:
            continue
        lines = BrailleLines(view.columns, view.rows)
        dots = [view.dot(to_mercator(lat_lng)) for lat_lng in lat_lngs]
        lines.draw(dots, dashed=dashed, broad=not dashed and view.metres_a_dot < BROAD_UP_TO)
        for cell, mask in lines.masks.items():
            row, column = divmod(cell, view.columns)
            basemap: Rgb = rendered.rows[row][column][2]
            drawn[cell] = (chr(BRAILLE | mask), style(ink, basemap))


def _crosshair(
    drawn: Drawn, at: tuple[int, int], rendered: RenderedBasemap, palette: Palette
) -> None:
    for right, down, char in CROSSHAIR:
        column, row = at[0] + right, at[1] + down
        if 0 <= row < len(rendered.rows) and 0 <= column < len(rendered.rows[row]):
            paper: Rgb = rendered.rows[row][column][2]
            cell = row * len(rendered.rows[row]) + column
            drawn[cell] = (char, style(palette["label-ink"], paper, True))


def _names(drawn: Drawn, occupied: Occupied, rendered: RenderedBasemap, palette: Palette) -> None:
    """Street names, where nothing else is drawn."""
    columns = occupied.columns
    for span, name in rendered.names:
        start = span.row * columns + span.column
        lines = any(cell in drawn for cell in range(start - 1, start + span.cells + 1))
        if not lines and occupied.reserve(span):
            papers = [cell[2] for cell in rendered.rows[span.row][span.column :][: span.cells]]
            paper = papers[len(papers) // 2]
            _put(drawn, columns, span, name, style(mix(paper, palette["name"], 0.9), paper))


def _marker_span(marker: Marker, view: View) -> Span | None:
    """The cells of the marker; None where it is out of view."""
    column, row = view.cell(marker.at)
    if not (0 <= column < view.columns and 0 <= row < view.rows):
        return None
    return Span(row, column - PILL // 2, PILL)


def _priority(marker: Marker) -> tuple[bool, bool]:
    return marker.chosen, marker.kind == "driver"


def _pill_style(marker: Marker, palette: Palette) -> Style:
    paper = palette[marker.kind]
    if marker.stale:
        return style(paper, mix(palette["land"], palette["stale"], 0.8), True)
    if palette.mono:
        return style(palette["land"], palette["label-ink"], True)
    return style(palette["pill-ink"], paper, True)


def _corner(drawn: Drawn, hud: str, occupied: Occupied, ink: Style) -> None:
    text = f" {fit(hud, occupied.columns - 2)} " if hud and occupied.columns > 8 else ""
    if not text.strip() or occupied.rows < 3:
        return
    for span in corner_spans(occupied.columns, occupied.rows, text):
        if occupied.reserve(span):
            _put(drawn, occupied.columns, span, text, ink)
            return


def _bar(drawn: Drawn, bar: str, occupied: Occupied, ink: Style) -> None:
    if not bar or occupied.rows < 5:
        return
    cells = cell_len(bar)
    for column in (0, occupied.columns - cells):
        span = Span(occupied.rows - 1, column, cells)
        if occupied.reserve(span):
            _put(drawn, occupied.columns, span, bar, ink)
            return


def _put(drawn: Drawn, columns: int, span: Span, text: str, ink: Style) -> None:
    start = span.row * columns + span.column
    drawn[start] = (text, ink)
    for cell in range(1, span.cells):
        drawn[start + cell] = ("", ink)
