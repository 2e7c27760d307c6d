"""One driver in the autopilot's hands: to each door in the order the meals left, and back."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from server.features.drivers.schemas import DriverOnDuty, Point
from server.features.orders.schemas import Order, OrderStatus
from tui.common.client.api import Api
from tui.common.client.errors import ApiError, ClientError
from tui.common.client.retry import Backoff, retry
from tui.common.tracking.track import metres_between, point_of
from tui.common.tracking.trip import Trip, TripEnd
from tui.demo.autopilot.rules import (
    LONGEST_TRIP_SECONDS,
    TOO_FAR_METRES,
    Delivery,
    is_at,
    touched_by_person,
)

STRANDED_SECONDS = 60.0
"""So long no position was taken: the meals arrive without."""
AGAIN_SECONDS = 15.0
"""Until a driver whose ride was refused sets out once more."""
SIGNED_OUT_SECONDS = 1.0
"""The same where the autopilot has to sign in again."""

log = logging.getLogger("autopilot")


class _NotOnDutyError(ClientError):
    """The server does not list the driver."""


class StopKind(Enum):
    """What a ride is for."""

    DOOR = auto()
    PICK_UP = auto()
    """A meal that left while its driver was elsewhere is at the restaurant still."""
    RETURN = auto()


@dataclass(frozen=True)
class Stop:
    """Where to go next, and for whose sake; nobody's on the way back."""

    kind: StopKind
    order_id: str
    point: Point


class DriverBot:
    """Rides for one driver while there is anything to bring, then back to the restaurant.

    `bring` says what there is to bring, as often as that changes; `on_change` is called when
    `delivery` may say something new.
    """

    def __init__(
        self,
        api: Api,
        driver_id: str,
        base: Point,
        pace: float,
        on_change: Callable[[], None],
    ) -> None:
        self.orders: list[Order] = []
        self._api = api
        self._driver_id = driver_id
        self._base = base
        self._pace = pace
        self._on_change = on_change
        self._shared = False
        self._where: Point | None = None
        """Where the last ride ended; None until the server has said where the driver is."""
        self._aboard: set[str] = set()
        self._delivered_to: set[str] = set()
        self._trip: Trip | None = None
        self._goal: Stop | None = None
        self._refused = False
        self._trouble_since: float | None = None
        self._news = asyncio.Event()

    def bring(self, orders: Sequence[Order], *, shared: bool) -> None:
        """These are the orders to bring, the first to leave first. A driver who is `shared`, with
        somebody else's orders on the road, is not ridden back."""
        self.orders = list(orders)
        self._shared = shared
        ids = {order.id for order in orders}
        self._aboard &= ids
        self._delivered_to &= ids
        if self._here is not None:
            self._load(self._here)
        if self._trip is not None and self._next() != self._goal:
            self._trip.stop()
        self._news.set()

    def delivery(self, order_id: str) -> Delivery:
        """How far that order has come."""
        if order_id in self._delivered_to:
            return Delivery.AT_THE_DOOR
        since = self._trouble_since
        lost = since is not None and time.monotonic() - since >= STRANDED_SECONDS
        if lost or self._refused or any(self._too_far(o) for o in self.orders if o.id == order_id):
            return Delivery.STRANDED
        return Delivery.RIDING

    async def run(self) -> None:
        """Ride until there is nothing to bring and the driver is back."""
        driver, interval = await self._look_up()
        while (target_stop := self._next()) is not None:
            self._news.clear()
            if target_stop.order_id in self._delivered_to or any(
                map(self._too_far, self.orders[:1])
            ):
                self._on_change()
                await self._news.wait()
            else:
                await self._go(driver, interval, target_stop)

    @property
    def _here(self) -> Point | None:
        return self._trip.position if self._trip is not None else self._where

    def _next(self) -> Stop | None:
        if self.orders:
            head = self.orders[0]
            if head.id in self._aboard:
                return Stop(StopKind.DOOR, head.id, point_of(head.address))
            return Stop(StopKind.PICK_UP, head.id, self._base)
        if self._shared or self._where is None or is_at(self._base, self._where):
            return None
        return Stop(StopKind.RETURN, "", self._base)

    def _load(self, here: Point) -> None:
        if is_at(self._base, here):
            self._aboard.update(order.id for order in self.orders)

    def _too_far(self, order: Order) -> bool:
        return metres_between(self._base, point_of(order.address)) > TOO_FAR_METRES

    async def _look_up(self) -> tuple[DriverOnDuty, float]:
        """The driver as the server knows them, and the seconds between two positions."""

        async def look_up() -> tuple[DriverOnDuty, float]:
            page = await self._api.drivers_on_duty()
            driver = next((one for one in page.items if one.id == self._driver_id), None)
            self._refused = driver is None
            if driver is None:
                raise _NotOnDutyError("This driver is not on duty.")
            return driver, page.interval_seconds

        def failed(error: ClientError, _wait: float | None) -> None:
            if self._trouble_since is None and not isinstance(error, _NotOnDutyError):
                self._trouble_since = time.monotonic()
            self._on_change()

        driver, interval = await retry(
            look_up, backoff=Backoff(cap=8), on_error=failed, is_final=lambda _error: False
        )
        self._trouble_since = None
        self._place(driver)
        return driver, interval

    def _place(self, driver: DriverOnDuty) -> None:
        """Begin where the driver was last, if that is anywhere near."""
        location = driver.location
        self._where = self._base
        if location is None or metres_between(self._base, point_of(location)) > TOO_FAR_METRES:
            self._load(self._base)
            return
        self._where = point_of(location)
        self._load(self._where)
        # Who has moved since a meal left has it with them: this goes on where another left off.
        self._aboard |= {order.id for order in self.orders if location.at >= left_at(order)}

    async def _go(self, driver: DriverOnDuty, interval: float, target_stop: Stop) -> None:
        """Ride there, or until something else is to be done."""
        trip = Trip(
            self._api,
            driver,
            (target_stop.point,),
            interval,
            self._pace,
            self._where,
            longest=LONGEST_TRIP_SECONDS * self._pace,
            on_change=self._moved,
        )
        self._trip, self._goal = trip, target_stop
        try:
            await trip.run()
        finally:
            self._where = trip.position
            self._trip = self._goal = None
        if trip.end is TripEnd.REFUSED and trip.error is not None:
            await self._refuse(driver, trip.error)
            return
        self._load(self._where)
        if trip.end is TripEnd.ARRIVED and target_stop.kind is StopKind.DOOR:
            self._delivered_to.add(target_stop.order_id)

    def _moved(self) -> None:
        trip = self._trip
        if trip is not None and trip.trouble_since is None:
            self._refused, self._trouble_since = False, None
        elif trip is not None and self._trouble_since is None:
            self._trouble_since = trip.trouble_since
        self._on_change()

    async def _refuse(self, driver: DriverOnDuty, error: ClientError) -> None:
        log.info("%s stands still: %s", driver.name, error.message)
        if not self.orders:
            self._shared = True  # nobody waits for them: no use in asking on
            return
        # Who is signed out signs in again; any other refusal is not for this ride alone.
        self._refused = isinstance(error, ApiError) and error.status != 401
        self._on_change()
        await asyncio.sleep(AGAIN_SECONDS if self._refused else SIGNED_OUT_SECONDS)


