"""A line over the ground and the places along it: no clock, no network."""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import asin, atan2, cos, degrees, hypot, radians, sin, sqrt
from typing import Protocol

from server.features.drivers.schemas import DriverLocation, Point, Route
from tui.common.map.geometry import LatLng, Marker

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


class Polyline:
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


STALE_SECONDS = 15.0
"""A position older than that is no news any more."""
OFF_METRES = 40.0
"""Who is further than that from the way ahead has taken another."""
MOST_TRAIL = 2_000
"""Places remembered of the way behind."""
DETOUR = 1.3
"""Streets are longer than the straight line."""
SLOWEST_MPS = 1.0
"""Who stands will ride on."""
APART_METRES = 1.0
"""Two places nearer to each other than that are one on the trail."""


class Place(Protocol):
    """Whatever has a place on the map, in degrees."""

    @property
    def lat(self) -> float:
        """North."""

    @property
    def lng(self) -> float:
        """East."""


class DriverTrack:
    """Fed with locations as they come, and with the way to `target` when it is known.

    Nothing here waits or paints; `revision` grows with every change.
    """

    def __init__(self, target: Point | None = None) -> None:
        self.revision = 0
        self.newest: DriverLocation | None = None
        """The last location that is not in doubt."""
        self.doubt: DriverLocation | None = None
        """A newer one, too far off for any vehicle; the next one tells."""
        self._target = target
        self._trail: deque[Point] = deque(maxlen=MOST_TRAIL)
        self._route: Polyline | None = None
        self._along_streets = False
        self._done = 0.0
        """Metres of the course that lie behind."""

    @property
    def target(self) -> Point | None:
        """Where the driver is to go, if anywhere."""
        return self._target

    @target.setter
    def target(self, target: Point | None) -> None:
        if target != self._target:
            self._target, self._route = target, None
            self.revision += 1

    def take(self, location: DriverLocation) -> None:
        """One more location. One in doubt neither moves the driver nor spoils trail and way."""
        self.revision += 1
        if location.suspect:
            self.doubt = location
            return
        self.doubt, self.newest = None, location
        here = point_of(location)
        if self._trail and metres_between(self._trail[-1], here) < APART_METRES:
            return
        self._trail.extend(self._driven(here))

    def start_trip(self) -> None:
        """A new ride begins: what lies behind is no part of it."""
        self._trail.clear()
        if self.newest is not None:
            self._trail.append(point_of(self.newest))
        self.revision += 1

    def lead(self, route: Route) -> None:
        """The way from where the driver is to the target."""
        self._route, self._done = Polyline(route.points), 0.0
        self._along_streets = route.along_streets
        self.revision += 1

    @property
    def wants_way(self) -> bool:
        """Whether the way to the target is not known, or is not the one that is taken."""
        return self._target is not None and self.newest is not None and self._route is None

    @property
    def trail(self) -> Sequence[Point]:
        """The way behind, as far as it was seen, oldest first."""
        return tuple(self._trail)

    @property
    def ahead(self) -> Sequence[Point]:
        """The way still to go along streets; empty where it is not known."""
        if self._route is None or not self._along_streets:
            return ()
        return self._route.between(self._done, self._route.metres)

    @property
    def metres_left(self) -> float | None:
        """To the target; None without one, or before the driver was seen."""
        if self._target is None or self.newest is None:
            return None
        if self._route is not None and self._along_streets:
            return max(0.0, self._route.metres - self._done)
        return metres_between(point_of(self.newest), self._target) * DETOUR

    def seconds_left(self, now: datetime) -> float | None:
        """Until the driver is there, at the speed lately driven; never below 0."""
        left = self.metres_left
        if left is None or self.newest is None:
            return None
        trip = left / max(SLOWEST_MPS, self.newest.pace_mps)
        return max(0.0, trip - self.age(now))

    def age(self, now: datetime) -> float:
        """Seconds since the driver was where they are drawn; 0 before they were seen."""
        return max(0.0, (now - self.newest.at).total_seconds()) if self.newest else 0.0

    def is_stale(self, now: datetime) -> bool:
        """Whether that is so long ago that they may be anywhere."""
        return self.age(now) > STALE_SECONDS

    def _driven(self, here: Point) -> Sequence[Point]:
        """What comes onto the trail: along the way ahead, where that is the one taken."""
        polyline = self._route
        if polyline is None:
            return (here,)
        along, off = polyline.nearest(here)
        if off > OFF_METRES:
            self._route = None
            return (here,)
        before, self._done = self._done, along
        if not self._along_streets or along <= before:
            return (here,)
        return (*polyline.between(before, along)[1:-1], here)


def point_of(where: Place) -> Point:
    """Where that is."""
    return Point(lat=where.lat, lng=where.lng)


def lat_lng(place: Place) -> LatLng:
    """Where that is."""
    return LatLng(place.lat, place.lng)


def lat_lngs(places: Iterable[Place]) -> tuple[LatLng, ...]:
    """Where these are, in their order."""
    return tuple(LatLng(place.lat, place.lng) for place in places)


def driver_marker(
    name: str, track: DriverTrack, now: datetime, *, chosen: bool, over: bool = False
) -> Marker | None:
    """The driver as they were last seen; None before that. Where the ride is `over`, an old
    position is no cause for doubt."""
    newest = track.newest
    if newest is None:
        return None
    stale = not over and track.is_stale(now)
    return Marker("driver", name, lat_lng(newest), newest.heading, stale=stale, chosen=chosen)
