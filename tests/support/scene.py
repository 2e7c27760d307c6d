"""Two busy processes while something breaks, and what their readers must have seen."""

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable, Sequence

import pytest

from support.custom import Custom
from support.server_process import ServerProcess
from support.town import Place
from support.two_processes import Logged, Two
from support.waiting import PATIENCE, wait_until
from support.witness import LATEST, AppWitness, Outage, Witness

SECONDS = float(os.environ.get("FAULT_SECONDS", "1.5"))
"""How long orders go on in each test, at least; `make faults` sets more."""
in_test_all = pytest.mark.skipif(
    "FAULT_SECONDS" not in os.environ,
    reason="run by make test-all and make faults, which set FAULT_SECONDS",
)
"""For what takes long, and whose promise a quicker test of `make test` holds too."""
BACK = 4.0
"""Seconds more for readers whose own server was down: they wait before they reconnect."""

Fault = Callable[[Two], Awaitable[Outage | None]]


class Scene:
    """Two processes, a reader of each kind at each, and orders at those that are `busy`."""

    def __init__(self, two: Two, place: Place, busy: Sequence[ServerProcess]) -> None:
        self.two = two
        self._topic = f"restaurant:{place.id}"
        makers = (Witness, Witness, AppWitness, AppWitness)
        self._witnesses = [
            maker(two.both[number % 2], place, place.employees[number])
            for number, maker in enumerate(makers)
        ]
        self._custom = [Custom(server, place, f"ana{uuid.uuid4().hex}") for server in busy]

    async def play(self, fault: Fault) -> None:
        """Keep placing orders during the fault, and compare.

        The fault returns the outage of the left server or of both, if it caused one.
        """
        enough = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(witness.follow()) for witness in self._witnesses]
            await wait_until(
                lambda: all(witness.start >= 0 for witness in self._witnesses), what="all read"
            )
            working = [group.create_task(custom.go_on(enough)) for custom in self._custom]
            # From its first order on, each of them sends again what finds no server.
            await wait_until(
                lambda: all(custom.placed for custom in self._custom), what="all have ordered"
            )
            await self._everybody_at(3)
            outage, _ = await asyncio.gather(fault(self.two), asyncio.sleep(SECONDS))
            enough.set()
            await asyncio.wait_for(asyncio.gather(*working), PATIENCE)
            rows = self.two.logged(self._topic)
            await self._everybody_at(rows[-1].seq)
            for task in reading:
                task.cancel()
        self._check(rows, outage)

    async def _everybody_at(self, seq: int) -> None:
        await wait_until(
            lambda: all(witness.reached >= seq for witness in self._witnesses),
            what=f"everybody has come to {seq}",
        )

    def _check(self, rows: list[Logged], outage: Outage | None) -> None:
        assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        placed = [row.subject for row in rows if row.type == "order.placed"]
        assert sorted(placed) == sorted(
            order for custom in self._custom for order in custom.placed.values()
        )
        late = []
        for witness in self._witnesses:
            affected = outage is not None and (outage.both or witness.server is self.two.left)
            away = outage if affected else None
            late.append(witness.latest(rows, away))
            assert late[-1] <= LATEST + (BACK if away else 0), f"{late[-1]:.2f} s late"
        milliseconds = ", ".join(f"{seconds * 1000:.0f}" for seconds in late)
        print(f"{len(rows)} events; the latest, by reader, after {milliseconds} ms")


async def play(two: Two, fault: Fault, busy: Sequence[ServerProcess] | None = None) -> None:
    """The scene, at a new restaurant.

    Where only one process is `busy`, the other has no events of its own that could reveal that it
    has missed something.
    """
    place = await two.open_restaurant(employees=4)
    await Scene(two, place, busy or two.both).play(fault)
