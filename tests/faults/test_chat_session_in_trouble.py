"""Both sides of a chat with the apps' own client, over two processes, whatever breaks."""

import asyncio
import uuid
from contextlib import AsyncExitStack, suppress

import pytest

from server.features.chat.schemas import ChatMessage, NewChat
from support.breaking import break_in_turn, cut_at_random
from support.proxy import proxy_to
from support.scene import SECONDS
from support.town import PASSWORD
from support.two_processes import Two
from support.waiting import wait_until
from tools.cluster.redis_server import RedisServer
from tui.common.chat.session import ChatSession
from tui.common.client.api import Api
from tui.common.client.errors import ClientError
from tui.common.client.meter import Wire
from tui.common.client.session import Session

pytestmark = [pytest.mark.fault, pytest.mark.timeout(400)]

MESSAGES = 1000 if SECONDS >= 10 else 150
"""Of each side."""


async def write(chat_session: ChatSession, name: str) -> None:
    """All of them, a few at a time: as a person would, only quicker."""
    for number in range(MESSAGES):
        chat_session.send(f"{name}{number}")
        await wait_until(lambda: len(chat_session.outbox) <= 20, 200, what="room in the outbox")


async def history(api: Api, chat_id: str) -> list[ChatMessage]:
    """All that is kept, the oldest first."""
    found: list[ChatMessage] = []
    before = None
    while True:
        try:
            page = await api.messages(chat_id, before, 200)
        except ClientError:
            await asyncio.sleep(0.2)
            continue
        found += page.items
        before = page.next
        if before is None:
            return found[::-1]


async def test_both_sides_see_what_is_kept(with_redis: Two, broken_redis: RedisServer) -> None:
    two = with_redis
    place = await two.open_restaurant()
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(proxy_to(one.url)) for one in two.both]
        sessions = [Session(proxy.url, Wire()) for proxy in proxies]
        for session in sessions:
            stack.push_async_callback(session.close)
        customer, employee = map(Api, sessions)
        await sessions[0].register(f"ana{uuid.uuid4().hex}@example.org", PASSWORD, "Ana")
        await sessions[1].log_in(place.employees[0], PASSWORD)
        chat = await customer.open_chat(NewChat(subject="Everything breaks"), "key")
        await employee.take_chat(chat.id)
        chat_sessions = [
            ChatSession(session, api, chat)
            for session, api in zip(sessions, (customer, employee), strict=True)
        ]
        cutting = asyncio.create_task(cut_at_random(proxies, (0.1, 0.9)))
        breaking = asyncio.create_task(
            break_in_turn(two, broken_redis, 1.0, broken := [], enough := asyncio.Event())
        )
        living = [asyncio.create_task(chat_session.run()) for chat_session in chat_sessions]
        await asyncio.gather(
            *(
                write(chat_session, name)
                for name, chat_session in zip("ce", chat_sessions, strict=True)
            )
        )
        await wait_until(lambda: len(broken) >= 2, 60, what="both processes to have been killed")
        cutting.cancel()
        enough.set()
        await breaking
        await wait_until(
            lambda: not any(t.outbox for t in chat_sessions), 120, what="all to be back"
        )
        kept = await history(customer, chat.id)
        for name in "ce":
            said = [one.text for one in kept if one.text.startswith(name)]
            assert said == [f"{name}{number}" for number in range(MESSAGES)]
        for chat_session in chat_sessions:
            await wait_until(
                lambda chat_session=chat_session: (
                    chat_session.conversation.messages[-1:] == kept[-1:]
                ),
                what="the last message on both sides",
            )
            seen = chat_session.conversation.messages
            assert seen == kept[len(kept) - len(seen) :]
            assert not chat_session.conversation.pending
        cuts = sum(proxy.cuts for proxy in proxies)
        assert cuts >= 1  # of a socket, or of what carries the chat in its place
        print(
            f"{len(kept)} messages, {cuts} cuts, "
            f"{len(broken)} kills and restarts of Redis, "
            f"{[one.meter.reconnects for one in chat_sessions]} returns"
        )
        for job in living:
            job.cancel()
            with suppress(asyncio.CancelledError):
                await job
