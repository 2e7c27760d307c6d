"""Two sides of a chat through proxies that cut and fail: what each sees is what is kept."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from server.features.accounts.schemas import Role
from server.features.chat.schemas import ChatMessage, NewChat
from support.live_server import LiveServer
from support.proxy import Proxy, proxy_to
from support.waiting import wait_until
from tui.common.chat.session import ChatSession
from tui.common.client.api import Api
from tui.common.client.chat_stream import BLOCKED
from tui.common.client.meter import Pattern, State, Wire
from tui.common.client.monitored import Timeouts
from tui.common.client.retry import Backoff
from tui.common.client.session import Session

MESSAGES = 120
"""Of each side."""


@asynccontextmanager
async def signed_in(url: str, role: Role) -> AsyncIterator[Session]:
    session = Session(url, Wire())
    await session.demo(role)
    try:
        yield session
    finally:
        await session.close()


async def history(api: Api, chat_id: str) -> list[ChatMessage]:
    """All that is kept, the oldest first."""
    found: list[ChatMessage] = []
    before = None
    while True:
        page = await api.messages(chat_id, before, 200)
        found += page.items
        before = page.next
        if before is None:
            return found[::-1]


async def cut_now_and_then(proxies: list[Proxy]) -> None:
    while True:
        await asyncio.sleep(random.uniform(0.02, 0.25))
        random.choice(proxies).cut()


async def test_each_sides_view_is_what_is_kept_while_connections_are_cut(
    demo_server: LiveServer,
) -> None:
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(proxy_to(demo_server.url)) for _ in range(2)]
        sessions = [
            await stack.enter_async_context(signed_in(proxy.url, role))
            for proxy, role in zip(proxies, (Role.CUSTOMER, Role.EMPLOYEE), strict=True)
        ]
        customer, employee = map(Api, sessions)
        chat = await customer.open_chat(NewChat(subject="A bad line"), "key")
        await employee.take_chat(chat.id)
        chat_sessions = [
            ChatSession(session, api, chat, backoff=Backoff(0.02, 0.1))
            for session, api in zip(sessions, (customer, employee), strict=True)
        ]
        jobs = [asyncio.create_task(chat_session.run()) for chat_session in chat_sessions]
        cutting = asyncio.create_task(cut_now_and_then(proxies))
        for number in range(MESSAGES):
            for name, chat_session in zip("ce", chat_sessions, strict=True):
                chat_session.send(f"{name}{number}")
            await asyncio.sleep(random.uniform(0, 0.02))
        await wait_until(
            lambda: all(one.meter.reconnects and not one.outbox for one in chat_sessions),
            60,
            what="both sides to have been cut, and everything to be back",
        )
        cutting.cancel()
        kept = await history(customer, chat.id)
        for chat_session in chat_sessions:
            await wait_until(
                lambda chat_session=chat_session: (
                    chat_session.conversation.messages[-1:] == kept[-1:]
                ),
                what="the last message on both sides",
            )
            assert chat_session.conversation.messages == kept
            assert not chat_session.conversation.pending
        for name in "ce":
            said = [one.text for one in kept if one.text.startswith(name)]
            assert said == [f"{name}{number}" for number in range(MESSAGES)]
        assert sum(proxy.cuts for proxy in proxies) >= 3
        for job in (*jobs, cutting):
            job.cancel()
            with suppress(asyncio.CancelledError):
                await job


async def test_a_proxy_that_fails_is_waited_for(demo_server: LiveServer) -> None:
    async with proxy_to(demo_server.url) as proxy, signed_in(proxy.url, Role.CUSTOMER) as session:
        api = Api(session)
        chat = await api.open_chat(NewChat(subject="A bad gateway"), "key")
        chat_session = ChatSession(session, api, chat)
        job = asyncio.create_task(chat_session.run())
        await wait_until(lambda: chat_session.meter.state is State.LIVE, what="the room to be live")
        proxy.failing(1)
        proxy.cut()
        chat_session.send("are you there?")
        await wait_until(lambda: proxy.refused >= 1, what="a refusal")
        await wait_until(lambda: "502" in chat_session.meter.detail, what="the reason on the wire")
        proxy.passing()
        await wait_until(lambda: chat_session.conversation.messages, what="the message to be back")
        assert [one.text for one in chat_session.conversation.messages] == ["are you there?"]
        assert not chat_session.outbox
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job


async def test_a_server_that_is_gone_is_no_reason_to_poll(demo_server: LiveServer) -> None:
    """Nothing on the way blocks the socket, and a poll would not reach the server either."""
    backoff, soon = Backoff(0.1, 0.1), Timeouts(first_sound=1)
    async with AsyncExitStack() as way:
        proxy = await way.enter_async_context(proxy_to(demo_server.url))
        async with signed_in(proxy.url, Role.CUSTOMER) as session:
            api = Api(session)
            chat = await api.open_chat(NewChat(subject="Gone"), "key")
            chat_session = ChatSession(session, api, chat, backoff=backoff, timeouts=soon)
            job = asyncio.create_task(chat_session.run())
            await wait_until(lambda: chat_session.meter.state is State.LIVE)
            meters = set(session.wire.meters)
            await way.aclose()
            await wait_until(lambda: backoff.attempt >= 30, what="attempts for 1.5 s at least")
            assert set(session.wire.meters) == meters
            assert chat_session.meter.pattern is Pattern.WEBSOCKET
            job.cancel()
            with suppress(asyncio.CancelledError):
                await job


async def test_without_a_websocket_each_sides_view_is_what_is_kept(demo_server: LiveServer) -> None:
    """Also while the way changes under it, time and again; then the socket carries once more."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(proxy_to(demo_server.url))
        sessions = [
            await stack.enter_async_context(signed_in(url, role))
            for url, role in ((proxy.url, Role.CUSTOMER), (demo_server.url, Role.EMPLOYEE))
        ]
        customer, employee = map(Api, sessions)
        chat = await customer.open_chat(NewChat(subject="No upgrade"), "no-upgrade")
        await employee.take_chat(chat.id)
        quick = Timeouts(again=0.2, again_at_most=0.2)
        chat_sessions = [
            ChatSession(session, api, chat, backoff=Backoff(0.02, 0.1), timeouts=quick)
            for session, api in zip(sessions, (customer, employee), strict=True)
        ]
        proxy.without_upgrade()
        jobs = [asyncio.create_task(chat_session.run()) for chat_session in chat_sessions]
        ours, theirs = chat_sessions
        await wait_until(lambda: ours.meter.pattern is Pattern.LONG_POLL)
        await wait_until(lambda: ours.meter.state is State.WAITING)
        assert ours.meter.detail == BLOCKED
        ours.send("c0")
        theirs.send("e0")
        await wait_until(lambda: len(ours.conversation.messages) == 2)
        ours.mark_read()
        await wait_until(lambda: not ours.unread, what="one's own read mark")
        assert [who.name for who in ours.others] == [chat_name(sessions[1])]
        assert [who.name for who in theirs.others] == [chat_name(sessions[0])]
        for number in range(1, 60):
            if number % 7 == 0:
                random.choice((proxy.without_upgrade, proxy.passing))()
                proxy.cut()
            ours.send(f"c{number}")
            theirs.send(f"e{number}")
            await asyncio.sleep(random.uniform(0, 0.06))
        proxy.passing()
        await wait_until(
            lambda: not any(chat_session.outbox for chat_session in chat_sessions),
            what="all are back",
        )
        kept = await history(customer, chat.id)
        for chat_session in chat_sessions:
            await wait_until(
                lambda chat_session=chat_session: (
                    chat_session.conversation.messages[-1:] == kept[-1:]
                )
            )
            assert chat_session.conversation.messages == kept
            assert not chat_session.conversation.pending
        for name in "ce":
            said = [one.text for one in kept if one.text.startswith(name)]
            assert said == [f"{name}{number}" for number in range(60)]
        await wait_until(lambda: ours.meter.pattern is Pattern.WEBSOCKET, what="the socket again")
        await employee.close_chat(chat.id)
        await wait_until(lambda: not ours.open)
        for job in jobs:
            job.cancel()
            with suppress(asyncio.CancelledError):
                await job


def chat_name(session: Session) -> str:
    assert session.account is not None
    return session.account.name
