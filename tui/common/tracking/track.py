"""What has been seen of one driver, and the polyline that is their route: no clock, no network."""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from math import asin, atan2, cos, degrees, hypot, radians, sin, sqrt
from typing import Protocol

from server.features.drivers.schemas import DriverLocation, Point, Route
from tui.common.map.geometry import EARTH_METRES, LatLng, Marker

SHORTEST_METRES = 0.01
"""Between two corners: below that, rounding errors decide the direction."""


@dataclass(frozen=True)
class Fix:
    """A position on a polyline, in degrees, and the direction of travel there.

    `0 <= heading < 360`, clockwise from north; None for a polyline without length.
    """

    lat: float
    lng: float
    heading: float | None

    @property
    def point(self) -> Point:
        """The position alone."""
        return Point(lat=self.lat, lng=self.lng)


class Polyline:
    """A line through points on the globe, measured in metres from its first point."""

    def __init__(self, points: Sequence[Point]) -> None:
        """At least one point; equal neighbours are allowed."""
        self.points = tuple(points)
        self._corners = [self.points[0]]
        self._metres = [0.0]
        self._headings: list[float] = []
        for corner in self.points[1:]:
            before = self._corners[-1]
            length = metres_between(before, corner)
            if length < SHORTEST_METRES:
                continue
            self._corners.append(corner)
            self._metres.append(self._metres[-1] + length)
            self._headings.append(bearing(before, corner))

    @property
    def metres(self) -> float:
        """Its length."""
        return self._metres[-1]

    def at(self, metres: float) -> Fix:
        """The position after so many metres, clamped to its ends."""
        if not self._headings:
            return Fix(self.points[-1].lat, self.points[-1].lng, None)
        if metres >= self.metres:
            return Fix(self.points[-1].lat, self.points[-1].lng, self._headings[-1])
        metres = max(metres, 0.0)
        leg = bisect_right(self._metres, metres) - 1
        a, b = self._corners[leg], self._corners[leg + 1]
        share = (metres - self._metres[leg]) / (self._metres[leg + 1] - self._metres[leg])
        lat = a.lat + share * (b.lat - a.lat)
        lng = _wrapped(a.lng + share * _wrapped(b.lng - a.lng))
        return Fix(lat, lng, self._headings[leg])

    def nearest(self, point: Point) -> tuple[float, float]:
        """How far along the polyline the position nearest to `point` is, and how far `point` is
        from it, both in metres; of equally near ones the first."""
        best = (0.0, metres_between(self._corners[0], point))
        for leg, (a, b) in enumerate(pairwise(self._corners)):
            share, off = _projection(point, a, b)
            if off < best[1]:
                length = self._metres[leg + 1] - self._metres[leg]
                best = self._metres[leg] + share * length, off
        return best

    def between(self, start: float, end: float) -> tuple[Point, ...]:
        """The part from `start` to `end` metres: both ends and every corner between."""
        first, last = bisect_right(self._metres, start), bisect_left(self._metres, end)
        return (self.at(start).point, *self._corners[first:last], self.at(end).point)


def metres_between(a: Point, b: Point) -> float:
    """Great-circle distance."""
    half_lat, half_lng = radians(b.lat - a.lat) / 2, radians(b.lng - a.lng) / 2
    chord = sin(half_lat) ** 2 + cos(radians(a.lat)) * cos(radians(b.lat)) * sin(half_lng) ** 2
    return 2 * EARTH_METRES * asin(sqrt(min(1.0, chord)))


def bearing(a: Point, b: Point) -> float:
    """The direction from `a` to `b`: 0 <= degrees < 360, clockwise from north, to a tenth."""
    north, to_north, east = radians(a.lat), radians(b.lat), radians(b.lng - a.lng)
    y = sin(east) * cos(to_north)
    x = cos(north) * sin(to_north) - sin(north) * cos(to_north) * cos(east)
    return round(degrees(atan2(y, x)), 1) % 360


def _projection(point: Point, a: Point, b: Point) -> tuple[float, float]:
    """The share of the line from `a` to `b` at which it passes `point`, and the metres between
    them, on a flat plane: exact enough within a town."""
    scale = cos(radians(a.lat))
    east, north = _wrapped(b.lng - a.lng) * scale, b.lat - a.lat
    x, y = _wrapped(point.lng - a.lng) * scale, point.lat - a.lat
    square = east * east + north * north
    share = min(1.0, max(0.0, (x * east + y * north) / square)) if square else 0.0
    off = hypot(x - share * east, y - share * north)
    return share, radians(off) * EARTH_METRES


def _wrapped(lng: float) -> float:
    """The same longitude, or difference of two, between -180 and 180."""
    return lng if -180 <= lng <= 180 else (lng + 180) % 360 - 180


STALE_SECONDS = 15.0
"""A position older than that says little about where the driver is, if the next one is overdue."""
OVERDUE = 1.5
"""After so many times the usual time between two of them, a position is."""
LONGEST_SECONDS = 60.0
"""Between two positions, as far as they tell how often a driver reports: longer is a break."""
OFF_ROUTE_METRES = 40.0
"""A driver farther than that from the route has taken another."""
MAX_TRAIL = 2_000
"""Points kept of the way behind."""
DETOUR = 1.3
"""Streets are that much longer than the straight line."""
SLOWEST_MPS = 1.0
"""A lower speed is not used for estimates: a driver who stands will go on."""
TRAIL_METRES = 1.0
"""Between two points of the trail, at least."""


