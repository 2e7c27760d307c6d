"""A driver on the move at a live server, and somebody who watches from behind a proxy."""

import asyncio
import time
from bisect import bisect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from server.features.drivers.schemas import DriverLocation
from support.cast import Cast, cast_of
from support.live_server import LiveServer
from support.proxy import Proxy, proxy_to
from support.town import PASSWORD
from support.waiting import PATIENCE, wait_until
from tui.common.client.locations import LocationStream
from tui.common.client.meter import Pattern, Wire
from tui.common.client.monitored import Timeouts
from tui.common.client.session import Session

BEHIND = 7
"""How many positions may be newer than the newest at hand. Counted, not timed: on a busy machine
the driver is slower too."""


@dataclass
class Scene:
    """`cast.employee` says where the driver is; `session` is an employee's, through `proxy`."""

    server: LiveServer
    cast: Cast
    proxy: Proxy
    session: Session
    driver_id: str
    put_at: list[float] = field(default_factory=list)
    """When each position was sent; that of `seq` n is at n - 1."""

    @property
    def stream_path(self) -> str:
        return f"/api/v1/drivers/{self.driver_id}/location/stream"

    @property
    def poll_path(self) -> str:
        return f"/api/v1/drivers/{self.driver_id}/location"

    @property
    def asked(self) -> tuple[int, int]:
        """Requests for the stream, and polls."""
        requests = self.proxy.requests
        return requests[self.stream_path], requests[self.poll_path]

    async def move(self) -> None:
        """A little further."""
        at = time.monotonic()
        lat = 48.86 + 0.00001 * len(self.put_at)
        answer = await self.cast.employee.put(
            f"/drivers/{self.driver_id}/location", {"lat": lat, "lng": 2.36}
        )
        answer.must(204)
        self.put_at.append(at)

    @asynccontextmanager
    async def moving(self, interval: float) -> AsyncIterator[None]:
        """Inside, a position every `interval` seconds."""

        async def drive() -> None:
            while True:
                await self.move()
                await asyncio.sleep(interval)

        driving = asyncio.create_task(drive())
        try:
            yield
            if driving.done():
                driving.result()
        finally:
            driving.cancel()
            await asyncio.wait({driving})


@dataclass
class Watcher:
    """Reads a `LocationStream` and writes down what it is handed, and when."""

    stream: LocationStream
    seen: list[tuple[float, DriverLocation]] = field(default_factory=list)
    carriers: list[Pattern] = field(default_factory=list)
    """Each that carried, in turn."""

    @property
    def seqs(self) -> list[int]:
        return [location.seq for _, location in self.seen]

    async def read(self) -> str | None:
        """To the end; why it ended."""
        async for location in self.stream:
            self.seen.append((time.monotonic(), location))
        return self.stream.ended

    async def sees(self, seq: int, seconds: float = PATIENCE) -> None:
        """That position, or a newer one."""
        await wait_until(
            lambda: bool(self.seen) and self.seen[-1][1].seq >= seq,
            seconds,
            what=f"location {seq} (carried by {self.stream.carrier}; {self.stream.meter.detail})",
        )

    async def carried_by(self, pattern: Pattern, seconds: float = PATIENCE) -> None:
        await wait_until(
            lambda: self.stream.carrier is pattern, seconds, what=f"carried by {pattern}"
        )

    def behind(self, put_at: list[float]) -> int:
        """The most positions that were newer than the newest at hand, at any time up to now."""
        assert self.seen, "nothing was ever handed out"
        moments = [at for at, _ in self.seen] + [time.monotonic()]
        seqs = [0, *self.seqs]
        return max(bisect(put_at, moment) - seq for moment, seq in zip(moments, seqs, strict=True))

    def in_order(self) -> bool:
        """Whether nothing came twice or late."""
        return self.seqs == sorted(set(self.seqs))


@asynccontextmanager
async def scene_of(server: LiveServer) -> AsyncIterator[Scene]:
    """Everybody in place, and the driver has not moved yet."""
    async with cast_of(server) as cast, proxy_to(server.url) as proxy:
        session = Session(proxy.url, Wire())
        await session.log_in(cast.place.employees[0], PASSWORD)
        yield Scene(server, cast, proxy, session, cast.place.drivers[0])
        await session.close()


def stream_in(scene: Scene, session: Session | None = None, **timeouts: float) -> LocationStream:
    """The driver's locations, for the employee unless told another; nothing is asked yet."""
    return LocationStream(
        session or scene.session, scene.driver_id, "Driver", timeouts=Timeouts(**timeouts)
    )


@asynccontextmanager
async def watching(stream: LocationStream) -> AsyncIterator[Watcher]:
    """Inside, somebody reads that stream; what it fails with is raised at the end."""
    watcher = Watcher(stream, carriers=[stream.carrier])
    stream._on_carrier = lambda: watcher.carriers.append(stream.carrier)
    async with stream:
        reading = asyncio.create_task(watcher.read())
        try:
            yield watcher
            if reading.done():
                reading.result()
        finally:
            reading.cancel()
            await asyncio.wait({reading})
