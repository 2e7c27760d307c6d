"""A restaurant's orders as a stream."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from server.transports.connections import Connections
from support.cast import Cast
from support.live_server import LiveServer
from support.rest import Rest
from support.town import PASSWORD
from support.waiting import PATIENCE, wait_until


class Stream:
    """The events of one open stream, read as they are."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.text = b""

    async def next(self) -> tuple[str, str, Any]:
        """The next event: cursor, type, data."""
        while True:
            block = await self.block()
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
            if b"data" in fields:
                cursor = fields.get(b"id", b"").decode()
                return cursor, fields[b"event"].decode(), json.loads(fields[b"data"])

    async def block(self) -> bytes:
        """The lines before the next empty line."""
        while b"\n\n" not in self.text:
            more = await asyncio.wait_for(self.answer.content.readany(), PATIENCE)
            if not more:
                raise EOFError
            self.text += more
        block, _, self.text = self.text.partition(b"\n\n")
        return block


@asynccontextmanager
async def stream(rest: Rest, place: str, after: str | None = None) -> AsyncIterator[Stream]:
    params = {} if after is None else {"after": after}
    url = rest.url(f"/restaurants/{place}/orders/stream")
    async with rest.http.get(url, params=params, headers=rest.headers) as answer:
        yield Stream(answer)


async def test_snapshot_and_stream_leave_no_gap(cast: Cast) -> None:
    before = await cast.order()
    page = (await cast.employee.get("/orders")).json
    after = await cast.order()
    async with stream(cast.employee, cast.place.id, page["cursor"]) as events:
        assert events.answer.headers["Content-Type"].startswith("text/event-stream")
        assert events.answer.headers["Cache-Control"] == "no-cache"
        assert events.answer.headers["X-Accel-Buffering"] == "no"
        assert (await events.block()).startswith(b"retry: ")
        _, kind, order = await events.next()
        assert (kind, order) == ("order.placed", after)
        await cast.step(before["id"], "accepted")
        await cast.step(before["id"], "accepted", driver_id=cast.place.drivers[0])
        (await cast.customer.post(f"/orders/{after['id']}/cancel", {})).must(200)
        got = [await events.next() for _ in range(3)]
    assert [kind for _, kind, _ in got] == ["order.updated", "driver.assigned", "order.cancelled"]
    assert [order["version"] for _, _, order in got] == [2, 3, 2]
    async with stream(cast.employee, cast.place.id, got[0][0]) as events:
        assert (await events.next())[1] == "driver.assigned"


async def test_a_change_of_the_restaurants_terms_is_told(cast: Cast) -> None:
    cursor = (await cast.employee.get("/orders")).json["cursor"]
    path, extra = f"/restaurants/{cast.place.id}", {"extra_minutes": 15}
    (await cast.employee.patch(path, extra | {"paused_until": "2999-01-01T00:00:00Z"})).must(200)
    async with stream(cast.employee, cast.place.id, cursor) as events:
        _, kind, terms = await events.next()
    assert (kind, terms["id"]) == ("restaurant.updated", cast.place.id)
    assert (terms["extra_minutes"], terms["paused_until"]) == (15, "2999-01-01T00:00:00.000Z")
    assert "menu" not in terms, "it may be long"


async def test_each_employee_gets_each_event_once(cast: Cast) -> None:
    hands = [await cast.nobody.another().log_in(email, PASSWORD) for email in cast.place.employees]
    cursor = (await cast.employee.get("/orders")).json["cursor"]

    async def watch(hand: Rest) -> list[str]:
        async with stream(hand, cast.place.id, cursor) as events:
            return [(await events.next())[2]["id"] for _ in range(5)]

    watching = [asyncio.create_task(watch(hand)) for hand in hands]
    orders = [(await cast.order())["id"] for _ in range(5)]
    for watcher in watching:
        assert await asyncio.wait_for(watcher, PATIENCE) == orders


async def test_a_stream_without_a_cursor_says_where_it_begins(cast: Cast) -> None:
    await cast.order()
    async with stream(cast.employee, cast.place.id) as events:
        while not (block := await events.block()).startswith(b"id: "):
            continue
        begins = block.removeprefix(b"id: ").decode()
    missed = await cast.order()
    async with stream(cast.employee, cast.place.id, begins) as events:
        assert (await events.next())[2]["id"] == missed["id"]


async def test_a_cursor_that_cannot_be_honoured_is_reset(cast: Cast) -> None:
    await cast.order()
    elsewhere = (await cast.outsider.get("/orders")).json["cursor"]
    for cursor in (elsewhere, "garbage", "AAAA"):
        async with stream(cast.employee, cast.place.id, cursor) as events:
            assert (await events.next())[1] == "reset"
            assert not await events.answer.content.read()


async def test_others_get_no_stream(cast: Cast) -> None:
    for caller, status in ((cast.customer, 403), (cast.outsider, 404), (cast.nobody, 401)):
        async with stream(caller, cast.place.id) as events:
            assert events.answer.status == status


async def test_logging_out_ends_it(cast: Cast, live_server: LiveServer) -> None:

    async with stream(cast.employee, cast.place.id) as events:
        await events.block()
        assert live_server.services[Connections].held == 1
        grant = {"refresh_token": cast.employee.grant["refresh_token"]}
        (await cast.employee.post("/auth/logout", grant)).must(204)
        rest = await asyncio.wait_for(events.answer.content.read(), PATIENCE)
        assert b"data:" not in rest
    await wait_until(lambda: live_server.services[Connections].held == 0)
