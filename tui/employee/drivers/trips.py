"""A simulated tour of one driver: to every door of what they bring, or on a round, and back."""

import random
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import cos, cosh, radians, sin
from typing import Protocol

from server.features.drivers.schemas import DriverOnDuty, Point
from server.features.orders.schemas import Order
from tui.common.client.api import Api
from tui.common.map.basemap import Basemap
from tui.common.map.geometry import EARTH_METRES, LatLng, to_lat_lng, to_mercator
from tui.common.tracking.track import metres_between, point_of
from tui.common.tracking.trip import Trip, TripEnd
from tui.demo.autopilot.rules import LONGEST_TRIP_SECONDS, TOO_FAR_METRES
from tui.employee.drivers.model import DriverList, DriverState


@dataclass(frozen=True)
class Stop:
    """Where the driver is going, in words, and with which order, if with any."""

    words: str
    point: Point
    order: Order | None = None
    home: bool = False


class TripPlanner:
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
        self.target_stop: Stop | None = None
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
        self._trip: Trip | None = None

    @property
    def progress(self) -> float:
        """Of the way to the goal, 0 to 1."""
        return self._trip.progress if self._trip is not None else 0.0

    @property
    def error(self) -> str:
        """Why the last position was not taken, in words; "" where it was."""
        error = self._trip.error if self._trip is not None else None
        return error.message if error is not None else ""

    def bring(self, orders: Sequence[Order]) -> None:
        """What is on its way with this driver now, the first to leave first."""
        self._orders = tuple(orders)
        if self._aboard is None:
            self._load()
        if (
            self._trip is not None
            and self.target_stop is not None
            and self._is_pointless(self.target_stop)
        ):
            self._trip.stop()

    def stop(self) -> None:
        """End it where the driver is; `run` returns after the request that is under way."""
        self.stopping = True
        if self._trip is not None:
            self._trip.stop()

    async def run(self) -> bool:
        """Ride; whether it came to its end, back at the restaurant."""
        while not self.stopping and (target_stop := self._next()) is not None:
            self.target_stop = target_stop
            trip = self._trip = Trip(
                self._api,
                self.driver,
                (target_stop.point,),
                self._interval,
                start=self._where,
                longest=LONGEST_TRIP_SECONDS,
                on_change=self._on_change,
            )
            await trip.run()
            self._where = trip.position
            if trip.end is TripEnd.REFUSED:
                self.refusal = self.error
                break
            if trip.end is TripEnd.ARRIVED:
                self._arrived(target_stop)
        self.target_stop = None
        return not self.stopping and not self.refusal

    def _next(self) -> Stop | None:
        if self._home:
            self._load()
        for order in self._orders:
            if order.id in (self._aboard or ()) and order.id not in self._visited:
                return Stop(f"to #{order.number}", point_of(order.address), order)
        if self._corners and not self._orders:
            return Stop("on a round", self._corners[0])
        return None if self._home else Stop("back to the restaurant", self._base, home=True)

    def _arrived(self, target_stop: Stop) -> None:
        self._home = target_stop.home
        if target_stop.order is not None:
            self._visited.add(target_stop.order.id)
            self._on_door(target_stop.order)
        elif not target_stop.home:
            self._corners.pop(0)

    def _load(self) -> None:
        self._aboard = {order.id for order in self._orders}

    def _is_pointless(self, target_stop: Stop) -> bool:
        """Whether nobody waits there any more, or somebody waits at the restaurant."""
        if target_stop.order is not None:
            return all(order.id != target_stop.order.id for order in self._orders)
        return bool(self._orders) and not target_stop.home


SIDE_METRES = 500.0
"""Of the triangle that the round is, as the crow flies."""
FURTHEST_METRES, NEAREST_METRES = 1_000.0, 150.0
"""How far from the start a corner may be."""
METRES_A_DEGREE = 111_195.0


def loop_from(start: Point, basemap: Basemap | None, bearing: float) -> tuple[Point, Point]:
    """The two corners to pass, the first of them in about that direction (degrees clockwise from
    north): corners of the ground's streets, where there are any near enough."""
    corners = list(_corners(start, basemap)) if basemap is not None else []
    first, second = (_away(start, bearing + turn) for turn in (0.0, 60.0))
    if not corners:
        return first, second
    nearest = min(corners, key=lambda corner: metres_between(corner, first))
    others = [corner for corner in corners if metres_between(corner, nearest) >= NEAREST_METRES]
    return nearest, min(others or [second], key=lambda corner: metres_between(corner, second))


def _corners(start: Point, basemap: Basemap) -> Iterator[Point]:
    """Where streets bend, cross or end, neither too near nor too far."""
    x, y = to_mercator(LatLng(start.lat, start.lng))
    reach = FURTHEST_METRES * cosh(y) / EARTH_METRES
    near = basemap.segments.near((x - reach, y - reach, x + reach, y + reach))
    for end in {end for _, ax, ay, bx, by in near for end in ((ax, ay), (bx, by))}:
        lat_lng = to_lat_lng(end)
        corner = Point(lat=lat_lng.lat, lng=lat_lng.lng)
        if NEAREST_METRES <= metres_between(start, corner) <= FURTHEST_METRES:
            yield corner


