"""Two processes agree on who may follow a driver, and when that ends."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from support.event_stream import EventStream, event_stream
from support.rest import Rest
from support.town import PASSWORD, Place
from support.two_processes import Two
from support.waiting import PATIENCE, keeps, wait_until

WITHIN = 2.0
"""Seconds by which every process must have ended a stream."""


@dataclass(frozen=True)
class Table:
    """A customer and an employee, each at both processes."""

    customers: tuple[Rest, Rest]
    employees: tuple[Rest, Rest]
    place: Place

    @property
    def path(self) -> str:
        """The driver's location."""
        return f"/drivers/{self.place.drivers[0]}/location"

    async def put(self, lat: float, at: int = 0) -> None:
        """Report a position to one of the two."""
        (await self.employees[at].put(self.path, {"lat": lat, "lng": 2.36})).must(204)

    async def step(self, order_id: str, status: str, at: int = 0, **more: object) -> None:
        """Take a step at one of the two."""
        if status == "out_for_delivery":
            more.setdefault("driver_id", self.place.drivers[0])
        body = {"status": status, "reason": "No gas"} | more
        (await self.employees[at].post(f"/orders/{order_id}/status", body)).must(200)

    async def sent_off(self) -> str:
        """An order on its way."""
        answer = await self.customers[0].post("/orders", self.place.basket())
        order_id = str(answer.must(201).json["id"])
        for status in ("accepted", "preparing", "ready", "out_for_delivery"):
            await self.step(order_id, status)
        return order_id


def as_same(rest: Rest, other: Two) -> Rest:
    """The same account at the other process."""
    twin = Rest(other.right.url)
    twin.token = rest.token
    return twin


@pytest.fixture
async def table(two: Two) -> AsyncIterator[Table]:
    """A new restaurant, with a second driver."""
    from server.features.restaurants.service import add_driver
    from support.town import database_in

    place = await two.open_restaurant()
    async with database_in(two.left.data_dir) as database:
        other = await add_driver(database, place.id, "Second", "scooter", None)
    place = Place(place.id, place.name, place.employees, (*place.drivers, other), place.dishes)
    async with AsyncExitStack() as stack:
        customer = await stack.enter_async_context(Rest(two.left.url))
        employee = await stack.enter_async_context(Rest(two.left.url))
        await customer.register(f"c{place.employees[0]}")
        await employee.log_in(place.employees[0], PASSWORD)
        twins = [await stack.enter_async_context(as_same(one, two)) for one in (customer, employee)]
        yield Table((customer, twins[0]), (employee, twins[1]), place)


async def until_end(events: EventStream) -> tuple[Any, float]:
    """The data of the stream's end, and when it arrived."""
    while (event := await events.next()).type != "end":
        pass
    ended = time.monotonic()
    await events.over()
    return event.data, ended


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("ending", ["delivered", "cancelled", "another driver"])
async def test_an_ended_delivery_ends_streams_at_both_and_is_refused_afterwards(
    table: Table, ending: str, at: int
) -> None:
    await keeps(WITHIN, lambda: delivery_ends(table, ending, at))


async def delivery_ends(table: Table, ending: str, at: int) -> float:
    """Follow an order to its end there; returns how many seconds later the last stream ended."""
    order_id = await table.sent_off()
    await table.put(48.0)
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(event_stream(rest, f"{table.path}/stream"))
            for rest in table.customers
        ]
        seen = [(await events.next()).data for events in streams]
        assert [one["lat"] for one in seen] == [48.0, 48.0]
        polls = [
            asyncio.create_task(rest.get(table.path, params={"after": str(seen[0]["seq"])}))
            for rest in table.customers
        ]
        await wait_until(lambda: are_held(table), what="both polls held")
        if ending == "another driver":
            status = "out_for_delivery"
            await table.step(order_id, status, at, driver_id=table.place.drivers[1])
        else:
            status = ending
            await table.step(order_id, status, at)
        happened = time.monotonic()
        for events in streams:
            data, ended = await until_end(events)
            assert data == {"order_id": order_id, "status": status}
        for poll in polls:
            (await asyncio.wait_for(poll, PATIENCE)).must(404)
    for rest in table.customers:
        (await rest.get(table.path)).must(404)
        async with event_stream(rest, f"{table.path}/stream") as events:
            assert events.answer.status == 404
    return ended - happened


async def test_a_suspended_process_shows_no_position_from_after_the_end(
    table: Table, two: Two
) -> None:
    order_id = await table.sent_off()
    await table.put(48.0)
    customer = table.customers[1]
    async with event_stream(customer, f"{table.path}/stream") as events:
        assert (await events.next()).data["lat"] == 48.0
        poll = asyncio.create_task(customer.get(table.path, params={"after": "1"}))
        await wait_until(lambda: are_held(table, [0, 2]), what="the poll is held")
        os.kill(two.right.pid, signal.SIGSTOP)
        try:
            await table.step(order_id, "delivered")
            for number in range(1, 4):
                await table.put(48.0 + number / 1000)
        finally:
            os.kill(two.right.pid, signal.SIGCONT)
        end = await events.next()
        assert (end.type, end.data) == ("end", {"order_id": order_id, "status": "delivered"})
        await events.over()
        (await asyncio.wait_for(poll, PATIENCE)).must(404)


async def are_held(table: Table, held: Sequence[int] = (2, 2)) -> bool:
    """Whether the processes hold this many connections: each a stream and a poll."""
    from support.metrics import figure

    return [await figure(rest, "held_connections") for rest in table.customers] == list(held)


async def test_positions_reach_readers_of_both_once_and_in_order(table: Table) -> None:
    await table.sent_off()
    await table.put(48.0)
    async with AsyncExitStack() as stack:
        streams = [
            await stack.enter_async_context(event_stream(rest, f"{table.path}/stream"))
            for rest in (*table.customers, *table.employees)
        ]
        for events in streams:
            await events.next()
        for number in range(1, 11):
            await table.put(48.0 + number / 10_000, number % 2)
        for events in streams:
            seqs = []
            while not seqs or seqs[-1] < 11:
                event = await events.next()
                assert event.type == "location"
                seqs.append(event.data["seq"])
            assert seqs == sorted(set(seqs))
            assert event.data["lat"] == 48.001


async def test_others_are_refused_at_both(table: Table) -> None:
    await table.sent_off()
    await table.put(48.0)
    async with Rest(table.customers[0].base_url) as stranger:
        await stranger.register(f"s{table.place.employees[0]}")
        for rest in table.customers:
            stranger.base_url = rest.base_url
            (await stranger.get(table.path)).must(404)
            async with event_stream(stranger, f"{table.path}/stream") as events:
                assert events.answer.status == 404
            nobody = rest.another()
            (await nobody.get(table.path)).must(401)
            (await rest.get(table.path)).must(200)
