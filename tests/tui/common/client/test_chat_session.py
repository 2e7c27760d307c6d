"""A talk on a faulty server: resets, refusals, and what becomes of what was written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from faulty_room import CHAT, FaultyRoom
from faulty_server import FaultyServer, problem

from server.features.chat.schemas import Chat, ChatMessage
from support.waiting import PATIENCE, wait_until
from tui.common.chat.session import ChatSession
from tui.common.client.api import Api
from tui.common.client.meter import State
from tui.common.client.retry import Backoff
from tui.common.client.session import Session

CHAT_NOW = {
    "id": CHAT,
    "subject": "Where is it?",
    "status": "open",
    "customer": {"id": "acc-1", "name": "Ana", "role": "customer"},
    "opened_at": "2026-01-31T12:00:00.000Z",
    "unread": {"customer": 0, "support": 0},
}
MAYA = {"id": "acc-2", "name": "Maya", "role": "employee"}
AT = "2026-01-31T12:00:00.000Z"


@pytest.fixture
def far(faulty: FaultyServer) -> FaultyRoom:
    """The room, and the history it keeps, in pages of as many as were asked for."""
    room = FaultyRoom(faulty)

    async def messages(request: web.Request) -> web.StreamResponse:
        before = int(request.query.get("before", len(room.kept)))
        start = max(0, before - int(request.query["limit"]))
        return web.json_response(
            {
                "items": room.kept[start:before][::-1],
                "next": str(start) if start else None,
                "cursor": f"c-{len(room.kept)}",
            }
        )

    async def chat(_request: web.Request) -> web.StreamResponse:
        return web.json_response(CHAT_NOW)

    faulty.on("GET", f"/chats/{CHAT}/messages", messages)
    faulty.on("GET", f"/chats/{CHAT}", chat)
    return room


@pytest.fixture
def heard() -> list[ChatMessage]:
    """Those that would ring."""
    return []


@pytest.fixture
async def chat_session(
    session: Session, far: FaultyRoom, heard: list[ChatMessage]
) -> AsyncIterator[ChatSession]:
    """The customer's, running."""
    chat_session = ChatSession(
        session,
        Api(session),
        Chat.model_validate(CHAT_NOW),
        on_message=lambda _talk, message: heard.append(message),
        backoff=Backoff(0.02, 0.1),
    )
    job = asyncio.create_task(chat_session.run())
    yield chat_session
    job.cancel()
    with suppress(asyncio.CancelledError):
        await job


def texts(chat_session: ChatSession) -> list[str]:
    return [one.text for one in chat_session.conversation.messages]


async def live(chat_session: ChatSession) -> None:
    await wait_until(lambda: chat_session.meter.state is State.LIVE, what="the room to be live")


async def test_after_a_reset_the_history_is_read_again_and_nothing_is_sent_twice(
    far: FaultyRoom, chat_session: ChatSession
) -> None:
    await live(chat_session)
    chat_session.send("first")
    await wait_until(lambda: not chat_session.conversation.pending, what="it to be back")
    resets = 0

    async def reset_once(socket: web.WebSocketResponse) -> None:
        nonlocal resets
        if not resets:
            resets += 1
            # Kept meanwhile: one of one's own, whose sender does not know, and another's.
            far.keep(chat_session.outbox.head.client_id, "second", "acc-1")  # type: ignore[union-attr]
            far.keep("other", "theirs")
            await socket.send_json({"type": "reset", "chat_id": CHAT})
            await socket.close(code=1000)

    async def swallow(_socket: web.WebSocketResponse, frame: dict[str, Any]) -> bool:
        return frame["type"] == "message" and not resets

    far.before_open, far.on_frame = reset_once, swallow
    chat_session.send("second")
    await wait_until(lambda: "second" in far.texts(), what="it to be sent")
    chat_session.drop_connection()
    await wait_until(lambda: len(texts(chat_session)) == 3, what="the history again")
    chat_session.send("third")
    await wait_until(lambda: len(texts(chat_session)) == 4, what="the third to be back")
    assert not chat_session.outbox
    assert texts(chat_session) == ["first", "second", "theirs", "third"]
    assert [kept["text"] for kept in far.kept] == texts(chat_session)
    assert not chat_session.conversation.pending


