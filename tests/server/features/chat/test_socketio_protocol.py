"""Engine.IO 4 and Socket.IO 5 as their protocols define them, packet by packet.

An authenticated client that sends an invalid or binary packet gets an error and stays; an
unauthenticated one is cut off, as the protocols' own tests demand.
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
from support.waiting import PATIENCE, wait_until

PATH = "//socket.io/"
OPENS = "?EIO=4&transport="
RESERVED = (
    *("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"),
    *("error", "*", "__disconnect_final", "ping", "pong", "reconnect", "__class__", ""),
)


@asynccontextmanager
async def websocket(rest: Rest, more: str = "") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """An Engine.IO WebSocket."""
    async with rest.http.ws_connect(rest.url(f"{PATH}{OPENS}websocket{more}")) as ws:
        yield ws


async def text(ws: aiohttp.ClientWebSocketResponse) -> str:
    """The next packet that is neither a ping nor an event of the room."""
    async with asyncio.timeout(PATIENCE):
        while (found := await ws.receive_str()).startswith(("2", '42["presence"', '42["read"')):
            pass
        return found


async def closed(ws: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code it is closed with."""
    async with asyncio.timeout(PATIENCE):
        while (await ws.receive()).type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.PING):
            pass
    return ws.close_code


@asynccontextmanager
async def known(rest: Rest) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """An authenticated connection over WebSocket."""
    async with websocket(rest) as ws:
        await text(ws)
        await ws.send_str("40" + json.dumps({"token": rest.token}))
        assert json.loads((await text(ws))[2:]).keys() == {"sid"}
        yield ws


async def test_the_handshake_follows_the_protocol(cast: Cast) -> None:
    """A dead connection is noticed after both intervals together, half a minute."""
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


async def test_the_websocket_follows_its_protocol_too(live_server: LiveServer) -> None:
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


async def test_a_client_that_answers_no_ping_is_disconnected(data_dir: object) -> None:
    settings = settings_for(data_dir, heartbeat_seconds=0.2, stalled_reader_seconds=1)  # type: ignore[arg-type]
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


async def test_a_close_packet_ends_the_session(live_server: LiveServer, cast: Cast) -> None:
    session = await handshake(cast.nobody)
    polling = await polled(live_server, session)
    assert await session.post("1") == 200
    assert (await polling)[0] == 200
    assert (await session.get())[0] == 400
    async with websocket(cast.nobody) as ws:
        await ws.receive_str()
        await ws.send_str("1")
        await closed(ws)


async def test_a_session_is_upgraded_to_websocket(cast: Cast) -> None:
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


async def test_only_the_main_namespace_exists(live_server: LiveServer, cast: Cast) -> None:
    """JavaScript's client reads `message` and `data` of a refusal."""
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
        # A second connect changes nothing, nor does a packet for another namespace.
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
            if packet != "42{}":  # an unauthenticated client gets no answer
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


async def test_reserved_event_names_are_refused_in_any_form(cast: Cast) -> None:
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
    """Packets of events that each send a message."""
    return [
        f"42{n}"
        + json.dumps(["message", {"chat_id": chat_id, "client_id": f"m{n}", "text": "x" * size}])
        for n in range(count)
    ]


async def test_a_post_is_accepted_or_refused_as_a_whole(cast: Cast) -> None:
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
    # An invalid packet does not take the others with it.
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


async def test_an_abandoned_poll_ends_the_session(live_server: LiveServer, cast: Cast) -> None:
    """What it would have carried is lost, and arrives once more after joining with the cursor."""
    session = await identified(cast.customer)
    polling = await polled(live_server, session)
    polling.cancel()
    await asyncio.gather(polling, return_exceptions=True)
    await gone(session)


async def test_a_poll_that_is_sent_again_ends_the_session(cast: Cast) -> None:
    """As HTTP libraries do where a connection broke: the first answer may be lost."""
    session = await identified(cast.customer)
    join = f"420{json.dumps(['join', {'chat_id': 'x'}])}"
    assert await session.post(join) == 200
    assert (await session.get("one"))[0] == 200
    assert await session.post(join) == 200
    status, text = await session.get("one")
    assert (status, "Connect again" in text) == (400, True)
    await gone(session)
