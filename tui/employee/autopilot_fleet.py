"""The drivers who bring what the autopilot has sent off."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from server.features.orders.schemas import Order, OrderStatus
from tui.common.client.api import Api
from tui.employee.autopilot_courier import Courier, left_at
from tui.employee.autopilot_rules import Delivery, is_a_persons, place_of

log = logging.getLogger("autopilot")


class Fleet:
    """A courier for each driver who has something of the autopilot's to bring, or is on the way
    back from it. `on_change` is called when `delivery` may say something new."""

    def __init__(self, api: Api, pace: float, on_change: Callable[[], None]) -> None:
        self.persons: set[str] = set()
        """Drivers who are on the road with people's orders."""
        self._api = api
        self._pace = pace
        self._on_change = on_change
        self._couriers: dict[str, Courier] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def update(self, orders: Iterable[Order], own_ids: Collection[str]) -> None:
        """What is open now. Orders that a person has touched are left to them."""
        to_bring: dict[str, list[Order]] = defaultdict(list)
        self.persons.clear()
        for order in orders:
            if order.status is OrderStatus.OUT_FOR_DELIVERY and order.driver is not None:
                if is_a_persons(order, own_ids):
                    self.persons.add(order.driver.id)
                else:
                    to_bring[order.driver.id].append(order)
        for driver_id in to_bring.keys() | self._couriers.keys():
            mine = sorted(to_bring[driver_id], key=lambda order: (left_at(order), order.number))
            if driver_id not in self._couriers:
                self._send(driver_id, mine[0])
            self._couriers[driver_id].bring(mine, shared=driver_id in self.persons)

    def delivery(self, order: Order) -> Delivery:
        """How far an order that is on its way has come."""
        courier = self._couriers.get(order.driver.id) if order.driver is not None else None
        return Delivery.STRANDED if courier is None else courier.delivery(order.id)

    @property
    def riding(self) -> set[str]:
        """Drivers who are not done yet: ids."""
        return set(self._couriers)

    async def close(self) -> None:
        """Let every driver stand where they are."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _send(self, driver_id: str, order: Order) -> None:
        courier = Courier(
            self._api, driver_id, place_of(order.restaurant), self._pace, self._on_change
        )
        self._couriers[driver_id] = courier
        self._start(driver_id, courier)

    def _start(self, driver_id: str, courier: Courier) -> None:
        task = asyncio.create_task(courier.run(), name=f"courier {driver_id}")
        self._tasks[driver_id] = task

        def ended(task: asyncio.Task[None]) -> None:
            if task.cancelled():
                return
            fault = task.exception()
            if fault is not None:
                log.error("the courier %s fell", driver_id, exc_info=fault)
            elif courier.orders:
                self._start(driver_id, courier)  # they came as it went home
                return
            del self._couriers[driver_id], self._tasks[driver_id]
            self._on_change()

        task.add_done_callback(ended)
