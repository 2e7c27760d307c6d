import asyncio
import contextlib
import gc
import json
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from held_app import HeldApp, OpenApp

from server.core.connection import Connection
from server.settings import Settings
from server.transports import counted_websocket, frame_limits, outlet, websocket
from server.transports.connections import DRAINED_RETRY_MS
from support.raw_websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    RawWebSocket,
    framed,
    raw_websocket,
)
from support.waiting import PATIENCE, wait_until

KILOBYTES_8 = json.dumps("x" * 8192)


@contextlib.asynccontextmanager
async def opened(app: HeldApp, **more: object) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket whose subscription is made."""
    made = app.hub.made
    async with app.client.ws_connect("ws", headers=app.headers(**more)) as ws:  # type: ignore[arg-type]
        await wait_until(lambda: app.hub.made > made)
        yield ws


@contextlib.asynccontextmanager
async def idle(app: HeldApp, after: str = "") -> AsyncIterator[RawWebSocket]:
    """The same, with a small buffer, which reads nothing until told to."""
    made = app.hub.made
    async with raw_websocket(app.port, f"/api/v1/ws?after={after}", app.headers()) as ws:
        await wait_until(lambda: app.hub.made > made)
        yield ws


async def seqs(ws: RawWebSocket, count: int) -> list[int]:
    """The `seq` of that many events."""
    return [json.loads(await ws.text())["seq"] for _ in range(count)]


async def to_the_end(ws: RawWebSocket) -> tuple[list[int], tuple[int, str]]:
    """The `seq`s that still arrive, then the close code and reason."""
    seen: list[int] = []
    try:
        while True:
            seen += await seqs(ws, 1)
    except ConnectionResetError as end:
        return seen, end.args  # type: ignore[return-value]


async def test_events_and_frames_go_both_ways(app: HeldApp) -> None:
    async with opened(app) as ws:
        await app.append('"é☃"')
        assert json.loads(await ws.receive_str(timeout=PATIENCE)) == {"seq": 1, "data": "é☃"}
        await ws.send_str("hello")
        assert await ws.receive_str(timeout=PATIENCE) == '{"echo": "hello"}'


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
async def test_a_frame_is_encoded_as_the_protocol_says(app: HeldApp, size: int) -> None:
    text = "x" * size
    async with idle(app) as ws:
        await app.append(json.dumps(text))
        assert json.loads(await ws.text())["data"] == text
    async with opened(app) as ws_:
        await app.append(json.dumps(text))
        assert json.loads(await ws_.receive_str(timeout=PATIENCE))["data"] == text


async def test_an_event_is_encoded_once_for_all_its_readers(
    app: HeldApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []
    text_frame = websocket.text_frame
    monkeypatch.setattr(websocket, "text_frame", lambda text: made.append(text) or text_frame(text))
    async with contextlib.AsyncExitStack() as stack:
        readers = [await stack.enter_async_context(opened(app)) for _ in range(20)]
        await app.append("1", "2")
        for ws in readers:
            got = [json.loads(await ws.receive_str(timeout=PATIENCE)) for _ in "12"]
            assert [event["seq"] for event in got] == [1, 2]
    assert len(made) == 2


async def test_an_open_connection_keeps_no_request_and_no_task(app: HeldApp) -> None:
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(idle(app)) for _ in range(5)]
        for ws in sockets:
            await ws.send("hello")
            assert "hello" in await ws.text()
        assert app.connections.held == 5
        await wait_until(
            lambda: not any(task.get_name() == "websocket frames" for task in asyncio.all_tasks())
        )
        gc.collect()
        kept = [type(one) for one in gc.get_objects() if isinstance(one, web.Request | Connection)]
        assert not kept


async def test_frames_may_come_together_with_the_handshake(app: HeldApp) -> None:
    headers = {
        "Host": "x",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **app.headers(),
    }
    lines = [f"{name}: {value}" for name, value in headers.items()]
    frames = framed(b"1") + framed(b"2")
    reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
    writer.write("\r\n".join(["GET /api/v1/ws HTTP/1.1", *lines, "", ""]).encode() + frames)
    async with asyncio.timeout(PATIENCE):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        echoes = b'\x81\x0d{"echo": "1"}\x81\x0d{"echo": "2"}'
        assert await reader.readexactly(len(echoes)) == echoes
    writer.transport.abort()


async def test_a_slow_member_costs_bounded_memory_and_gets_everything(app: HeldApp) -> None:
    async with idle(app) as slow, opened(app) as quick:
        for _ in range(120):
            await app.append(*[KILOBYTES_8] * 5)
            assert app.buffered < 3 * outlet.BUFFER
        assert app.buffered > outlet.BUFFER / 2, "nothing has piled up"
        for _ in range(600):
            await quick.receive_str(timeout=PATIENCE)
        assert await seqs(slow, 600) == list(range(1, 601))
        await app.append("1")  # and it is live again
        assert await seqs(slow, 1) == [601]
    await wait_until(lambda: app.connections.held == 0)


async def test_a_slow_member_that_makes_progress_is_kept(open_app: OpenApp) -> None:
    limit = 2.0
    app = await open_app(stalled_seconds=limit)
    async with idle(app) as slow:

        async def read() -> None:
            for number in range(1, 151):
                assert await seqs(slow, 1) == [number]
                await asyncio.sleep(0.015)

        began = time.monotonic()
        reading = asyncio.create_task(read())
        for _ in range(30):
            await app.append(*[KILOBYTES_8] * 5)
        await reading
        assert time.monotonic() - began > limit
        assert app.connections.held == 1


async def test_a_stalled_member_is_closed_with_4408(open_app: OpenApp) -> None:
    """Once it reads again it gets what was on its way, the code, and with its cursor the rest."""
    app = await open_app(stalled_seconds=0.4)
    async with idle(app) as stalled:
        for _ in range(30):
            await app.append(*[KILOBYTES_8] * 10)
        await wait_until(lambda: app.ends == ["stalled"], what="it is seen to stall")
        seen, (code, reason) = await to_the_end(stalled)
    assert (code, json.loads(reason)) == (4408, {"reason": "no-progress"})
    assert 0 < len(seen) < 300
    assert seen == list(range(1, len(seen) + 1))
    # Its reader need not be as quick as that.
    settings = app.services[Settings].model_copy(update={"stalled_reader_seconds": PATIENCE})
    app.services._by_type[Settings] = settings
    async with idle(app, app.cursor(seen[-1])) as back:
        assert await seqs(back, 300 - len(seen)) == list(range(len(seen) + 1, 301))
    await wait_until(lambda: app.connections.held == 0 and app.buffered == 0)


async def test_a_member_that_never_reads_again_is_dropped(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.3)
    app = await open_app(stalled_seconds=0.3)
    async with idle(app):
        for _ in range(30):
            await app.append(*[KILOBYTES_8] * 10)
        await wait_until(lambda: app.connections.held == 0, what="its place is free")
        await wait_until(lambda: app.buffered == 0, what="nothing waits for it")


async def test_a_member_that_answers_no_ping_is_closed(open_app: OpenApp) -> None:
    app = await open_app(stalled_seconds=2, heartbeat_seconds=0.1)
    async with idle(app) as silent, opened(app) as alive:
        reading = asyncio.create_task(alive.receive())  # which answers pings
        await wait_until(lambda: app.ends == ["stalled"], what="it is seen to stall")
        kinds = [(await silent.receive())[0]]
        while kinds[-1] != CLOSE:
            kinds.append((await silent.receive())[0])
        assert set(kinds[:-1]) == {PING}
        assert app.connections.held >= 1
        assert not reading.done()
        reading.cancel()


async def test_pings_arrive_and_are_answered(open_app: OpenApp) -> None:
    app = await open_app(heartbeat_seconds=0.2)
    started = time.monotonic()
    async with idle(app) as ws:
        for _ in range(3):
            assert await ws.receive() == (PING, b"")
        assert 0.2 < time.monotonic() - started < PATIENCE
        await ws.send("mine", PING)
        while (await ws.receive()) != (0xA, b"mine"):
            pass


async def test_a_flood_of_pings_gets_one_pong_at_a_time_for_the_newest(open_app: OpenApp) -> None:
    app = await open_app(pong_seconds=0.5)
    async with idle(app) as ws:
        began = time.monotonic()
        await ws.send_all(b"".join(framed(b"%d" % number, PING) for number in range(40)))
        assert await ws.receive() == (PONG, b"0")
        assert await ws.receive() == (PONG, b"39")
        assert time.monotonic() - began > 0.4
        await ws.send("hello")
        assert await ws.receive() == (TEXT, b'{"echo": "hello"}')


FLOODS = {
    "pings": framed(b"", PING),
    "pongs": framed(b"x" * 125, PONG),
    "parts of a message": framed(b"", CONTINUATION, final=False),
    "messages in parts": framed(b"x", TEXT, final=False) + framed(b"", CONTINUATION),
    "text": framed(b"x", TEXT),
    "bytes": framed(b"x", BINARY),
    "all of them": framed(b"", PING) + framed(b"", PONG) + framed(b"x", TEXT),
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_of_frames_of_any_kind_ends_the_connection(
    open_app: OpenApp, flood: str
) -> None:
    """Normal clients come nowhere near the limit, and frames beyond it are not even parsed."""
    app = await open_app(frames_per_second=20, control_frames_per_second=50)
    began = framed(b"", TEXT, final=False) if "parts of a" in flood else b""
    async with idle(app) as ws, opened(app) as other:
        sending = asyncio.create_task(ws.send_all(began + FLOODS[flood] * 5000))
        assert await ws.end() == (1008, '{"reason": "too-fast"}')
        await asyncio.gather(sending, return_exceptions=True)
        await other.send_str("hello")
        assert "hello" in await other.receive_str(timeout=PATIENCE)
        await wait_until(lambda: app.connections.held == 1, what="its place is free")


async def flooded(app: HeldApp) -> tuple[int, dict[str, int], int]:
    """The end of a flood of text: its close code, how often each answer came, the wait in ms."""
    answers = {"echo": 0, "error": 0}
    async with raw_websocket(app.port, "/api/v1/ws", app.headers()) as ws:
        sending = asyncio.create_task(ws.send_all(FLOODS["text"] * 5000))
        try:
            while True:
                answers["echo" if "echo" in json.loads(await ws.text()) else "error"] += 1
        except ConnectionResetError as end:
            code, reason = end.args
        await asyncio.gather(sending, return_exceptions=True)
    return code, answers, json.loads(reason or "{}").get("retry_after_ms", 0)


async def test_a_client_that_was_cut_off_gets_less_afterwards(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each connection does not give the account a new allowance, neither for frames nor for
    refusals."""
    monkeypatch.setattr(frame_limits, "LONGEST_LOCKOUT_SECONDS", 0.0)
    app = await open_app(frames_per_second=20, sockets_at_full_pace=1)
    code, first, _ = await flooded(app)
    assert (code, first["echo"] >= 100, first["error"] > frame_limits.MAX_REFUSALS) == (
        1008,
        True,
        True,
    )
    code, second, _ = await flooded(app)
    assert code == 1008
    assert second["error"] < first["error"] / 2
    assert second["echo"] < first["echo"] / 2
    code, other, _ = await flooded(await open_app(frames_per_second=20))
    assert (code, other["error"] > frame_limits.MAX_REFUSALS) == (1008, True), "no limit an account"


