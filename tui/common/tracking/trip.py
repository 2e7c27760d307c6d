"""A simulated trip: a driver moves along the streets and reports positions to the server."""

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
from tui.common.language import _
from tui.common.tracking.track import Fix, Polyline, point_of

SPEEDS = {"bicycle": 6.0, "cargo bike": 5.0, "scooter": 9.0}
"""Metres a second."""
USUAL_SPEED = 6.0
"""Of a vehicle that is not listed."""
FASTEST = 40.0
"""Metres a second: a much faster position is suspect to the server."""
NEAR_ENOUGH = 0.5
"""Metres from the last stop at which the driver has arrived."""
REQUEST_SECONDS = 10.0
"""After that a position is out of date: the next one matters more than its answer."""
RETRY_SECONDS = 8.0
"""The longest delay between two attempts while the server is away and names no time."""
NO_ROUTE = (404, 405, 422)
"""Statuses of a server that finds no route: then the trip is a straight line."""

T = TypeVar("T")


class TripEnd(StrEnum):
    """How a trip has ended."""

    ARRIVED = "arrived"
    STOPPED = "stopped"
    REFUSED = "refused"
    """By the server, permanently; the trip's `error` says why."""


class Trip:
    """One driver's simulated way from `start` through every stop.

    The position depends on the time since `run` began and on nothing else. While the server is
    away the driver moves on, and the next position reported is the current one, so none jumps.
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
        """`interval` is seconds between two positions; `pace` 2 is half as fast; a trip that would
        take more than `longest` seconds is faster. Without a `start` it begins where the driver
        was last seen, or else at the first stop. `on_change` is called after each position,
        accepted or not. Raises ValueError without stops, or where a number is not above 0.
        """
        if not stops:
            raise ValueError("A trip needs a stop to go to.")
        if not (interval > 0 and pace > 0):
            raise ValueError("The interval and the speed of a trip must be above 0.")
        self._api = api
        self._driver = driver
        self._stops = tuple(stops)
        self._interval = interval
        self._pace = pace
        self._longest = longest
        self._on_change = on_change
        self._start = start or _last_position(driver) or stops[0]
        self._route: Polyline | None = None
        self._began_at = 0.0
        self._stopped_at: float | None = None
        self._stopping = asyncio.Event()
        self._backoff = Backoff(base=min(0.5, interval), cap=min(RETRY_SECONDS, interval))
        self.speed = speed_of(driver.vehicle, pace)
        """Metres a second."""
        self.end: TripEnd | None = None
        """None until it has ended."""
        self.error: ClientError | None = None
        """Why the last position was not accepted; None where it was."""
        self.error_since: float | None = None
        """`time.monotonic()` of the first failure since a position was accepted."""

    @property
    def metres(self) -> float | None:
        """Length of the whole route; None until it is known."""
        return self._route.metres if self._route else None

    @property
    def metres_done(self) -> float:
        """Driven so far."""
        if self._route is None:
            return 0.0
        if self._stopped_at is not None:
            return self._stopped_at
        return min(self._route.metres, self.speed * (time.monotonic() - self._began_at))

    @property
    def progress(self) -> float:
        """The share of the route that is done, 0 to 1."""
        if self.end is TripEnd.ARRIVED:
            return 1.0
        return self.metres_done / self.metres if self.metres else 0.0

    @property
    def points(self) -> tuple[Point, ...]:
        """The corners of the route; empty until it is known."""
        return self._route.points if self._route else ()

    @property
    def position(self) -> Point:
        """Where the driver is now, whether the server knows or not."""
        return self._route.at(self.metres_done).point if self._route else self._start

    def stop(self) -> None:
        """End it where the driver is now; `run` returns after the request under way."""
        self._stopping.set()

    async def run(self) -> bool:
        """Drive until the server has accepted the position of the last stop.

        False where the trip was stopped or refused before, as `end` says.
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
            self._record(error)
        except asyncio.CancelledError:
            self.end = TripEnd.STOPPED
            raise
        else:
            self.end = TripEnd.ARRIVED
        finally:
            self._stopped_at = self.metres_done
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
            if error.status in NO_ROUTE:
                return (end,)
            raise
        return route.points

    async def _move(self, polyline: Polyline) -> None:
        now = 0.0
        arrived = False

        async def report() -> None:
            nonlocal now, arrived
            now = time.monotonic()
            done = min(self.metres_done, polyline.metres)
            arrived = done >= polyline.metres - NEAR_ENOUGH
            metres = polyline.metres if arrived else done
            await self._report(polyline.at(metres), stopped=arrived)

        await self._pause(0)
        while not arrived:
            await self._until_accepted(report)
            self._backoff.reset()
            self.error, self.error_since = None, None
            self._changed()
            if not arrived:
                until = min(now + self._interval, self._began_at + polyline.metres / self.speed)
                await self._pause(until - time.monotonic())

    async def _report(self, fix: Fix, *, stopped: bool) -> None:
        position = DriverPosition(
            lat=fix.lat,
            lng=fix.lng,
            heading=fix.heading,
            speed_mps=0.0 if stopped else self.speed,
        )
        await self._api.put_location(self._driver.id, position)

    async def _until_accepted(self, send: Callable[[], Awaitable[T]]) -> T:
        return await retry(
            lambda: _in_time(send()),
            backoff=self._backoff,
            on_error=lambda error, wait: None if wait is None else self._record(error),
            sleep=self._pause,
        )

    def _record(self, error: ClientError) -> None:
        self.error = error
        if self.error_since is None:
            self.error_since = time.monotonic()
        self._changed()

    def _changed(self) -> None:
        if self._on_change is not None:
            self._on_change()

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._stopping.wait()
        if self._stopping.is_set():
            raise _StoppedError


class _StoppedError(Exception):
    """`stop` was called."""


def speed_of(vehicle: str, pace: float = 1.0) -> float:
    """Metres a second of a vehicle, USUAL_SPEED for an unknown one; never above FASTEST."""
    return min(SPEEDS.get(vehicle.strip().lower(), USUAL_SPEED) / pace, FASTEST)


async def _in_time(request: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            return await request
    except TimeoutError:
        raise Unreachable(
            _("The server did not answer within {request_seconds:.0f} seconds.").format(
                request_seconds=REQUEST_SECONDS
            ),
            _("no answer"),
        ) from None


def _last_position(driver: DriverOnDuty) -> Point | None:
    return None if driver.location is None else point_of(driver.location)
