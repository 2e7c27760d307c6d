"""The ground as it looks in one window: all that stays when the markers move."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, cosh, floor

from rich.cells import cell_len

from tui.common.map.basemap import Ground, Kind
from tui.common.map.bitmap import Dot, Raster
from tui.common.map.labels import Room
from tui.common.map.palette import Inks
from tui.common.map.quadrants import Blocks, Cell
from tui.common.map.scale import grid_metres
from tui.common.map.view import EARTH_METRES, View

THINNEST = {Kind.MAIN: 2.0, Kind.BRIDGE: 1.5}
"""Dots; whatever else is never less than one."""
COARSEST = {Kind.PATH: 9.0, Kind.SIDE: 70.0}
"""Metres a dot from which on they are left out."""
NAMED = 4.5
"""Metres a dot up to which streets bear their names."""


@dataclass(frozen=True)
class Backdrop:
    """Rows of cells. Drawn once a window, and kept."""

    rows: list[list[Cell]]
    names: list[tuple[Room, str]]
    """Of streets, where they may be written."""

    @classmethod
    def draw(cls, ground: Ground | None, view: View, inks: Inks) -> "Backdrop":
        """Streets, waters and parks; without a ground a grid of known width."""
        raster = Raster(view.wide, view.high)
        if ground is None:
            _grid(raster, view)
        else:
            _areas(raster, ground, view)
            _streets(raster, ground, view)
        blocks = Blocks(inks.ground(view.metres_a_dot), inks["name"], inks.mono)
        names = list(_names(ground, view)) if ground and view.metres_a_dot <= NAMED else []
        return cls(list(blocks.rows(raster)), names)


def _areas(raster: Raster, ground: Ground, view: View) -> None:
    west, south, east, north = view.box()
    dot = view.dot
    for area in ground.areas:
        if area.box[0] < east and area.box[2] > west and area.box[1] < north > south < area.box[3]:
            raster.fill([[dot(point) for point in ring] for ring in area.rings], area.kind)
    for water in ground.waters:
        width = water.metres / view.metres_a_dot
        for a, b in pairwise(water.points):
            raster.line(dot(a), dot(b), width, Kind.WATER)


def _streets(raster: Raster, ground: Ground, view: View) -> None:
    metres_a_dot = view.metres_a_dot
    widths = [
        max(THINNEST.get(street.kind, 1.0), street.metres / metres_a_dot)
        if metres_a_dot <= COARSEST.get(street.kind, metres_a_dot)
        else 0.0
        for street in ground.streets
    ]
    kinds = [street.kind for street in ground.streets]
    x, y, scale, columns, middle = view.x, view.y, view.scale, view.columns, 2 * view.rows
    for owner, ax, ay, bx, by in ground.segments.near(view.box(margin=8)):
        width = widths[owner]
        if width:
            a = ((ax - x) * scale + columns, (y - ay) * scale + middle)
            b = ((bx - x) * scale + columns, (y - by) * scale + middle)
            raster.line(a, b, width, kinds[owner])


def _grid(raster: Raster, view: View) -> None:
    """Lines that stay where they are in the world, a round number of metres apart."""
    step = grid_metres(view) * cosh(view.y) / EARTH_METRES
    west, south, east, north = view.box()
    for number in range(ceil(west / step), floor(east / step) + 1):
        right = (number * step - view.x) * view.scale + view.columns
        raster.line((right, 0.0), (right, float(view.high)), 1.0, Kind.GRID)
    for number in range(ceil(south / step), floor(north / step) + 1):
        down = (view.y - number * step) * view.scale + 2 * view.rows
        raster.line((0.0, down), (float(view.wide), down), 1.0, Kind.GRID)


def _names(ground: Ground, view: View) -> Iterator[tuple[Room, str]]:
    """Where a street runs level for long enough to bear its name: the main ones first."""
    done: set[str] = set()
    west, south, east, north = view.box()
    for street in reversed(ground.streets):
        box = street.box
        outside = box[0] > east or box[2] < west or box[1] > north or box[3] < south
        if street.name and street.name not in done and not outside:
            name = f" {street.name} "
            room = _level(view, [view.dot(point) for point in street.points], cell_len(name))
            if room is not None:
                done.add(street.name)
                yield room, name


def _level(view: View, dots: list[Dot], cells: int) -> Room | None:
    """Where so many cells fit on the line through these dots without leaving its row."""
    if dots[0][0] > dots[-1][0]:
        dots = dots[::-1]
    half = float(cells)
    for (ax, _), (bx, _) in pairwise(dots):
        # A stretch may be shorter than the name; what counts is where the line is at its ends.
        x = (max(ax, 0.0) + min(bx, view.wide)) / 2
        if not half + 2 <= x <= view.wide - half - 2 or bx <= ax:
            continue
        ends = [_height(dots, at) for at in (x - half, x, x + half)]
        rows = {floor(y / 4) for y in ends if y is not None}
        if None not in ends and len(rows) == 1 and 0 <= (row := rows.pop()) < view.rows:
            return Room(row, int(x / 2 - cells / 2), cells)
    return None


def _height(dots: list[Dot], x: float) -> float | None:
    """How far down the line is at `x`."""
    for (ax, ay), (bx, by) in pairwise(dots):
        if ax <= x <= bx and bx > ax:
            return ay + (by - ay) * (x - ax) / (bx - ax)
    return None
