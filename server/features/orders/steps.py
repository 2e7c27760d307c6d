"""An order's steps: which may follow, for whom, and what each makes of the order."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from server.core.auth import Identity
from server.core.clock import now, to_text
from server.core.database import Transaction
from server.core.errors import Problem, conflict, invalid
from server.features.accounts.schemas import Role
from server.features.orders.schemas import (
    CANCELLABLE,
    STEPS,
    NewRating,
    OrderRating,
    OrderStatus,
    StatusChange,
)
from server.features.orders.store import OrderRow, entry_json
from server.features.restaurants.service import RestaurantService
from server.features.shared.schemas import actor_json
from server.geo.sphere import DETOUR_FACTOR, distance

METRES_A_MINUTE = 300.0
"""A bicycle in town, 18 km/h."""
HANDOVER = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Change:
    """The changed order, and the type of the event that reports it."""

    event: str
    order: OrderRow


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
        return conflict(
            f"The order is {_spoken(status)} already; nothing can follow.", "order-over"
        )
    if role is Role.CUSTOMER:
        return conflict(
            f"The order is {_spoken(status)}: it can be cancelled only before the kitchen starts."
            " Write to support.",
            "order-begun",
        )
    options = " or ".join(_spoken(step) for step in following(status))
    return conflict(
        f"The order is {_spoken(status)}, so it cannot become {_spoken(wanted)};"
        f" next is {options}.",
        "order-step",
    )


def _spoken(status: OrderStatus) -> str:
    """`out for delivery`."""
    return status.value.replace("_", " ")


async def advanced(
    tx: Transaction,
    identity: Identity,
    before: OrderRow,
    change: StatusChange,
    restaurants: RestaurantService,
) -> Change:
    """The order at its new status, which `check_step` allows. Raises Problem 422."""
    wanted = change.status
    if wanted is OrderStatus.CANCELLED and identity.role == Role.EMPLOYEE and not change.reason:
        raise invalid(["reason"], "Say why: the customer will read it.")
    order = before.copy()
    order["status"] = wanted.value
    order["version"] += 1
    if change.driver_id is not None and not wanted.terminal:
        await _set_driver(tx, identity, order, change.driver_id, restaurants)
    if wanted is OrderStatus.OUT_FOR_DELIVERY and not order["driver_id"]:
        raise invalid(["driver_id"], "Name the driver: out_for_delivery needs one.")
    moment = now()
    last = json.loads(order["timeline"])[-1]["at"]
    at = max(to_text(moment), last)  # the clock may have been put back
    entry = entry_json(wanted, at, identity, change.reason or None)
    order["timeline"] = f"{order['timeline'][:-1]},{entry}]"
    preparation_minutes = None
    if wanted is OrderStatus.ACCEPTED and change.eta_minutes is None:
        restaurant = await restaurants.summary_of(tx, order["restaurant_id"])
        assert restaurant is not None
        preparation_minutes = restaurant.preparation_minutes + restaurant.extra_minutes
    _set_times(order, wanted, moment, change.eta_minutes, preparation_minutes)
    if wanted is OrderStatus.ACCEPTED and change.eta_minutes is not None:
        order["promised_at"] = order["eta"]
    event = "order.cancelled" if wanted is OrderStatus.CANCELLED else "order.updated"
    return Change(event, order)


async def adjusted(
    tx: Transaction,
    identity: Identity,
    before: OrderRow,
    change: StatusChange,
    restaurants: RestaurantService,
) -> Change | None:
    """The order at the same status with another driver or time; None if it has them already.

    Raises Problem 409 where the change names neither, 422 for an unknown driver.
    """
    if change.driver_id is None and change.eta_minutes is None:
        raise conflict(f"The order is {before['status']} already.", "order-step")
    order = before.copy()
    event = "order.updated"
    if change.driver_id not in (None, before["driver_id"]):
        assert change.driver_id is not None
        await _set_driver(tx, identity, order, change.driver_id, restaurants)
        order["version"] += 1
        event = "driver.assigned"
    elif change.eta_minutes is None:
        return None
    if change.eta_minutes is not None:
        _set_times(order, change.status, now(), change.eta_minutes)
    return Change(event, order)


def rated(before: OrderRow, new: NewRating) -> OrderRow:
    """The order with that rating in place of any other. Raises Problem 409 if it has not come."""
    if before["status"] != OrderStatus.DELIVERED:
        raise conflict("Only an order that was delivered can be rated.", "not-delivered")
    order = before.copy()
    order["rating"] = OrderRating(stars=new.stars, text=new.text or None).model_dump_json()
    return order


async def _set_driver(
    tx: Transaction,
    identity: Identity,
    order: OrderRow,
    driver_id: str,
    restaurants: RestaurantService,
) -> None:
    driver = await restaurants.driver_of(tx, order["restaurant_id"], driver_id)
    if driver is None:
        raise invalid(
            ["driver_id"], "There is no such driver at this restaurant.", "no-such-driver"
        )
    order["driver_id"] = driver.id
    order["driver_name"] = driver.name
    order["driver_vehicle"] = driver.vehicle
    order["assigned_by"] = actor_json(identity.account_id, identity.name, identity.role)


def _set_times(
    order: OrderRow,
    status: OrderStatus,
    at: datetime,
    eta_minutes: int | None,
    preparation_minutes: int | None = None,
) -> None:
    """Set `eta` and `ready_by` of an order that is at `status` from `at` on.

    `eta_minutes` is an employee's estimate of the time until the order is at the door. Without one,
    `preparation_minutes` is the restaurant's usual time until it is ready.
    """
    eta = ready_by = None
    if status.terminal:
        order["eta"] = order["ready_by"] = None
        return
    door = (order["restaurant_lat"], order["restaurant_lng"])
    delivery_time = delivery_time_of(distance(door, (order["lat"], order["lng"])))
    if status in (OrderStatus.READY, OrderStatus.OUT_FOR_DELIVERY):
        eta = at + (delivery_time if eta_minutes is None else timedelta(minutes=eta_minutes))
    elif eta_minutes is not None:
        eta = at + timedelta(minutes=eta_minutes)
        ready_by = max(eta - delivery_time, at + timedelta(minutes=1))
    elif preparation_minutes is not None:
        ready_by = at + timedelta(minutes=preparation_minutes)
        eta = ready_by + delivery_time
    if eta is not None:
        order["eta"] = to_text(eta)
    if ready_by is not None:
        order["ready_by"] = to_text(ready_by)


def delivery_time_of(straight: float) -> timedelta:
    """From the restaurant's door to the customer's, by bicycle; `straight` is in metres."""
    return HANDOVER + timedelta(minutes=round(straight * DETOUR_FACTOR / METRES_A_MINUTE))