class Located(Protocol):
    """Anything with a position, in degrees."""

    @property
    def lat(self) -> float:
        """North."""

    @property
    def lng(self) -> float:
        """East."""


class DriverTrack:
    """One driver's locations as they come in, and the route to their `target`.

    `revision` grows with every change.
    """

    def __init__(self, target: Point | None = None) -> None:
        self.revision = 0
        self.newest: DriverLocation | None = None
        """The last location that is not suspect."""
        self.suspect: DriverLocation | None = None
        """A newer one that no vehicle can have reached; the next location decides."""
        self.interval: float | None = None
        """Seconds between two positions, where the server says so; else the last two tell."""
        self._gap = LONGEST_SECONDS
        self._target = target
        self._trail: deque[Point] = deque(maxlen=MAX_TRAIL)
        self._route: Polyline | None = None
        self._along_streets = False
        self._done = 0.0
        """Metres of the route that are driven."""

    @property
    def target(self) -> Point | None:
        """Where the driver is going, if anywhere."""
        return self._target

    @target.setter
    def target(self, target: Point | None) -> None:
        if target != self._target:
            self._target, self._route = target, None
            self.revision += 1

    def add(self, location: DriverLocation) -> None:
        """Apply one more location. A suspect one changes neither the driver, trail nor route."""
        self.revision += 1
        if location.suspect:
            self.suspect = location
            return
        if self.newest is not None:
            self._gap = min(LONGEST_SECONDS, (location.at - self.newest.at).total_seconds())
        self.suspect, self.newest = None, location
        point = point_of(location)
        if self._trail and metres_between(self._trail[-1], point) < TRAIL_METRES:
            return
        self._trail.extend(self._advance(point))

    def start_trip(self) -> None:
        """Forget the trail of the trip before."""
        self._trail.clear()
        if self.newest is not None:
            self._trail.append(point_of(self.newest))
        self.revision += 1

    def set_route(self, route: Route) -> None:
        """The way from where the driver is to the target."""
        self._route, self._done = Polyline(route.points), 0.0
        self._along_streets = route.along_streets
        self.revision += 1

    @property
    def needs_route(self) -> bool:
        """Whether the route to the target is not known, or the driver has left it."""
        return self._target is not None and self.newest is not None and self._route is None

    @property
    def trail(self) -> Sequence[Point]:
        """The way driven, as far as it was seen, oldest first."""
        return tuple(self._trail)

    @property
    def ahead(self) -> Sequence[Point]:
        """The rest of the route along streets; empty where it is not known."""
        if self._route is None or not self._along_streets:
            return ()
        return self._route.between(self._done, self._route.metres)

    @property
    def metres_left(self) -> float | None:
        """To the target; None without one, or without a location."""
        if self._target is None or self.newest is None:
            return None
        if self._route is not None and self._along_streets:
            return max(0.0, self._route.metres - self._done)
        return metres_between(point_of(self.newest), self._target) * DETOUR

    def seconds_left(self, now: datetime) -> float | None:
        """Until the driver arrives at the recent speed; never below 0."""
        left = self.metres_left
        if left is None or self.newest is None:
            return None
        seconds = left / max(SLOWEST_MPS, self.newest.pace_mps)
        return max(0.0, seconds - self.age(now))

    def age(self, now: datetime) -> float:
        """Seconds since the newest location; 0 without one."""
        return max(0.0, (now - self.newest.at).total_seconds()) if self.newest else 0.0

    def is_stale(self, now: datetime) -> bool:
        """Whether the newest location is too old to rely on, and the next one is overdue."""
        interval = self._gap if self.interval is None else self.interval
        return self.age(now) > max(STALE_SECONDS, OVERDUE * interval)

    def _advance(self, point: Point) -> Sequence[Point]:
        """The new points of the trail: along the route, as long as the driver is on it."""
        polyline = self._route
        if polyline is None:
            return (point,)
        along, off = polyline.nearest(point)
        if off > OFF_ROUTE_METRES:
            self._route = None
            return (point,)
        before, self._done = self._done, along
        if not self._along_streets or along <= before:
            return (point,)
        return (*polyline.between(before, along)[1:-1], point)


def point_of(located: Located) -> Point:
    """The position alone, as the API has it."""
    return Point(lat=located.lat, lng=located.lng)


def lat_lng(located: Located) -> LatLng:
    """The position alone, as the map has it."""
    return LatLng(located.lat, located.lng)


def lat_lngs(every: Iterable[Located]) -> tuple[LatLng, ...]:
    """The positions alone, as the map has them."""
    return tuple(map(lat_lng, every))


def driver_marker(
    name: str, track: DriverTrack, now: datetime, *, chosen: bool, over: bool = False
) -> Marker | None:
    """The driver at the last location; None without one. When the trip is `over`, an old location
    is not drawn as stale."""
    newest = track.newest
    if newest is None:
        return None
    stale = not over and track.is_stale(now)
    return Marker("driver", name, lat_lng(newest), newest.heading, stale=stale, chosen=chosen)
