"""Limits of Socket.IO clients that have not authenticated, that leave, or that send too much."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from server.core.serving import Server
from server.realtime.hub import Hub
from server.transports import socketio as transport
from server.transports.connections import Connections, End
from server.transports.outlet import BUFFER
from server.transports.socketio_engine import HARD_BUFFER
from support.cast import Cast, cast_of
from support.idle_reader import idle_reader
from support.live_server import LiveServer, running_server, settings_for
from support.raw_websocket import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawWebSocket,
    framed,
    raw_websocket,
)
from support.rest import Rest
from support.room import open_chat, room
from support.socketio_client import (
    POLLING,
    WEBSOCKET,
    clients_of,
    door_of,
    handshake,
    hello,
    identified,
)
from support.tokens import expiring
from support.waiting import PATIENCE, wait_until


@asynccontextmanager
async def raw_client(server: LiveServer, rest: Rest) -> AsyncIterator[RawWebSocket]:
    """An authenticated client over WebSocket."""
    async with raw_websocket(server.port, WEBSOCKET) as ws:
        await ws.text()
        await ws.send(hello(rest))
        assert (await ws.text()).startswith("40")
        yield ws


async def test_the_number_of_unauthenticated_clients_is_limited(data_dir: Path) -> None:
    settings = settings_for(data_dir, max_unidentified=3, max_unidentified_per_address=2)
    async with running_server(settings) as server, cast_of(server) as cast:
        nobody = cast.nobody
        first, _ = await handshake(nobody), await handshake(nobody)
        async with nobody.http.get(nobody.url(POLLING)) as answer:
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) >= 1
            assert "access token" in (await answer.json(content_type=None))["detail"]
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await nobody.http.ws_connect(nobody.url("/" + WEBSOCKET))
        assert refused.value.status == 429
        # A client that authenticates makes room, and so does one that leaves.
        assert await first.post(hello(cast.customer)) == 200
        third = await handshake(nobody)
        assert await third.post("1") == 200
        await handshake(nobody)
        door_of(server)._unidentified._limit = 2
        async with nobody.http.get(nobody.url(POLLING)) as answer:
            assert answer.status == 503
            assert "Try again" in (await answer.json(content_type=None))["detail"]


async def test_nothing_is_kept_of_clients_that_never_authenticated(data_dir: Path) -> None:
    """Neither of one that was disconnected while it polled nor of one that left by itself."""
    async with running_server(settings_for(data_dir, identify_seconds=1)) as server:
        async with Rest(server.url) as nobody:
            goes, silent, polls = [await handshake(nobody) for _ in range(3)]
            polling = asyncio.create_task(polls.get())
            await goes.post("1")
            assert goes.sid not in clients_of(server)
            status, text = await polling
            assert (status, text.split("\x1e")[-1]) == (200, "1")
            await wait_until(lambda: not clients_of(server), what="they are forgotten")
            assert (await silent.get())[0] == 400
        assert not door_of(server)._server.environ
        assert door_of(server)._unidentified.held == 0


async def test_the_id_of_a_session_is_a_secret(cast: Cast) -> None:
    sids = {(await handshake(cast.nobody)).sid for _ in range(20)}
    assert len(sids) == 20
    for sid in sids:
        assert len(sid) * 6 >= 128
    # No part of it counts up or stays the same.
    assert all(len({sid[at] for sid in sids}) > 5 for at in range(len(min(sids))))


async def test_a_session_ends_with_its_token_and_with_log_out(data_dir: Path) -> None:
    settings = settings_for(data_dir, identify_seconds=2)
    async with running_server(settings) as server, cast_of(server) as cast:
        cast.employee.token = expiring(cast.employee.token)
        expires, ends = await identified(cast.employee), await identified(cast.customer)
        leaves = await identified(cast.stranger)
        assert await leaves.post("41") == 200
        await wait_until(lambda: leaves.sid not in clients_of(server), what="it is dismissed")
        token = cast.customer.grant["refresh_token"]
        (await cast.customer.post("/auth/logout", {"refresh_token": token})).must(204)
        for session in (leaves, ends, expires):
            await wait_until(lambda sid=session.sid: sid not in clients_of(server))
            assert (await session.get())[0] == 400
            assert await session.post('42["join",{}]') == 400
        await wait_until(lambda: server.services[Connections].held == 0)
        assert door_of(server)._unidentified.held == 0


async def test_a_client_that_left_may_authenticate_once_more(cast: Cast) -> None:
    session = await identified(cast.customer)
    assert await session.post("41") == 200
    assert await session.post(hello(cast.customer), '421["leave",{"chat_id":"x"}]') == 200
    text = (await session.get())[1]
    while "431" not in text:
        text = (await session.get())[1]
    assert "431[{}]" in text


async def test_a_refused_client_may_try_once_more(cast: Cast) -> None:
    wrong = '40{"token":"wrong"}'
    session = await handshake(cast.nobody)
    assert await session.post(wrong) == 200
    assert '"code":4401' in (await session.get())[1]
    assert await session.post(hello(cast.customer)) == 200
    assert (await session.get())[1].startswith('40{"sid"')
    session = await handshake(cast.nobody)
    assert await session.post(wrong, wrong) == 200
    async with asyncio.timeout(PATIENCE):
        while (await session.get())[0] == 200:
            pass


async def test_a_session_has_one_poll_at_a_time(data_dir: Path) -> None:
    async with running_server(settings_for(data_dir)) as server, cast_of(server) as cast:
        session = await identified(cast.customer)
        polling = asyncio.create_task(session.get())
        await wait_until(lambda: door_of(server)._busy, what="it polls")
        status, text = await session.get()
        assert (status, "at a time" in text) == (400, True)
        assert await session.post(f"421{json.dumps(['leave', {'chat_id': 'x'}])}") == 200
        assert await polling == (200, "431[{}]")


async def test_too_many_posts_end_a_session(data_dir: Path) -> None:
    settings = settings_for(data_dir, frames_per_second=1)
    async with running_server(settings) as server, cast_of(server) as cast:
        session = await identified(cast.customer)
        statuses = [await session.post("3") for _ in range(10)]
        assert set(statuses) == {200}, "an ordinary client's"
        while statuses[-1] == 200:
            statuses.append(await session.post("3" + " " * 60_000))
            assert len(statuses) < 100
        assert statuses[-1] == 429
        await wait_until(lambda: session.sid not in clients_of(server), what="it is ended")


async def test_the_answer_to_a_poll_has_to_be_read_in_time(data_dir: Path) -> None:
    settings = settings_for(data_dir, write_seconds=0.5)
    async with running_server(settings) as server, cast_of(server) as cast:
        listening = server.runner.server
        assert isinstance(listening, Server)
        chat_id = await open_chat(cast.customer)
        start = (await cast.customer.get(f"/chats/{chat_id}/messages")).must(200).json["cursor"]
        async with room(cast.customer, chat_id) as talk:
            for number in range(16):
                await talk.say("\U0001f35b" * 4000, str(number))
                await talk.next("message")
        session = await identified(cast.customer)
        joins = json.dumps(["join", {"chat_id": chat_id, "after": start}])
        assert await session.post(f"42{joins}") == 200
        await wait_until(lambda: clients_of(server)[session.sid].queue.bytes > BUFFER)
        before = len(listening.connections)
        async with idle_reader(cast.nobody, f"{POLLING}&sid={session.sid}"):
            await wait_until(lambda: len(listening.connections) > before, what="it polls")
            await wait_until(lambda: len(listening.connections) == before, what="it is cut off")


FLOODS = {
    "pings": framed(b"", PING),
    "pongs": framed(b"", PONG),
    "parts": framed(b"", CONTINUATION, final=False),
    "bytes": framed(b"x", BINARY),
    "no packets": framed(b"x"),
    "upgrades": framed(b"5"),
    "answers to pings": framed(b"3"),
    "other namespaces": framed(b"40/admin,"),
    "who one is": framed(b'40{"token":"x"}'),
}


@pytest.mark.parametrize("known", [False, True], ids=["nobody", "somebody"])
async def test_a_flood_of_any_kind_ends_the_connection(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setattr(transport, "CLOSE_SECONDS", 0.3)
    settings = settings_for(data_dir, frames_per_second=20)
    async with running_server(settings) as server, cast_of(server) as cast:
        for name, frame in FLOODS.items():
            began = framed(b"", TEXT, final=False) if name == "parts" else b""
            async with (
                raw_client(server, cast.customer)
                if known
                else raw_websocket(server.port, WEBSOCKET) as ws
            ):
                sending = asyncio.create_task(ws.send_all(began + frame * 3000))
                code, _ = await ws.end()
                # 1006 and 104 are the ends of a connection that was not read any more.
                assert code in (1008, 4401, 1006, 104), name
                await asyncio.gather(sending, return_exceptions=True)
        assert (await cast.stranger.get("/me")).status == 200
        await wait_until(lambda: not clients_of(server), what="they are forgotten")
        await wait_until(lambda: server.services[Connections].held == 0)


async def test_a_client_cut_off_on_one_transport_waits_on_the_other_too(data_dir: Path) -> None:
    settings = settings_for(data_dir, frames_per_second=20, sockets_at_full_pace=3)
    async with running_server(settings) as server, cast_of(server) as cast:
        chat_id = await open_chat(cast.customer)
        path = f"/api/v1/chats/{chat_id}/ws"
        authorization = {"Authorization": f"Bearer {cast.customer.token}"}
        for _ in range(6):  # on a busy machine a wait may be over by now; the next is longer
            async with raw_websocket(server.port, path, authorization) as ws:
                sending = asyncio.create_task(ws.send_all(framed(b"{") * 3000))
                assert (await ws.end())[0] in (1008, 1013)
                await asyncio.gather(sending, return_exceptions=True)
            async with raw_websocket(server.port, WEBSOCKET) as ws:
                await ws.text()
                await ws.send(hello(cast.customer))
                answer = await ws.text()
            if answer.startswith("44"):
                break
        refused = json.loads(answer[2:])["data"]
        assert (refused["code"], refused["retry_after_ms"] >= 1000) == (1013, True)
        async with raw_client(server, cast.employee):
            pass


async def test_unread_answers_end_the_connection(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CLOSE_SECONDS", 0.3)
    settings = settings_for(data_dir)
    async with running_server(settings) as server, cast_of(server) as cast:
        async with raw_client(server, cast.customer) as ws:
            ((_, client),) = clients_of(server).items()
            sending = asyncio.create_task(ws.send_all(framed(b"40/" + b"x" * 1000) * 5000))
            await wait_until(lambda: client.closing, what="it is ended")
            assert client.queue.bytes < HARD_BUFFER + BUFFER
            sending.cancel()
        await wait_until(lambda: server.services[Connections].held == 0)


async def test_a_room_entered_while_the_session_ends_is_left_again(data_dir: Path) -> None:
    async with running_server(settings_for(data_dir)) as server, cast_of(server) as cast:
        hub = server.services[Hub]
        chat_id = await open_chat(cast.customer)
        listeners = hub.listeners
        for _ in range(5):
            session = await identified(cast.customer)
            (known,) = door_of(server)._sessions.values()
            joining = asyncio.create_task(session.post(f'42["join",{{"chat_id":"{chat_id}"}}]'))
            while not known.rooms:  # noqa: ASYNC110
                await asyncio.sleep(0)
            known.end(End.REVOKED)
            await joining
            await wait_until(lambda: not door_of(server)._sessions, what="it has ended")
        await wait_until(lambda: hub.listeners == listeners, what="every seat is free")
        assert not door_of(server)._handlers["join"].__self__._participants  # type: ignore[attr-defined]
        async with room(cast.employee, chat_id, settled=False) as desk:
            while [one["role"] for one in (await desk.next("presence"))["present"]] != ["employee"]:
                pass
