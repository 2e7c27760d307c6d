"""Announced through one process; received, acknowledged and counted through the other."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from support.event_stream import EventStream, event_stream
from support.rest import Rest
from support.town import PASSWORD
from support.two_processes import Two

NEWS = {"title": "Rain", "body": "Slow down.", "severity": "warning", "audience": "customers"}


@dataclass(frozen=True)
class Room:
    """An employee at the left process, customers at the right one."""

    employee: Rest
    customers: list[Rest]

    async def announce(self, **changes: Any) -> dict[str, Any]:
        """An announcement made at the left."""
        answer = await self.employee.post("/announcements", NEWS | changes)
        found: dict[str, Any] = answer.must(201).json
        return found


@pytest.fixture
async def room(two: Two) -> AsyncIterator[Room]:
    """A restaurant with two customers of its own."""
    place = await two.open_restaurant()
    async with AsyncExitStack() as stack:
        employee = await stack.enter_async_context(Rest(two.left.url))
        await employee.log_in(place.employees[0], PASSWORD)
        customers = []
        for _ in range(2):
            customer = await stack.enter_async_context(Rest(two.right.url))
            customers.append(await customer.register(f"c{uuid.uuid4().hex}@example.com"))
        yield Room(employee, customers)


async def heard(events: EventStream, announcement_id: str) -> str:
    """The type of the next event about this announcement; the run shares these processes."""
    while (event := await events.next()).data["id"] != announcement_id:
        pass
    return event.type


async def test_announcements_are_received_acknowledged_and_counted_across_processes(
    room: Room,
) -> None:
    one, other = room.customers
    async with (
        event_stream(one, "/announcements/stream") as first,
        event_stream(other, "/announcements/stream") as second,
    ):
        made = await room.announce()
        for events in (first, second):
            assert await heard(events, made["id"]) == "announcement"
        path = f"/announcements/{made['id']}/acks"
        async with event_stream(room.employee, f"{path}/stream") as counts:
            begun = (await counts.next()).data
            assert begun["acknowledged"] == 0
            await asyncio.gather(*(one.post(f"/announcements/{made['id']}/ack") for _ in range(20)))
            assert (await counts.next()).data["acknowledged"] == 1
            (await other.post(f"/announcements/{made['id']}/ack")).must(204)
            assert (await counts.next()).data["acknowledged"] == 2
        assert (await room.employee.get(path)).must(200).json["acknowledged"] == 2
        for events in (first, second):  # each its own, also when the other process stored it
            assert await heard(events, made["id"]) == "announcement.acknowledged"
        (await room.employee.delete(f"/announcements/{made['id']}")).must(204)
        for events in (first, second):
            assert await heard(events, made["id"]) == "announcement.withdrawn"


async def test_missed_announcements_are_replayed_by_the_other_process(two: Two, room: Room) -> None:
    customer = room.customers[0]
    async with event_stream(customer, "/announcements/stream") as events:
        first = await room.announce(title="first")
        while (event := await events.next()).data["id"] != first["id"]:
            pass
    made = [await room.announce(title=f"{number}") for number in range(5)]
    await room.announce(title="not for customers", audience="employees")
    customer.base_url = two.left.url
    async with event_stream(customer, "/announcements/stream", event.cursor) as events:
        assert [(await events.next()).data["id"] for _ in made] == [one["id"] for one in made]