async def test_a_client_that_was_cut_off_has_to_wait(open_app: OpenApp) -> None:
    app = await open_app(frames_per_second=20, sockets_at_full_pace=3)
    code, _, wait = await flooded(app)
    assert code == 1008
    for _ in range(6):  # on a busy machine the first wait may be over by now; the next is longer
        code, answers, wait = await flooded(app)
        if code != 1008:
            break
    assert (code, answers) == (1013, {"echo": 0, "error": 0})
    assert wait >= 1000
    async with opened(app, account="acc_other") as other:
        await other.send_str("hello")
        assert "hello" in await other.receive_str(timeout=PATIENCE)


async def test_a_flood_at_a_refused_connection_is_cut_off(
    app: HeldApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused handshake is accepted and closed: frames count until the close is answered."""
    for module in (websocket, counted_websocket):
        monkeypatch.setattr(module, "CLOSE_SECONDS", PATIENCE)
    async with raw_websocket(app.port, "/api/v1/ws") as ws:
        began = time.monotonic()
        sending = asyncio.create_task(ws.send_all(FLOODS["pings"] * 5000))
        assert (await ws.end())[0] == 4401
        await ws.end()
        await asyncio.gather(sending, return_exceptions=True)
        assert time.monotonic() - began < 0.8 * PATIENCE, "it is listened to"


async def test_a_long_message_in_parts_and_frequent_pings_are_no_flood(open_app: OpenApp) -> None:
    app = await open_app(frames_per_second=20)
    async with idle(app) as ws:
        part = "x" * 512
        await ws.send_all(
            framed(part.encode(), TEXT, final=False)
            + (framed(b"", PING) + framed(part.encode(), CONTINUATION, final=False)) * 100
            + framed(b"", CONTINUATION)
        )
        assert json.loads(await ws.text()) == {"echo": part * 101}


async def test_a_client_that_does_not_read_is_not_read_from(app: HeldApp) -> None:
    async with idle(app) as ws:
        for _ in range(60):
            await app.append(*[KILOBYTES_8] * 5)
        sending = asyncio.create_task(_flood(ws))
        await asyncio.wait({sending}, timeout=1)
        assert not sending.done(), "answers pile up somewhere"
        assert app.buffered < 3 * outlet.BUFFER
        sending.cancel()


async def _flood(ws: RawWebSocket) -> None:
    for _ in range(2000):
        await ws.send("x" * 8192)


async def test_draining_says_when_to_come_back(app: HeldApp) -> None:
    async with opened(app) as ws, idle(app) as slow:
        for _ in range(20):
            await app.append(KILOBYTES_8)
        app.connections.drain()
        while (message := await ws.receive(timeout=PATIENCE)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert ws.close_code == 1001
        assert json.loads(message.extra or "{}")["retry_after_ms"] == DRAINED_RETRY_MS
        with pytest.raises(ConnectionResetError) as end:
            await seqs(slow, 100)
        assert end.value.args[0] == 1001
        async with app.client.ws_connect("ws", headers=app.headers()) as late:
            await late.receive(timeout=PATIENCE)
            assert late.close_code == 1013


async def test_an_expired_or_revoked_token_ends_the_connection(app: HeldApp) -> None:
    async with opened(app, seconds=3) as short, opened(app, session="ses_2") as other:
        await app.revoke("ses_2")
        for ws, reason in ((other, "session-ended"), (short, "token-expired")):
            message = await ws.receive(timeout=PATIENCE)
            assert (message.type, ws.close_code) == (aiohttp.WSMsgType.CLOSE, 4401)
            assert json.loads(message.extra or "{}") == {"reason": reason}
    async with app.client.ws_connect("ws", headers=app.headers(session="ses_2")) as again:
        await again.receive(timeout=PATIENCE)
        assert again.close_code == 4401
    await wait_until(lambda: app.connections.held == 0)


async def test_an_internal_failure_ends_only_its_own_connection(
    app: HeldApp, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(app) as ws, opened(app) as other:
        await ws.send_str("fail")
        await ws.receive(timeout=PATIENCE)
        assert ws.close_code == 1011
        await other.send_str("hello")
        assert "hello" in await other.receive_str(timeout=PATIENCE)
    assert "handling a frame failed" in caplog.text


async def test_a_protocol_error_ends_only_its_own_connection(app: HeldApp) -> None:
    async with opened(app) as other:
        for kind, payload in ((0x3, b""), (0x1, b"\xff\xfe"), (0x1, b"x" * 300_000)):
            async with idle(app) as ws:
                with contextlib.suppress(ConnectionError):
                    await ws.send(payload, kind)
                with pytest.raises(ConnectionError):
                    await seqs(ws, 1)
        await other.send_str("hello")
        assert "hello" in await other.receive_str(timeout=PATIENCE)
    await wait_until(lambda: app.connections.held == 0)


async def test_members_that_disappear_do_not_affect_the_others(app: HeldApp) -> None:
    listeners = app.hub.listeners
    async with opened(app) as stays:
        for _ in range(10):
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(5):
                    await stack.enter_async_context(idle(app))
            await app.append("1")
        found = [json.loads(await stays.receive_str(timeout=PATIENCE))["seq"] for _ in range(10)]
        assert found == list(range(1, 11))
    await wait_until(lambda: app.connections.held == 0)
    assert app.hub.listeners == listeners
    assert not any(app.heartbeat._slices)