def _away(start: Point, bearing: float) -> Point:
    """One side of the triangle further, never over a pole or the date line."""
    degrees = SIDE_METRES / METRES_A_DEGREE
    lat = start.lat + degrees * cos(radians(bearing))
    lng = start.lng + degrees * sin(radians(bearing)) / max(0.01, cos(radians(start.lat)))
    return Point(lat=max(-90.0, min(90.0, lat)), lng=max(-180.0, min(180.0, lng)))


SURE_SECONDS = 5.0
"""Within that a second key press means it."""
SLACK = timedelta(seconds=2.5)
"""The server's clock and ours may differ by that; a position no newer is the one we sent."""


class Say(Protocol):
    """Tells in a toast."""

    def __call__(self, message: str, *, about: str, error: bool = False) -> None:
        """`about` tells the toast from others: a newer one about the same takes its place."""


class Trips:
    """One tour a driver. `run` is to run one as a worker, `changed` is called with each step."""

    def __init__(
        self,
        api: Api,
        driver_list: DriverList,
        run: Callable[[str, Coroutine[object, object, None]], object],
        say: Say,
        changed: Callable[[], None],
        clock: Callable[[], datetime],
    ) -> None:
        """`clock` gives the time by the server."""
        self._api, self._roster = api, driver_list
        self._run, self._say, self._changed, self._clock = run, say, changed, clock
        self._planners: dict[str, TripPlanner] = {}
        self._told_at: dict[str, datetime] = {}
        """When the server last took a position of ours, by its clock."""
        self._warned: tuple[str, float] = ("", 0.0)

    def __len__(self) -> int:
        return len(self._planners)

    def of(self, driver_id: str) -> TripPlanner | None:
        """The tour that driver is on, from here."""
        return self._planners.get(driver_id)

    def toggle(self, state: DriverState, base: Point, basemap: Basemap | None) -> None:
        """Start the driver's ride, or stop it. Where somebody else drives, once more is asked."""
        planner = self._planners.get(state.id)
        if planner is not None:
            planner.stop()
            self._changed()
        elif self._is_elsewhere(state) and not self._is_sure(state.id):
            self._warned = state.id, time.monotonic()
            self._say(
                f"{state.driver.name}'s own positions are coming in, so a ride from here would "
                f"make two. Press the key again within {SURE_SECONDS:.0f} s to ride all the same.",
                about=state.driver.name,
                error=True,
            )
        else:
            self._begin(state, base, basemap)

    def follow(self) -> None:
        """The orders may have changed: every tour goes where it has to."""
        for driver_id, planner in self._planners.items():
            state = self._roster.get(driver_id)
            planner.bring(state.doors if state is not None else ())

    def stop(self) -> None:
        """All of them."""
        for planner in self._planners.values():
            planner.stop()

    def _begin(self, state: DriverState, base: Point, basemap: Basemap | None) -> None:
        name, newest = state.driver.name, state.track.newest
        bearing = random.uniform(0, 360)  # noqa: S311 not a secret

        def told() -> None:
            if not planner.error:
                self._told_at[state.id] = self._clock()
            self._changed()

        def at_door(order: Order) -> None:
            self._say(
                f"{name} is at the door with #{order.number}, {order.address.text}. "
                "It can be marked delivered in the kitchen.",
                about=f"#{order.number}",
            )

        planner = self._planners[state.id] = TripPlanner(
            self._api,
            state.driver,
            base,
            self._roster.interval,
            start=point_of(newest) if newest is not None else None,
            corners=() if state.out else loop_from(base, basemap, bearing),
            on_change=told,
            on_door=at_door,
        )
        planner.bring(state.doors)
        state.track.start_trip()
        self._run(f"ride {state.id}", self._trip(planner))
        self._changed()

    async def _trip(self, planner: TripPlanner) -> None:
        driver = planner.driver
        try:
            home = await planner.run()
        finally:
            del self._planners[driver.id]
            self._changed()
        if planner.refusal:
            words = f"{driver.name}'s ride has ended: {planner.refusal}"
            self._say(words, about=driver.name, error=True)
        elif home:
            self._say(f"{driver.name} is back at the restaurant.", about=driver.name)
        else:
            self._say(f"{driver.name}'s ride is stopped where they are.", about=driver.name)

    def _is_elsewhere(self, state: DriverState) -> bool:
        """Whether positions of the driver come in that are not ours."""
        newest = state.track.doubt or state.track.newest
        if newest is None:
            return False
        age = (self._clock() - newest.at).total_seconds()
        ours = self._told_at.get(state.id)
        return age < 2 * self._roster.interval and (ours is None or newest.at > ours + SLACK)

    def _is_sure(self, driver_id: str) -> bool:
        warned, at = self._warned
        return warned == driver_id and time.monotonic() - at <= SURE_SECONDS
