"""When a driver's orders will arrive: the distance that remains, at the driver's recent speed."""

import asyncio
import logging
from collections import OrderedDict
from datetime import datetime, timedelta

from server.core.clock import now
from server.core.logging import log_failure
from server.features.drivers.schemas import DriverLocation
from server.features.orders.schemas import Order
from server.features.orders.service import OrderService
from server.geo.route_finder import RouteFinder
from server.geo.sphere import DETOUR_FACTOR
from server.geo.street_network import Path

logger = logging.getLogger(__name__)

MIN_SPEED = 1.0
"""Metres a second. A driver who stands still will move again."""
MAX_AGE = timedelta(minutes=5)
"""An older location says nothing about the time of arrival."""
MIN_CHANGE = timedelta(seconds=20)
"""A smaller change is not worth an event."""
MAX_PATHS = 1_000
"""Orders whose path is kept in memory."""


class EtaUpdater:
    """Keeps the `eta` of orders on their way in line with where their drivers are."""

    def __init__(self, orders: OrderService, route_finder: RouteFinder) -> None:
        self._orders = orders
        self._route_finder = route_finder
        self._paths: OrderedDict[str, Path] = OrderedDict()
        """By order; the path that was used last is at the end."""
        self._newest: dict[str, DriverLocation] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """Stop. What has not been updated yet will be with the driver's next position."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._route_finder.close()

    def schedule(self, location: DriverLocation) -> None:
        """Update the driver's orders in the background: one task a driver, and only for the
        newest location."""
        driver_id = location.driver_id
        self._newest[driver_id] = location
        if driver_id not in self._tasks:
            self._tasks[driver_id] = asyncio.create_task(self._run(driver_id), name="eta")

    async def _run(self, driver_id: str) -> None:
        try:
            while (location := self._newest.pop(driver_id, None)) is not None:
                await self._update(location)
        except Exception as error:
            message = "an eta could not be updated; the next position will update it"
            log_failure(logger, error, message)
        finally:
            del self._tasks[driver_id]

    async def _update(self, location: DriverLocation) -> None:
        if now() - location.at > MAX_AGE:
            return
        for order in await self._orders.on_the_way(location.driver_id):
            eta = arrival(location, await self._remaining(location, order))
            if order.eta is None or abs(eta - order.eta) >= MIN_CHANGE:
                await self._orders.revise_eta(order.id, location.driver_id, eta)

    async def _remaining(self, location: DriverLocation, order: Order) -> float:
        """Metres to the order's address."""
        position = (location.lat, location.lng)
        path = self._paths.pop(order.id, None)
        remaining = path.remaining_from(position) if path is not None else None
        if path is None or remaining is None:
            door = (order.address.lat, order.address.lng)
            path = await self._route_finder.find(position, door)
            if not path.along_streets:
                return path.metres * DETOUR_FACTOR
            remaining = path.metres
        self._paths[order.id] = path
        if len(self._paths) > MAX_PATHS:
            self._paths.popitem(last=False)
        return remaining


def arrival(location: DriverLocation, remaining: float) -> datetime:
    """When a driver who was at that location will have driven that many metres more."""
    duration = timedelta(seconds=remaining / max(MIN_SPEED, location.pace_mps))
    return max(now(), location.at + duration)
