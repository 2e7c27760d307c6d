"""The demo's drivers: each delivers what the autopilot has sent out with them."""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from server.features.drivers.schemas import DriverOnDuty, Point
from server.features.orders.schemas import Order, OrderStatus
from tui.common.client.api import Api
from tui.common.client.errors import ApiError, ClientError
from tui.common.client.retry import Backoff, retry
from tui.common.tracking.planner import TOO_FAR_METRES, TripPlanner, left_at
from tui.common.tracking.track import metres_between, point_of
from tui.demo.autopilot.rules import Delivery, touched_by_person

STRANDED_SECONDS = 60.0
"""Without an accepted position for so long, a driver's orders count as delivered."""
REFUSED_SECONDS = 15.0
"""Until a driver whose position was refused starts again."""
SIGNED_OUT_SECONDS = 1.0
"""The same where the autopilot has to log in again."""

log = logging.getLogger("autopilot")


class _NotOnDutyError(ClientError):
    """The server does not list the driver."""


class DriverBot:
    """Delivers with one driver while there are orders, then returns to the restaurant.

    `on_change` is called when `delivery` may have a new answer.
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
        self._returns = True
        self._planner: TripPlanner | None = None
        """None until the server has said where the driver is."""
        self._refused = False
        self._error_since: float | None = None
        self._news = asyncio.Event()

    def set_orders(self, orders: Sequence[Order], *, returns: bool) -> None:
        """Deliver these, the first to leave first. A driver who also has a person's orders on
        the road never `returns` by themselves."""
        self.orders = list(orders)
        self._returns = returns
        self._update_planner()
        self._news.set()

    def delivery(self, order_id: str) -> Delivery:
        """How far that order has come."""
        if self._planner is not None and self._planner.has_visited(order_id):
            return Delivery.AT_THE_DOOR
        since = self._error_since
        lost = since is not None and time.monotonic() - since >= STRANDED_SECONDS
        if lost or self._refused or any(self._too_far(o) for o in self.orders if o.id == order_id):
            return Delivery.STRANDED
        return Delivery.ON_THE_WAY

    async def run(self) -> None:
        """Drive until there is nothing to deliver and the driver is back."""
        driver, interval = await self._find_driver()
        planner = self._planner = TripPlanner(
            self._api,
            driver,
            self._base,
            interval,
            last_seen=driver.location,
            pace=self._pace,
            waits_at_doors=True,
            on_change=self._on_position,
        )
        self._update_planner()
        while True:
            self._news.clear()
            await planner.run()
            if planner.refusal is not None:
                await self._pause_after(planner.refusal, driver)
            elif self.orders:
                self._on_change()
                await self._news.wait()
            else:
                return

    def _update_planner(self) -> None:
        if self._planner is not None:
            self._planner.returns = self._returns
            self._planner.set_orders([one for one in self.orders if not self._too_far(one)])

    def _too_far(self, order: Order) -> bool:
        return metres_between(self._base, point_of(order.address)) > TOO_FAR_METRES

    async def _find_driver(self) -> tuple[DriverOnDuty, float]:
        """The driver as the server knows them, and the seconds between two positions."""

        async def read() -> tuple[DriverOnDuty, float]:
            page = await self._api.drivers_on_duty()
            driver = next((one for one in page.items if one.id == self._driver_id), None)
            self._refused = driver is None
            if driver is None:
                raise _NotOnDutyError("This driver is not on duty.")
            return driver, page.interval_seconds

        def on_error(error: ClientError, _wait: float | None) -> None:
            if self._error_since is None and not isinstance(error, _NotOnDutyError):
                self._error_since = time.monotonic()
            self._on_change()

        found = await retry(
            read, backoff=Backoff(cap=8), on_error=on_error, is_final=lambda _error: False
        )
        self._error_since = None
        return found

    def _on_position(self) -> None:
        since = self._planner.error_since if self._planner is not None else None
        if since is None:
            self._refused, self._error_since = False, None
        elif self._error_since is None:
            self._error_since = since
        self._on_change()

    async def _pause_after(self, refusal: ClientError, driver: DriverOnDuty) -> None:
        log.info("%s stops: %s", driver.name, refusal.message)
        if not self.orders:
            # Nobody waits for this driver, so it is not worth another request.
            self._returns = False
            self._update_planner()
            return
        # After a 401 the autopilot logs in again; any other refusal holds for later trips too.
        self._refused = isinstance(refusal, ApiError) and refusal.status != 401
        self._on_change()
        await asyncio.sleep(REFUSED_SECONDS if self._refused else SIGNED_OUT_SECONDS)


class DriverBots:
    """A bot for each driver who has orders of the autopilot, or returns from delivering them.

    `on_change` is called when `delivery` may have a new answer.
    """

    def __init__(self, api: Api, pace: float, on_change: Callable[[], None]) -> None:
        self.with_persons: set[str] = set()
        """Ids of drivers who are on the road with people's orders."""
        self._api = api
        self._pace = pace
        self._on_change = on_change
        self._bots: dict[str, DriverBot] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def update(self, orders: Iterable[Order], own_ids: Collection[str]) -> None:
        """Apply the open orders. Those that a person has touched are left to people."""
        to_deliver: dict[str, list[Order]] = defaultdict(list)
        self.with_persons.clear()
        for order in orders:
            if order.status is OrderStatus.OUT_FOR_DELIVERY and order.driver is not None:
                if touched_by_person(order, own_ids):
                    self.with_persons.add(order.driver.id)
                else:
                    to_deliver[order.driver.id].append(order)
        for driver_id in to_deliver.keys() | self._bots.keys():
            mine = sorted(to_deliver[driver_id], key=lambda order: (left_at(order), order.number))
            if driver_id not in self._bots:
                self._add(driver_id, mine[0])
            self._bots[driver_id].set_orders(mine, returns=driver_id not in self.with_persons)

    def delivery(self, order: Order) -> Delivery:
        """How far an order that is on its way has come."""
        bot = self._bots.get(order.driver.id) if order.driver is not None else None
        return Delivery.STRANDED if bot is None else bot.delivery(order.id)

    @property
    def on_the_road(self) -> set[str]:
        """Ids of the drivers who are not done yet."""
        return set(self._bots)

    async def close(self) -> None:
        """Stop every driver where they are."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _add(self, driver_id: str, order: Order) -> None:
        bot = DriverBot(
            self._api, driver_id, point_of(order.restaurant), self._pace, self._on_change
        )
        self._bots[driver_id] = bot
        self._start(driver_id, bot)

    def _start(self, driver_id: str, bot: DriverBot) -> None:
        task = asyncio.create_task(bot.run(), name=f"driver {driver_id}")
        self._tasks[driver_id] = task

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                return
            error = task.exception()
            if error is not None:
                log.error("driver %s failed", driver_id, exc_info=error)
            elif bot.orders:
                self._start(driver_id, bot)  # orders came while it ended
                return
            del self._bots[driver_id], self._tasks[driver_id]
            self._on_change()

        task.add_done_callback(ended)
