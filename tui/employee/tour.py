"""A simulated tour of one driver: to every door of what they bring, or on a round, and back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.features.drivers.schemas import DriverOnDuty, Point
from server.features.orders.schemas import Order
from tui.common.client.api import Api
from tui.common.rides.course import metres_between
from tui.common.rides.journey import place_of
from tui.employee.autopilot_rules import LONGEST_RIDE, TOO_FAR_METRES
from tui.employee.ride import Ride, RideEnd


@dataclass(frozen=True)
class Goal:
    """Where the driver is going, in words, and with which order, if with any."""

    words: str
    point: Point
    order: Order | None = None
    home: bool = False


class Tour:
    """Runs once. `bring` says what is on its way, as often as that changes.

    What leaves the restaurant while the driver is elsewhere is fetched first. `on_change` is
    called after each position, taken or not, and `on_door` at each door.
    """

    def __init__(
        self,
        api: Api,
        driver: DriverOnDuty,
        base: Point,
        interval: float,
        *,
        start: Point | None = None,
        corners: Sequence[Point] = (),
        on_change: Callable[[], None],
        on_door: Callable[[Order], None],
    ) -> None:
        """`interval` is seconds between two positions; `start` is where the driver was last, if
        anywhere; `corners` is the round to make while there is nothing to bring."""
        self.driver = driver
        self.goal: Goal | None = None
        """None before it begins and after its end."""
        self.stopping = False
        self.refusal = ""
        """Why the server takes no position of this driver, in words; then it is over."""
        self._api, self._base, self._interval = api, base, interval
        self._corners = list(corners)
        self._on_change, self._on_door = on_change, on_door
        self._orders: tuple[Order, ...] = ()
        self._aboard: set[str] | None = None
        self._visited: set[str] = set()
        self._home = False
        near = start is not None and metres_between(base, start) <= TOO_FAR_METRES
        self._where = start if start is not None and near else base
        self._ride: Ride | None = None

    @property
    def progress(self) -> float:
        """Of the way to the goal, 0 to 1."""
        return self._ride.progress if self._ride is not None else 0.0

    @property
    def trouble(self) -> str:
        """Why the last position was not taken, in words; "" where it was."""
        trouble = self._ride.trouble if self._ride is not None else None
        return trouble.words if trouble is not None else ""

    def bring(self, orders: Sequence[Order]) -> None:
        """What is on its way with this driver now, the first to leave first."""
        self._orders = tuple(orders)
        if self._aboard is None:
            self._load()
        if self._ride is not None and self.goal is not None and self._is_pointless(self.goal):
            self._ride.stop()

    def stop(self) -> None:
        """End it where the driver is; `run` returns after the request that is under way."""
        self.stopping = True
        if self._ride is not None:
            self._ride.stop()

    async def run(self) -> bool:
        """Ride; whether it came to its end, back at the restaurant."""
        while not self.stopping and (goal := self._next()) is not None:
            self.goal = goal
            ride = self._ride = Ride(
                self._api,
                self.driver,
                (goal.point,),
                self._interval,
                start=self._where,
                longest=LONGEST_RIDE,
                on_change=self._on_change,
            )
            await ride.run()
            self._where = ride.position
            if ride.end is RideEnd.REFUSED:
                self.refusal = self.trouble
                break
            if ride.end is RideEnd.ARRIVED:
                self._arrived(goal)
        self.goal = None
        return not self.stopping and not self.refusal

    def _next(self) -> Goal | None:
        if self._home:
            self._load()
        for order in self._orders:
            if order.id in (self._aboard or ()) and order.id not in self._visited:
                return Goal(f"to #{order.number}", place_of(order.address), order)
        if self._corners and not self._orders:
            return Goal("on a round", self._corners[0])
        return None if self._home else Goal("back to the restaurant", self._base, home=True)

    def _arrived(self, goal: Goal) -> None:
        self._home = goal.home
        if goal.order is not None:
            self._visited.add(goal.order.id)
            self._on_door(goal.order)
        elif not goal.home:
            self._corners.pop(0)

    def _load(self) -> None:
        self._aboard = {order.id for order in self._orders}

    def _is_pointless(self, goal: Goal) -> bool:
        """Whether nobody waits there any more, or somebody waits at the restaurant."""
        if goal.order is not None:
            return all(order.id != goal.order.id for order in self._orders)
        return bool(self._orders) and not goal.home
