"""The rides that are simulated in this window, and whether somebody else drives already."""

import random
import time
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Protocol

from server.features.drivers.schemas import Point
from server.features.orders.schemas import Order
from tui.common.client.api import Api
from tui.common.map.ground import Ground
from tui.common.rides.journey import place_of
from tui.employee.panels.driver_roster import Duty, Roster
from tui.employee.rounds import round_from
from tui.employee.tour import Tour

SURE_SECONDS = 5.0
"""Within that a second key press means it."""
SLACK = timedelta(seconds=2.5)
"""The server's clock and ours may differ by that; a position no newer is the one we sent."""


class Say(Protocol):
    """Tells in a toast."""

    def __call__(self, words: str, *, about: str, trouble: bool = False) -> None:
        """`about` tells the toast from others: a newer one about the same takes its place."""


class Rides:
    """One tour a driver. `run` is to run one as a worker, `changed` is called with each step."""

    def __init__(
        self,
        api: Api,
        roster: Roster,
        run: Callable[[str, Coroutine[object, object, None]], object],
        say: Say,
        changed: Callable[[], None],
        clock: Callable[[], datetime],
    ) -> None:
        """`clock` gives the time by the server."""
        self._api, self._roster = api, roster
        self._run, self._say, self._changed, self._clock = run, say, changed, clock
        self._tours: dict[str, Tour] = {}
        self._told_at: dict[str, datetime] = {}
        """When the server last took a position of ours, by its clock."""
        self._warned: tuple[str, float] = ("", 0.0)

    def __len__(self) -> int:
        return len(self._tours)

    def of(self, driver_id: str) -> Tour | None:
        """The tour that driver is on, from here."""
        return self._tours.get(driver_id)

    def toggle(self, duty: Duty, base: Point, ground: Ground | None) -> None:
        """Start the driver's ride, or stop it. Where somebody else drives, once more is asked."""
        tour = self._tours.get(duty.id)
        if tour is not None:
            tour.stop()
            self._changed()
        elif self._is_elsewhere(duty) and not self._is_sure(duty.id):
            self._warned = duty.id, time.monotonic()
            self._say(
                f"{duty.driver.name}'s own positions are coming in, so a ride from here would "
                f"make two. Press the key again within {SURE_SECONDS:.0f} s to ride all the same.",
                about=duty.driver.name,
                trouble=True,
            )
        else:
            self._begin(duty, base, ground)

    def follow(self) -> None:
        """The orders may have changed: every tour goes where it has to."""
        for driver_id, tour in self._tours.items():
            duty = self._roster.get(driver_id)
            tour.bring(duty.doors if duty is not None else ())

    def stop(self) -> None:
        """All of them."""
        for tour in self._tours.values():
            tour.stop()

    def _begin(self, duty: Duty, base: Point, ground: Ground | None) -> None:
        name, newest = duty.driver.name, duty.journey.newest
        bearing = random.uniform(0, 360)  # noqa: S311 not a secret

        def told() -> None:
            if not tour.trouble:
                self._told_at[duty.id] = self._clock()
            self._changed()

        def at_door(order: Order) -> None:
            self._say(
                f"{name} is at the door with #{order.number}, {order.address.text}. "
                "It can be marked delivered in the kitchen.",
                about=f"#{order.number}",
            )

        tour = self._tours[duty.id] = Tour(
            self._api,
            duty.driver,
            base,
            self._roster.interval,
            start=place_of(newest) if newest is not None else None,
            corners=() if duty.out else round_from(base, ground, bearing),
            on_change=told,
            on_door=at_door,
        )
        tour.bring(duty.doors)
        duty.journey.set_out()
        self._run(f"ride {duty.id}", self._ride(tour))
        self._changed()

    async def _ride(self, tour: Tour) -> None:
        driver = tour.driver
        try:
            home = await tour.run()
        finally:
            del self._tours[driver.id]
            self._changed()
        if tour.refusal:
            words = f"{driver.name}'s ride has ended: {tour.refusal}"
            self._say(words, about=driver.name, trouble=True)
        elif home:
            self._say(f"{driver.name} is back at the restaurant.", about=driver.name)
        else:
            self._say(f"{driver.name}'s ride is stopped where they are.", about=driver.name)

    def _is_elsewhere(self, duty: Duty) -> bool:
        """Whether positions of the driver come in that are not ours."""
        newest = duty.journey.doubt or duty.journey.newest
        if newest is None:
            return False
        age = (self._clock() - newest.at).total_seconds()
        ours = self._told_at.get(duty.id)
        return age < 2 * self._roster.interval and (ours is None or newest.at > ours + SLACK)

    def _is_sure(self, driver_id: str) -> bool:
        warned, at = self._warned
        return warned == driver_id and time.monotonic() - at <= SURE_SECONDS