def left_at(order: Order) -> datetime:
    """When the order left; it is on its way."""
    return order.timeline[-1].at


log = logging.getLogger("autopilot")


class DriverBots:
    """A courier for each driver who has something of the autopilot's to bring, or is on the way
    back from it. `on_change` is called when `delivery` may say something new."""

    def __init__(self, api: Api, pace: float, on_change: Callable[[], None]) -> None:
        self.persons: set[str] = set()
        """Drivers who are on the road with people's orders."""
        self._api = api
        self._pace = pace
        self._on_change = on_change
        self._bots: dict[str, DriverBot] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def update(self, orders: Iterable[Order], own_ids: Collection[str]) -> None:
        """What is open now. Orders that a person has touched are left to them."""
        to_bring: dict[str, list[Order]] = defaultdict(list)
        self.persons.clear()
        for order in orders:
            if order.status is OrderStatus.OUT_FOR_DELIVERY and order.driver is not None:
                if touched_by_person(order, own_ids):
                    self.persons.add(order.driver.id)
                else:
                    to_bring[order.driver.id].append(order)
        for driver_id in to_bring.keys() | self._bots.keys():
            mine = sorted(to_bring[driver_id], key=lambda order: (left_at(order), order.number))
            if driver_id not in self._bots:
                self._send(driver_id, mine[0])
            self._bots[driver_id].bring(mine, shared=driver_id in self.persons)

    def delivery(self, order: Order) -> Delivery:
        """How far an order that is on its way has come."""
        bot = self._bots.get(order.driver.id) if order.driver is not None else None
        return Delivery.STRANDED if bot is None else bot.delivery(order.id)

    @property
    def riding(self) -> set[str]:
        """Drivers who are not done yet: ids."""
        return set(self._bots)

    async def close(self) -> None:
        """Let every driver stand where they are."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _send(self, driver_id: str, order: Order) -> None:
        bot = DriverBot(
            self._api, driver_id, point_of(order.restaurant), self._pace, self._on_change
        )
        self._bots[driver_id] = bot
        self._start(driver_id, bot)

    def _start(self, driver_id: str, bot: DriverBot) -> None:
        task = asyncio.create_task(bot.run(), name=f"courier {driver_id}")
        self._tasks[driver_id] = task

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                return
            fault = task.exception()
            if fault is not None:
                log.error("the courier %s fell", driver_id, exc_info=fault)
            elif bot.orders:
                self._start(driver_id, bot)  # they came as it went home
                return
            del self._bots[driver_id], self._tasks[driver_id]
            self._on_change()

        task.add_done_callback(ended)
