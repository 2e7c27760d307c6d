"""A chat's room from the client: cut, closed, refused, silent; each message once and in order."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from faulty_room import CHAT, FaultyRoom, gone
from faulty_server import FaultyServer, problem

from server.features.chat.frame_schemas import CloseCode, ErrorFrame, PresenceFrame, ServerFrame
from server.features.chat.schemas import ChatMessage
from support.live_server import running_server, settings_for
from support.rest import Rest
from support.room import history, open_chat
from support.waiting import PATIENCE, wait_until
from tui.common.client.chat_room import Room
from tui.common.client.meter import Meter, Pattern, State, Wire
from tui.common.client.outbox import Outbox
from tui.common.client.retry import Backoff
from tui.common.client.session import ApiError, ResetStream, Session, SignedOut


@pytest.fixture
def far(faulty: FaultyServer) -> FaultyRoom:
    return FaultyRoom(faulty)


@pytest.fixture
def meter(wire: Wire) -> Meter:
    return wire.meter("chat", Pattern.WEBSOCKET)


class Reader:
    """Reads a room into a list, as a panel does."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.frames: list[ServerFrame] = []
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for frame in self.room:
            self.frames.append(frame)

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self.frames if isinstance(one, ChatMessage) and not one.again]

    @property
    def errors(self) -> list[ErrorFrame]:
        return [one for one in self.frames if isinstance(one, ErrorFrame)]

    async def has(self, *texts: str) -> None:
        await wait_until(lambda: self.texts == list(texts), what=f"{texts}")


@pytest.fixture
async def room(session: Session, far: FaultyRoom, meter: Meter) -> AsyncIterator[Room]:
    """A room that comes back quickly."""
    async with Room(session, CHAT, meter, "c-0", backoff=Backoff(0.02, 0.1)) as room:
        yield room


@pytest.fixture
async def reader(room: Room) -> AsyncIterator[Reader]:
    reader = Reader(room)
    yield reader
    reader.task.cancel()
    await asyncio.gather(reader.task, return_exceptions=True)


async def live(meter: Meter) -> None:
    await wait_until(lambda: meter.state is State.LIVE, what="the room to be live")


async def test_what_is_said_comes_back_once_and_leaves_the_outbox(
    far: FaultyRoom, room: Room, reader: Reader, meter: Meter
) -> None:
    sent = [room.send(text) for text in ("one", "two", "three")]
    await reader.has("one", "two", "three")
    assert not room.outbox
    assert [kept["client_id"] for kept in far.kept] == [one.client_id for one in sent]
    assert far.texts() == ["one", "two", "three"]
    assert room.cursor == "c-3"
    await wait_until(lambda: meter.latencies, what="the answer to the first ping")
    assert meter.state is State.LIVE
    assert meter.connections == 1


async def test_a_room_comes_back_after_its_cursor(
    far: FaultyRoom, room: Room, reader: Reader, meter: Meter
) -> None:
    await far.post("before")
    await reader.has("before")

    async def be_slow(_: web.WebSocketResponse) -> None:
        await asyncio.sleep(0.3)

    far.before_open = be_slow
    room.drop_connection()
    far.keep("while-away", "missed")
    await reader.has("before", "missed")
    assert far.afters == ["c-0", "c-1"]
    await live(meter)
    await far.tell({"type": "presence", "chat_id": CHAT, "present": []})
    await far.post("after")
    await reader.has("before", "missed", "after")
    assert (meter.reconnects, meter.replayed) == (1, 1), "what came after the presence is new"


