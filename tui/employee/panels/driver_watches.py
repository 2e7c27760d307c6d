"""Who is watched: one stream a driver, for as many as there should be."""

import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING

from tui.common.rides.watch import DriverWatch
from tui.common.text import plain
from tui.employee.panels.driver_roster import Duty

if TYPE_CHECKING:
    from textual.worker import Worker

    from tui.common.client.api import Api
    from tui.common.client.session import Session

MOST = 12
"""Streams at a time: the server allows an account 32, and other panels and windows need some."""
AGAIN_SECONDS = 5.0
"""Until a driver is asked for again whom the server does not show."""


class Watches:
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
        self._watches: dict[str, DriverWatch] = {}
        self._workers: dict[str, Worker[None]] = {}
        self._again_at: dict[str, float] = {}
        self._names: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._watches)

    def of(self, driver_id: str) -> DriverWatch | None:
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
        watch = DriverWatch(
            self._session,
            self._api,
            duty.id,
            self._meter_name(duty),
            self._changed,
            journey=duty.journey,
        )
        self._watches[duty.id] = watch
        self._workers[duty.id] = self._run(f"watch {duty.id}", watch.run())

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


def worth_watching(duties: Iterable[Duty], chosen: str | None, most: int = MOST) -> list[Duty]:
    """Whom to watch: the one in view, who has something on its way, who carries anything, and
    then by name."""

    def turn(duty: Duty) -> tuple[bool, bool, bool]:
        return duty.id != chosen, not duty.out, not duty.items

    return sorted(duties, key=turn)[:most]
