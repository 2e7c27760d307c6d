"""One chat room at two server processes."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.event_stream import event_stream
from support.raw_websocket import raw_websocket
from support.rest import Rest
from support.room import Closed, Room, history, open_chat, room
from support.server_process import StartServer
from support.socketio_client import socketio_client
from support.town import PASSWORD, open_restaurant, stored_rows
from support.two_processes import Two
from support.waiting import PATIENCE, wait_until
from tools.cluster.redis_server import RedisServer


@dataclass(frozen=True)
class Desk:
    """A customer at the left, employees at the right, and a chat between them."""

    customer: Rest
    employees: list[Rest]
    chat_id: str


async def desk_at(two: Two, stack: AsyncExitStack, employees: int = 1) -> Desk:
    """Open a chat at a new restaurant."""
    place = await two.open_restaurant(employees=employees)
    customer = await stack.enter_async_context(Rest(two.left.url))
    right = await stack.enter_async_context(Rest(two.right.url))
    await customer.register(f"c{uuid.uuid4().hex}@example.org")
    hands = [await right.another().log_in(email, PASSWORD) for email in place.employees]
    return Desk(customer, hands, await open_chat(customer))


@pytest.fixture
async def desk(two: Two) -> AsyncIterator[Desk]:
    """With one employee."""
    async with AsyncExitStack() as stack:
        yield await desk_at(two, stack)


async def test_both_sides_get_every_message_once_and_in_one_order(desk: Desk) -> None:
    employee = desk.employees[0]
    async with room(desk.customer, desk.chat_id) as left, room(employee, desk.chat_id) as right:

        async def talk(member: Room, name: str) -> None:
            for number in range(50):
                await member.say(f"{name}{number}")
                while (await member.next("message"))["client_id"] != f"{name}{number}":
                    pass

        await asyncio.gather(talk(left, "l"), talk(right, "r"))
    found = await history(employee, desk.chat_id)
    for name in "lr":
        told = [one["text"] for one in found if one["text"].startswith(name)]
        assert told == [f"{name}{number}" for number in range(50)]
    start = await desk.customer.get(f"/chats/{desk.chat_id}/messages", params={"limit": "200"})
    assert start.must(200).json["items"] == found[::-1]


async def test_a_cursor_of_one_process_works_at_the_other(desk: Desk) -> None:
    """A cursor of the left is good at the right."""
    async with room(desk.customer, desk.chat_id) as left:
        await left.say("one")
        cursor = (await left.next("message"))["cursor"]
        await left.say("two")
        await left.next("message")
    async with room(desk.employees[0], desk.chat_id, after=cursor) as right:
        assert (await right.next("message"))["text"] == "two"


async def test_the_queue_of_one_process_shows_a_chat_of_the_other(desk: Desk) -> None:
    employee = desk.employees[0]
    cursor = (await employee.get("/chats")).must(200).json["cursor"]
    async with event_stream(employee, "/chats/stream", cursor) as queue:
        chat_id = await open_chat(desk.customer, "Another")
        while (event := await queue.next()).data["id"] != chat_id:
            pass
        assert event.type == "chat.opened"


async def test_of_ten_who_claim_a_chat_one_gets_it(two_on_redis: Two) -> None:
    async with AsyncExitStack() as stack:
        desk = await desk_at(two_on_redis, stack, employees=10)
        for number, hand in enumerate(desk.employees):
            hand.base_url = two_on_redis.both[number % 2].url
        path = f"/chats/{desk.chat_id}/take"
        answers = await asyncio.gather(*(hand.post(path) for hand in desk.employees))
        assert sorted(answer.status for answer in answers) == [200] + [409] * 9
        (taken,) = (answer.json for answer in answers if answer.status == 200)
        assert all(answer.json["chat"] == taken for answer in answers if answer.status == 409)


async def test_typing_crosses_over_redis(two_on_redis: Two) -> None:
    async with AsyncExitStack() as stack:
        desk = await desk_at(two_on_redis, stack)
        left = await stack.enter_async_context(room(desk.customer, desk.chat_id))
        right = await stack.enter_async_context(room(desk.employees[0], desk.chat_id))
        for there, here, role in ((left, right, "customer"), (right, left, "employee")):
            heard = asyncio.create_task(here.next("typing"))

            async def typed(there: Room = there, heard: asyncio.Task[Any] = heard) -> bool:
                await there.send(type="typing")  # again: Redis may be late in subscribing
                return heard.done()

            await wait_until(typed, every=0.5)
            assert (await heard)["sender"]["role"] == role
    assert not [row for row in two_on_redis.logged(f"chat:{desk.chat_id}") if row.type == "typing"]


async def names_in(member: Room, wanted: set[str], seconds: float = PATIENCE) -> None:
    """Return once presence names exactly those roles."""
    async with asyncio.timeout(seconds):
        found: set[str] = set()
        while found != wanted:
            frame = await member.next("presence", seconds=seconds)
            found = {one["role"] for one in frame["present"]}


@pytest.mark.parametrize("with_redis", [True, False], ids=["redis", "no redis"])
async def test_members_at_a_killed_process_leave_the_room(
    start_server: StartServer, data_dir: Path, redis_server: RedisServer, with_redis: bool
) -> None:
    env = {"TIFFIN_PRESENCE_SECONDS": "1.5"}
    url = redis_server.url if with_redis else ""
    left, right = (start_server(redis_url=url, env=env) for _ in range(2))
    place = await open_restaurant(data_dir, left.url)
    async with Rest(left.url) as customer, Rest(right.url) as employee:
        await customer.register("ana@example.org")
        await employee.log_in(place.employees[0], PASSWORD)
        chat_id = await open_chat(customer)
        async with room(employee, chat_id) as desk:
            async with room(customer, chat_id) as ana:
                await names_in(desk, {"customer", "employee"})
                left.kill()
                closed = await ana.closed()
                assert isinstance(closed, Closed)
                assert closed.code == 1006
                await names_in(desk, {"employee"})
            await asyncio.to_thread(left.start)
            async with room(customer, chat_id) as ana:
                await names_in(desk, {"customer", "employee"})
        async with room(customer, chat_id, settled=False) as ana:
            await names_in(ana, {"customer"})
            before = max(leases(data_dir))
            await wait_until(
                lambda: min(leases(data_dir), default="") > before,
                what="each lease is renewed while somebody is connected",
            )


def leases(data_dir: Path) -> list[str]:
    """Until when the lease of each process lasts."""
    return [row["until"] for row in stored_rows(data_dir, "SELECT until FROM presence_leases")]


async def test_logging_out_at_one_process_ends_the_room_at_the_other(desk: Desk) -> None:
    async with room(desk.employees[0], desk.chat_id) as right:
        employee = desk.employees[0].another()
        employee.base_url = desk.customer.base_url
        employee.token = desk.employees[0].token
        token = desk.employees[0].grant["refresh_token"]
        (await employee.post("/auth/logout", {"refresh_token": token})).must(204)
        assert (await right.closed()).code == 4401


async def test_a_server_stops_in_time_whoever_is_connected(
    start_server: StartServer, data_dir: Path
) -> None:
    """Members that read, members that don't, and one that never authenticates."""
    server = start_server()
    place = await open_restaurant(data_dir, server.url)
    async with AsyncExitStack() as stack:
        customer = await stack.enter_async_context(Rest(server.url))
        await customer.register("ana@example.org")
        employee = await customer.another().log_in(place.employees[0], PASSWORD)
        chat_id = await open_chat(customer)
        ana = await stack.enter_async_context(room(customer, chat_id))
        desk = await stack.enter_async_context(socketio_client(employee))
        await desk.call("join", chat_id=chat_id)
        path = f"/api/v1/chats/{chat_id}/ws"
        await stack.enter_async_context(raw_websocket(server.port, path, customer.headers))
        path = "/socket.io/?EIO=4&transport=websocket"
        await stack.enter_async_context(raw_websocket(server.port, path))
        for number in range(100):
            await ana.say("x" * 4000, str(number))
            await ana.next("message")
        assert await asyncio.to_thread(server.terminate) == 0
        assert (await ana.closed()).code == 1001
        assert (await desk.next("goodbye"))["code"] == 1001
