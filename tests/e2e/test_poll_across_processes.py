"""Long polling over real sockets, with the change made in another process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from support.metrics import figure
from support.rest import Answer, Rest
from support.town import PASSWORD, Place
from support.two_processes import Two
from support.waiting import PATIENCE, wait_until


@dataclass(frozen=True)
class Table:
    """A customer on the left and an employee on the right."""

    customer: Rest
    employee: Rest
    place: Place

    async def order(self) -> str:
        """An order of theirs."""
        answer = (await self.customer.post("/orders", self.place.basket())).must(201)
        return str(answer.json["id"])

    async def step(self, order_id: str, status: str, **more: object) -> None:
        """Take a step at the right process."""
        body: dict[str, object] = {"status": status} | more
        (await self.employee.post(f"/orders/{order_id}/status", body)).must(200)

    async def poll(self, order_id: str, **params: Any) -> Answer:
        """The customer's long poll, on the left."""
        texts = {name: str(value) for name, value in params.items()}
        return await self.customer.get(f"/orders/{order_id}/status", params=texts)

    async def held(self, number: int) -> None:
        """Return once the left process holds this many."""

        async def is_so() -> bool:
            return await figure(self.customer, "held_connections") == number

        await wait_until(is_so, what=f"{number} held")


@pytest.fixture
async def table(two: Two) -> AsyncIterator[Table]:
    """A new restaurant."""
    place = await two.open_restaurant()
    async with Rest(two.left.url) as customer, Rest(two.right.url) as employee:
        await customer.register(f"c{place.employees[0]}")
        await employee.log_in(place.employees[0], PASSWORD)
        yield Table(customer, employee, place)


async def test_a_poll_is_held_until_a_change_elsewhere(table: Table, two: Two) -> None:
    order_id = await table.order()
    poll = asyncio.create_task(table.poll(order_id, last_status="placed"))
    await table.held(1)
    await table.step(order_id, "placed", eta_minutes=30)  # neither status nor version
    await table.step(order_id, "accepted")
    stepped = time.monotonic()
    answer = (await asyncio.wait_for(poll, PATIENCE)).must(200).json
    print(f"{(time.monotonic() - stepped) * 1000:.1f} ms after the other process had answered")
    assert answer.pop("eta")
    assert answer.pop("logged_at")
    assert answer == {"order_id": order_id, "status": "accepted", "version": 2, "terminal": False}
    await table.held(0)


async def test_another_status_is_answered_at_once(table: Table) -> None:
    order_id = await table.order()
    await table.step(order_id, "accepted")
    for params in ({"last_status": "placed"}, {}):
        answer = await asyncio.wait_for(table.poll(order_id, timeout=60, **params), PATIENCE)
        assert answer.must(200).json["status"] == "accepted"


async def test_no_change_is_204_at_the_timeout(table: Table) -> None:
    order_id = await table.order()
    started = time.monotonic()
    answer = await table.poll(order_id, last_status="placed", timeout=1)
    assert answer.must(204).body == b""
    assert 0.95 < time.monotonic() - started < PATIENCE


async def test_delivered_is_answered_at_once(table: Table) -> None:
    order_id = await table.order()
    driver = {"driver_id": table.place.drivers[0]}
    for status in ("accepted", "preparing", "ready", "out_for_delivery", "delivered"):
        await table.step(order_id, status, **(driver if status == "out_for_delivery" else {}))
    poll = table.poll(order_id, last_status="delivered", timeout=60)
    answer = (await asyncio.wait_for(poll, PATIENCE)).must(200).json
    assert answer["terminal"] is True
    assert answer["status"] == "delivered"


async def test_polls_for_events_return_all_changes_made_elsewhere(table: Table, two: Two) -> None:
    kitchen = f"/restaurants/{table.place.id}/orders/events"
    begun = asyncio.Semaphore(0)

    async def follow(
        rest: Rest, path: str, items: str, whole: Callable[[list[Any]], bool]
    ) -> list[Any]:
        params, found = {"after": (await rest.get(path)).must(200).json["cursor"]}, list[Any]()
        begun.release()
        while not whole(found):
            answer = (await rest.get(path, params=params | {"timeout": "20"})).must(200).json
            found += answer[items]
            params = {"after": answer["cursor"]}
        (await rest.get(path, params=params | {"timeout": "1"})).must(204)
        return found

    def newest(found: list[Any]) -> dict[str, int]:
        return {one["id"]: one["version"] for one in found}

    async with asyncio.timeout(40), asyncio.TaskGroup() as group:
        told = group.create_task(
            follow(table.employee, kitchen, "events", lambda found: len(found) >= 20)
        )
        changed = group.create_task(
            follow(
                table.customer, "/orders", "items", lambda found: sum(newest(found).values()) >= 20
            )
        )
        for _ in range(2):
            await begun.acquire()
        for _ in range(10):
            await table.step(await table.order(), "accepted")
    logged = two.logged(f"restaurant:{table.place.id}")
    assert [(one["type"], one["data"]["id"]) for one in told.result()] == [
        (one.type, one.subject) for one in logged
    ]
    # An order that changed twice in between is reported once, as it is now.
    assert newest(changed.result()) == {one.subject: 2 for one in logged}


async def test_a_disconnected_client_frees_its_connection(table: Table) -> None:
    order_id = await table.order()
    polls = [asyncio.create_task(table.poll(order_id, last_status="placed")) for _ in range(5)]
    await table.held(5)
    for poll in polls[:3]:
        poll.cancel()
    await table.held(2)
    await table.step(order_id, "accepted")
    for poll in polls[3:]:
        (await asyncio.wait_for(poll, PATIENCE)).must(200)
    await table.held(0)
