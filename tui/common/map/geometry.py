"""Geometry of the map: the overlay's data, the Mercator plane, the window on it, scales."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import asinh, atan, cosh, inf, pi, radians, remainder, sinh, tan
from typing import Literal, NamedTuple

from tui.common.language import _, without_isolates

MarkerKind = Literal["driver", "restaurant", "home"]


class LatLng(NamedTuple):
    """A position in WGS 84 degrees, both finite."""

    lat: float
    lng: float


@dataclass(frozen=True, slots=True)
class Marker:
    """One marker on the map."""

    kind: MarkerKind
    label: str
    """May be empty, or any text that a person typed: it is sanitized when drawn."""
    at: LatLng
    heading: float | None = None
    """Degrees clockwise from north; for a driver only."""
    stale: bool = False
    """The position is old: drawn as `?`."""
    chosen: bool = False
    """The map follows it; it lies on top, and its label is placed first."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """Everything drawn over the basemap. Equal overlays look the same."""

    markers: tuple[Marker, ...] = ()
    trail: tuple[LatLng, ...] = ()
    """The way driven, oldest first; drawn solid."""
    route: tuple[LatLng, ...] = ()
    """The way ahead, next first; drawn dashed."""
    hud: str = ""
    """Text for the corner, as `6 min · 1.6 km · 24 km/h`; empty for none."""
    aim: LatLng | None = None
    """Where the crosshair is; it need not be in view."""

    @property
    def watched(self) -> Marker | None:
        """The driver to follow: the chosen one, else the only one there is."""
        drivers = [marker for marker in self.markers if marker.kind == "driver"]
        for driver in drivers:
            if driver.chosen:
                return driver
        return drivers[0] if len(drivers) == 1 else None

    def lat_lngs(self) -> tuple[LatLng, ...]:
        """Every position that should be in view."""
        return (*(marker.at for marker in self.markers), *self.trail, *self.route)


EARTH_METRES = 6_371_008.8
LARGEST_LAT = 85.05
"""Degrees. Mercator has no poles: positions beyond this are drawn at it."""
FINEST, COARSEST = 0.25, 20_000.0
"""Metres a dot, at the closest and the widest zoom."""
CLOSE = 3.0
"""Metres a dot for a single position, and the least for several."""

Mercator = tuple[float, float]
"""A point of the Mercator plane: radians east, and north so that angles are kept."""


@lru_cache(4096)
def to_mercator(lat_lng: LatLng) -> Mercator:
    """The point of the plane at that position."""
    lat = min(LARGEST_LAT, max(-LARGEST_LAT, lat_lng.lat))
    return radians(lat_lng.lng), asinh(tan(radians(lat)))


@dataclass(frozen=True, slots=True)
class View:
    """A window on the plane. A cell is 2 by 4 dots; a dot is about square in a terminal."""

    columns: int
    rows: int
    x: float = 0.0
    y: float = 0.0
    """Its centre, in the plane."""
    scale: float = EARTH_METRES / CLOSE
    """Dots a radian of the plane."""

    @property
    def wide(self) -> int:
        """Dots."""
        return 2 * self.columns

    @property
    def high(self) -> int:
        """Dots."""
        return 4 * self.rows

    @property
    def metres_a_dot(self) -> float:
        """On the ground, at the middle's latitude."""
        return EARTH_METRES / (self.scale * cosh(self.y))

    def dot(self, point: Mercator) -> tuple[float, float]:
        """Dots right and down from the top left corner, the shorter way round the globe."""
        east = remainder(point[0] - self.x, 2 * pi)
        return east * self.scale + self.columns, (self.y - point[1]) * self.scale + 2 * self.rows

    def cell(self, lat_lng: LatLng) -> tuple[int, int]:
        """Column and row of a position; outside the window where it is not in view."""
        x, y = self.dot(to_mercator(lat_lng))
        return int(x // 2), int(y // 4)

    def lat_lng(self, column: int, row: int) -> LatLng:
        """The position in the middle of a cell."""
        east = (2 * column + 1 - self.columns) / self.scale
        north = (2 * self.rows - 4 * row - 2) / self.scale
        return to_lat_lng((self.x + east, self.y + north))

    def box(self, margin: float = 0.0) -> tuple[float, float, float, float]:
        """West, south, east and north in the plane, `margin` dots wider on each side."""
        half_wide, half_high = (
            (self.columns + margin) / self.scale,
            (2 * self.rows + margin) / self.scale,
        )
        return self.x - half_wide, self.y - half_high, self.x + half_wide, self.y + half_high

    def moved(self, right: float, down: float) -> "View":
        """The window moved by so many dots."""
        y = self.y - down / self.scale
        highest = to_mercator(LatLng(LARGEST_LAT, 0))[1]
        x = remainder(self.x + right / self.scale, 2 * pi)
        return replace(self, x=x, y=min(highest, max(-highest, y)))

    def centred(self, lat_lng: LatLng) -> "View":
        """The window with this position in its centre."""
        x, y = to_mercator(lat_lng)
        return replace(self, x=x, y=y)

    def zoomed(self, factor: float, at: tuple[float, float] | None = None) -> "View":
        """The window at `factor` times the scale; the dot `at`, or the centre, stays in place."""
        per_metre = EARTH_METRES / cosh(self.y)
        scale = min(per_metre / FINEST, max(per_metre / COARSEST, self.scale * factor))
        if at is None:
            return replace(self, scale=scale)
        right, down = at[0] - self.columns, at[1] - 2 * self.rows
        grown = scale / self.scale - 1
        return replace(self, scale=scale).moved(right * grown, down * grown)

    def resized(self, columns: int, rows: int) -> "View":
        """The same centre and scale in a window of another size."""
        return replace(self, columns=columns, rows=rows)

    def holds(self, lat_lngs: Iterable[LatLng], margin: float) -> bool:
        """Whether every position is in view, at least `margin` dots from the edge."""
        for lat_lng in lat_lngs:
            x, y = self.dot(to_mercator(lat_lng))
            if not (
                margin <= x <= self.wide - margin and margin <= y <= self.high - margin
            ):  # also false in a window smaller than its margins
                return False
        return True

    @classmethod
    def enclosing(cls, lat_lngs: Iterable[LatLng], columns: int, rows: int) -> "View":
        """The closest window with every position in it, and room for labels around them."""
        points = [to_mercator(lat_lng) for lat_lng in lat_lngs]
        if not points:
            return cls(columns, rows)
        origin = points[0][0]
        west = south = inf
        east = north = -inf
        for x, y in points:
            x = origin + remainder(x - origin, 2 * pi)
            west, east = min(west, x), max(east, x)
            south, north = min(south, y), max(north, y)
        right, down = margins(columns, rows)
        x, y = (west + east) / 2, (south + north) / 2
        closest = EARTH_METRES / cosh(y) / CLOSE
        scale = closest
        if east > west:
            scale = min(scale, max(1.0, 2 * columns - 2 * right) / (east - west))
        if north > south:
            scale = min(scale, max(1.0, 4 * rows - 2 * down) / (north - south))
        widest = EARTH_METRES / cosh(y) / COARSEST
        return cls(columns, rows, remainder(x, 2 * pi), y, max(widest, scale))


def margins(columns: int, rows: int) -> tuple[float, float]:
    """Dots kept free at each side, and above and below, by `View.enclosing`."""
    return min(columns * 0.3, max(6.0, columns * 0.18)), min(rows * 0.8, max(6.0, rows * 0.42))


def to_lat_lng(point: Mercator) -> LatLng:
    """The position of a point of the plane."""
    return LatLng(atan(sinh(point[1])) * 180 / pi, point[0] * 180 / pi)


GRID_DOTS = 26.0
"""At least, between two lines of the grid."""


def round_metres(most: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is no more than `most`."""
    power = 1.0
    while power * 10 <= most:
        power *= 10
    while power > most and power > 1e-3:
        power /= 10
    return next((power * times for times in (5, 2) if power * times <= most), power)


def grid_metres(view: View) -> float:
    """Metres between two lines of the grid."""
    least = GRID_DOTS * view.metres_a_dot
    metres = round_metres(least)
    steps = (metres * times for times in (1, 2, 2.5, 5, 10))
    return next(step for step in steps if step >= least * 0.999 and _round(step))


def _round(metres: float) -> bool:
    return round_metres(metres * 1.001) >= metres * 0.999


def human_metres(metres: float) -> str:
    """A distance: `200 m`, `5 km`."""
    if metres >= 1000:
        return _("{count:g} km").format(count=metres / 1000)
    return _("{count:g} m").format(count=metres)


def scale_bar(view: View, square: bool) -> str:
    """A bar and its length; where `square`, the width of the grid's squares instead."""
    if square:
        metres = grid_metres(view)
        text = _(" {length} a square ").format(length=human_metres(metres))
        text = without_isolates(text)  # each character is drawn in a cell
        return text if len(text) <= view.columns else ""
    metres = round_metres(min(40.0, view.wide * 0.3) * view.metres_a_dot)
    cells = max(1, round(metres / view.metres_a_dot / 2))
    bar = "╺" + "━" * (cells - 2) + "╸" if cells > 1 else "━"
    text = f" {bar} {human_metres(metres)} "
    return text if len(text) <= view.columns else ""