async def test_messages_arrive_once_and_in_order_while_every_connection_breaks(
    far: FaultyRoom, room: Room, reader: Reader
) -> None:
    dice = random.Random(11)

    async def break_some(socket: web.WebSocketResponse, frame: dict[str, Any]) -> bool:
        chance = dice.random()
        if chance < 0.15:
            await gone(socket)  # before it is kept
            return True
        if chance < 0.3:
            far.keep(frame["client_id"], frame["text"], "acc-1")
            await gone(socket)  # kept, and its sender does not know
            return True
        return False

    far.on_frame = break_some
    texts = [f"message {number}" for number in range(60)]
    for text in texts:
        room.send(text)
    await wait_until(lambda: not room.outbox, what="everything to have come back")
    assert [kept["text"] for kept in far.kept] == texts
    await reader.has(*texts)
    assert len(far.texts()) > len(texts), "nothing was ever sent again"


async def test_a_message_is_kept_while_there_is_no_server(
    faulty: FaultyServer, far: FaultyRoom, room: Room, reader: Reader, meter: Meter
) -> None:
    await live(meter)
    await faulty.stop()
    await wait_until(lambda: meter.state is State.RETRY, what="the loss to be noticed")
    room.send("are you there?")
    room.send("hello?")
    await faulty.start()
    await reader.has("are you there?", "hello?")
    assert [kept["text"] for kept in far.kept] == ["are you there?", "hello?"]


async def test_an_outbox_outlives_its_room(session: Session, far: FaultyRoom, meter: Meter) -> None:
    outbox = Outbox()
    async with Room(session, CHAT, meter, outbox=outbox) as first:
        first.send("never sent: nobody reads this room")
    assert len(outbox) == 1
    async with Room(session, CHAT, meter, "c-0", outbox=outbox) as second:
        frame = await anext(second)
        assert isinstance(frame, ChatMessage)
    assert not outbox
    assert len(far.kept) == 1


async def test_what_cannot_be_taken_now_is_sent_again_in_order(
    far: FaultyRoom, room: Room, reader: Reader
) -> None:
    refusals = iter(["rate_limited", "unavailable"])

    async def refuse(socket: web.WebSocketResponse, frame: dict[str, Any]) -> bool:
        code = next(refusals, None)
        if code is None:
            return False
        await socket.send_json(
            {
                "type": "error",
                "code": code,
                "detail": "a little later",
                "client_id": frame["client_id"],
                "retry_after_ms": 30,
            }
        )
        return True

    far.on_frame = refuse
    room.send("first")
    room.send("second")
    await reader.has("first", "second")
    assert far.texts() == ["first", "first", "first", "second"]
    assert not reader.errors


async def test_what_goes_beyond_an_accounts_bytes_waits_and_arrives(
    data_dir: Path, wire: Wire, meter: Meter
) -> None:
    settings = settings_for(data_dir, chat_bytes_per_minute=62_000)
    async with running_server(settings) as server, Rest(server.url) as rest:
        await rest.register("ana@example.com")
        chat_id = await open_chat(rest)
        session = Session(server.url, wire)
        await session.log_in("ana@example.com", "correct horse")
        texts = [letter * 4000 for letter in "abcdefghijklmno"]  # 15 of them are too much
        async with Room(session, chat_id, meter) as room:
            reader, started = Reader(room), time.monotonic()
            for text in texts:
                room.send(text)
            await reader.has(*texts)
            assert time.monotonic() - started > 1
            assert not reader.errors, "it is nothing that a person need know"
            reader.task.cancel()
            await asyncio.gather(reader.task, return_exceptions=True)
        await session.close()
        assert [one["text"] for one in await history(rest, chat_id)] == texts


async def test_a_message_that_is_not_wanted_is_told_and_the_next_goes_out(
    far: FaultyRoom, room: Room, reader: Reader
) -> None:
    async def refuse(socket: web.WebSocketResponse, frame: dict[str, Any]) -> bool:
        if frame["text"] != "bad":
            return False
        error = {
            "type": "error",
            "code": "invalid",
            "detail": "no",
            "client_id": frame["client_id"],
        }
        await socket.send_json(error)
        return True

    far.on_frame = refuse
    bad = room.send("bad")
    room.send("good")
    await reader.has("good")
    assert [error.client_id for error in reader.errors] == [bad.client_id]
    assert not room.outbox


