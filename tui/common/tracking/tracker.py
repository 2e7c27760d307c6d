"""Watches one driver: reads their locations into a track, and asks for the route ahead."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from server.features.drivers.schemas import Point
from tui.common.client.errors import ClientError
from tui.common.client.retry import retry
from tui.common.format import message_for
from tui.common.tracking.track import DriverTrack, point_of

if TYPE_CHECKING:
    from tui.common.client.api import Api
    from tui.common.client.locations import LocationStream
    from tui.common.client.meter import Meter
    from tui.common.client.session import Session

ROUTE_SECONDS = 3.0
"""At least, between two requests for a route: a driver who circles leaves it often."""


class DriverTracker:
    """Runs until the server ends the stream, or it is cancelled.

    `on_change` is called on the event loop whenever `track`, `meter`, `ended` or `error` changes.
    """

    def __init__(
        self,
        session: "Session",
        api: "Api",
        driver_id: str,
        name: str,
        on_change: Callable[[], None],
        track: DriverTrack | None = None,
    ) -> None:
        """`name` is that of the meter."""
        self.driver_id = driver_id
        self.track = track or DriverTrack()
        self.ended: str | None = None
        """Why the stream ended, as `LocationStream.ended`."""
        self.error = ""
        """Why the server refuses the locations; "" where it does not."""
        self._session, self._api, self._name = session, api, name
        self._on_change = on_change
        self._stream: LocationStream | None = None
        self._moved = asyncio.Event()

    @property
    def meter(self) -> "Meter | None":
        """The meter of the transport in use; None before it runs."""
        return None if self._stream is None else self._stream.meter

    @property
    def over(self) -> bool:
        """Whether no more locations will come."""
        return self.ended is not None or bool(self.error)

    def drop_connection(self) -> bool:
        """Drop the connection; it reconnects on its own. False where there is none."""
        if self._stream is None or self.over:
            return False
        self._stream.drop_connection()
        return True

    def set_target(self, target: Point | None) -> None:
        """Where the driver is going."""
        self.track.target = target
        self._moved.set()

    async def run(self) -> None:
        """Read to the end. Raises SignedOut."""
        from tui.common.client.locations import LocationStream

        stream = self._stream = LocationStream(
            self._session, self.driver_id, self._name, on_carrier=self._on_change
        )
        routing = asyncio.create_task(self._keep_route(), name=f"route {self.driver_id}")
        try:
            async with stream:
                self._on_change()
                async for location in stream:
                    self.track.add(location)
                    self._moved.set()
                    self._on_change()
            self.ended = stream.ended
        except ClientError as error:
            self.error = message_for(error)
        finally:
            routing.cancel()
            self._on_change()

    async def _keep_route(self) -> None:
        """Ask for a route whenever the track needs one."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            try:
                requested = await retry(self._update_route)
            except ClientError:
                return  # no routes on this server: the straight distance is shown
            if requested:
                await asyncio.sleep(ROUTE_SECONDS)

    async def _update_route(self) -> bool:
        """Ask for a route if the track needs one; whether it did."""
        track, target = self.track, self.track.target
        if not track.needs_route or track.newest is None or target is None:
            return False
        route = await self._api.route(point_of(track.newest), target)
        if track.target == target:
            track.set_route(route)
            self._on_change()
        return True
