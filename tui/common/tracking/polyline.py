"""A line over the ground and the places along it: no clock, no network."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import asin, atan2, cos, degrees, hypot, radians, sin, sqrt

from server.features.drivers.schemas import Point

EARTH_METRES = 6_371_008.8
SHORTEST = 0.01
"""Metres between two corners below which rounding would make up the direction."""


@dataclass(frozen=True)
class Fix:
    """A place on the way and where one looks from there, in degrees; None where nothing leads on.

    `0 <= heading < 360`, clockwise from north.
    """

    lat: float
    lng: float
    heading: float | None

    @property
    def point(self) -> Point:
        """The place alone."""
        return Point(lat=self.lat, lng=self.lng)


class Course:
    """A way from its first point to its last, measured in metres."""

    def __init__(self, points: Sequence[Point]) -> None:
        """At least one point; some may be the same."""
        self.points = tuple(points)
        self._corners = [self.points[0]]
        self._metres = [0.0]
        self._headings: list[float] = []
        for corner in self.points[1:]:
            before = self._corners[-1]
            length = metres_between(before, corner)
            if length < SHORTEST:
                continue
            self._corners.append(corner)
            self._metres.append(self._metres[-1] + length)
            self._headings.append(bearing(before, corner))

    @property
    def metres(self) -> float:
        """From end to end."""
        return self._metres[-1]

    def at(self, metres: float) -> Fix:
        """Where one is after so many metres: never before the first point, nor past the last."""
        if not self._headings:
            return Fix(self.points[-1].lat, self.points[-1].lng, None)
        if metres >= self.metres:
            return Fix(self.points[-1].lat, self.points[-1].lng, self._headings[-1])
        metres = max(metres, 0.0)
        leg = bisect_right(self._metres, metres) - 1
        a, b = self._corners[leg], self._corners[leg + 1]
        share = (metres - self._metres[leg]) / (self._metres[leg + 1] - self._metres[leg])
        lat = a.lat + share * (b.lat - a.lat)
        lng = _around(a.lng + share * _around(b.lng - a.lng))
        return Fix(lat, lng, self._headings[leg])

    def nearest(self, point: Point) -> tuple[float, float]:
        """How far along the place nearest to that point is, and how far off the point is from it,
        both in metres; of several as near the first."""
        best = (0.0, metres_between(self._corners[0], point))
        for leg, (a, b) in enumerate(pairwise(self._corners)):
            share, off = _beside(point, a, b)
            if off < best[1]:
                length = self._metres[leg + 1] - self._metres[leg]
                best = self._metres[leg] + share * length, off
        return best

    def between(self, start: float, end: float) -> tuple[Point, ...]:
        """The line from so many metres on to so many, its two ends and every corner in between."""
        first, last = bisect_right(self._metres, start), bisect_left(self._metres, end)
        return (self.at(start).point, *self._corners[first:last], self.at(end).point)


def metres_between(a: Point, b: Point) -> float:
    """Great-circle distance."""
    half_lat, half_lng = radians(b.lat - a.lat) / 2, radians(b.lng - a.lng) / 2
    chord = sin(half_lat) ** 2 + cos(radians(a.lat)) * cos(radians(b.lat)) * sin(half_lng) ** 2
    return 2 * EARTH_METRES * asin(sqrt(min(1.0, chord)))


def bearing(a: Point, b: Point) -> float:
    """The direction from `a` to `b`: 0 <= degrees < 360, a tenth of one exact."""
    north, to_north, east = radians(a.lat), radians(b.lat), radians(b.lng - a.lng)
    y = sin(east) * cos(to_north)
    x = cos(north) * sin(to_north) - sin(north) * cos(to_north) * cos(east)
    return round(degrees(atan2(y, x)), 1) % 360


def _beside(point: Point, a: Point, b: Point) -> tuple[float, float]:
    """The share of the way from `a` to `b` at which the point is passed, and how far off it is:
    over a town the globe is flat."""
    scale = cos(radians(a.lat))
    east, north = _around(b.lng - a.lng) * scale, b.lat - a.lat
    x, y = _around(point.lng - a.lng) * scale, point.lat - a.lat
    square = east * east + north * north
    share = min(1.0, max(0.0, (x * east + y * north) / square)) if square else 0.0
    off = hypot(x - share * east, y - share * north)
    return share, radians(off) * EARTH_METRES


def _around(lng: float) -> float:
    """The same longitude, or difference of two, between -180 and 180."""
    return lng if -180 <= lng <= 180 else (lng + 180) % 360 - 180
