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
from support.waiting import wait_until
from tui.common.chat.session import Talk
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
async def talk(session: Session, far: FaultyRoom, heard: list[ChatMessage]) -> AsyncIterator[Talk]:
    """The customer's, running."""
    talk = Talk(
        session,
        Api(session),
        Chat.model_validate(CHAT_NOW),
        on_message=lambda _talk, message: heard.append(message),
        backoff=Backoff(0.02, 0.1),
    )
    job = asyncio.create_task(talk.run())
    yield talk
    job.cancel()
    with suppress(asyncio.CancelledError):
        await job


def texts(talk: Talk) -> list[str]:
    return [one.text for one in talk.conversation.messages]


async def live(talk: Talk) -> None:
    await wait_until(lambda: talk.meter.state is State.LIVE, what="the room to be live")


async def test_after_a_reset_the_history_is_read_again_and_nothing_is_sent_twice(
    far: FaultyRoom, talk: Talk
) -> None:
    await live(talk)
    talk.say("first")
    await wait_until(lambda: not talk.outbox, what="it to be back")
    resets = 0

    async def reset_once(socket: web.WebSocketResponse) -> None:
        nonlocal resets
        if not resets:
            resets += 1
            # Kept meanwhile: one of one's own, whose sender does not know, and another's.
            far.keep(talk.outbox.head.client_id, "second", "acc-1")  # type: ignore[union-attr]
            far.keep("other", "theirs")
            await socket.send_json({"type": "reset", "chat_id": CHAT})
            await socket.close(code=1000)

    async def swallow(_socket: web.WebSocketResponse, frame: dict[str, Any]) -> bool:
        return frame["type"] == "message" and not resets

    far.before_open, far.on_frame = reset_once, swallow
    talk.say("second")
    await wait_until(lambda: "second" in far.texts(), what="it to be sent")
    talk.drop_connection()
    await wait_until(lambda: len(texts(talk)) == 3, what="the history again")
    talk.say("third")
    await wait_until(lambda: not talk.outbox, what="the third to be back")
    assert texts(talk) == ["first", "second", "theirs", "third"]
    assert [kept["text"] for kept in far.kept] == texts(talk)
    assert not talk.conversation.drafts


async def test_what_is_refused_can_be_written_again(far: FaultyRoom, talk: Talk) -> None:
    async def refuse(socket: web.WebSocketResponse, frame: dict[str, Any]) -> bool:
        error = {"type": "error", "code": "chat_closed", "detail": "The chat is closed."}
        await socket.send_json(error | {"client_id": frame["client_id"]})
        return True

    await live(talk)
    far.on_frame = refuse
    talk.say("one")
    talk.say("two")
    await wait_until(lambda: not talk.outbox, what="both to be answered")
    assert talk.refused
    reasons = [draft.refusal for draft in talk.conversation.drafts]
    assert reasons == ["The chat is closed."] * 2
    assert talk.take_back() == "one\ntwo"
    assert not talk.refused
    assert not talk.conversation.drafts


async def test_the_chat_is_what_its_room_says(far: FaultyRoom, talk: Talk) -> None:
    await live(talk)
    step = {"chat_id": CHAT, "by": MAYA, "at": AT}
    await far.tell({"type": "taken", "cursor": "t-1", **step})
    await wait_until(lambda: talk.chat.employee is not None, what="who has it")
    await far.tell({"type": "closed", "cursor": "t-2", **step})
    await wait_until(lambda: not talk.open, what="it to be closed")
    assert talk.chat.closed_by is not None
    await far.tell({"type": "reopened", "cursor": "t-3", **step})
    await wait_until(lambda: talk.open, what="it to be open")
    assert talk.chat.employee is None


async def test_only_what_comes_while_it_runs_rings(
    far: FaultyRoom, talk: Talk, heard: list[ChatMessage]
) -> None:
    far.keep("old", "before")
    await live(talk)
    assert texts(talk) == ["before"]
    talk.say("mine")
    await far.post("theirs")
    await wait_until(lambda: len(texts(talk)) == 3, what="both")
    assert [one.text for one in heard] == ["theirs"]


async def test_older_pages_come_one_at_a_time_down_to_the_first(
    far: FaultyRoom, talk: Talk
) -> None:
    for number in range(500):
        far.keep(f"id-{number}", f"number {number}")
    await live(talk)
    assert len(texts(talk)) == 50
    while talk.conversation.before is not None:
        await asyncio.gather(*(talk.read_older() for _ in range(3)))
    assert texts(talk) == [f"number {number}" for number in range(500)]


async def test_a_history_that_cannot_be_had_is_said_and_asked_for_again(
    faulty: FaultyServer, far: FaultyRoom, session: Session
) -> None:
    good = faulty.handlers["GET", f"/chats/{CHAT}/messages"]

    async def busy(_request: web.Request) -> web.StreamResponse:
        return problem(503)

    faulty.on("GET", f"/chats/{CHAT}/messages", busy)
    talk = Talk(session, Api(session), Chat.model_validate(CHAT_NOW))
    job = asyncio.create_task(talk.run())
    await wait_until(lambda: talk.error, what="words")
    assert not talk.over
    faulty.on("GET", f"/chats/{CHAT}/messages", good)
    await live(talk)
    assert talk.error == ""
    job.cancel()


async def test_somebody_elses_chat_is_over_at_once(
    faulty: FaultyServer, far: FaultyRoom, session: Session
) -> None:
    async def nowhere(_request: web.Request) -> web.StreamResponse:
        return problem(404)

    faulty.on("GET", f"/chats/{CHAT}/messages", nowhere)
    talk = Talk(session, Api(session), Chat.model_validate(CHAT_NOW))
    await asyncio.wait_for(talk.run(), 10)
    assert talk.over
    assert talk.error
    assert talk.meter.state is State.DOWN
