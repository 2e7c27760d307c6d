"""Simulated trips that this window starts and stops: to the doors and back, or once round."""

import random
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime, timedelta
from math import cos, cosh, degrees, radians, sin
from typing import Protocol

from server.features.drivers.schemas import Point
from server.features.orders.schemas import Order
from tui.common.client.api import Api
from tui.common.language import _
from tui.common.map.basemap import Basemap
from tui.common.map.geometry import EARTH_METRES, LatLng, to_lat_lng, to_mercator
from tui.common.tracking.planner import TripPlanner
from tui.common.tracking.track import metres_between
from tui.employee.drivers.model import DriverList, DriverState

SIDE_METRES = 500.0
"""Straight-line length of each side of the triangle that a loop is."""
FURTHEST_METRES, NEAREST_METRES = 1_000.0, 150.0
"""How far from the start a corner may be."""


def loop_from(start: Point, basemap: Basemap | None, bearing: float) -> tuple[Point, Point]:
    """The two corners of a loop, the first in about that direction (degrees clockwise from
    north): corners of the map's streets, where there are any in reach."""
    corners = list(_corners(start, basemap)) if basemap is not None else []
    first, second = (_offset(start, bearing + turn) for turn in (0.0, 60.0))
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
    for end in {end for _kind, ax, ay, bx, by in near for end in ((ax, ay), (bx, by))}:
        lat_lng = to_lat_lng(end)
        corner = Point(lat=lat_lng.lat, lng=lat_lng.lng)
        if NEAREST_METRES <= metres_between(start, corner) <= FURTHEST_METRES:
            yield corner


def _offset(start: Point, bearing: float) -> Point:
    """One side of the triangle away, never over a pole or the date line."""
    side = degrees(SIDE_METRES / EARTH_METRES)
    lat = start.lat + side * cos(radians(bearing))
    lng = start.lng + side * sin(radians(bearing)) / max(0.01, cos(radians(start.lat)))
    return Point(lat=max(-90.0, min(90.0, lat)), lng=max(-180.0, min(180.0, lng)))


CONFIRM_SECONDS = 5.0
"""A second key press within that time confirms the first."""
CLOCK_SLACK = timedelta(seconds=2.5)
"""The server's clock and ours may differ by that; a position no newer is the one we sent."""


class Notify(Protocol):
    """Shows a toast."""

    def __call__(self, message: str, *, about: str, error: bool = False) -> None:
        """A newer toast `about` the same replaces this one."""


class Trips:
    """At most one planner a driver. `run` starts a worker; `changed` is called after each step."""

    def __init__(
        self,
        api: Api,
        driver_list: DriverList,
        run: Callable[[str, Coroutine[object, object, None]], object],
        notify: Notify,
        changed: Callable[[], None],
        clock: Callable[[], datetime],
    ) -> None:
        """`clock` gives the server's time."""
        self._api, self._driver_list = api, driver_list
        self._run, self._notify, self._changed, self._clock = run, notify, changed, clock
        self._planners: dict[str, TripPlanner] = {}
        self._doors: dict[str, tuple[Order, ...]] = {}
        """Where the orders of each driver with a trip go, as the planner knows it."""
        self._accepted_at: dict[str, datetime] = {}
        """When the server last accepted a position of ours, by its clock."""
        self._warned: tuple[str, float] = ("", 0.0)

    def __len__(self) -> int:
        return len(self._planners)

    def get(self, driver_id: str) -> TripPlanner | None:
        """That driver's simulated trip, if there is one."""
        return self._planners.get(driver_id)

    def toggle(self, state: DriverState, base: Point, basemap: Basemap | None) -> None:
        """Start the driver's trip, or stop it. A driver who reports real positions needs a second
        key press."""
        planner = self._planners.get(state.id)
        if planner is not None:
            planner.cancel()
            self._changed()
        elif self._reports_positions(state) and not self._is_confirmed(state.id):
            self._warned = state.id, time.monotonic()
            self._notify(
                _(
                    "{driver} is reporting real positions; a simulated trip would mix with "
                    "them. Press the key again within {confirm_seconds:.0f} s to start it "
                    "anyway."
                ).format(driver=state.driver.name, confirm_seconds=CONFIRM_SECONDS),
                about=state.driver.name,
                error=True,
            )
        else:
            self._start(state, base, basemap)

    def update(self) -> None:
        """Send every driver where the orders now need them, where these have changed."""
        for driver_id, planner in self._planners.items():
            state = self._driver_list.get(driver_id)
            doors = state.doors if state is not None else ()
            if doors != self._doors.get(driver_id):
                self._doors[driver_id] = doors
                planner.set_orders(doors)

    def stop(self) -> None:
        """Stop all of them."""
        for planner in self._planners.values():
            planner.cancel()

    def _start(self, state: DriverState, base: Point, basemap: Basemap | None) -> None:
        name = state.driver.name
        bearing = random.uniform(0, 360)  # noqa: S311 not a secret

        def on_position() -> None:
            if planner.error is None:
                self._accepted_at[state.id] = self._clock()
            self._changed()

        def on_door(order: Order) -> None:
            self._notify(
                _(
                    "{name} is at the door with #{number}, {text}. Mark it as delivered in the "
                    "kitchen."
                ).format(name=name, number=order.number, text=order.address.text),
                about=f"#{order.number}",
            )

        planner = self._planners[state.id] = TripPlanner(
            self._api,
            state.driver,
            base,
            self._driver_list.interval,
            last_seen=state.track.newest,
            corners=() if state.out else loop_from(base, basemap, bearing),
            on_change=on_position,
            on_door=on_door,
        )
        self._doors[state.id] = state.doors
        planner.set_orders(state.doors)
        state.track.start_trip()
        self._run(f"trip {state.id}", self._drive(planner))
        self._changed()

    async def _drive(self, planner: TripPlanner) -> None:
        driver = planner.driver
        try:
            is_back = await planner.run()
        finally:
            del self._planners[driver.id]
            self._changed()
        if planner.refusal is not None:
            message = _("{driver}'s trip has ended: {message}").format(
                driver=driver.name, message=planner.refusal.message
            )
            self._notify(message, about=driver.name, error=True)
        elif is_back:
            self._notify(
                _("{driver} is back at the restaurant.").format(driver=driver.name),
                about=driver.name,
            )
        else:
            self._notify(
                _("{driver}'s trip is stopped.").format(driver=driver.name), about=driver.name
            )

    def _reports_positions(self, state: DriverState) -> bool:
        """Whether positions of the driver come in that are not ours."""
        newest = state.track.suspect or state.track.newest
        if newest is None:
            return False
        age = (self._clock() - newest.at).total_seconds()
        ours = self._accepted_at.get(state.id)
        is_other = ours is None or newest.at > ours + CLOCK_SLACK
        return age < 2 * self._driver_list.interval and is_other

    def _is_confirmed(self, driver_id: str) -> bool:
        warned, at = self._warned
        return warned == driver_id and time.monotonic() - at <= CONFIRM_SECONDS
