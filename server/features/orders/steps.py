"""What one step, or a new driver or time, makes of an order."""

from dataclasses import dataclass
from typing import Any

from server.core.auth import Identity
from server.core.clock import now
from server.core.database import Transaction
from server.core.errors import conflict, invalid
from server.features.accounts.schemas import Role
from server.features.orders.placing import actor
from server.features.orders.schemas import (
    Order,
    OrderDriver,
    OrderStatus,
    StatusChange,
    TimelineEntry,
)
from server.features.orders.travel import accepted_times, times
from server.features.restaurants.service import RestaurantService


@dataclass(frozen=True, slots=True)
class Change:
    """The order as it is from now on, and the type of the event that tells of it."""

    event: str
    order: Order


async def advanced(
    tx: Transaction,
    identity: Identity,
    order: Order,
    change: StatusChange,
    restaurants: RestaurantService,
) -> Change:
    """The order at its new status, which the machine allows. Raises Problem 422."""
    wanted = change.status
    if wanted is OrderStatus.CANCELLED and identity.role == Role.EMPLOYEE and not change.reason:
        raise invalid(["reason"], "Say why: the customer will read it.")
    changes: dict[str, Any] = {"status": wanted, "version": order.version + 1}
    if change.driver_id is not None and not wanted.terminal:
        changes["driver"] = await _driver(tx, identity, order, change.driver_id, restaurants)
    if wanted is OrderStatus.OUT_FOR_DELIVERY and not (order.driver or "driver" in changes):
        raise invalid(["driver_id"], "Say who brings it: out_for_delivery needs a driver.")
    moment = now()
    entry = TimelineEntry(
        status=wanted,
        at=max(moment, order.timeline[-1].at),  # the clock may have been put back
        by=actor(identity),
        reason=change.reason or None,
    )
    changes["timeline"] = [*order.timeline, entry]
    if wanted is OrderStatus.ACCEPTED and change.eta_minutes is None:
        restaurant = await restaurants.summary_of(tx, order.restaurant.id)
        assert restaurant is not None
        changes |= accepted_times(order, moment, restaurant.preparation_minutes)
    else:
        changes |= times(order, wanted, moment, change.eta_minutes)
    event = "order.cancelled" if wanted is OrderStatus.CANCELLED else "order.updated"
    return Change(event, order.model_copy(update=changes))


async def adjusted(
    tx: Transaction,
    identity: Identity,
    order: Order,
    change: StatusChange,
    restaurants: RestaurantService,
) -> Change | None:
    """The order with another driver or time where the status stays; None if it has them already.

    Raises Problem 409 where nothing was asked for, 422 for a driver who is not there.
    """
    if change.driver_id is None and change.eta_minutes is None:
        raise conflict(f"The order is {order.status} already.")
    changes: dict[str, Any] = {}
    event = "order.updated"
    if change.driver_id not in (None, order.driver.id if order.driver else None):
        assert change.driver_id is not None
        changes["driver"] = await _driver(tx, identity, order, change.driver_id, restaurants)
        changes["version"] = order.version + 1
        event = "driver.assigned"
    if change.eta_minutes is not None:
        changes |= times(order, order.status, now(), change.eta_minutes)
    return Change(event, order.model_copy(update=changes)) if changes else None


async def _driver(
    tx: Transaction,
    identity: Identity,
    order: Order,
    driver_id: str,
    restaurants: RestaurantService,
) -> OrderDriver:
    driver = await restaurants.driver_of(tx, order.restaurant.id, driver_id)
    if driver is None:
        raise invalid(["driver_id"], "There is no such driver at this restaurant.")
    return OrderDriver(
        id=driver.id, name=driver.name, vehicle=driver.vehicle, assigned_by=actor(identity)
    )
