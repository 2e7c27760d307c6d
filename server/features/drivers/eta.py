"""When what a driver carries will be there: the way still to go at the speed lately driven."""

import asyncio
import logging
from collections import OrderedDict
from datetime import datetime, timedelta

from server.core.clock import now
from server.core.logging import log_failure
from server.features.drivers.schemas import DriverLocation
from server.features.drivers.ways import Way, Ways
from server.features.orders.schemas import Order
from server.features.orders.service import OrderService
from server.features.shared.geo import DETOUR

logger = logging.getLogger(__name__)

SLOWEST = 1.0
"""Metres a second: who stands will ride on."""
OLD = timedelta(minutes=5)
"""Where a driver was longer ago says nothing about when they will come."""
STEP = timedelta(seconds=20)
"""A smaller change is not worth an event."""
WAYS = 1_000
"""Orders whose way is remembered."""


class Etas:
    """Keeps the `eta` of the orders on their way true to where their drivers are."""

    def __init__(self, orders: OrderService, ways: Ways) -> None:
        self._orders = orders
        self._ways = ways
        self._known: OrderedDict[str, Way] = OrderedDict()
        self._newest: dict[str, DriverLocation] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """Stop; what was not revised yet is at the next position."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._ways.close()

    def moved(self, location: DriverLocation) -> None:
        """Revise what this driver carries. One at a time a driver, and only by the newest."""
        driver_id = location.driver_id
        self._newest[driver_id] = location
        if driver_id not in self._tasks:
            self._tasks[driver_id] = asyncio.create_task(self._run(driver_id), name="eta")

    async def _run(self, driver_id: str) -> None:
        try:
            while (location := self._newest.pop(driver_id, None)) is not None:
                await self._revise(location)
        except Exception as error:
            words = "an eta could not be revised; the next position will do it"
            log_failure(logger, error, words)
        finally:
            del self._tasks[driver_id]

    async def _revise(self, location: DriverLocation) -> None:
        if now() - location.at > OLD:
            return
        for order in await self._orders.on_the_way(location.driver_id):
            eta = arrival(location, await self._left(location, order))
            if order.eta is None or abs(eta - order.eta) >= STEP:
                await self._orders.revise_eta(order.id, location.driver_id, eta)

    async def _left(self, location: DriverLocation, order: Order) -> float:
        """Metres to the order's door."""
        here = (location.lat, location.lng)
        way = self._known.pop(order.id, None)
        left = way.left_from(here) if way is not None else None
        if way is None or left is None:
            route = await self._ways.between(here, (order.address.lat, order.address.lng))
            if not route.along_streets:
                return route.metres * DETOUR
            way, left = Way(route), route.metres
        self._known[order.id] = way
        if len(self._known) > WAYS:
            self._known.popitem(last=False)
        return left


def arrival(location: DriverLocation, left: float) -> datetime:
    """When somebody who was at that location will have gone that many metres."""
    ride = timedelta(seconds=left / max(SLOWEST, location.pace_mps))
    return max(now(), location.at + ride)
