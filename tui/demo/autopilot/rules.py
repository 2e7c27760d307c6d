"""What the autopilot does with an order, and when: rules without a clock or network."""

import hashlib
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from server.features.drivers.schemas import DriverOnDuty, Point
from server.features.orders.schemas import STEPS, Order, OrderStatus, StatusChange
from tui.common.tracking.planner import LONGEST_TRIP_SECONDS, TOO_FAR_METRES, is_at
from tui.common.tracking.track import DETOUR, metres_between, point_of
from tui.common.tracking.trip import FASTEST, USUAL_SPEED

STEP_SECONDS = {
    OrderStatus.PLACED: 8.0,
    OrderStatus.ACCEPTED: 10.0,
    OrderStatus.PREPARING: 30.0,
    OrderStatus.READY: 12.0,
    OrderStatus.OUT_FOR_DELIVERY: 30.0,
}
"""How long an order stays at each status, at pace 1; at the last only where no driver can go."""

SPREAD = 0.2
"""Each stay is up to this share shorter or longer, so that orders do not march in step."""

FULL_HANDS = 3
"""The most orders a driver carries; another one waits for a driver to come back."""


class Delivery(Enum):
    """How far an order that is on its way has come."""

    ON_THE_WAY = auto()
    """Its driver is on the road, or has another door to go to first."""
    AT_THE_DOOR = auto()
    STRANDED = auto()
    """No driver can get it to the door."""


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
    """Whether another employee has ever changed this order.

    The autopilot assigns a driver only in the step to `out_for_delivery`. So a driver before that,
    or a version beyond the steps of the timeline (a driver assigned or replaced without a step),
    is a person's doing too.
    """
    actors = [entry.by for entry in order.timeline]
    if order.driver is not None and order.driver.assigned_by is not None:
        actors.append(order.driver.assigned_by)
    if any(actor.role == "employee" and actor.id not in own_ids for actor in actors):
        return True
    assigned_early = order.driver is not None and order.status in STEPS[:4]
    return assigned_early or order.version > len(order.timeline)


def stay_seconds(order: Order, pace: float) -> float:
    """How long this order stays at its status: the same for every autopilot, at any time."""
    seed = hashlib.sha256(f"{order.id} {order.status}".encode()).digest()
    spread = 1 + SPREAD * (seed[0] / 127.5 - 1)
    return STEP_SECONDS[order.status] * spread * pace


def decide(
    order: Order,
    own_ids: Collection[str],
    now: datetime,
    pace: float = 1,
    delivery: Delivery = Delivery.ON_THE_WAY,
    *,
    hurried: bool = False,
) -> Step | None:
    """The next step of this order, or None where the autopilot has nothing to do now, or ever.

    `pace` stretches the time (2 is half as fast). The wait is never longer than the whole stay,
    so that a clock that differs from the server's does no harm. An order on its way waits only
    for its driver, unless it is stranded.
    """
    following = next_status(order.status)
    if following is None or touched_by_person(order, own_ids):
        return None
    if order.status is OrderStatus.OUT_FOR_DELIVERY and delivery is not Delivery.STRANDED:
        return Step(order, following, 0.0) if delivery is Delivery.AT_THE_DOOR else None
    stay = 0.0 if hurried else stay_seconds(order, pace)
    since = (now - order.timeline[-1].at).total_seconds() if order.timeline else 0.0
    return Step(order, following, min(max(stay - since, 0.0), stay))


def soonest(
    orders: Iterable[Order],
    own_ids: Collection[str],
    now: datetime,
    pace: float = 1,
    delivery_of: Callable[[Order], Delivery] = lambda _: Delivery.ON_THE_WAY,
    hurried: Collection[str] = (),
) -> Step | None:
    """The step that is due first; of several overdue ones that of the oldest order."""

    def step_of(order: Order) -> Step | None:
        hurry = order.id in hurried
        return decide(order, own_ids, now, pace, delivery_of(order), hurried=hurry)

    steps = [step for order in orders if (step := step_of(order))]
    return min(steps, key=lambda step: (step.seconds, step.order.number), default=None)


def choose_driver(
    drivers: Iterable[DriverOnDuty], restaurant: Point, with_persons: Collection[str] = ()
) -> DriverOnDuty | None:
    """The driver for an order: one who is at the restaurant, or was never seen, before one who
    has to come back first; of those the one who carries least, and of equals the first. Drivers
    in `with_persons` (ids) deliver for people and come last. None if all are full.
    """

    def priority(driver: DriverOnDuty) -> tuple[bool, bool, int]:
        away = driver.location is not None and not is_at(restaurant, point_of(driver.location))
        return driver.id in with_persons, away, len(driver.carrying)

    free = [driver for driver in drivers if len(driver.carrying) < FULL_HANDS]
    return min(free, key=priority, default=None)


def trip_seconds(order: Order, pace: float) -> float:
    """About how long the trip from the restaurant to the door takes, at the speed of `Trip`."""
    metres = metres_between(point_of(order.restaurant), point_of(order.address))
    if metres > TOO_FAR_METRES:
        return STEP_SECONDS[OrderStatus.OUT_FOR_DELIVERY] * pace
    length = metres * DETOUR
    return max(min(length / USUAL_SPEED, LONGEST_TRIP_SECONDS) * pace, length / FASTEST)


def change_for(step: Step, driver: DriverOnDuty | None = None, pace: float = 1) -> StatusChange:
    """The request for that step. Its `expected_version` loses to anybody who was quicker."""
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
