"""An order's steps: which may follow, for whom, and what each makes of the order."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from server.core.auth import Identity
from server.core.clock import now
from server.core.errors import Problem, conflict, invalid
from server.core.transaction import Transaction
from server.features.accounts.schemas import Role
from server.features.accounts.service import actor
from server.features.orders.schemas import (
    CANCELLABLE,
    STEPS,
    Order,
    OrderDriver,
    OrderStatus,
    StatusChange,
    TimelineEntry,
)
from server.features.restaurants.service import RestaurantService
from server.geo.sphere import DETOUR_FACTOR, distance

METRES_A_MINUTE = 300.0
"""A bicycle in town, 18 km/h."""
HANDOVER = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Change:
    """The changed order, and the type of the event that reports it."""

    event: str
    order: Order


def following(status: OrderStatus) -> tuple[OrderStatus, ...]:
    """The statuses that may follow: the next step, or `cancelled`; none after the last."""
    if status.terminal:
        return ()
    return (STEPS[STEPS.index(status) + 1], OrderStatus.CANCELLED)


def check_step(role: Role, status: OrderStatus, wanted: OrderStatus) -> None:
    """Raises Problem 409 where that role may not take this step from there."""
    if role is Role.CUSTOMER:
        allowed = wanted is OrderStatus.CANCELLED and status in CANCELLABLE
    else:
        allowed = wanted in following(status)
    if not allowed:
        raise _refusal(role, status, wanted)


def _refusal(role: Role, status: OrderStatus, wanted: OrderStatus) -> Problem:
    if status.terminal:
        return conflict(f"The order is {_spoken(status)} already; nothing can follow.")
    if role is Role.CUSTOMER:
        return conflict(
            f"The order is {_spoken(status)}: it can be cancelled only before the kitchen starts."
            " Write to support."
        )
    options = " or ".join(_spoken(step) for step in following(status))
    return conflict(
        f"The order is {_spoken(status)}, so it cannot become {_spoken(wanted)}; next is {options}."
    )


def _spoken(status: OrderStatus) -> str:
    """`out for delivery`."""
    return status.value.replace("_", " ")


async def advanced(
    tx: Transaction,
    identity: Identity,
    order: Order,
    change: StatusChange,
    restaurants: RestaurantService,
) -> Change:
    """The order at its new status, which `check_step` allows. Raises Problem 422."""
    wanted = change.status
    if wanted is OrderStatus.CANCELLED and identity.role == Role.EMPLOYEE and not change.reason:
        raise invalid(["reason"], "Say why: the customer will read it.")
    changes: dict[str, Any] = {"status": wanted, "version": order.version + 1}
    if change.driver_id is not None and not wanted.terminal:
        changes["driver"] = await _order_driver(tx, identity, order, change.driver_id, restaurants)
    if wanted is OrderStatus.OUT_FOR_DELIVERY and not (order.driver or "driver" in changes):
        raise invalid(["driver_id"], "Name the driver: out_for_delivery needs one.")
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
        changes |= _accepted_times(order, moment, restaurant.preparation_minutes)
    else:
        changes |= _times(order, wanted, moment, change.eta_minutes)
    event = "order.cancelled" if wanted is OrderStatus.CANCELLED else "order.updated"
    return Change(event, order.model_copy(update=changes))


async def adjusted(
    tx: Transaction,
    identity: Identity,
    order: Order,
    change: StatusChange,
    restaurants: RestaurantService,
) -> Change | None:
    """The order at the same status with another driver or time; None if it has them already.

    Raises Problem 409 where the change names neither, 422 for an unknown driver.
    """
    if change.driver_id is None and change.eta_minutes is None:
        raise conflict(f"The order is {order.status} already.")
    changes: dict[str, Any] = {}
    event = "order.updated"
    if change.driver_id not in (None, order.driver.id if order.driver else None):
        assert change.driver_id is not None
        changes["driver"] = await _order_driver(tx, identity, order, change.driver_id, restaurants)
        changes["version"] = order.version + 1
        event = "driver.assigned"
    if change.eta_minutes is not None:
        changes |= _times(order, order.status, now(), change.eta_minutes)
    return Change(event, order.model_copy(update=changes)) if changes else None


async def _order_driver(
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


def _accepted_times(order: Order, at: datetime, preparation_minutes: int) -> dict[str, datetime]:
    """`eta` and `ready_by` of an order accepted at `at` without an estimate: the restaurant's usual
    preparation time, and the delivery."""
    ready_by = at + timedelta(minutes=preparation_minutes)
    return {"eta": ready_by + _delivery_time(order), "ready_by": ready_by}


def _times(
    order: Order, status: OrderStatus, at: datetime, eta_minutes: int | None
) -> dict[str, datetime | None]:
    """The new `eta` and `ready_by` of an order that is at `status` from `at` on.

    `eta_minutes` is an employee's estimate of the time until the order is at the door.
    """
    if status.terminal:
        return {"eta": None, "ready_by": None}
    on_the_way = status in (OrderStatus.READY, OrderStatus.OUT_FOR_DELIVERY)
    if eta_minutes is None:
        return {"eta": at + _delivery_time(order)} if on_the_way else {}
    eta = at + timedelta(minutes=eta_minutes)
    if on_the_way:
        return {"eta": eta}
    return {"eta": eta, "ready_by": max(eta - _delivery_time(order), at + timedelta(minutes=1))}


def _delivery_time(order: Order) -> timedelta:
    """From the restaurant's door to the customer's, by bicycle."""
    restaurant, address = order.restaurant, order.address
    straight = distance((restaurant.lat, restaurant.lng), (address.lat, address.lng))
    return HANDOVER + timedelta(minutes=round(straight * DETOUR_FACTOR / METRES_A_MINUTE))
