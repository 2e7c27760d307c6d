"""Watches one driver: reads their locations into a journey, and asks for the way to its target."""

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

WAY_SECONDS = 3.0
"""At least, between two questions for the way: somebody who rides in circles is off it often."""


class DriverTracker:
    """Runs until the driver may not be watched any more, or is cancelled.

    `on_change` is called in the loop with each piece of news; what has changed is in `track`,
    `meter`, `ended` and `error`.
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
        """Why there is nothing more to see: as `LocationStream.ended`."""
        self.error = ""
        """Why the server does not tell, in words."""
        self._session, self._api, self._name = session, api, name
        self._on_change = on_change
        self._stream: LocationStream | None = None
        self._moved = asyncio.Event()

    @property
    def meter(self) -> "Meter | None":
        """The meter of what brings the locations now; None before it runs."""
        return None if self._stream is None else self._stream.meter

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.ended is not None or bool(self.error)

    def drop_connection(self) -> bool:
        """Drop the connection; it comes back by itself. False where there is none."""
        if self._stream is None or self.over:
            return False
        self._stream.drop_connection()
        return True

    def set_target(self, target: Point | None) -> None:
        """Where the driver is going."""
        self.track.target = target
        self._moved.set()

    async def run(self) -> None:
        """Read to the end. Raises `SignedOut`."""
        from tui.common.client.locations import LocationStream

        stream = self._stream = LocationStream(
            self._session, self.driver_id, self._name, on_carrier=self._on_change
        )
        leading = asyncio.create_task(self._lead(), name=f"way of {self.driver_id}")
        try:
            async with stream:
                self._on_change()
                async for location in stream:
                    self.track.take(location)
                    self._moved.set()
                    self._on_change()
            self.ended = stream.ended
        except ClientError as error:
            self.error = message_for(error)
        finally:
            leading.cancel()
            self._on_change()

    async def _lead(self) -> None:
        """Keep the way ahead known."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            try:
                asked = await retry(self._update_way)
            except ClientError:
                return  # a server without routes: the straight distance has to do
            if asked:
                await asyncio.sleep(WAY_SECONDS)

    async def _update_way(self) -> bool:
        """Ask for the way ahead if it is wanted; whether it was."""
        track, target = self.track, self.track.target
        if not track.wants_way or track.newest is None or target is None:
            return False
        route = await self._api.route(point_of(track.newest), target)
        if track.target == target:
            track.lead(route)
            self._on_change()
        return True
