"""How far it is, how long that takes, and so when an order should be ready and there."""

from datetime import datetime, timedelta

from server.features.orders.schemas import Order, OrderStatus
from server.geo.sphere import DETOUR_FACTOR, distance

METRES_A_MINUTE = 300.0
"""A bicycle in town, 18 km/h."""
HANDOVER = timedelta(minutes=2)


def ride(lat: float, lng: float, to_lat: float, to_lng: float) -> timedelta:
    """From the restaurant's door to the customer's, however long it takes."""
    minutes = distance((lat, lng), (to_lat, to_lng)) * DETOUR_FACTOR / METRES_A_MINUTE
    return HANDOVER + timedelta(minutes=round(minutes))


def accepted_times(order: Order, at: datetime, preparation_minutes: int) -> dict[str, datetime]:
    """`eta` and `ready_by` of an order accepted at `at` without a person's word: what the
    restaurant usually takes, and the ride."""
    ready_by = at + timedelta(minutes=preparation_minutes)
    return {"eta": ready_by + _way(order), "ready_by": ready_by}


def times(
    order: Order, status: OrderStatus, at: datetime, eta_minutes: int | None
) -> dict[str, datetime | None]:
    """What becomes of `eta` and `ready_by` when the order is at `status` from `at` on.

    `eta_minutes` is a person's word for the whole way to the door.
    """
    if status.terminal:
        return {"eta": None, "ready_by": None}
    on_the_way = status in (OrderStatus.READY, OrderStatus.OUT_FOR_DELIVERY)
    if eta_minutes is None:
        return {"eta": at + _way(order)} if on_the_way else {}
    eta = at + timedelta(minutes=eta_minutes)
    if on_the_way:
        return {"eta": eta}
    return {"eta": eta, "ready_by": max(eta - _way(order), at + timedelta(minutes=1))}


def _way(order: Order) -> timedelta:
    return ride(order.restaurant.lat, order.restaurant.lng, order.address.lat, order.address.lng)
