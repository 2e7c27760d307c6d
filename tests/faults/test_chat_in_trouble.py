"""A conversation over two processes, whatever breaks: nothing lost, nothing twice, in order."""

import asyncio
import uuid
from contextlib import AsyncExitStack

import pytest

from support.breaking import break_in_turn, cut_at_random
from support.chatter import Chatter, Listener
from support.relay import Relay, relay_to
from support.rest import Rest
from support.room import history, open_chat
from support.scene import SECONDS
from support.town import PASSWORD
from support.two_processes import Two
from support.waiting import wait_until
from tools.cluster.redis_server import RedisServer

pytestmark = [pytest.mark.fault, pytest.mark.timeout(400)]

MESSAGES = 2000 if SECONDS >= 10 else 400
"""Of both sides together, at least."""
LULL = 0.7
"""Seconds between two faults."""


async def test_each_sides_view_is_the_database(with_redis: Two, broken_redis: RedisServer) -> None:
    two = with_redis
    place = await two.open_restaurant()
    async with AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(relay_to(server.url)) for server in two.both]
        left, right = [await stack.enter_async_context(Rest(relay.url)) for relay in relays]
        customer = await stack.enter_async_context(Rest(two.left.url))
        employee = await stack.enter_async_context(Rest(two.right.url))
        await customer.register(f"ana{uuid.uuid4().hex}@example.org")
        await employee.log_in(place.employees[0], PASSWORD)
        left.token, right.token = customer.token, employee.token
        chat_id = await open_chat(customer)
        (await employee.post(f"/chats/{chat_id}/take")).must(200)
        start = (await customer.get(f"/chats/{chat_id}/messages")).must(200).json["cursor"]
        writers = [
            Chatter(left, chat_id, "a", start),
            Chatter(right, chat_id, "d", start),
        ]
        readers = [
            Chatter(right_as(left, relays[1]), chat_id, "-", start, silent=True),
            Listener(left, chat_id, start),
            Listener(right, chat_id, start),
        ]
        members = [*writers, *readers]
        async with asyncio.TaskGroup() as group:
            living = [group.create_task(member.go_on()) for member in members]
            cutting = group.create_task(cut_at_random(relays, (0.05, 0.4)))
            breaking = group.create_task(
                break_in_turn(two, broken_redis, LULL, broken := [], enough := asyncio.Event())
            )
            await wait_until(
                lambda: len(broken) >= 2 and all(one.said >= MESSAGES // 2 for one in writers),
                300,
                what="enough is said and broken",
            )
            for writer in writers:
                writer.silent = True
            await wait_until(lambda: all(one.done for one in writers), 60, what="all is told")
            cutting.cancel()
            enough.set()
            await breaking
            found = await history(customer, chat_id)
            await wait_until(
                lambda: all(len(member.seen) >= len(found) for member in members),
                what="everybody has seen it all",
            )
            for task in living:
                task.cancel()
    for writer in writers:
        texts = [one["text"] for one in found if one["text"].startswith(writer.name)]
        assert texts == [f"{writer.name}{number}" for number in range(writer.said)]
    assert len(found) == sum(writer.said for writer in writers) >= MESSAGES
    for member in members:
        assert member.seen == found
    cuts = sum(relay.cuts for relay in relays)
    assert cuts >= 3
    assert all(member.returns >= 1 for member in members)
    assert writers[0].resets == writers[1].resets == 0
    returns = [member.returns for member in members]
    print(
        f"{len(found)} messages, {cuts} cuts, {len(broken)} kills and restarts, {returns} returns"
    )


def right_as(rest: Rest, relay: Relay) -> Rest:
    """The same account at another address."""
    twin = rest.another()
    twin.base_url, twin.token = relay.url, rest.token
    return twin
