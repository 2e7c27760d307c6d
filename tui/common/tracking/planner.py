"""Plans a simulated driver's stops and drives to them: every customer's door, and back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from server.features.drivers.schemas import DriverLocation, DriverOnDuty, Point
from server.features.orders.schemas import Order
from tui.common.client.api import Api
from tui.common.client.errors import ClientError
from tui.common.language import _
from tui.common.tracking.track import metres_between, point_of
from tui.common.tracking.trip import Trip, TripEnd

PICK_UP_METRES = 100.0
"""A driver who is nearer to the restaurant than that takes along what has left."""
TOO_FAR_METRES = 20_000.0
"""A last known position farther from the restaurant than that is ignored."""
LONGEST_TRIP_SECONDS = 240.0
"""Of one trip at pace 1: on a longer way the driver is faster."""
SAME_METRES = 1.0
"""Two points nearer to each other than that are one."""


class StopKind(Enum):
    """What a driver does at a stop."""

    DOOR = auto()
    RESTAURANT = auto()
    """Pick up what has left, or wait for it."""
    LOOP = auto()
    """Pass a corner on a drive that delivers nothing."""


@dataclass(frozen=True)
class Stop:
    """Where the driver goes next. Two versions of one order are the same stop."""

    kind: StopKind
    point: Point
    order_id: str = ""
    order: Order | None = field(default=None, compare=False)
    """Set for a door, and only there."""

    @property
    def label(self) -> str:
        """`to #7`, `on a loop`, `back to the restaurant`."""
        if self.order is not None:
            return _("to #{number}").format(number=self.order.number)
        return _("on a loop") if self.kind is StopKind.LOOP else _("back to the restaurant")


class TripPlanner:
    """Drives one driver, one `Trip` a stop.

    Doors come in the order in which the orders left. An order that left while the driver was
    elsewhere is picked up at the restaurant first. `set_orders` may change the plan at any time.
    """

    def __init__(
        self,
        api: Api,
        driver: DriverOnDuty,
        base: Point,
        interval: float,
        *,
        last_seen: DriverLocation | None = None,
        corners: Sequence[Point] = (),
        pace: float = 1.0,
        waits_at_doors: bool = False,
        on_change: Callable[[], None],
        on_door: Callable[[Order], None] | None = None,
    ) -> None:
        """`base` is the restaurant; `interval` is seconds between two positions; `corners` are
        passed while there is nothing to deliver; `pace` 2 is half as fast. With `waits_at_doors`
        the driver stays at a door until the order is delivered. `on_change` is called after each
        position, accepted or not, `on_door` at each door.
        """
        self.driver = driver
        self.destination: Stop | None = None
        """Where the driver is going; None before `run` begins and after it ends."""
        self.stopping = False
        self.refusal: ClientError | None = None
        """Why the server accepts no position of this driver; `run` ends with it."""
        self.returns = True
        """Whether the driver goes back to the restaurant when nothing is left to deliver."""
        self._api, self._base, self._interval, self._pace = api, base, interval, pace
        self._waits_at_doors = waits_at_doors
        self._corners = list(corners)
        self._on_change, self._on_door = on_change, on_door
        self._orders: tuple[Order, ...] = ()
        self._aboard: set[str] = set()
        self._visited: set[str] = set()
        self._trip: Trip | None = None
        self._stopped_at, self._seen_at = base, None
        if last_seen is not None:
            point = point_of(last_seen)
            if metres_between(base, point) <= TOO_FAR_METRES:
                self._stopped_at, self._seen_at = point, last_seen.at

    @property
    def position(self) -> Point:
        """Where the driver is now."""
        return self._trip.position if self._trip is not None else self._stopped_at

    @property
    def progress(self) -> float:
        """The share of the way to the stop that is done, 0 to 1."""
        return self._trip.progress if self._trip is not None else 0.0

    @property
    def error(self) -> ClientError | None:
        """Why the last position was not accepted; None where it was."""
        return self._trip.error if self._trip is not None else None

    @property
    def error_since(self) -> float | None:
        """`time.monotonic()` of the first failure since a position was accepted."""
        return self._trip.error_since if self._trip is not None else None

    def has_visited(self, order_id: str) -> bool:
        """Whether the driver has been at the door of that order."""
        return order_id in self._visited

    def set_orders(self, orders: Sequence[Order]) -> None:
        """Deliver these, the first to leave first; a trip that has lost its purpose is cut."""
        self._orders = tuple(orders)
        ids = {order.id for order in orders}
        self._aboard &= ids
        self._visited &= ids
        self._pick_up()
        if self._trip is not None and self.next_stop() != self.destination:
            self._trip.stop()

    def cancel(self) -> None:
        """End the drive where the driver is; `run` returns after the request under way."""
        self.stopping = True
        if self._trip is not None:
            self._trip.stop()

    async def run(self) -> bool:
        """Drive until there is no next stop; False where it was cancelled or refused."""
        self.refusal = None
        try:
            while not self.stopping and self.refusal is None:
                self.destination = self.next_stop()
                if self.destination is None:
                    return True
                await self._drive(self.destination)
        finally:
            self.destination = None
        return False

    def next_stop(self) -> Stop | None:
        """Where to go from here; None for nowhere, for now."""
        for order in self._orders:
            if order.id not in self._aboard:
                continue
            if order.id not in self._visited:
                return Stop(StopKind.DOOR, point_of(order.address), order.id, order)
            if self._waits_at_doors:
                return None
        if self._corners and not self._orders:
            return Stop(StopKind.LOOP, self._corners[0])
        left_behind = any(order.id not in self._aboard for order in self._orders)
        away = metres_between(self._base, self.position) > SAME_METRES
        if left_behind or (self.returns and away):
            return Stop(StopKind.RESTAURANT, self._base)
        return None

    async def _drive(self, stop: Stop) -> None:
        trip = self._trip = Trip(
            self._api,
            self.driver,
            (stop.point,),
            self._interval,
            self._pace,
            self._stopped_at,
            longest=LONGEST_TRIP_SECONDS * self._pace,
            on_change=self._on_change,
        )
        try:
            await trip.run()
        finally:
            self._stopped_at = stop.point if trip.end is TripEnd.ARRIVED else trip.position
            self._trip = None
        if trip.end is TripEnd.REFUSED:
            self.refusal = trip.error
            return
        self._pick_up()
        if trip.end is not TripEnd.ARRIVED:
            return
        if stop.order is not None:
            self._visited.add(stop.order_id)
            if self._on_door is not None:
                self._on_door(stop.order)
        elif stop.kind is StopKind.LOOP:
            self._corners.pop(0)

    def _pick_up(self) -> None:
        """What has left is aboard if the driver is at the restaurant, or was last seen after it
        left, before this began: then somebody else had started to deliver it."""
        at_restaurant = is_at(self._base, self.position)
        seen_at, self._seen_at = self._seen_at, None
        for order in self._orders:
            if at_restaurant or (seen_at is not None and seen_at >= left_at(order)):
                self._aboard.add(order.id)


def is_at(place: Point, position: Point) -> bool:
    """Whether `position` counts as at `place`."""
    return metres_between(place, position) <= PICK_UP_METRES


def left_at(order: Order) -> datetime:
    """When an order that is on its way left the restaurant."""
    return order.timeline[-1].at
