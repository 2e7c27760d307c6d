"""A ride that nobody rides: a driver moves along the streets, and says where they are."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import TypeVar

from server.features.drivers.schemas import DriverOnDuty, DriverPosition, Point
from tui.common.client.api import Api
from tui.common.client.errors import ApiError, ClientError, Unreachable
from tui.common.client.retry import Backoff, retry
from tui.common.tracking.track import Fix, Polyline

SPEEDS = {"bicycle": 6.0, "cargo bike": 5.0, "scooter": 9.0}
"""Metres a second."""
USUAL_SPEED = 6.0
FASTEST = 40.0
"""Metres a second: whoever is much faster has jumped, as the server sees it."""
NEAR_ENOUGH = 0.5
"""Metres from the last stop at which one is there."""
REQUEST_SECONDS = 10.0
"""By then a position is old: the next one is worth more than its answer."""
RETRY_SECONDS = 8.0
"""At most, between two attempts while the server is away and names no time."""
NO_WAYS = (404, 405, 422)
"""What a server says that finds no way: then it goes as the crow flies."""

T = TypeVar("T")


class TripEnd(StrEnum):
    """How a ride is over."""

    ARRIVED = "arrived"
    STOPPED = "stopped"
    REFUSED = "refused"
    """By the server, for good; the ride's `error` tells why."""


class Trip:
    """One driver's way from `start` through every stop, from `run` on.

    Where the driver is follows from the time alone. While the server is away they move on, and it
    gets to know the newest place once it is back; so nobody ever jumps.
    """

    def __init__(
        self,
        api: Api,
        driver: DriverOnDuty,
        stops: Sequence[Point],
        interval: float,
        pace: float = 1.0,
        start: Point | None = None,
        *,
        longest: float | None = None,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        """Seconds between two positions; `pace` 2 is half as fast; a ride that would take more
        than `longest` seconds is faster. Without a `start` it begins where the driver was last,
        or else at the first stop. `on_change` is called after each position, taken or not.
        """
        if not stops:
            raise ValueError("A ride needs a stop to go to.")
        if not (interval > 0 and pace > 0):
            raise ValueError("The interval and the pace of a ride must be above 0.")
        self._api = api
        self._driver = driver
        self._stops = tuple(stops)
        self._interval = interval
        self._pace = pace
        self._longest = longest
        self._on_change = on_change
        self._start = start or _last_place(driver) or stops[0]
        self._route: Polyline | None = None
        self._began_at = 0.0
        self._halted_at: float | None = None
        self._stopping = asyncio.Event()
        self._backoff = Backoff(base=min(0.5, interval), cap=min(RETRY_SECONDS, interval))
        self.speed = speed_of(driver.vehicle, pace)
        """Metres a second."""
        self.end: TripEnd | None = None
        """None until it is over."""
        self.error: ClientError | None = None
        """Why the last position was not taken; None where it was."""
        self.trouble_since: float | None = None
        """`time.monotonic()` of the first attempt that failed since a position was taken."""

    @property
    def metres(self) -> float | None:
        """The whole way; None until it is known."""
        return self._route.metres if self._route else None

    @property
    def metres_done(self) -> float:
        """So far."""
        if self._route is None:
            return 0.0
        if self._halted_at is not None:
            return self._halted_at
        return min(self._route.metres, self.speed * (time.monotonic() - self._began_at))

    @property
    def progress(self) -> float:
        """The share of the way that is done, 0 to 1."""
        if self.end is TripEnd.ARRIVED:
            return 1.0
        return self.metres_done / self.metres if self.metres else 0.0

    @property
    def points(self) -> tuple[Point, ...]:
        """The way, from corner to corner; empty until it is known."""
        return self._route.points if self._route else ()

    @property
    def position(self) -> Point:
        """Where the driver is by now, whether the server knows or not."""
        return self._route.at(self.metres_done).point if self._route else self._start

    def stop(self) -> None:
        """End it where the driver is now; `run` returns after the request that is under way."""
        self._stopping.set()

    async def run(self) -> bool:
        """Ride; returns once the server knows the driver at the last stop.

        False where it was stopped or refused before, as `end` says. Cancelling it ends it too.
        """
        try:
            self._route = await self._plan()
            if self._longest is not None:
                hurried = max(self.speed, self._route.metres / self._longest)
                self.speed = min(hurried, FASTEST)
            self._began_at = time.monotonic()
            await self._move(self._route)
        except _StoppedError:
            self.end = TripEnd.STOPPED
        except ClientError as error:
            self.end = TripEnd.REFUSED
            self._note(error)
        except asyncio.CancelledError:
            self.end = TripEnd.STOPPED
            raise
        else:
            self.end = TripEnd.ARRIVED
        finally:
            self._halted_at = self.metres_done
        return self.end is TripEnd.ARRIVED

    async def _plan(self) -> Polyline:
        points = [self._start]
        for stop in self._stops:
            points += await self._leg(points[-1], stop)
        return Polyline(points)

    async def _leg(self, start: Point, end: Point) -> Sequence[Point]:
        try:
            route = await self._until_accepted(lambda: self._api.route(start, end))
        except ApiError as error:
            if error.status in NO_WAYS:
                return (end,)
            raise
        return route.points

    async def _move(self, polyline: Polyline) -> None:
        now = 0.0
        there = False

        async def report() -> None:
            nonlocal now, there
            now = time.monotonic()
            done = min(self.metres_done, polyline.metres)
            there = done >= polyline.metres - NEAR_ENOUGH
            await self._report(polyline.at(polyline.metres if there else done), standing=there)

        await self._pause(0)
        while not there:
            await self._until_accepted(report)
            self._backoff.reset()
            self.error, self.trouble_since = None, None
            self._tell()
            if not there:
                until = min(now + self._interval, self._began_at + polyline.metres / self.speed)
                await self._pause(until - time.monotonic())

    async def _report(self, fix: Fix, *, standing: bool) -> None:
        position = DriverPosition(
            lat=fix.lat,
            lng=fix.lng,
            heading=fix.heading,
            speed_mps=0.0 if standing else self.speed,
        )
        await self._api.put_location(self._driver.id, position)

    async def _until_accepted(self, send: Callable[[], Awaitable[T]]) -> T:
        return await retry(
            lambda: _in_time(send()),
            backoff=self._backoff,
            on_error=lambda error, wait: None if wait is None else self._note(error),
            sleep=self._pause,
        )

    def _note(self, error: ClientError) -> None:
        self.error = error
        if self.trouble_since is None:
            self.trouble_since = time.monotonic()
        self._tell()

    def _tell(self) -> None:
        if self._on_change is not None:
            self._on_change()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._stopping.wait()
        if self._stopping.is_set():
            raise _StoppedError


class _StoppedError(Exception):
    """The ride was told to stop."""


def speed_of(vehicle: str, pace: float = 1.0) -> float:
    """Metres a second of a vehicle, that of a bicycle for an unknown one; never beyond FASTEST."""
    return min(SPEEDS.get(vehicle.strip().lower(), USUAL_SPEED) / pace, FASTEST)


async def _in_time(request: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            return await request
    except TimeoutError:
        raise Unreachable(
            f"The server did not answer within {REQUEST_SECONDS:.0f} seconds.", "no answer"
        ) from None


def _last_place(driver: DriverOnDuty) -> Point | None:
    where = driver.location
    return None if where is None else Point(lat=where.lat, lng=where.lng)
