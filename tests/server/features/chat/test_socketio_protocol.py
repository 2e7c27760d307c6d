"""Engine.IO 4 and Socket.IO 5 as their protocols have it, packet by packet.

Who is known and sends what cannot be read, or something binary, is told so in words and goes on;
who is not is cut off, as the protocols' own tests have it.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from server.transports import socketio as transport
from server.transports.connections import Connections
from server.transports.outbox import FRAME_BYTES
from support.cast import Cast, cast_of
from support.live_server import LiveServer, running_server, settings_for
from support.raw_websocket import CLOSE, framed, raw_websocket
from support.rest import Rest
from support.room import history, open_chat
from support.socketio_client import WEBSOCKET, Polling, door_of, handshake, identified
from support.waiting import wait_until

PATH = "//socket.io/"
OPENS = "?EIO=4&transport="
RESERVED = (
    *("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"),
    *("error", "*", "__disconnect_final", "ping", "pong", "reconnect", "__class__", ""),
)


@asynccontextmanager
async def websocket(rest: Rest, more: str = "") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket of Engine.IO's."""
    async with rest.http.ws_connect(rest.url(f"{PATH}{OPENS}websocket{more}")) as ws:
        yield ws


async def text(ws: aiohttp.ClientWebSocketResponse) -> str:
    """The next packet that is no ping and tells nothing of the room."""
    async with asyncio.timeout(10):
        while (found := await ws.receive_str()).startswith(("2", '42["presence"', '42["read"')):
            pass
        return found