async def test_what_is_refused_can_be_written_again(
    far: FaultyRoom, chat_session: ChatSession
) -> None:
    async def refuse(socket: web.WebSocketResponse, frame: dict[str, Any]) -> bool:
        error = {"type": "error", "code": "chat_closed", "detail": "The chat is closed."}
        await socket.send_json(error | {"client_id": frame["client_id"]})
        return True

    await live(chat_session)
    far.on_frame = refuse
    chat_session.send("one")
    chat_session.send("two")
    await wait_until(lambda: not chat_session.outbox, what="both to be answered")
    assert chat_session.refused
    reasons = [draft.refusal for draft in chat_session.conversation.pending]
    assert reasons == ["The chat is closed."] * 2
    assert chat_session.pop_refused() == "one\ntwo"
    assert not chat_session.refused
    assert not chat_session.conversation.pending


async def test_the_chat_is_what_its_room_says(far: FaultyRoom, chat_session: ChatSession) -> None:
    await live(chat_session)
    step = {"chat_id": CHAT, "by": MAYA, "at": AT}
    await far.tell({"type": "taken", "cursor": "t-1", **step})
    await wait_until(lambda: chat_session.chat.employee is not None, what="who has it")
    await far.tell({"type": "closed", "cursor": "t-2", **step})
    await wait_until(lambda: not chat_session.open, what="it to be closed")
    assert chat_session.chat.closed_by is not None
    await far.tell({"type": "reopened", "cursor": "t-3", **step})
    await wait_until(lambda: chat_session.open, what="it to be open")
    assert chat_session.chat.employee is None


async def test_only_what_comes_while_it_runs_rings(
    far: FaultyRoom, chat_session: ChatSession, heard: list[ChatMessage]
) -> None:
    far.keep("old", "before")
    await live(chat_session)
    assert texts(chat_session) == ["before"]
    chat_session.send("mine")
    await far.post("theirs")
    await wait_until(lambda: len(texts(chat_session)) == 3, what="both")
    assert [one.text for one in heard] == ["theirs"]


async def test_older_pages_come_one_at_a_time_down_to_the_first(
    far: FaultyRoom, chat_session: ChatSession
) -> None:
    for number in range(500):
        far.keep(f"id-{number}", f"number {number}")
    await live(chat_session)
    assert len(texts(chat_session)) == 50
    while chat_session.conversation.before is not None:
        await asyncio.gather(*(chat_session.read_older() for _ in range(3)))
    assert texts(chat_session) == [f"number {number}" for number in range(500)]


async def test_a_history_that_cannot_be_had_is_said_and_asked_for_again(
    faulty: FaultyServer, far: FaultyRoom, session: Session
) -> None:
    good = faulty.handlers["GET", f"/chats/{CHAT}/messages"]

    async def busy(_request: web.Request) -> web.StreamResponse:
        return problem(503)

    faulty.on("GET", f"/chats/{CHAT}/messages", busy)
    chat_session = ChatSession(session, Api(session), Chat.model_validate(CHAT_NOW))
    job = asyncio.create_task(chat_session.run())
    await wait_until(lambda: chat_session.error, what="words")
    assert not chat_session.over
    faulty.on("GET", f"/chats/{CHAT}/messages", good)
    await live(chat_session)
    assert chat_session.error == ""
    job.cancel()


async def test_somebody_elses_chat_is_over_at_once(
    faulty: FaultyServer, far: FaultyRoom, session: Session
) -> None:
    async def nowhere(_request: web.Request) -> web.StreamResponse:
        return problem(404)

    faulty.on("GET", f"/chats/{CHAT}/messages", nowhere)
    chat_session = ChatSession(session, Api(session), Chat.model_validate(CHAT_NOW))
    await asyncio.wait_for(chat_session.run(), PATIENCE)
    assert chat_session.over
    assert chat_session.error
    assert chat_session.meter.state is State.DOWN
