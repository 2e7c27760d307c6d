"""The restaurant's drivers: their orders, what each is doing, and where they were last seen."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum, auto

from server.features.drivers.schemas import DriverOnDuty, DriverOnDutyPage
from server.features.orders.schemas import Order, OrderStatus
from server.features.restaurants.schemas import CarriedOrder
from tui.common.client.locations import is_newer
from tui.common.tracking.track import DriverTrack, metres_between, point_of

DOOR_METRES = 40.0
"""A driver who is nearer to a door than that is at it."""


class Activity(Enum):
    """What a driver is doing."""

    FREE = auto()
    ASSIGNED = auto()
    """Their orders are still being made."""
    EXPECTED = auto()
    """An order waits for them at the counter, and nothing is on its way."""
    ON_THE_WAY = auto()
    AT_THE_DOOR = auto()
    """Of the next order they deliver."""


class DriverState:
    """One driver. `track` is fed by the driver list and by the driver's tracker."""

    def __init__(self, driver: DriverOnDuty) -> None:
        self.driver = driver
        self.track = DriverTrack()
        self.orders: tuple[Order | CarriedOrder, ...] = tuple(driver.carrying)
        """The driver's, the first to leave first. Whole orders, once the board is known."""

    @property
    def id(self) -> str:
        """The driver's."""
        return self.driver.id

    @property
    def out(self) -> tuple[Order | CarriedOrder, ...]:
        """The orders on their way."""
        return tuple(one for one in self.orders if one.status == OrderStatus.OUT_FOR_DELIVERY)

    @property
    def waiting(self) -> tuple[Order | CarriedOrder, ...]:
        """The orders that have not left yet."""
        return tuple(one for one in self.orders if one.status != OrderStatus.OUT_FOR_DELIVERY)

    @property
    def doors(self) -> tuple[Order, ...]:
        """The orders on their way whose address is known."""
        return tuple(one for one in self.out if isinstance(one, Order))

    def activity(self, now: datetime) -> Activity:
        """What the driver is doing, as far as it is known."""
        if self.out:
            return Activity.AT_THE_DOOR if self._is_at_the_door(now) else Activity.ON_THE_WAY
        if any(one.status == OrderStatus.READY for one in self.orders):
            return Activity.EXPECTED
        return Activity.ASSIGNED if self.orders else Activity.FREE

    def set_orders(self, orders: Iterable[Order | CarriedOrder]) -> None:
        """These are the driver's. A trip starts when something leaves and nothing was out."""
        was_out = bool(self.out)
        self.orders = tuple(sorted(orders, key=_delivery_order))
        if self.out and not was_out:
            self.track.start_trip()

    def _is_at_the_door(self, now: datetime) -> bool:
        newest = self.track.newest
        if newest is None or not self.doors or self.track.is_stale(now):
            return False
        door = self.doors[0].address
        return metres_between(point_of(newest), point_of(door)) <= DOOR_METRES


class DriverList:
    """All drivers of the restaurant, by name."""

    def __init__(self) -> None:
        self.interval = 0.0
        """Seconds between two positions of a driver; 0 before the list is loaded."""
        self.states: tuple[DriverState, ...] = ()
        self._by_id: dict[str, DriverState] = {}
        self._orders: dict[str, list[Order]] | None = None
        """By driver; None until the board is known."""

    def get(self, driver_id: str | None) -> DriverState | None:
        """The driver with that id."""
        return None if driver_id is None else self._by_id.get(driver_id)

    def update(self, page: DriverOnDutyPage) -> None:
        """Apply the list as the server has it now."""
        self.interval = page.interval_seconds
        known, self._by_id = self._by_id, {}
        for driver in sorted(page.items, key=lambda one: (one.name.casefold(), one.id)):
            state = known.get(driver.id)
            if state is None:
                state = DriverState(driver)
            state.driver = driver
            self._by_id[driver.id] = state
            location = driver.location
            track = state.track
            track.interval = page.interval_seconds
            if location is not None and is_newer(location, track.suspect or track.newest):
                track.add(location)
            known_orders = self._orders
            state.set_orders(
                driver.carrying if known_orders is None else known_orders.get(state.id, ())
            )
        self.states = tuple(self._by_id.values())

    def set_orders(self, orders: Iterable[Order]) -> set[str]:
        """Apply the restaurant's open orders, as the board has them. Returns the ids of drivers
        named there who are not in the list."""
        by_driver: dict[str, list[Order]] = defaultdict(list)
        for order in orders:
            if order.driver is not None:
                by_driver[order.driver.id].append(order)
        self._orders = by_driver
        for state in self.states:
            state.set_orders(by_driver.get(state.id, ()))
        return by_driver.keys() - self._by_id.keys()

    def count(self, now: datetime, *activities: Activity) -> int:
        """How many drivers are doing one of these."""
        return sum(state.activity(now) in activities for state in self.states)

    @property
    def out_count(self) -> int:
        """How many drivers have something on its way."""
        return sum(bool(state.out) for state in self.states)


def most_urgent(states: Sequence[DriverState], now: datetime) -> DriverState | None:
    """The driver to show first: one at a door, the one who arrives soonest, one who is expected
    at the counter; of equals the first."""

    def urgency(state: DriverState) -> tuple[int, float]:
        left = state.track.seconds_left(now) if state.out else None
        return _MOST_URGENT.index(state.activity(now)), float("inf") if left is None else left

    return min(states, key=urgency, default=None)


_MOST_URGENT = (
    Activity.AT_THE_DOOR,
    Activity.ON_THE_WAY,
    Activity.EXPECTED,
    Activity.ASSIGNED,
    Activity.FREE,
)


def _delivery_order(order: Order | CarriedOrder) -> tuple[bool, float, int]:
    """What is on its way comes first, in the order in which it left."""
    out = order.status == OrderStatus.OUT_FOR_DELIVERY
    left = order.timeline[-1].at.timestamp() if out and isinstance(order, Order) else 0.0
    return not out, left, order.number
