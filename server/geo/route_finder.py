"""Finds the path between two points: along the map's streets, or straight where it has none."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from server.geo.sphere import LatLng, distance
from server.geo.street_network import Path, StreetNetwork

INLINE_NODES = 1_000
"""In a network up to this size a search takes a few milliseconds, so it needs no thread."""
MAX_QUEUED = 20
"""Searches that may wait in a large town, where each takes a tenth of a second. Further requests
get the straight line, so that many of them do not delay the times of arrival."""


class RouteFinder:
    """Searches a street network without holding up the event loop."""

    def __init__(self, streets: StreetNetwork | None) -> None:
        self._streets = streets
        self._queued = 0
        # One thread: more would only compete with each other and the loop for the interpreter.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="routes")

    def close(self) -> None:
        """Drop the searches that have not begun."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def find(self, start: LatLng, end: LatLng) -> Path:
        """The shortest path, with `start` and `end` as its first and last points."""
        streets = self._streets
        found = None
        if streets is not None and len(streets) <= INLINE_NODES:
            found = streets.shortest_path(start, end)
        elif streets is not None and self._queued < MAX_QUEUED:
            loop = asyncio.get_running_loop()
            self._queued += 1
            try:
                found = await loop.run_in_executor(self._thread, streets.shortest_path, start, end)
            finally:
                self._queued -= 1
        return found or Path(distance(start, end), (start, end), along_streets=False)
