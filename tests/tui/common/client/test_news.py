"""What the meters know of news at a real server: how old it was, and what a cut has cost."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from math import inf

import pytest

from support.cast import Cast, cast_of
from support.live_server import LiveServer
from support.room import open_chat
from support.town import PASSWORD
from support.waiting import PATIENCE, wait_until
from tui.common.client.chat_room import Room
from tui.common.client.chat_stream import ChatStream
from tui.common.client.fallback import LogStream
from tui.common.client.long_polling import OrdersPoll, StatusPoll
from tui.common.client.meter import Meter, Pattern, State, Wire
from tui.common.client.outbox import Outbox
from tui.common.client.session import Session
from tui.common.client.stream import AsyncReader


@pytest.fixture
async def cast(live_server: LiveServer) -> AsyncIterator[Cast]:
    async with cast_of(live_server) as found:
        yield found


@asynccontextmanager
async def reading(*streams: AsyncReader[object]) -> AsyncIterator[None]:
    """Each is read while this is open."""

    async def read(stream: AsyncReader[object]) -> None:
        async with stream:
            async for _ in stream:
                pass

    tasks = [asyncio.create_task(read(stream)) for stream in streams]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def all_open(meters: Iterable[Meter]) -> bool:
    return all(meter.connections and meter.state in (State.LIVE, State.WAITING) for meter in meters)


async def test_news_has_its_age_over_every_pattern(cast: Cast, live_server: LiveServer) -> None:
    order = await cast.order()
    chat = await open_chat(cast.customer)
    customer, cook = Session(live_server.url, Wire()), Session(live_server.url, Wire())
    await customer.log_in("ana@example.com", "correct horse")
    await cook.log_in(cast.place.employees[0], PASSWORD)
    path = f"/restaurants/{cast.place.id}/orders"
    names = ("orders", "status")
    orders, status = (customer.wire.meter(name, Pattern.LONG_POLL) for name in names)
    room = customer.wire.meter("room", Pattern.WEBSOCKET)
    cursor = (await cast.customer.get("/orders")).json["cursor"]
    kitchen = LogStream(cook, f"{path}/stream", f"{path}/events", "kitchen", None)
    polls = (OrdersPoll(customer, orders, cursor), StatusPoll(customer, str(order["id"]), status))
    async with reading(*polls, kitchen, Room(customer, chat, room)):
        meters = (orders, status, kitchen.meter, room)
        await wait_until(lambda: all_open(meters) and status.events == 1, what="them all open")
        assert not status.ages, "what the order was at before is no news"
        await cast.step(order["id"], "accepted")
        await cast.employee.post(f"/chats/{chat}/messages", {"client_id": "1", "text": "Soon."})
        await wait_until(lambda: all(meter.ages for meter in meters), what="news of each")
    for meter in meters:
        assert 0 <= meter.ages[0] < PATIENCE * 1000
        assert meter.clock_error_ms is not None
        assert meter.clock_error_ms < 500
        assert 0 < meter.payload < meter.bytes
    await customer.close()
    await cook.close()


async def test_a_cut_counts_what_is_missed_and_then_what_comes_back(
    cast: Cast, live_server: LiveServer
) -> None:
    order = await cast.order()
    chat = await open_chat(cast.customer)
    customer, cook = Session(live_server.url, Wire()), Session(live_server.url, Wire())
    await customer.log_in("ana@example.com", "correct horse")
    await cook.log_in(cast.place.employees[0], PASSWORD)
    path = f"/restaurants/{cast.place.id}/orders"
    cursor = (await cast.customer.get("/orders")).json["cursor"]
    board = (await cast.employee.get("/orders")).json["cursor"]
    kitchen = LogStream(cook, f"{path}/stream", f"{path}/events", "kitchen", None)
    room = ChatStream(customer, chat, "room", None, outbox=Outbox())
    orders = OrdersPoll(customer, customer.wire.meter("orders", Pattern.LONG_POLL), cursor)
    async with reading(orders, kitchen, room):
        meters = (customer.wire.meters["orders"], kitchen.meter, room.meter)
        await wait_until(lambda: all_open(meters), what="them all open")
        # So that each has a place to go on from.
        await cast.step(order["id"], "accepted")
        await cast.employee.post(f"/chats/{chat}/messages", {"client_id": "1", "text": "Soon."})
        await wait_until(lambda: all(meter.ages for meter in meters), what="news of each")
        for stream, meter in zip((orders, kitchen, room), meters, strict=True):
            stream.drop_connection()
            meter.cut(inf)
        outages = [await wait_until(lambda meter=meter: meter.outage) for meter in meters]
        await wait_until(lambda: [one.missed for one in outages] == [0, 0, 0], what="counting")
        for number, status in enumerate(("preparing", "ready"), start=2):
            await cast.step(order["id"], status)
            message = {"client_id": str(number), "text": "Still."}
            await cast.employee.post(f"/chats/{chat}/messages", message)
            expected = [number - 1] * 3
            await wait_until(lambda e=expected: [one.missed for one in outages] == e, what="count")
        for meter in meters:
            meter.cut(0)
        # An order that changed twice is reported once, as it is now.
        await wait_until(lambda: [one.replayed for one in outages] == [1, 2, 2], what="replayed")
    # A board that is read meanwhile has all of it: the stream from there has missed nothing.
    kitchen.meter.cut(inf)
    now = (await cast.employee.get("/orders")).json["cursor"]
    for start, missed in ((board, 3), (now, 0)):
        again = LogStream(cook, f"{path}/stream", f"{path}/events", "kitchen", start)
        async with reading(again):
            await wait_until(
                lambda m=missed, meter=again.meter: meter.outage and meter.outage.missed == m
            )
    for one in outages:
        assert one.back_at is not None
        assert one.began < one.asked_at <= one.replayed_at
        assert one.replayed_bytes > 100
    await customer.close()
    await cook.close()
