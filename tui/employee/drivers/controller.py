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
from tui.employee.drivers.feed import RosterFeed
from tui.employee.drivers.roster import Duty, Roster, pressing
from tui.employee.drivers.trips import Rides, Say
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
        roster: Roster,
        run: Run,
        say: Say,
        changed: Callable[[], None],
    ) -> None:
        self.roster = roster
        self.feed = RosterFeed(api, roster, changed)
        self.rides = Rides(api, roster, run, say, changed, session.server_now)
        self.trackers = DriverTrackers(session, api, run, changed)
        self._asked_for: set[str] = set()
        """Drivers on the board who are not on the roster, though it was read again for them."""
        self._clock = session.server_now
        run("roster", self.feed.run())

    def look(self, orders: Sequence[Order] | None, chosen: str | None) -> None:
        """These are the open orders, None while they are not known; that driver is in view."""
        if orders is not None:
            unknown = self.roster.load(orders)
            if self.feed.loaded and not unknown <= self._asked_for:
                self._asked_for |= unknown
                self.feed.ask()
        self.rides.follow()
        wanted = drivers_to_track(self.roster.duties, chosen)
        self.trackers.want(wanted)
        self.feed.again = len(wanted) < len(self.roster.duties)
        for duty in self.roster.duties:
            self._aim(duty)

    def reload(self) -> None:
        """Read the roster again."""
        self._asked_for.clear()
        self.feed.ask()

    def ride(self, duty: Duty, base: Point, basemap: Basemap | None) -> None:
        """Start a simulated ride of that driver, or stop it."""
        self.rides.toggle(duty, base, basemap)

    def close(self) -> None:
        """Nobody rides on from here."""
        self.rides.stop()

    def watch_of(self, duty: Duty | None) -> DriverTracker | None:
        """What shows that driver, if anything does."""
        return None if duty is None else self.trackers.of(duty.id)

    def row(self, duty: Duty) -> Row:
        """The driver and what this window has to do with them."""
        tracker = self.trackers.of(duty.id)
        return Row(duty, self.rides.of(duty.id), tracker.error if tracker is not None else "")

    def lead(self, chosen: Duty | None) -> str | None:
        """Whom to look at, where nobody has said: the driver in view while they bring something
        or nobody does, else the one to look at first."""
        if self.roster.out_count and (chosen is None or not chosen.out):
            chosen = pressing(self.roster.duties, self._clock())
        return None if chosen is None else chosen.id

    def _aim(self, duty: Duty) -> None:
        """Where the driver is going: on a ride from here that is known, else it is a door."""
        tour = self.rides.of(duty.id)
        target = tour.goal.point if tour is not None and tour.goal is not None else None
        if target is None and duty.doors:
            target = point_of(duty.doors[0].address)
        if target == duty.track.target:
            return
        tracker = self.trackers.of(duty.id)
        if tracker is not None:
            tracker.set_target(target)
        else:
            duty.track.target = target


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

    def want(self, duties: Sequence[Duty]) -> None:
        """Watch these and nobody else. One that was refused is asked for again in a while."""
        wanted = {duty.id: duty for duty in duties}
        for driver_id in self._watches.keys() - wanted.keys():
            self._workers.pop(driver_id).cancel()
            del self._watches[driver_id]
            self._again_at.pop(driver_id, None)
        for driver_id, duty in wanted.items():
            if driver_id not in self._watches or self._is_due(driver_id):
                self._begin(duty)

    def _is_due(self, driver_id: str) -> bool:
        """Whether its watch is over, and that was some time ago."""
        if not self._workers[driver_id].is_finished:
            return False
        now = time.monotonic()
        return now >= self._again_at.setdefault(driver_id, now + AGAIN_SECONDS)

    def _begin(self, duty: Duty) -> None:
        self._again_at.pop(duty.id, None)
        tracker = DriverTracker(
            self._session,
            self._api,
            duty.id,
            self._meter_name(duty),
            self._changed,
            track=duty.track,
        )
        self._watches[duty.id] = tracker
        self._workers[duty.id] = self._run(f"watch {duty.id}", tracker.run())

    def _meter_name(self, duty: Duty) -> str:
        """A name of its own on the wire: two drivers may be called the same."""
        name = self._names.get(duty.id)
        if name is None:
            taken = set(self._names.values())
            name = base = f"Driver {plain(duty.driver.name)}"
            number = 1
            while name in taken:
                number += 1
                name = f"{base} {number}"
            self._names[duty.id] = name
        return name


def drivers_to_track(duties: Iterable[Duty], chosen: str | None, most: int = MOST) -> list[Duty]:
    """Whom to watch: the one in view, who has something on its way, who carries anything, and
    then by name."""

    def turn(duty: Duty) -> tuple[bool, bool, bool]:
        return duty.id != chosen, not duty.out, not duty.items

    return sorted(duties, key=turn)[:most]
