"""Which part of the world is seen, how large, and where in it a place is drawn."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import asinh, atan, cosh, inf, pi, radians, remainder, sinh, tan

from tui.common.map.markers import Spot

EARTH_METRES = 6_371_008.8
LARGEST_LAT = 85.05
"""Mercator has no poles; beyond this a place is drawn here."""
FINEST, COARSEST = 0.25, 20_000.0
"""Metres a dot."""
CLOSE = 3.0
"""Metres a dot at which one place alone is shown."""

Flat = tuple[float, float]
"""A place in the Mercator plane: radians east, and as much north as keeps angles true."""


@lru_cache(4096)
def flat(spot: Spot) -> Flat:
    """Where a place lies in the plane."""
    lat = min(LARGEST_LAT, max(-LARGEST_LAT, spot.lat))
    return radians(spot.lng), asinh(tan(radians(lat)))


@dataclass(frozen=True, slots=True)
class View:
    """A window on the plane. A cell is 2 by 4 dots; a dot is about square on a terminal."""

    columns: int
    rows: int
    x: float = 0.0
    y: float = 0.0
    """The middle, in the plane."""
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

    def dot(self, place: Flat) -> tuple[float, float]:
        """Right and down from the top left corner, the shorter way round the globe."""
        east = remainder(place[0] - self.x, 2 * pi)
        return east * self.scale + self.columns, (self.y - place[1]) * self.scale + 2 * self.rows

    def cell(self, spot: Spot) -> tuple[int, int]:
        """Column and row of a place; outside of the window where it is not in view."""
        x, y = self.dot(flat(spot))
        return int(x // 2), int(y // 4)

    def box(self, margin: float = 0.0) -> tuple[float, float, float, float]:
        """West, south, east and north in the plane, `margin` dots more each way."""
        half_wide, half_high = (
            (self.columns + margin) / self.scale,
            (2 * self.rows + margin) / self.scale,
        )
        return self.x - half_wide, self.y - half_high, self.x + half_wide, self.y + half_high

    def moved(self, right: float, down: float) -> "View":
        """The window so many dots further."""
        y = self.y - down / self.scale
        highest = flat(Spot(LARGEST_LAT, 0))[1]
        x = remainder(self.x + right / self.scale, 2 * pi)
        return replace(self, x=x, y=min(highest, max(-highest, y)))

    def centred(self, spot: Spot) -> "View":
        """The window with this place in its middle."""
        x, y = flat(spot)
        return replace(self, x=x, y=y)

    def zoomed(self, factor: float, at: tuple[float, float] | None = None) -> "View":
        """The window at `factor` times the size; what is at that dot (the middle) stays there."""
        per_metre = EARTH_METRES / cosh(self.y)
        scale = min(per_metre / FINEST, max(per_metre / COARSEST, self.scale * factor))
        if at is None:
            return replace(self, scale=scale)
        right, down = at[0] - self.columns, at[1] - 2 * self.rows
        grown = scale / self.scale - 1
        return replace(self, scale=scale).moved(right * grown, down * grown)

    def resized(self, columns: int, rows: int) -> "View":
        """The same middle and scale in a window of another size."""
        return replace(self, columns=columns, rows=rows)

    def holds(self, spots: Iterable[Spot], margin: float) -> bool:
        """Whether every place is in view, so many dots from the edge."""
        for spot in spots:
            x, y = self.dot(flat(spot))
            if not (
                margin <= x <= self.wide - margin and margin <= y <= self.high - margin
            ):  # also where the window is smaller than its margins
                return False
        return True

    @classmethod
    def fit(cls, spots: Iterable[Spot], columns: int, rows: int) -> "View":
        """The closest window that has every place in it, with room for labels around."""
        places = [flat(spot) for spot in spots]
        if not places:
            return cls(columns, rows)
        origin = places[0][0]
        west = south = inf
        east = north = -inf
        for x, y in places:
            x = origin + remainder(x - origin, 2 * pi)
            west, east = min(west, x), max(east, x)
            south, north = min(south, y), max(north, y)
        right, down = fit_margins(columns, rows)
        x, y = (west + east) / 2, (south + north) / 2
        closest = EARTH_METRES / cosh(y) / CLOSE
        scale = closest
        if east > west:
            scale = min(scale, max(1.0, 2 * columns - 2 * right) / (east - west))
        if north > south:
            scale = min(scale, max(1.0, 4 * rows - 2 * down) / (north - south))
        widest = EARTH_METRES / cosh(y) / COARSEST
        return cls(columns, rows, remainder(x, 2 * pi), y, max(widest, scale))


def fit_margins(columns: int, rows: int) -> tuple[float, float]:
    """Dots left free at the sides and above and below when places are fitted in."""
    return min(columns * 0.3, max(6.0, columns * 0.18)), min(rows * 0.8, max(6.0, rows * 0.42))


def spot_of(place: Flat) -> Spot:
    """The place that lies there."""
    return Spot(atan(sinh(place[1])) * 180 / pi, place[0] * 180 / pi)
