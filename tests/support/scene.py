"""Two busy processes while something breaks, and what their readers must have seen."""

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import aiohttp
import pytest

from server.features.orders.schemas import STEPS, OrderStatus
from support.rest import Answer, Rest
from support.server_process import ServerProcess
from support.town import PASSWORD, Place
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


@dataclass
class Orders:
    """A customer and an employee who keep placing orders and moving them along, at one server;
    each order in `placed` must exist once.

    A request that finds no server is sent again with the same key, as a client does.
    """

    server: ServerProcess
    place: Place
    placed: dict[str, str] = field(default_factory=dict)

    async def go_on(self, until: asyncio.Event) -> None:
        """Place orders and move them along, one change every 50 ms."""
        async with Rest(self.server.url) as customer:
            await customer.register(f"ana{uuid.uuid4().hex}@example.org")
            employee = await customer.another().log_in(self.place.employees[0], PASSWORD)
            while not until.is_set():
                key = uuid.uuid4().hex
                order = await self._sent(
                    customer, "/orders", self.place.basket(), {"Idempotency-Key": key}
                )
                order.must(201)
                self.placed[key] = order.json["id"]
                await self._along(employee, order.json["id"], until)

    async def _along(self, employee: Rest, order_id: str, until: asyncio.Event) -> None:
        for status in STEPS[1:]:
            await asyncio.sleep(0.05)
            if until.is_set():
                return
            step = {"status": status.value}
            if status is OrderStatus.OUT_FOR_DELIVERY:
                step["driver_id"] = self.place.drivers[0]
            answer = await self._sent(employee, f"/orders/{order_id}/status", step, {})
            # A step whose answer was lost has already happened when it is sent again.
            assert answer.status in (200, 409), answer.body
            assert answer.status == 200 or answer.json["order"]["status"] == status

    async def _sent(
        self,
        rest: Rest,
        path: str,
        body: dict[str, object] | dict[str, str],
        headers: dict[str, str],
    ) -> Answer:
        while True:
            try:
                answer = await rest.post(path, body, headers=headers)
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
                await asyncio.sleep(0.05)
                continue
            if answer.status != 503:
                return answer
            assert "Retry-After" in answer.headers, answer.body
            await asyncio.sleep(0.05)


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
        self._orders = [Orders(server, place) for server in busy]

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
            working = [group.create_task(orders.go_on(enough)) for orders in self._orders]
            # From its first order on, each of them sends again what finds no server.
            await wait_until(
                lambda: all(orders.placed for orders in self._orders), what="all have ordered"
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
            order for orders in self._orders for order in orders.placed.values()
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