async def closed(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code it is closed with."""
    async with asyncio.timeout(10):
        while (await ws.receive()).type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.PING):
            pass
    return ws.close_code


@asynccontextmanager
async def known(rest: Rest) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """One over WebSocket that has said who it is."""
    async with websocket(rest) as ws:
        await text(ws)
        await ws.send_str("40" + json.dumps({"token": rest.token}))
        assert json.loads((await text(ws))[2:]).keys() == {"sid"}
        yield ws


async def test_the_handshake(cast: Cast) -> None:
    """A dead line shows after the two intervals together, which are half a minute."""
    nobody = cast.nobody
    async with nobody.http.get(nobody.url(f"{PATH}{OPENS}polling")) as answer:
        polling = json.loads((await answer.text()).removeprefix("0"))
    async with websocket(nobody) as ws:
        direct = json.loads((await ws.receive_str()).removeprefix("0"))
    assert polling["upgrades"] == ["websocket"]
    assert direct["upgrades"] == []
    for value in (polling, direct):
        assert value.keys() == {"sid", "upgrades", "pingInterval", "pingTimeout", "maxPayload"}
        assert (value["pingInterval"], value["pingTimeout"]) == (10_000, 20_000)
        assert value["maxPayload"] == FRAME_BYTES
    for method, query in (
        *(("GET", one) for one in ("?transport=polling", "?EIO=abc&transport=polling")),
        *(("GET", one) for one in ("?EIO=4&transport=abc", "?EIO=4&transport=websocket")),
        *(("POST", one) for one in ("?EIO=4&transport=polling", "?EIO=4")),
    ):
        async with nobody.http.request(method, nobody.url(PATH + query)) as answer:
            assert answer.status == 400, (method, query)
    async with nobody.http.put(nobody.url(f"{PATH}{OPENS}polling")) as answer:
        assert answer.status == 405
    for query in ("?transport=websocket", "?EIO=abc&transport=websocket", "?EIO=4&transport=abc"):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await nobody.http.ws_connect(nobody.url(PATH + query))


async def test_its_websocket_is_held_to_the_protocol_too(live_server: LiveServer) -> None:
    for frames in (
        framed(b"40", mask=None),
        framed(b"", final=False) + framed(b"40"),
        framed((1006).to_bytes(2, "big"), CLOSE),
    ):
        async with raw_websocket(live_server.port, WEBSOCKET) as ws:
            await ws.send_all(frames)
            assert (await ws.end())[0] == 1002, frames
    async with Rest(live_server.url) as nobody:
        old = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "8"}
        answer = (await nobody.get("/" + WEBSOCKET, headers=old)).must(426)
        assert answer.headers["Sec-WebSocket-Version"] == "13"
        assert answer.json["detail"]


async def test_pings_come_and_who_answers_none_is_gone(data_dir: object) -> None:
    settings = settings_for(data_dir, heartbeat_seconds=0.2, stalled_reader_seconds=0.3)  # type: ignore[arg-type]
    async with running_server(settings) as server, Rest(server.url) as nobody:
        async with websocket(nobody) as ws:
            told = json.loads((await ws.receive_str()).removeprefix("0"))
            assert (told["pingInterval"], told["pingTimeout"]) == (200, 400)
            for _ in range(3):
                assert await ws.receive_str() == "2"
                await ws.send_str("3")
        session = await handshake(nobody)
        for _ in range(3):
            assert await session.get() == (200, "2")
            assert await session.post("3") == 200
        async with websocket(nobody) as ws:
            await closed(ws)
        await gone(session)


async def polled(server: LiveServer, session: Polling) -> asyncio.Task[tuple[int, str]]:
    """A poll that the server holds."""
    polling = asyncio.create_task(session.get())
    await wait_until(lambda: (session.sid, "GET") in door_of(server)._busy, what="it is held")
    return polling


async def test_who_says_close_is_gone(live_server: LiveServer, cast: Cast) -> None:
    session = await handshake(cast.nobody)
    polling = await polled(live_server, session)
    assert await session.post("1") == 200
    assert (await polling)[0] == 200
    assert (await session.get())[0] == 400
    async with websocket(cast.nobody) as ws:
        await ws.receive_str()
        await ws.send_str("1")
        await closed(ws)


async def test_an_upgrade(cast: Cast) -> None:
    session = await identified(cast.customer)
    async with websocket(cast.nobody, f"&sid={session.sid}") as ws:
        await ws.send_str("2probe")
        assert await ws.receive_str() == "3probe"
        assert await session.get() == (200, "6")
        await ws.send_str("5")
        assert await ws.receive_str() == "6"
        assert (await session.get())[0] == 400
        assert await session.post("3") == 400
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await cast.nobody.http.ws_connect(ws._response.url)
        await ws.send_str('427["leave",{"chat_id":"x"}]')
        assert await text(ws) == "437[{}]"


async def test_namespaces(live_server: LiveServer, cast: Cast) -> None:
    """There is one; JavaScript's client reads `message` and `data` of a refusal."""
    async with websocket(cast.customer) as ws:
        await ws.receive_str()
        for name, said in (("/random", "/random"), ("/random,{}", "/random"), ("/a?b=c,", "/a")):
            await ws.send_str(f"40{name}")
            head, _, refusal = (await text(ws)).partition(",")
            assert head == f"44{said}"
            assert json.loads(refusal)["message"] == "Invalid namespace"
            assert json.loads(refusal)["data"]["code"] == 4404
        await ws.send_str("40" + json.dumps({"token": cast.customer.token}))
        assert (await text(ws)).startswith('40{"sid":')
        # Once more it takes no other place, and what is another namespace's changes nothing.
        for packet in ("40", '40{"token":"x"}'):
            await ws.send_str(packet)
            assert json.loads((await text(ws)).removeprefix("44"))["message"]
        assert live_server.services[Connections].held == 1
        for packet in ("41/random", '42/random,1["leave",{"chat_id":"x"}]'):
            await ws.send_str(packet)
        await ws.send_str('42456["leave",{"chat_id":"x"}]')
        assert await text(ws) == "43456[{}]"
        await ws.send_str("41")
        await ws.send_str('427["leave",{"chat_id":"x"}]')
        await ws.send_str("40" + json.dumps({"token": cast.customer.token}))
        assert (await text(ws)).startswith('40{"sid":'), "of one that has left nothing is taken"
    for packet in ("4abc", "abc", "42{}", '42abc["leave"]', "45", "4"):
        async with websocket(cast.nobody) as ws:
            await ws.receive_str()
            await ws.send_str(packet)
            if packet != "42{}":  # for one who is nobody it is nothing
                await closed(ws)
        session = await handshake(cast.nobody)
        await session.post(packet)
        if packet != "42{}":
            await gone(session)


async def gone(session: Polling) -> None:
    """It has ended."""

    async def refused() -> bool:
        return (await session.get())[0] == 400

    await wait_until(refused, what="the session has ended")


async def test_reserved_names_are_refused_in_words_however_they_come(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    async with known(cast.customer) as ws:
        await ws.send_str(f'421["join",{{"chat_id":"{chat_id}"}}]')
        while not (await text(ws)).startswith("431"):
            pass
        for name in RESERVED:
            await ws.send_str("427" + json.dumps([name, {"token": cast.customer.token}]))
            assert '"code":"unknown_type"' in await text(ws), name
            (answer,) = json.loads((await text(ws)).removeprefix("437"))
            assert (answer["type"], answer["code"]) == ("error", "unknown_type"), name
            assert "join, message" in answer["detail"], name
            await ws.send_str("42" + json.dumps([name]))
            assert '"code":"unknown_type"' in await text(ws), name
            # Announced as binary: its acknowledgement is a refusal, with attachments or without.
            await ws.send_str(f'451-8["{name}",{{"_placeholder":true,"num":0}}]')
            (answer,) = json.loads((await text(ws)).removeprefix("438"))
            assert answer["code"] == "binary", name
        for head in ('450-["connect"]', '461-8[{"_placeholder":true,"num":0}]', '461-["x"]'):
            await ws.send_str(head)
            assert '"code":"binary"' in await text(ws), head
        sent = ["message", {"chat_id": chat_id, "client_id": "a", "text": "still here"}]
        await ws.send_str("429" + json.dumps(sent))
        while not (last := await text(ws)).startswith("439"):
            pass
        assert json.loads(last[3:])[0]["cursor"]
    assert [one["text"] for one in await history(cast.customer, chat_id)] == ["still here"]


def messages(chat_id: str, count: int, size: int = 1) -> list[str]:
    """Packets of events that send a message each."""
    return [
        f"42{n}"
        + json.dumps(["message", {"chat_id": chat_id, "client_id": f"m{n}", "text": "x" * size}])
        for n in range(count)
    ]


async def test_all_that_a_post_brings_is_taken_or_refused(cast: Cast) -> None:
    chat_id = await open_chat(cast.customer)
    session = await identified(cast.customer)
    packets = ["42" + json.dumps(["join", {"chat_id": chat_id}]), *messages(chat_id, 40)]

    async def in_chunks() -> AsyncIterator[bytes]:
        for packet in packets[21:]:
            yield (packet + ("" if packet is packets[-1] else "\x1e")).encode()

    assert await session.post(*packets[:21]) == 200
    assert (await session.send(in_chunks()))[0] == 200
    stored = [one["client_id"] for one in await history(cast.customer, chat_id)]
    assert stored == [f"m{n}" for n in range(40)]
    # One that is no packet does not take the others along.
    again = [packet.replace('"m0', '"n0').replace('"m1', '"n1') for packet in packets[1:3]]
    assert await session.post(again[0], "", "x", "2", "bAQID", again[1]) == 200
    stored = [one["client_id"] for one in await history(cast.customer, chat_id)]
    assert stored[40:] == ["n0", "n1"]
    told = ""
    while told.count('"code":"bad_json"') < 3 or '"code":"binary"' not in told:
        status, more = await session.get()
        assert status == 200
        told += more
    assert (await session.send(b"4\xff"))[0] == 400


@pytest.mark.parametrize("large", [True, False], ids=["too large", "too many"])
async def test_a_post_that_is_too_much_is_refused_and_ends_the_session(
    data_dir: object, large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "CLOSE_SECONDS", 0.5)
    settings = settings_for(data_dir, frames_per_second=20)  # type: ignore[arg-type]
    async with running_server(settings) as server, cast_of(server) as cast:
        chat_id = await open_chat(cast.customer)
        session = await identified(cast.customer)
        polling = await polled(server, session)
        count, size = (30, 3000) if large else (500, 1)
        body = "\x1e".join(messages(chat_id, count, size))

        async def in_chunks() -> AsyncIterator[bytes]:
            yield body.encode()

        assert len(body) < FRAME_BYTES or large
        status, said = await session.send(in_chunks() if large else body)
        assert status == (413 if large else 429)
        assert json.loads(said)["detail"]
        status, told = await polling
        assert f'"code": {1009 if large else 1008},' in told
        assert (await session.get())[0] == 400
        assert not await history(cast.customer, chat_id)


async def test_a_poll_that_is_given_up_ends_the_session(
    live_server: LiveServer, cast: Cast
) -> None:
    """What it would have brought is lost, and comes once more to who joins with its cursor."""
    session = await identified(cast.customer)
    polling = await polled(live_server, session)
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)
    await gone(session)
