"""The restaurant's drivers: who they are, what is theirs to bring, where they were last."""

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
"""Who is nearer to a door than that is there."""


class Standing(Enum):
    """What a driver is about."""

    FREE = auto()
    BOOKED = auto()
    """What they are to bring is being made still."""
    AWAITED = auto()
    """Something of theirs waits at the counter, and nothing is on its way."""
    RIDING = auto()
    AT_THE_DOOR = auto()
    """Of the next order they bring."""


class DriverState:
    """One driver. `track` is fed by the roster, and by whoever watches the driver."""

    def __init__(self, driver: DriverOnDuty) -> None:
        self.driver = driver
        self.track = DriverTrack()
        self.items: tuple[Order | CarriedOrder, ...] = tuple(driver.carrying)
        """Theirs to bring, the first to leave first. Whole orders, once the board is known."""

    @property
    def id(self) -> str:
        """The driver's."""
        return self.driver.id

    @property
    def out(self) -> tuple[Order | CarriedOrder, ...]:
        """What is on its way."""
        return tuple(one for one in self.items if one.status == OrderStatus.OUT_FOR_DELIVERY)

    @property
    def here(self) -> tuple[Order | CarriedOrder, ...]:
        """What has not left yet."""
        return tuple(one for one in self.items if one.status != OrderStatus.OUT_FOR_DELIVERY)

    @property
    def doors(self) -> tuple[Order, ...]:
        """What is on its way and whose door is known."""
        return tuple(one for one in self.out if isinstance(one, Order))

    def standing(self, now: datetime) -> Standing:
        """What the driver is about, as far as it can be known."""
        if self.out:
            return Standing.AT_THE_DOOR if self._at_the_door(now) else Standing.RIDING
        if any(one.status == OrderStatus.READY for one in self.items):
            return Standing.AWAITED
        return Standing.BOOKED if self.items else Standing.FREE

    def bring(self, items: Iterable[Order | CarriedOrder]) -> None:
        """These are theirs. When something leaves and nothing was out, a new ride begins."""
        was_out = bool(self.out)
        self.items = tuple(sorted(items, key=_turn))
        if self.out and not was_out:
            self.track.start_trip()

    def _at_the_door(self, now: datetime) -> bool:
        newest = self.track.newest
        if newest is None or not self.doors or self.track.is_stale(now):
            return False
        door = self.doors[0].address
        return metres_between(point_of(newest), point_of(door)) <= DOOR_METRES


class DriverList:
    """All of them, by name. Nothing here waits or paints."""

    def __init__(self) -> None:
        self.interval = 0.0
        """Seconds between two positions of a driver; 0 before the roster is read."""
        self.states: tuple[DriverState, ...] = ()
        self._by_id: dict[str, DriverState] = {}
        self._loads: dict[str, list[Order]] | None = None
        """By driver; None until the board is known."""

    def get(self, driver_id: str | None) -> DriverState | None:
        """The duty of that driver."""
        return None if driver_id is None else self._by_id.get(driver_id)

    def read(self, page: DriverOnDutyPage) -> None:
        """The roster as the server has it now."""
        self.interval = page.interval_seconds
        known, self._by_id = self._by_id, {}
        for driver in sorted(page.items, key=lambda one: (one.name.casefold(), one.id)):
            state = known.get(driver.id)
            if state is None:
                state = DriverState(driver)
            state.driver = driver
            self._by_id[driver.id] = state
            where = driver.location
            track = state.track
            if where is not None and is_newer(where, track.doubt or track.newest):
                track.take(where)
            state.bring(driver.carrying if self._loads is None else self._loads.get(state.id, ()))
        self.states = tuple(self._by_id.values())

    def load(self, orders: Iterable[Order]) -> set[str]:
        """The restaurant's open orders, as the board has them; the drivers named there who are
        not on the roster: ids."""
        loads: dict[str, list[Order]] = defaultdict(list)
        for order in orders:
            if order.driver is not None:
                loads[order.driver.id].append(order)
        self._loads = loads
        for state in self.states:
            state.bring(loads.get(state.id, ()))
        return loads.keys() - self._by_id.keys()

    def count(self, now: datetime, *standings: Standing) -> int:
        """How many drivers are about that."""
        return sum(state.standing(now) in standings for state in self.states)

    @property
    def out_count(self) -> int:
        """How many drivers have something on its way."""
        return sum(bool(state.out) for state in self.states)


def pressing(states: Sequence[DriverState], now: datetime) -> DriverState | None:
    """The driver to look at first: one who is at a door, one who will be there soonest, one who
    is waited for at the counter; among equals the first."""

    def turn(state: DriverState) -> tuple[int, float]:
        left = state.track.seconds_left(now) if state.out else None
        return _PRESSING.index(state.standing(now)), float("inf") if left is None else left

    return min(states, key=turn, default=None)


_PRESSING = (
    Standing.AT_THE_DOOR,
    Standing.RIDING,
    Standing.AWAITED,
    Standing.BOOKED,
    Standing.FREE,
)


def _turn(one: Order | CarriedOrder) -> tuple[bool, float, int]:
    """What is on its way comes first, in the order in which it left."""
    out = one.status == OrderStatus.OUT_FOR_DELIVERY
    left = one.timeline[-1].at.timestamp() if out and isinstance(one, Order) else 0.0
    return not out, left, one.number
