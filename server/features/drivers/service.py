"""The rules of driver locations: which are accepted, who may read them, what they change."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from server.core.auth import Identity
from server.core.clock import from_text, now
from server.core.database import Database, Transaction
from server.core.errors import invalid, not_found
from server.core.lifecycle import Component
from server.core.limits import RateLimit
from server.features.accounts.schemas import Role
from server.features.drivers import store
from server.features.drivers.eta import EtaUpdater
from server.features.drivers.schemas import (
    DriverLocation,
    DriverOnDuty,
    DriverPosition,
    WatchEnd,
)
from server.features.drivers.track import Fix, Track
from server.features.orders.schemas import Delivery
from server.features.orders.service import OrderService, topic_of
from server.features.restaurants.schemas import Driver
from server.features.restaurants.service import RestaurantService
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.state_topic import STATE

LOCATION = "location"
MAX_CLOCK_SKEW = timedelta(seconds=60)
"""How far a device's clock may be ahead of the server's."""


def topic_of_driver(driver_id: str) -> str:
    """The state topic of a driver's location."""
    return f"{STATE}driver:{driver_id}"


def location_in(event: Event) -> DriverLocation:
    """The location in an event, parsed once for all of its readers."""
    found: DriverLocation | None = event.encoded.get("location")
    if found is None:
        found = event.encoded["location"] = DriverLocation.model_validate_json(event.data)
    return found


def polled_in(event: Event) -> DriverLocation:
    """The same with when it was stored, as a long poll answers; a stream's event says that too."""
    return location_in(event).model_copy(update={"logged_at": from_text(event.at)})


@dataclass(frozen=True, slots=True)
class WatchPermission:
    """A customer's permission to watch the driver who delivers an order of theirs.

    `is_valid` asks the database. `ended` returns once the permission has ended, with the reason as
    JSON text; the news of that may reach this process later than the driver's next location.
    """

    is_valid: Callable[[], Awaitable[bool]]
    ended: Callable[[], Awaitable[str]]


