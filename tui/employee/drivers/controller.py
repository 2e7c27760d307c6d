"""Runs what the drivers panel needs: the list, a tracker for each driver, simulated trips."""

import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING

from server.features.orders.schemas import Order
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.tracking.track import point_of
from tui.common.tracking.tracker import DriverTracker
from tui.employee.drivers.feed import DriversFeed
from tui.employee.drivers.model import DriverList, DriverState, most_urgent
from tui.employee.drivers.trips import Notify, Trips
from tui.employee.drivers.view import Row

if TYPE_CHECKING:
    from textual.worker import Worker

    from tui.common.client.api import Api
    from tui.common.client.session import Session

Run = Callable[[str, Coroutine[object, object, None]], "Worker[None]"]
"""Runs a coroutine as a worker of that group."""
MAX_STREAMS = 12
"""At a time: the server allows an account 32, and other panels and windows need some."""
RETRY_SECONDS = 5.0
"""Until the server is asked again for a driver whom it does not show."""


class DriversController:
    """`update` is to be called with each change; `changed` is called with each of its own."""

    def __init__(
        self,
        session: "Session",
        api: "Api",
        driver_list: DriverList,
        run: Run,
        notify: Notify,
        changed: Callable[[], None],
    ) -> None:
        self.driver_list = driver_list
        self.feed = DriversFeed(api, driver_list, changed)
        self.trips = Trips(api, driver_list, run, notify, changed, session.server_now)
        self.trackers = DriverTrackers(session, api, run, changed)
        self._asked_for: set[str] = set()
        """Drivers on the board who are not in the list, though it was read again for them."""
        self._clock = session.server_now
        run("drivers", self.feed.run())

    def update(self, orders: Sequence[Order] | None, selected: str | None) -> None:
        """Apply the open orders (None while they are not known) and the driver selected."""
        if orders is not None:
            unknown = self.driver_list.set_orders(orders)
            if self.feed.loaded and not unknown <= self._asked_for:
                self._asked_for |= unknown
                self.feed.reload()
        self.trips.update()
        tracked = drivers_to_track(self.driver_list.states, selected)
        self.trackers.track(tracked)
        self.feed.repeats = len(tracked) < len(self.driver_list.states)
        for state in self.driver_list.states:
            self._update_target(state)

    def reload(self) -> None:
        """Read the list again."""
        self._asked_for.clear()
        self.feed.reload()

    def close(self) -> None:
        """Stop the simulated trips of this window."""
        self.trips.stop()

    def tracker_of(self, state: DriverState | None) -> DriverTracker | None:
        """The tracker of that driver, if there is one."""
        return None if state is None else self.trackers.get(state.id)

    def row(self, state: DriverState) -> Row:
        """The driver's row in the list."""
        tracker = self.trackers.get(state.id)
        return Row(state, self.trips.get(state.id), tracker.error if tracker is not None else "")

    def default_selection(self, selected: DriverState | None) -> str | None:
        """Whom to select until a person does: the selected driver while they deliver something
        or nobody does, else the most urgent one."""
        if self.driver_list.out_count and (selected is None or not selected.out):
            selected = most_urgent(self.driver_list.states, self._clock())
        return None if selected is None else selected.id

    def _update_target(self, state: DriverState) -> None:
        """The next stop of a simulated trip, else the door of the next order."""
        planner = self.trips.get(state.id)
        target = None
        if planner is not None and planner.destination is not None:
            target = planner.destination.point
        elif state.doors:
            target = point_of(state.doors[0].address)
        if target == state.track.target:
            return
        tracker = self.trackers.get(state.id)
        if tracker is not None:
            tracker.set_target(target)
        else:
            state.track.target = target


class DriverTrackers:
    """Starts and stops trackers. `run` starts a worker; `changed` is called with each change."""

    def __init__(
        self, session: "Session", api: "Api", run: Run, changed: Callable[[], None]
    ) -> None:
        self._session, self._api = session, api
        self._run, self._changed = run, changed
        self._trackers: dict[str, DriverTracker] = {}
        self._workers: dict[str, Worker[None]] = {}
        self._retry_at: dict[str, float] = {}
        self._meter_names: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._trackers)

    def get(self, driver_id: str) -> DriverTracker | None:
        """The tracker of that driver."""
        return self._trackers.get(driver_id)

    @property
    def any_over(self) -> bool:
        """Whether a tracker has ended."""
        return any(tracker.over for tracker in self._trackers.values())

    def track(self, states: Sequence[DriverState]) -> None:
        """Track these drivers and no others. A tracker that has ended starts again in a while."""
        wanted = {state.id: state for state in states}
        for driver_id in self._trackers.keys() - wanted.keys():
            self._workers.pop(driver_id).cancel()
            del self._trackers[driver_id]
            self._retry_at.pop(driver_id, None)
        for driver_id, state in wanted.items():
            if driver_id not in self._trackers or self._is_due(driver_id):
                self._start(state)

    def _is_due(self, driver_id: str) -> bool:
        """Whether the tracker ended, and that was some time ago."""
        if not self._workers[driver_id].is_finished:
            return False
        now = time.monotonic()
        return now >= self._retry_at.setdefault(driver_id, now + RETRY_SECONDS)

    def _start(self, state: DriverState) -> None:
        self._retry_at.pop(state.id, None)
        tracker = DriverTracker(
            self._session,
            self._api,
            state.id,
            self._meter_name(state),
            self._changed,
            track=state.track,
        )
        self._trackers[state.id] = tracker
        self._workers[state.id] = self._run(f"tracker {state.id}", tracker.run())

    def _meter_name(self, state: DriverState) -> str:
        """A unique name on the wire: two drivers may have the same name."""
        name = self._meter_names.get(state.id)
        if name is None:
            taken = set(self._meter_names.values())
            name = base = _("Driver {driver}").format(driver=plain(state.driver.name))
            number = 1
            while name in taken:
                number += 1
                name = f"{base} {number}"
            self._meter_names[state.id] = name
        return name


def drivers_to_track(
    states: Iterable[DriverState], selected: str | None, limit: int = MAX_STREAMS
) -> list[DriverState]:
    """The selected driver, then those who have something on its way, those who have any order,
    and the others by name."""

    def priority(state: DriverState) -> tuple[bool, bool, bool]:
        return state.id != selected, not state.out, not state.orders

    return sorted(states, key=priority)[:limit]
