"""Finds what is near on the map: nodes that are one, the nearest street."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, cos, floor, hypot, radians

from server.features.shared.geo import METRES_A_DEGREE, metres

Place = tuple[float, float]
"""Latitude and longitude, in degrees."""

NEAR_METRES = 300.0
"""A street further away is none to ride on."""
SAME_METRES = 1.0
"""Places that near are one."""


class Squares:
    """The squares of a grid over a map; each is `side` metres or more in both directions."""

    def __init__(self, side: float, places: Sequence[Place]) -> None:
        furthest = max((abs(lat) for lat, _ in places), default=0.0)
        self._lat = side / METRES_A_DEGREE
        self._lng = self._lat / cos(radians(min(89.0, furthest + 0.1)))

    def of(self, place: Place) -> tuple[int, int]:
        """The square that place is in."""
        return floor(place[0] / self._lat), floor(place[1] / self._lng)

    def around(self, place: Place) -> Iterator[tuple[int, int]]:
        """That square and its eight neighbours."""
        row, column = self.of(place)
        for up in (-1, 0, 1):
            for right in (-1, 0, 1):
                yield row + up, column + right

    def along(self, a: Place, b: Place) -> set[tuple[int, int]]:
        """Every square that the straight line between the two touches, and few others."""
        parts = ceil(max(abs(b[0] - a[0]) / self._lat, abs(b[1] - a[1]) / self._lng, 1.0))
        found = set()
        square = self.of(a)
        for part in range(1, parts + 1):
            t = part / parts
            other = self.of((a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t))
            found |= {
                (row, column) for row in (square[0], other[0]) for column in (square[1], other[1])
            }
            square = other
        return found


class Nodes:
    """Places by number; those that lie within a metre of a known one share its number."""

    def __init__(self, places: Sequence[Place]) -> None:
        self.places: list[Place] = []
        self._squares = Squares(SAME_METRES, places)
        self._known: dict[tuple[int, int], list[int]] = {}

    def number(self, place: Place) -> int:
        """The number of that place."""
        for square in self._squares.around(place):
            for number in self._known.get(square, ()):
                if metres(*place, *self.places[number]) <= SAME_METRES:
                    return number
        self.places.append(place)
        self._known.setdefault(self._squares.of(place), []).append(len(self.places) - 1)
        return len(self.places) - 1


@dataclass(frozen=True, slots=True)
class Near:
    """A place on a street: on which stretch, by its number, and how far off."""

    stretch: int
    place: Place
    metres: float


class Grid:
    """Stretches of street by the squares they touch."""

    def __init__(self, stretches: Sequence[tuple[Place, Place]]) -> None:
        self._stretches = stretches
        self._squares = Squares(NEAR_METRES, [place for one in stretches for place in one])
        self._found: dict[tuple[int, int], list[int]] = {}
        for number, (a, b) in enumerate(stretches):
            for square in self._squares.along(a, b):
                self._found.setdefault(square, []).append(number)

    def nearest(self, place: Place) -> list[Near]:
        """The nearest place on a street, on every stretch that it may be on: where streets cross
        or run together, several. Empty where none is within NEAR_METRES."""
        numbers = {n for square in self._squares.around(place) for n in self._found.get(square, ())}
        found = [Near(n, *nearest_on(place, *self._stretches[n])) for n in sorted(numbers)]
        least = min((near.metres for near in found), default=NEAR_METRES + 1)
        if least > NEAR_METRES:
            return []
        return [near for near in found if near.metres <= least + SAME_METRES]


def nearest_on(place: Place, a: Place, b: Place) -> tuple[Place, float]:
    """The point of the straight line between two places that is nearest to another, and how far
    off in metres it is; for distances in a town."""
    wide = METRES_A_DEGREE * cos(radians(place[0]))
    x, y = (a[1] - place[1]) * wide, (a[0] - place[0]) * METRES_A_DEGREE
    dx, dy = (b[1] - a[1]) * wide, (b[0] - a[0]) * METRES_A_DEGREE
    square = dx * dx + dy * dy
    t = min(1.0, max(0.0, -(x * dx + y * dy) / square)) if square else 0.0
    if t == 0.0:
        on = a
    elif t == 1.0:
        on = b
    else:
        on = (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t)
    return on, hypot(x + dx * t, y + dy * t)