async def test_a_message_that_does_not_come_back_is_sent_again_over_the_same_connection(
    session: Session, far: FaultyRoom, meter: Meter
) -> None:
    async def swallow(_socket: web.WebSocketResponse, _frame: dict[str, Any]) -> bool:
        return len(far.frames) == 1

    far.on_frame = swallow
    async with Room(session, CHAT, meter, "c-0", echo=1) as room:
        room.send("hello")
        frame = await anext(room)
        assert isinstance(frame, ChatMessage)
    assert far.texts() == ["hello", "hello"]
    assert len(far.afters) == 1


async def test_a_frame_too_large_is_not_sent_for_ever(
    far: FaultyRoom, room: Room, reader: Reader
) -> None:
    async def too_large(socket: web.WebSocketResponse, frame: dict[str, Any]) -> bool:
        if frame["text"] != "huge":
            return False
        await socket.close(code=CloseCode.TOO_LARGE)
        return True

    far.on_frame = too_large
    huge = room.send("huge")
    room.send("small")
    await reader.has("small")
    assert [error.client_id for error in reader.errors] == [huge.client_id]
    assert far.texts().count("huge") == 1


@pytest.mark.parametrize(
    "code", [1000, 1001, 1008, 1009, 1011, 1012, 1013, 4401, CloseCode.STALLED]
)
async def test_these_close_codes_come_back_and_lose_nothing(
    faulty: FaultyServer, far: FaultyRoom, room: Room, reader: Reader, meter: Meter, code: int
) -> None:
    await live(meter)
    await far.post("before")
    await reader.has("before")
    far.keep("missed", "missed")  # before it is closed: it may be back before that returns
    await far.close(code)
    await reader.has("before", "missed")
    assert faulty.refreshes == (1 if code == 4401 else 0)


@pytest.mark.parametrize("code", [4403, 4404, 4422, 4429])
async def test_these_close_codes_are_final(
    far: FaultyRoom, room: Room, reader: Reader, meter: Meter, code: int
) -> None:
    async def refuse(socket: web.WebSocketResponse) -> None:
        await socket.close(code=code, message=b'{"reason": "no"}')

    far.before_open = refuse
    with pytest.raises(ApiError) as refusal:
        await asyncio.wait_for(reader.task, PATIENCE)
    assert refusal.value.status == code - 4000
    assert meter.state is State.DOWN
    assert len(far.afters) == 1


async def test_a_new_token_that_does_not_help_is_final(
    faulty: FaultyServer, far: FaultyRoom, room: Room, reader: Reader
) -> None:
    async def refuse(socket: web.WebSocketResponse) -> None:
        await socket.close(code=4401)

    far.before_open = refuse
    with pytest.raises(ApiError) as refusal:
        await asyncio.wait_for(reader.task, PATIENCE)
    assert refusal.value.status == 401
    assert (len(far.afters), faulty.refreshes) == (2, 1)


async def test_a_revoked_session_ends_the_room(
    faulty: FaultyServer, far: FaultyRoom, room: Room, reader: Reader, meter: Meter
) -> None:
    await live(meter)
    faulty.revoke_all()
    await far.close(4401)
    with pytest.raises(SignedOut):
        await asyncio.wait_for(reader.task, PATIENCE)


@pytest.mark.parametrize(("code", "reason"), [(1001, "going-away"), (1013, "429")])
async def test_the_server_says_when_to_come_back(
    far: FaultyRoom, room: Room, reader: Reader, meter: Meter, code: int, reason: str
) -> None:
    await live(meter)
    loop = asyncio.get_running_loop()
    at = loop.time()
    await far.close(code, json.dumps({"reason": reason, "retry_after_ms": 600}))
    await wait_until(lambda: len(far.afters) == 2, what="the room to come back")
    assert loop.time() - at >= 0.55


