"""The way between two points: along the map's streets, or straight where there are none."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

from server.features.drivers.grid import Place, nearest_on
from server.features.drivers.schemas import Point, Route
from server.features.drivers.streets import Streets
from server.features.shared.geo import metres

AT_ONCE = 1_000
"""Nodes whose shortest way is found in a few milliseconds."""
WAITING = 20
"""Ways that may wait to be looked for in a large town, a tenth of a second each; more are straight,
so that whoever asks for many does not hold up the times of arrival."""
OFF_METRES = 40.0
"""Who is further from a way than that has left it."""


class Ways:
    """Finds ways, without holding the loop."""

    def __init__(self, streets: Streets | None) -> None:
        self._streets = streets
        self._waiting = 0
        # One thread: more of them would only take the interpreter from each other and the loop.
        self._finder = ThreadPoolExecutor(1, thread_name_prefix="ways")

    def close(self) -> None:
        """Find nothing more."""
        self._finder.shutdown(wait=False, cancel_futures=True)

    async def between(self, start: Place, end: Place) -> Route:
        """The shortest way, with `start` and `end` as its first and last points."""
        streets = self._streets
        found = None
        if streets is not None and len(streets) <= AT_ONCE:
            found = streets.way(start, end)
        elif streets is not None and self._waiting < WAITING:
            loop = asyncio.get_running_loop()
            self._waiting += 1
            try:
                found = await loop.run_in_executor(self._finder, streets.way, start, end)
            finally:
                self._waiting -= 1
        if found is None:
            straight = metres(*start, *end)
            return Route(
                metres=round(straight, 1), along_streets=False, points=_points((start, end))
            )
        return Route(
            metres=round(found.metres, 1), along_streets=True, points=_points(found.places)
        )


class Way:
    """A route along streets that somebody is on."""

    def __init__(self, route: Route) -> None:
        self._places = [(point.lat, point.lng) for point in route.points]
        self._left = [0.0]
        """Metres from each place to the end."""
        for a, b in pairwise(reversed(self._places)):
            self._left.append(self._left[-1] + metres(*a, *b))
        self._left.reverse()

    def left_from(self, place: Place) -> float | None:
        """Metres still to go; None for who has left the way."""
        best: tuple[float, float] | None = None
        for number, (a, b) in enumerate(pairwise(self._places)):
            on, off = nearest_on(place, a, b)
            if off <= OFF_METRES and (best is None or off < best[0]):
                best = off, metres(*on, *b) + self._left[number + 1]
        return None if best is None else sum(best)


def _points(places: tuple[Place, ...]) -> list[Point]:
    return [Point(lat=lat, lng=lng) for lat, lng in places]
