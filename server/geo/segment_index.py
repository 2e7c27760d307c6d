"""A spatial index of street segments: merges points that coincide, finds the nearest segments."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil, cos, floor, radians

from server.geo.sphere import (
    METRES_PER_DEGREE,
    LatLng,
    distance,
    interpolate,
    nearest_on_segment,
)

SNAP_METRES = 300.0
"""A point further than this from every street is not on the street network."""
MERGE_METRES = 1.0
"""Points this near to each other count as one."""

Cell = tuple[int, int]
"""Row and column."""


class _Cells:
    """A grid of cells that are `side` metres or more in both directions, at any of the points."""

    def __init__(self, side: float, points: Sequence[LatLng]) -> None:
        max_lat = max((abs(lat) for lat, _ in points), default=0.0)
        self._lat = side / METRES_PER_DEGREE
        self._lng = self._lat / cos(radians(min(89.0, max_lat + 0.1)))

    def cell_of(self, point: LatLng) -> Cell:
        return floor(point[0] / self._lat), floor(point[1] / self._lng)

    def neighbourhood(self, point: LatLng) -> Iterator[Cell]:
        """The point's cell and the eight around it."""
        row, column = self.cell_of(point)
        for up in (-1, 0, 1):
            for right in (-1, 0, 1):
                yield row + up, column + right

    def along(self, a: LatLng, b: LatLng) -> set[Cell]:
        """Every cell that the segment touches, and few others."""
        parts = ceil(max(abs(b[0] - a[0]) / self._lat, abs(b[1] - a[1]) / self._lng, 1.0))
        found = set()
        cell = self.cell_of(a)
        for part in range(1, parts + 1):
            following = self.cell_of(interpolate(a, b, part / parts))
            rows, columns = zip(cell, following, strict=True)
            found |= set(product(rows, columns))
            cell = following
        return found


class NodeIndex:
    """Numbers points; a point within MERGE_METRES of a known one gets the same number."""

    def __init__(self, points: Sequence[LatLng]) -> None:
        self.nodes: list[LatLng] = []
        self._cells = _Cells(MERGE_METRES, points)
        self._numbers: dict[Cell, list[int]] = {}

    def number(self, point: LatLng) -> int:
        """The point's number, a new one where nothing is near."""
        for cell in self._cells.neighbourhood(point):
            for number in self._numbers.get(cell, ()):
                if distance(point, self.nodes[number]) <= MERGE_METRES:
                    return number
        self.nodes.append(point)
        self._numbers.setdefault(self._cells.cell_of(point), []).append(len(self.nodes) - 1)
        return len(self.nodes) - 1


@dataclass(frozen=True, slots=True)
class Snap:
    """A point moved onto a street: the number of the segment, the point there, how far it moved."""

    segment: int
    point: LatLng
    metres: float


class SegmentIndex:
    """Segments by the cells that they touch."""

    def __init__(self, segments: Sequence[tuple[LatLng, LatLng]]) -> None:
        self._segments = segments
        self._cells = _Cells(SNAP_METRES, [point for segment in segments for point in segment])
        self._numbers: dict[Cell, list[int]] = {}
        for number, (a, b) in enumerate(segments):
            for cell in self._cells.along(a, b):
                self._numbers.setdefault(cell, []).append(number)

    def snap(self, point: LatLng) -> list[Snap]:
        """The nearest point on a street, once for each segment that it may lie on: several where
        streets cross or overlap. Empty where no street is within SNAP_METRES."""
        cells = self._cells.neighbourhood(point)
        numbers = {number for cell in cells for number in self._numbers.get(cell, ())}
        found = [Snap(n, *nearest_on_segment(point, *self._segments[n])) for n in sorted(numbers)]
        least = min((snap.metres for snap in found), default=SNAP_METRES + 1)
        if least > SNAP_METRES:
            return []
        return [snap for snap in found if snap.metres <= least + MERGE_METRES]
