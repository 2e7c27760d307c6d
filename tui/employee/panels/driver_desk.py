"""Keeps all about the drivers going: who is on the roster, who is watched, who rides from here."""

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING

from server.features.drivers.schemas import Point
from server.features.orders.schemas import Order
from tui.common.map.ground import Ground
from tui.common.rides.journey import place_of
from tui.common.rides.watch import DriverWatch
from tui.employee.panels.driver_roster import Duty, Roster, pressing
from tui.employee.panels.driver_row import Row
from tui.employee.panels.driver_watches import Watches, worth_watching
from tui.employee.panels.rides import Rides, Say
from tui.employee.panels.roster_feed import RosterFeed

if TYPE_CHECKING:
    from textual.worker import Worker

    from tui.common.client.api import Api
    from tui.common.client.session import Session

Run = Callable[[str, Coroutine[object, object, None]], "Worker[None]"]
"""Runs something as a worker of that group."""


class Desk:
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
        self.watches = Watches(session, api, run, changed)
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
        wanted = worth_watching(self.roster.duties, chosen)
        self.watches.want(wanted)
        self.feed.again = len(wanted) < len(self.roster.duties)
        for duty in self.roster.duties:
            self._aim(duty)

    def reload(self) -> None:
        """Read the roster again."""
        self._asked_for.clear()
        self.feed.ask()

    def ride(self, duty: Duty, base: Point, ground: Ground | None) -> None:
        """Start a simulated ride of that driver, or stop it."""
        self.rides.toggle(duty, base, ground)

    def close(self) -> None:
        """Nobody rides on from here."""
        self.rides.stop()

    def watch_of(self, duty: Duty | None) -> DriverWatch | None:
        """What shows that driver, if anything does."""
        return None if duty is None else self.watches.of(duty.id)

    def row(self, duty: Duty) -> Row:
        """The driver and what this window has to do with them."""
        watch = self.watches.of(duty.id)
        return Row(duty, self.rides.of(duty.id), watch.trouble if watch is not None else "")

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
            target = place_of(duty.doors[0].address)
        if target == duty.journey.target:
            return
        watch = self.watches.of(duty.id)
        if watch is not None:
            watch.head_for(target)
        else:
            duty.journey.target = target
