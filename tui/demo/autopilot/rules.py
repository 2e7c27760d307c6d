"""What the autopilot does with an order, and when: rules without a network."""

import hashlib
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from server.features.drivers.schemas import DriverOnDuty, Point
from server.features.orders.schemas import STEPS, Order, OrderStatus, StatusChange
from tui.common.tracking.track import metres_between, point_of
from tui.common.tracking.trip import FASTEST, USUAL_SPEED

STEP_SECONDS = {
    OrderStatus.PLACED: 8.0,
    OrderStatus.ACCEPTED: 10.0,
    OrderStatus.PREPARING: 30.0,
    OrderStatus.READY: 12.0,
    OrderStatus.OUT_FOR_DELIVERY: 30.0,
}
"""How long an order stays at each status, at pace 1; the last only where nobody can ride."""

SPREAD = 0.2
"""Each stay is up to this share shorter or longer, so that orders do not march in step."""

FULL_HANDS = 3
"""Orders a driver carries before another one has to wait for somebody to come back."""

AT_PLACE_METRES = 100.0
"""Who is nearer to a place than that is there."""

TOO_FAR_METRES = 20_000.0
"""Beyond that nobody rides: half a minute's stay stands for the way."""

LONGEST_TRIP_SECONDS = 240.0
"""Seconds of one ride, at pace 1: for a longer way the driver is faster."""

DETOUR = 1.3
"""Streets are longer than the straight line."""


class Delivery(Enum):
    """How far an order that is on its way has come."""

    RIDING = auto()
    """Its driver is on the road, or has another door to go to first."""
    AT_THE_DOOR = auto()
    STRANDED = auto()
    """There is no way to ride."""


@dataclass(frozen=True)
class Step:
    """The next step of an order, and the seconds until it is due."""

    order: Order
    to: OrderStatus
    seconds: float


def next_status(status: OrderStatus) -> OrderStatus | None:
    """The status after this one on an order's usual way; None where nothing follows."""
    if status.terminal:
        return None
    return STEPS[STEPS.index(status) + 1]


def touched_by_person(order: Order, own_ids: Collection[str]) -> bool:
    """Whether some other employee has had a hand in this order, however long ago.

    The autopilot names a driver only with the step to `out_for_delivery`. So a driver before that,
    or a version beyond the steps of the timeline (a driver named or exchanged at a status that
    stayed), is somebody else's doing too, whoever it says has done it.
    """
    actors = [entry.by for entry in order.timeline]
    if order.driver is not None and order.driver.assigned_by is not None:
        actors.append(order.driver.assigned_by)
    if any(actor.role == "employee" and actor.id not in own_ids for actor in actors):
        return True
    named_early = order.driver is not None and order.status in STEPS[:4]
    return named_early or order.version > len(order.timeline)


def stay_seconds(order: Order, pace: float) -> float:
    """How long this order stays where it is: the same answer whoever asks, and when."""
    seed = hashlib.sha256(f"{order.id} {order.status}".encode()).digest()
    spread = 1 + SPREAD * (seed[0] / 127.5 - 1)
    return STEP_SECONDS[order.status] * spread * pace


def decide(
    order: Order,
    own_ids: Collection[str],
    now: datetime,
    pace: float = 1,
    delivery: Delivery = Delivery.RIDING,
) -> Step | None:
    """The step to take with this order, or None where the autopilot has nothing to do yet, or ever.

    `pace` stretches the time (2 is half as fast). The wait is never longer than the whole stay,
    so that a clock that differs from the server's does no harm. What is on its way waits for
    nothing but its driver, unless that one is stranded.
    """
    following = next_status(order.status)
    if following is None or touched_by_person(order, own_ids):
        return None
    if order.status is OrderStatus.OUT_FOR_DELIVERY and delivery is not Delivery.STRANDED:
        return Step(order, following, 0.0) if delivery is Delivery.AT_THE_DOOR else None
    stay = stay_seconds(order, pace)
    since = (now - order.timeline[-1].at).total_seconds() if order.timeline else 0.0
    return Step(order, following, min(max(stay - since, 0.0), stay))


def soonest(
    orders: Iterable[Order],
    own_ids: Collection[str],
    now: datetime,
    pace: float = 1,
    delivery_of: Callable[[Order], Delivery] = lambda _: Delivery.RIDING,
) -> Step | None:
    """Of all these orders' steps the one due first; of those overdue, the oldest order's."""
    steps = [
        step for order in orders if (step := decide(order, own_ids, now, pace, delivery_of(order)))
    ]
    return min(steps, key=lambda step: (step.seconds, step.order.number), default=None)


def choose_driver(
    drivers: Iterable[DriverOnDuty], restaurant: Point, persons: Collection[str] = ()
) -> DriverOnDuty | None:
    """Who is to bring an order: one who is at the restaurant, or has never been anywhere, before
    one who has to come back first; of those the one who carries least, the first in the roster
    among equals. Drivers in `persons`, ids, are out for people and come last. None if all are full.
    """

    def reluctance(driver: DriverOnDuty) -> tuple[bool, bool, int]:
        away = driver.location is not None and not is_at(restaurant, point_of(driver.location))
        return driver.id in persons, away, len(driver.carrying)

    free = [driver for driver in drivers if len(driver.carrying) < FULL_HANDS]
    return min(free, key=reluctance, default=None)


def is_at(place: Point, here: Point) -> bool:
    """Whether somebody here is there."""
    return metres_between(place, here) <= AT_PLACE_METRES


def trip_seconds(order: Order, pace: float) -> float:
    """About how long the ride from the restaurant to the door takes, hurried as it will be."""
    metres = metres_between(point_of(order.restaurant), point_of(order.address))
    if metres > TOO_FAR_METRES:
        return STEP_SECONDS[OrderStatus.OUT_FOR_DELIVERY] * pace
    way = metres * DETOUR
    return max(min(way / USUAL_SPEED, LONGEST_TRIP_SECONDS) * pace, way / FASTEST)


def change_for(step: Step, driver: DriverOnDuty | None = None, pace: float = 1) -> StatusChange:
    """What to ask of the server. Its `expected_version` loses to anybody who was quicker."""
    minutes = None
    if step.to is OrderStatus.ACCEPTED:
        ahead = STEPS[STEPS.index(OrderStatus.ACCEPTED) : -2]
        kitchen = sum(STEP_SECONDS[status] for status in ahead) * pace
        minutes = math.ceil((kitchen + trip_seconds(step.order, pace)) / 60)
    return StatusChange(
        status=step.to,
        expected_version=step.order.version,
        driver_id=driver.id if driver else None,
        eta_minutes=None if minutes is None else max(minutes, 1),
    )
