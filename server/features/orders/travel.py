"""How far it is, how long that takes, and so when an order should be ready and there."""

from datetime import datetime, timedelta
from math import asin, cos, radians, sin, sqrt

from server.features.orders.schemas import Order, OrderStatus

EARTH_METRES = 6_371_008.8
"""Mean radius (IUGG)."""
METRES_A_MINUTE = 300.0
"""A bicycle in town, 18 km/h."""
DETOUR = 1.3
"""Streets are longer than the straight line."""
HANDOVER = timedelta(minutes=2)


def metres(lat: float, lng: float, to_lat: float, to_lng: float) -> float:
    """Great-circle distance between two points in degrees."""
    half_lat, half_lng = radians(to_lat - lat) / 2, radians(to_lng - lng) / 2
    chord = sin(half_lat) ** 2 + cos(radians(lat)) * cos(radians(to_lat)) * sin(half_lng) ** 2
    return 2 * EARTH_METRES * asin(sqrt(min(1.0, chord)))


def ride(lat: float, lng: float, to_lat: float, to_lng: float) -> timedelta:
    """From the restaurant's door to the customer's, at most two hours."""
    minutes = metres(lat, lng, to_lat, to_lng) * DETOUR / METRES_A_MINUTE
    return min(HANDOVER + timedelta(minutes=round(minutes)), timedelta(hours=2))


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