class DriverService(Component):
    """Where drivers are, and who may know it."""

    def __init__(
        self,
        database: Database,
        hub: Hub,
        orders: OrderService,
        restaurants: RestaurantService,
        etas: EtaUpdater,
        per_minute: int,
    ) -> None:
        self._database = database
        self._hub = hub
        self._orders = orders
        self._restaurants = restaurants
        self._etas = etas
        self._position_limit = RateLimit(per_minute, "positions of this driver")
        self._reading: dict[str, asyncio.Task[Sequence[Delivery]]] = {}

    async def drivers(self, identity: Identity) -> Sequence[DriverOnDuty]:
        """The employee's restaurant's drivers by name, with their orders and last locations."""

        async def fn(tx: Transaction) -> list[DriverOnDuty]:
            found = []
            for driver in await self._orders.drivers_of(tx, identity.restaurant_id or ""):
                event = await self._hub.states.newest(tx, topic_of_driver(driver.id))
                location = location_in(event) if event is not None else None
                found.append(DriverOnDuty(**driver.model_dump(), location=location))
            return found

        return await self._database.read(fn)

    async def locate(self, identity: Identity, driver_id: str, position: DriverPosition) -> None:
        """Record where the driver is. A position older than the last is ignored.

        Raises Problem 404, 422 for a time in the future, 429.
        """
        driver = await self._database.look_up(lambda tx: self._driver(tx, identity, driver_id))
        self._position_limit.consume(driver_id)
        moment = now()
        at = _in_utc(position.at) if position.at is not None else None
        if at is not None and at > moment + MAX_CLOCK_SKEW:
            raise invalid(
                ["at"],
                f"This is more than {MAX_CLOCK_SKEW.seconds} s ahead of the server's clock."
                " Set the device's clock, or leave `at` out.",
            )

        async def fn(tx: Transaction) -> DriverLocation | None:
            before = await store.track(tx, driver_id)
            if before is not None and before.last.at > moment + MAX_CLOCK_SKEW:
                before = None  # the server's clock was set back, so the stored time is no measure
            fixed_at = min(at or moment, moment)
            if before is not None and fixed_at < before.last.at:
                if at is not None:
                    return None
                fixed_at = before.last.at  # two servers' clocks differ; the later request is newer
            fix = Fix(lat=position.lat, lng=position.lng, at=fixed_at)
            track = (
                before.after(fix, driver.vehicle) if before else Track.start(fix, driver.vehicle)
            )
            await store.save_track(tx, driver_id, track)
            return await self._publish(tx, driver_id, position, track)

        location = await self._database.write(fn)
        if location is not None and not location.suspect:
            self._etas.schedule(location)

    async def close(self) -> None:
        """Call it before the database closes."""
        await self._etas.close()

    async def newest(self, identity: Identity, driver_id: str) -> DriverLocation | None:
        """Where the driver is; None where they have not reported yet. Raises Problem 404."""

        async def fn(tx: Transaction) -> Event | None:
            if identity.role == Role.EMPLOYEE:
                await self._driver(tx, identity, driver_id)
            elif not _deliveries_to(identity, await self._orders.deliveries(tx, driver_id)):
                raise not_found("driver")
            return await self._hub.states.newest(tx, topic_of_driver(driver_id))

        event = await self._database.read(fn)
        return polled_in(event) if event is not None else None

    async def admit(self, identity: Identity, driver_id: str) -> WatchPermission | None:
        """A customer's permission to watch; None for employees, who always may.

        Raises Problem 404 where the account may not watch now.
        """
        if identity.role == Role.EMPLOYEE:
            await self._database.read(lambda tx: self._driver(tx, identity, driver_id))
            return None
        deliveries = _deliveries_to(identity, await self._deliveries(driver_id))
        if not deliveries:
            raise not_found("driver")

        async def is_valid() -> bool:
            if _deliveries_to(identity, await self._deliveries(driver_id)):
                return True
            self._hub.request_sweep()  # the event of the order's end has not arrived here yet
            return False

        return WatchPermission(is_valid, lambda: self._ended(identity, driver_id, deliveries[0]))

    async def _ended(self, identity: Identity, driver_id: str, delivery: Delivery) -> str:
        while True:
            async with self._hub.watch(
                topic_of(delivery.restaurant_id), delivery.order_id
            ) as change:
                deliveries = _deliveries_to(identity, await self._deliveries(driver_id))
                if delivery in deliveries:
                    await change
                    continue
            if not deliveries:
                last = await self._orders.tracked(identity, delivery.order_id)
                return WatchEnd(order_id=delivery.order_id, status=last.status).model_dump_json()
            delivery = deliveries[0]

    async def _deliveries(self, driver_id: str) -> Sequence[Delivery]:
        """The driver's deliveries, as of now or later: callers that ask at once share one read."""

        async def read() -> Sequence[Delivery]:
            del self._reading[driver_id]  # later callers need a read that begins later
            return await self._database.read(lambda tx: self._orders.deliveries(tx, driver_id))

        reading = self._reading.get(driver_id)
        if reading is None:
            reading = self._reading[driver_id] = asyncio.create_task(read(), name="deliveries")
        return await asyncio.shield(reading)

    async def _driver(self, tx: Transaction, identity: Identity, driver_id: str) -> Driver:
        driver = await self._restaurants.driver_of(tx, identity.restaurant_id or "", driver_id)
        if driver is None:
            raise not_found("driver")
        return driver

    async def _publish(
        self, tx: Transaction, driver_id: str, position: DriverPosition, track: Track
    ) -> DriverLocation:
        """Publish the location; an unchanged one is stored without an event."""
        states, topic = self._hub.states, topic_of_driver(driver_id)

        def location(seq: int) -> DriverLocation:
            heading = position.heading if position.heading is not None else track.heading
            speed = position.speed_mps if position.speed_mps is not None else track.speed
            return DriverLocation(
                driver_id=driver_id,
                lat=position.lat,
                lng=position.lng,
                heading=heading,
                speed_mps=speed,
                seq=seq,
                at=track.last.at,
                pace_mps=round(track.recent_speed, 2),
                suspect=track.suspect,
            )

        event = await states.newest(tx, topic)
        if event is not None:
            known = location_in(event)
            if (known.lat, known.lng, known.suspect) == (
                position.lat,
                position.lng,
                track.suspect,
            ):
                same = location(known.seq)
                await states.replace_data(tx, topic, same.model_dump_json())
                return same
        put = await states.put(tx, topic, LOCATION, lambda seq: location(seq).model_dump_json())
        return location(put.seq)


def _deliveries_to(customer: Identity, deliveries: Sequence[Delivery]) -> list[Delivery]:
    return [delivery for delivery in deliveries if delivery.customer_id == customer.account_id]


def _in_utc(moment: datetime) -> datetime:
    """Raises Problem 422 where the time in UTC is outside of the calendar."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise invalid(["at"], "This is not a possible time.") from None