async def test_reset_is_raised_and_what_is_unsent_is_kept(
    far: FaultyRoom, room: Room, reader: Reader
) -> None:
    async def reset(socket: web.WebSocketResponse) -> None:
        await socket.send_json({"type": "reset", "chat_id": CHAT})
        await socket.close(code=1000)

    far.before_open = reset
    room.send("still here")
    with pytest.raises(ResetStream):
        await asyncio.wait_for(reader.task, PATIENCE)
    assert [one.text for one in room.outbox] == ["still here"]


async def test_a_silent_connection_is_noticed(
    session: Session, far: FaultyRoom, meter: Meter
) -> None:
    held = asyncio.Event()

    async def hang(_socket: web.WebSocketResponse) -> None:
        if len(far.afters) == 1:
            await held.wait()  # not even a pong

    far.before_open = hang
    backoff = Backoff(0.02, 0.1)
    async with Room(session, CHAT, meter, "c-0", silence=1, backoff=backoff) as room:
        far.keep("other-0", "after the silence")
        frame = await asyncio.wait_for(anext(room), PATIENCE)
    held.set()
    assert isinstance(frame, ChatMessage)
    assert len(far.afters) == 2


async def test_an_answer_that_is_no_handshake_is_said_in_words(
    faulty: FaultyServer, far: FaultyRoom, session: Session, meter: Meter
) -> None:
    async def in_the_way(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="a proxy that knows no WebSocket")

    faulty.on("GET", f"/chats/{CHAT}/ws", in_the_way)
    async with Room(session, CHAT, meter, backoff=Backoff(0.02, 0.1)) as room:
        reader = Reader(room)
        await wait_until(lambda: "no WebSocket" in meter.detail, what="the reason on the wire")
        assert meter.state in (State.RETRY, State.CONNECTING)
        reader.task.cancel()


async def test_a_refusal_by_http_is_final(
    faulty: FaultyServer, far: FaultyRoom, room: Room, reader: Reader
) -> None:
    async def forbid(_request: web.Request) -> web.StreamResponse:
        return problem(403)

    faulty.on("GET", f"/chats/{CHAT}/ws", forbid)
    with pytest.raises(ApiError) as refusal:
        await asyncio.wait_for(reader.task, PATIENCE)
    assert refusal.value.status == 403


async def test_unknown_and_broken_frames_are_passed_over(
    far: FaultyRoom, room: Room, reader: Reader, meter: Meter
) -> None:
    await live(meter)
    await far.tell({"type": "sparkles", "chat_id": CHAT})
    for socket in far.sockets:
        await socket.send_str("{")
        await socket.send_bytes(b"\x00")
    await far.tell({"type": "presence", "chat_id": CHAT, "present": []})
    await far.post("after")
    await reader.has("after")
    assert [type(frame) for frame in reader.frames] == [PresenceFrame, ChatMessage]


async def test_typing_is_told_seldom_and_read_marks_only_the_newest(
    far: FaultyRoom, room: Room, reader: Reader, meter: Meter
) -> None:
    await live(meter)
    for _ in range(10):
        room.typing()
    for number in range(1, 6):
        room.read(f"c-{number}")
    await wait_until(lambda: len(far.frames) >= 2, what="typing and read")
    room.drop_connection()
    await wait_until(lambda: len(far.afters) == 2, what="the room to come back")
    kinds = [frame["type"] for frame in far.frames]
    assert kinds.count("typing") == 1
    await wait_until(lambda: len(far.frames) >= 3, what="the read mark again: nobody confirmed it")
    assert [f["cursor"] for f in far.frames if f["type"] == "read"] == ["c-5", "c-5"]


async def test_closing_leaves_no_connection(
    far: FaultyRoom, session: Session, meter: Meter
) -> None:
    async with Room(session, CHAT, meter) as room:
        reader = Reader(room)
        await live(meter)
        reader.task.cancel()
    await wait_until(lambda: not far.sockets, what="the server to see the end")
    assert meter.connections == 0
    assert meter.state is State.IDLE
