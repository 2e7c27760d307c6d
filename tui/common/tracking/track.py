"""A driver's ride as those who watch see it: where they were, the way ahead, what is left of it."""

from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from server.features.drivers.schemas import DriverLocation, Point, Route
from tui.common.tracking.polyline import Course, metres_between

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


class Journey:
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
        self._course: Course | None = None
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
            self._target, self._course = target, None
            self.revision += 1

    def take(self, location: DriverLocation) -> None:
        """One more location. One in doubt neither moves the driver nor spoils trail and way."""
        self.revision += 1
        if location.suspect:
            self.doubt = location
            return
        self.doubt, self.newest = None, location
        here = place_of(location)
        if self._trail and metres_between(self._trail[-1], here) < APART_METRES:
            return
        self._trail.extend(self._driven(here))

    def set_out(self) -> None:
        """A new ride begins: what lies behind is no part of it."""
        self._trail.clear()
        if self.newest is not None:
            self._trail.append(place_of(self.newest))
        self.revision += 1

    def lead(self, route: Route) -> None:
        """The way from where the driver is to the target."""
        self._course, self._done = Course(route.points), 0.0
        self._along_streets = route.along_streets
        self.revision += 1

    @property
    def wants_way(self) -> bool:
        """Whether the way to the target is not known, or is not the one that is taken."""
        return self._target is not None and self.newest is not None and self._course is None

    @property
    def trail(self) -> Sequence[Point]:
        """The way behind, as far as it was seen, oldest first."""
        return tuple(self._trail)

    @property
    def ahead(self) -> Sequence[Point]:
        """The way still to go along streets; empty where it is not known."""
        if self._course is None or not self._along_streets:
            return ()
        return self._course.between(self._done, self._course.metres)

    @property
    def metres_left(self) -> float | None:
        """To the target; None without one, or before the driver was seen."""
        if self._target is None or self.newest is None:
            return None
        if self._course is not None and self._along_streets:
            return max(0.0, self._course.metres - self._done)
        return metres_between(place_of(self.newest), self._target) * DETOUR

    def seconds_left(self, now: datetime) -> float | None:
        """Until the driver is there, at the speed lately driven; never below 0."""
        left = self.metres_left
        if left is None or self.newest is None:
            return None
        ride = left / max(SLOWEST_MPS, self.newest.pace_mps)
        return max(0.0, ride - self.age(now))

    def age(self, now: datetime) -> float:
        """Seconds since the driver was where they are drawn; 0 before they were seen."""
        return max(0.0, (now - self.newest.at).total_seconds()) if self.newest else 0.0

    def is_stale(self, now: datetime) -> bool:
        """Whether that is so long ago that they may be anywhere."""
        return self.age(now) > STALE_SECONDS

    def _driven(self, here: Point) -> Sequence[Point]:
        """What comes onto the trail: along the way ahead, where that is the one taken."""
        course = self._course
        if course is None:
            return (here,)
        along, off = course.nearest(here)
        if off > OFF_METRES:
            self._course = None
            return (here,)
        before, self._done = self._done, along
        if not self._along_streets or along <= before:
            return (here,)
        return (*course.between(before, along)[1:-1], here)


def place_of(where: Place) -> Point:
    """Where that is."""
    return Point(lat=where.lat, lng=where.lng)
