"""Keeps all about the drivers going: who is on the roster, who is watched, who rides from here."""

import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING

from server.features.drivers.schemas import Point
from server.features.orders.schemas import Order
from tui.common.map.basemap import Basemap
from tui.common.sanitize import plain
from tui.common.tracking.track import point_of
from tui.common.tracking.tracker import DriverTracker
from tui.employee.drivers.feed import DriversFeed
from tui.employee.drivers.model import DriverList, DriverState, pressing
from tui.employee.drivers.trips import Say, Trips
from tui.employee.drivers.view import Row

if TYPE_CHECKING:
    from textual.worker import Worker

    from tui.common.client.api import Api
    from tui.common.client.session import Session

Run = Callable[[str, Coroutine[object, object, None]], "Worker[None]"]
"""Runs something as a worker of that group."""


class DriversController:
    """Asked to look up some times a second; `changed` is called with each piece of news."""

    def __init__(
        self,
        session: "Session",
        api: "Api",
        driver_list: DriverList,
        run: Run,
        say: Say,
        changed: Callable[[], None],
    ) -> None:
        self.driver_list = driver_list
        self.feed = DriversFeed(api, driver_list, changed)
        self.trips = Trips(api, driver_list, run, say, changed, session.server_now)
        self.trackers = DriverTrackers(session, api, run, changed)
        self._asked_for: set[str] = set()
        """Drivers on the board who are not on the roster, though it was read again for them."""
        self._clock = session.server_now
        run("roster", self.feed.run())

    def look(self, orders: Sequence[Order] | None, chosen: str | None) -> None:
        """These are the open orders, None while they are not known; that driver is in view."""
        if orders is not None:
            unknown = self.driver_list.load(orders)
            if self.feed.loaded and not unknown <= self._asked_for:
                self._asked_for |= unknown
                self.feed.ask()
        self.trips.follow()
        wanted = drivers_to_track(self.driver_list.states, chosen)
        self.trackers.want(wanted)
        self.feed.again = len(wanted) < len(self.driver_list.states)
        for state in self.driver_list.states:
            self._aim(state)

    def reload(self) -> None:
        """Read the roster again."""
        self._asked_for.clear()
        self.feed.ask()

    def trip(self, state: DriverState, base: Point, basemap: Basemap | None) -> None:
        """Start a simulated ride of that driver, or stop it."""
        self.trips.toggle(state, base, basemap)

    def close(self) -> None:
        """Nobody rides on from here."""
        self.trips.stop()

    def watch_of(self, state: DriverState | None) -> DriverTracker | None:
        """What shows that driver, if anything does."""
        return None if state is None else self.trackers.of(state.id)

    def row(self, state: DriverState) -> Row:
        """The driver and what this window has to do with them."""
        tracker = self.trackers.of(state.id)
        return Row(state, self.trips.of(state.id), tracker.error if tracker is not None else "")

    def lead(self, chosen: DriverState | None) -> str | None:
        """Whom to look at, where nobody has said: the driver in view while they bring something
        or nobody does, else the one to look at first."""
        if self.driver_list.out_count and (chosen is None or not chosen.out):
            chosen = pressing(self.driver_list.states, self._clock())
        return None if chosen is None else chosen.id

    def _aim(self, state: DriverState) -> None:
        """Where the driver is going: on a ride from here that is known, else it is a door."""
        planner = self.trips.of(state.id)
        target = (
            planner.target_stop.point
            if planner is not None and planner.target_stop is not None
            else None
        )
        if target is None and state.doors:
            target = point_of(state.doors[0].address)
        if target == state.track.target:
            return
        tracker = self.trackers.of(state.id)
        if tracker is not None:
            tracker.set_target(target)
        else:
            state.track.target = target


MOST = 12
"""Streams at a time: the server allows an account 32, and other panels and windows need some."""
AGAIN_SECONDS = 5.0
"""Until a driver is asked for again whom the server does not show."""


class DriverTrackers:
    """Starts and ends them. `run` is to run one as a worker; `changed` is called with news."""

    def __init__(
        self,
        session: "Session",
        api: "Api",
        run: "Callable[[str, Coroutine[object, object, None]], Worker[None]]",
        changed: Callable[[], None],
    ) -> None:
        self._session, self._api = session, api
        self._run, self._changed = run, changed
        self._watches: dict[str, DriverTracker] = {}
        self._workers: dict[str, Worker[None]] = {}
        self._again_at: dict[str, float] = {}
        self._names: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def of(self, driver_id: str) -> DriverTracker | None:
        """The watch of that driver."""
        return self._watches.get(driver_id)

    def want(self, states: Sequence[DriverState]) -> None:
        """Watch these and nobody else. One that was refused is asked for again in a while."""
        wanted = {state.id: state for state in states}
        for driver_id in self._watches.keys() - wanted.keys():
            self._workers.pop(driver_id).cancel()
            del self._watches[driver_id]
            self._again_at.pop(driver_id, None)
        for driver_id, state in wanted.items():
            if driver_id not in self._watches or self._is_due(driver_id):
                self._begin(state)

    def _is_due(self, driver_id: str) -> bool:
        """Whether its watch is over, and that was some time ago."""
        if not self._workers[driver_id].is_finished:
            return False
        now = time.monotonic()
        return now >= self._again_at.setdefault(driver_id, now + AGAIN_SECONDS)

    def _begin(self, state: DriverState) -> None:
        self._again_at.pop(state.id, None)
        tracker = DriverTracker(
            self._session,
            self._api,
            state.id,
            self._meter_name(state),
            self._changed,
            track=state.track,
        )
        self._watches[state.id] = tracker
        self._workers[state.id] = self._run(f"watch {state.id}", tracker.run())

    def _meter_name(self, state: DriverState) -> str:
        """A name of its own on the wire: two drivers may be called the same."""
        name = self._names.get(state.id)
        if name is None:
            taken = set(self._names.values())
            name = base = f"Driver {plain(state.driver.name)}"
            number = 1
            while name in taken:
                number += 1
                name = f"{base} {number}"
            self._names[state.id] = name
        return name


def drivers_to_track(
    states: Iterable[DriverState], chosen: str | None, most: int = MOST
) -> list[DriverState]:
    """Whom to watch: the one in view, who has something on its way, who carries anything, and
    then by name."""

    def turn(state: DriverState) -> tuple[bool, bool, bool]:
        return state.id != chosen, not state.out, not state.items

    return sorted(states, key=turn)[:most]
