import asyncio
import contextlib
import gc
import json
import logging
import re
import socket
import time
from collections.abc import AsyncIterator

import pytest
import uvloop
from held_app import TOPIC, HeldApp, OpenApp

from server.core.auth import Claims, Identity
from server.core.database import Transaction
from server.core.metrics import Metrics
from server.core.serving import Server
from server.realtime.log_topic import LogTopic
from server.transports import outlet, sse
from server.transports.connections import AUTH_TOPIC, DRAINED_RETRY_MS
from support.raw_http import RawRequest
from support.waiting import PATIENCE, wait_until

EVENT = b"event: changed"
KILOBYTES_8 = json.dumps("x" * 8192)


async def test_it_runs_on_the_loop_of_production() -> None:
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)


async def test_a_stream_has_headers_retry_and_events(app: HeldApp) -> None:
    await app.append('{"n":1}')
    async with app.client.get(
        "stream", params={"after": app.cursor(0)}, headers=app.headers()
    ) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert "Content-Encoding" not in answer.headers
        async with asyncio.timeout(PATIENCE):
            retry = await answer.content.readuntil(b"\n\n")
            event = await answer.content.readuntil(b"\n\n")
            caught_up = await answer.content.readuntil(b"\n\n")
    assert 500 <= int(retry.removeprefix(b"retry: ")) <= 2500
    block = b'id: %s\nevent: changed\nlogged_at: %s\ndata: {"n":1}\n\n'
    assert event == block % (app.cursor(1).encode(), app.logged_at(1).encode())
    assert caught_up == b"id: %s\n\n" % app.cursor(1).encode()


async def test_the_jitter_of_retry_differs(app: HeldApp) -> None:
    found = set()
    for _ in range(8):
        async with app.client.get("stream", headers=app.headers()) as answer:
            found.add(await answer.content.readuntil(b"\n\n"))
    assert len(found) > 1


async def test_a_reader_without_a_cursor_gets_one_at_once(app: HeldApp) -> None:
    """Disconnected before its first event it would otherwise not know where to continue."""
    await app.append("1", "2")
    async with app.client.get("stream", headers=app.headers()) as answer:
        assert b"retry: " in await answer.content.readuntil(b"\n\n")
        block = await answer.content.readuntil(b"\n\n")
        await app.append("3")
    assert block == b"id: %s\n\n" % app.cursor(2).encode()
    async with app.follow(headers={"Last-Event-ID": app.cursor(2)}) as follower:
        assert (await follower.event() or {})["data"] == "3"


async def test_an_event_arrives_at_once_and_once(app: HeldApp) -> None:
    async with app.follow() as one, app.follow() as two:
        await app.append("1", "2")
        await app.append("3")
        for follower in (one, two):
            events = [await follower.event() for _ in range(3)]
            assert [event and event["data"] for event in events] == ["1", "2", "3"]


async def test_a_stream_continues_after_a_cursor_and_last_event_id_wins(app: HeldApp) -> None:
    await app.append("1", "2", "3")
    async with app.follow(app.cursor(1)) as follower:
        assert (await follower.event() or {})["data"] == "2"
    async with app.follow(app.cursor(0), {"Last-Event-ID": app.cursor(2)}) as follower:
        event = await follower.event()
        assert event
        assert (event["data"], event["id"]) == ("3", app.cursor(3))
    async with app.follow(app.cursor(2), {"Last-Event-ID": ""}) as follower:
        assert (await follower.event() or {})["data"] == "3"


@pytest.mark.parametrize("after", ["garbage", "9999", "\u2603"])
async def test_an_invalid_cursor_is_one_reset_and_the_end(app: HeldApp, after: str) -> None:
    async with app.follow(after) as follower:
        assert await follower.event() == {"event": "reset", "data": "{}"}
        assert await follower.event() is None
    async with app.follow(app.cursor(7)) as follower:  # from the future
        assert await follower.event() == {"event": "reset", "data": "{}"}
        assert await follower.event() is None
    await wait_until(lambda: app.connections.held == 0)


async def test_an_empty_cursor_is_none(app: HeldApp) -> None:
    async with app.follow("") as follower:
        await app.append("1")
        assert (await follower.event() or {})["data"] == "1"


async def raw(
    app: HeldApp, version: str, more: str = "", then: str = ""
) -> tuple[asyncio.StreamReader, bytes]:
    """A connection's reader, after the response's head, and that head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
    authorization = app.headers()["Authorization"]
    writer.write(
        f"GET /api/v1/stream HTTP/{version}\r\nHost: x\r\n{more}"
        f"Authorization: {authorization}\r\n\r\n{then}".encode()
    )
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
    reader.writer = writer  # type: ignore[attr-defined]
    return reader, head


async def test_every_byte_is_chunked_as_http_requires(app: HeldApp) -> None:
    """Also what is written past aiohttp, straight to the transport."""
    made = app.hub.made
    reader, head = await raw(app, "1.1")
    assert b"Transfer-Encoding: chunked" in head
    await wait_until(lambda: app.hub.made > made)
    for text in ('"\u00e9\u2603"', "2", KILOBYTES_8):
        await app.append(text)
    app.connections.drain()
    body = b""
    async with asyncio.timeout(PATIENCE):
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            assert await reader.readexactly(2) == b"\r\n"
        assert await reader.readexactly(2) == b"\r\n"
    events = body.decode().split("\n\n")[2:-2]
    assert [event.split("\ndata: ")[1] for event in events] == ['"\u00e9\u2603"', "2", KILOBYTES_8]
    reader.writer.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("more", ["", "Connection: keep-alive\r\n"])
async def test_http_1_0_gets_plain_bytes_until_the_connection_ends(app: HeldApp, more: str) -> None:
    made = app.hub.made
    reader, head = await raw(app, "1.0", more)
    assert b"chunked" not in head
    assert b"Connection: close" in head
    await wait_until(lambda: app.hub.made > made)
    await app.append("1")
    await app.append("2")
    app.connections.drain()
    async with asyncio.timeout(PATIENCE):
        body = (await reader.read()).decode()
    blocks = body.split("\n\n")
    assert blocks[0].startswith("retry: ")
    assert blocks[-2:] == [f"retry: {DRAINED_RETRY_MS}", ""]
    assert [block.split("\n")[3] for block in blocks[2:-2]] == ["data: 1", "data: 2"]


@pytest.mark.parametrize("when", ["with the first", "while it streams"])
async def test_a_connection_closes_after_a_stream_and_ignores_other_requests(
    app: HeldApp, when: str
) -> None:
    """Also those that were parsed before the stream began."""
    again = "GET /api/v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n"
    made = app.hub.made
    with_first = when == "with the first"
    reader, head = await raw(app, "1.1", then=again * 5 if with_first else "")
    assert b"Connection: close" in head
    await wait_until(lambda: app.hub.made > made)
    if not with_first:
        reader.writer.write(again.encode() * 5)  # type: ignore[attr-defined]
    await app.append("1")
    async with asyncio.timeout(PATIENCE):
        body = await reader.readuntil(b"data: 1\n\n\r\n")
    app.connections.drain()
    async with asyncio.timeout(PATIENCE):
        body += await reader.read()
    assert body.endswith(b"0\r\n\r\n")
    assert b"HTTP/1.1" not in body
    await wait_until(lambda: app.connections.held == 0)
    reader.writer.close()  # type: ignore[attr-defined]


async def test_a_reader_that_closes_its_side_gets_the_end_of_its_stream(app: HeldApp) -> None:
    made = app.hub.made
    reader, _ = await raw(app, "1.1")
    await wait_until(lambda: app.hub.made > made)
    reader.writer.write_eof()  # type: ignore[attr-defined]
    async with asyncio.timeout(PATIENCE):
        assert (await reader.read()).endswith(b"0\r\n\r\n")
    await wait_until(lambda: app.connections.held == 0)
    reader.writer.close()  # type: ignore[attr-defined]


async def test_a_stream_is_counted_and_logged_until_its_connection_closes(
    app: HeldApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "server.access")
    server = app.runner.server
    assert isinstance(server, Server)

    def logged() -> list[int]:
        return [record.fields["status"] for record in caplog.records if hasattr(record, "fields")]

    async with app.follow(headers={"X-Request-ID": "of-the-stream"}) as one, app.follow() as two:
        await app.append("1")
        assert await one.event()
        assert await two.event()
        assert (server.sockets.open, server.connections) == (2, []), "aiohttp keeps a part of it"
        assert logged() == []
        app.connections.drain()
        assert await one.event() is None
        assert await two.event() is None
    await wait_until(lambda: server.sockets.open == 0)
    assert logged() == [200, 200]
    app.connections.draining = False
    caplog.clear()
    token = app.headers()["Authorization"].removeprefix("Bearer ")
    (await (await RawRequest.send(app.port, "/stream", token)).head()).reset()
    await wait_until(lambda: server.sockets.open == 0)
    assert logged() == [499]
    assert not server.sockets._by_address
    counted = await app.services[Metrics].text()
    for status, number in (("200", 2), ("499", 1)):
        line = f'tiffin_requests_total{{method="GET",route="/api/v1/stream",status="{status}"}}'
        assert f"{line} {number}.0" in counted


async def test_a_refused_reader_gets_a_problem_and_no_stream(open_app: OpenApp) -> None:
    app = await open_app(most=3, most_an_account=2)
    async with app.client.get("stream") as answer:
        assert answer.status == 401
    async with app.follow(), app.follow():
        async with app.client.get("stream", headers=app.headers()) as answer:
            assert answer.status == 429
            assert answer.content_type == "application/problem+json"
            assert int(answer.headers["Retry-After"]) >= 1
        async with app.follow(headers=app.headers(account="acc_2")):
            headers = app.headers(account="acc_3")
            async with app.client.get("stream", headers=headers) as answer:
                assert answer.status == 503
                assert int(answer.headers["Retry-After"]) >= 1
    await wait_until(lambda: app.connections.held == 0)
    async with app.follow():
        pass


async def test_heartbeats_come_while_nothing_happens(open_app: OpenApp) -> None:
    app = await open_app(heartbeat_seconds=0.2)
    started = time.monotonic()
    async with app.follow() as one, app.follow() as two:
        for _ in range(3):
            assert await one.block() == {"": "keep-alive"}
            assert await two.block() == {"": "keep-alive"}
        assert 0.2 < time.monotonic() - started < PATIENCE
        await app.append("1")
        assert (await one.event() or {})["data"] == "1"


async def test_an_event_is_encoded_once_for_all_its_readers(
    app: HeldApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bytes] = []
    chunk = sse.chunk

    def counted(data: bytes) -> bytes:
        if b"event: " in data:
            made.append(data)
        return chunk(data)

    monkeypatch.setattr(sse, "chunk", counted)
    monkeypatch.setattr(LogTopic, "drop_encoded", lambda _: None)  # as a sweep may at any time
    async with contextlib.AsyncExitStack() as stack:
        followers = [await stack.enter_async_context(app.follow()) for _ in range(40)]
        await app.append("1")
        await app.append("2")
        for follower in followers:
            assert (await follower.event() or {})["data"] == "1"
            assert (await follower.event() or {})["data"] == "2"
        assert len(made) == 2
        again = [await stack.enter_async_context(app.follow(app.cursor(0))) for _ in range(20)]
        for follower in again:
            assert (await follower.event() or {})["data"] == "1"
        assert len(made) <= 4  # reconnecting readers share what was encoded, or one page of the log


@contextlib.asynccontextmanager
async def idle_reader(app: HeldApp, path: str = "stream") -> AsyncIterator[socket.socket]:
    """A connection that has requested the stream and reads nothing, with a small buffer."""
    loop = asyncio.get_running_loop()
    made, polls = app.hub.made, app.connections.polls

    def begun() -> bool:  # others may be leaving meanwhile
        return app.hub.made > made or app.connections.polls > polls

    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await loop.sock_connect(connection, ("127.0.0.1", app.port))
        request = (
            f"GET /api/v1/{path} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: {app.headers()['Authorization']}\r\n\r\n"
        )
        await loop.sock_sendall(connection, request.encode())
        await wait_until(begun, every=0.002)
        yield connection


async def read_events(
    connection: socket.socket, count: int, pause: float = 0, size: int = 65_536
) -> list[int]:
    """The `seq` of each event, read from as many bytes as needed."""
    loop = asyncio.get_running_loop()
    body = bytearray()
    found, looked = 0, 0
    async with asyncio.timeout(PATIENCE):
        while found < count or not body.endswith(b"\n\n\r\n"):
            received = await loop.sock_recv(connection, size)
            assert received, "the connection was closed"
            body += received
            while (at := body.find(EVENT, looked)) >= 0:
                found, looked = found + 1, at + 1
            looked = max(looked, len(body) - len(EVENT) + 1)
            if pause:
                await asyncio.sleep(pause)
    return [_seq(one.decode()) for one in re.findall(rb"id: ([\w-]+)\nevent: changed\n", body)]


def _seq(cursor: str) -> int:
    from server.realtime.event import Cursor

    found = Cursor.parse(cursor)
    assert found
    return found.seq


async def test_a_slow_reader_costs_bounded_memory_and_gets_everything(app: HeldApp) -> None:
    async with idle_reader(app) as connection, app.follow() as quick:
        for _ in range(120):
            await app.append(*[KILOBYTES_8] * 5)
            assert app.buffered < 3 * outlet.BUFFER
        assert app.buffered > outlet.BUFFER / 2, "nothing has piled up"
        for _ in range(600):
            assert await quick.event()
        assert await read_events(connection, 600) == list(range(1, 601))
        await app.append("1")  # and it is live again
        assert await read_events(connection, 1) == [601]
    await wait_until(lambda: app.connections.held == 0)


async def test_a_slow_reader_that_makes_progress_is_kept(open_app: OpenApp) -> None:
    limit = 2.0
    app = await open_app(stalled_seconds=limit)
    async with idle_reader(app) as connection:
        # With a buffer as small as before, the kernel would now and then wait longer by itself.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        began = time.monotonic()
        # From the start, and for longer than the limit in all, with some progress all the while.
        reading = asyncio.create_task(read_events(connection, 150, pause=0.03, size=8192))
        for _ in range(30):
            await app.append(*[KILOBYTES_8] * 5)
        assert await reading == list(range(1, 151))
        assert time.monotonic() - began > limit
        assert app.connections.held == 1


async def test_a_stalled_reader_is_disconnected_and_frees_its_slot(
    open_app: OpenApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = await open_app(stalled_seconds=0.5)
    async with idle_reader(app) as connection:
        for _ in range(30):
            await app.append(*[KILOBYTES_8] * 10)
        await wait_until(lambda: app.connections.held == 0, what="the reader is cut")
        await wait_until(lambda: app.buffered == 0)
        with pytest.raises((ConnectionError, AssertionError)):
            await read_events(connection, 300)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_stalled_reader_with_little_to_read_is_disconnected_too(open_app: OpenApp) -> None:
    """Too little waits for it to count as behind."""
    app = await open_app(stalled_seconds=0.5, heartbeat_seconds=0.1)
    async with idle_reader(app):
        # Until the kernel accepts no more; on a busy machine it may be disconnected by then.
        while app.buffered < 4096 and app.connections.held:
            await app.append(KILOBYTES_8)
        assert app.buffered <= outlet.BUFFER
        await wait_until(lambda: app.connections.held == 0, what="the reader is cut")


async def test_the_end_also_reaches_a_reader_that_is_behind(open_app: OpenApp) -> None:
    """Its own wait for the connection must not spoil the end of the response."""
    app = await open_app()
    async with idle_reader(app) as connection:
        for _ in range(30):
            await app.append(*[KILOBYTES_8] * 5)
        await app.revoke("ses_1")
        loop = asyncio.get_running_loop()
        body = b""
        async with asyncio.timeout(PATIENCE):
            while not body.endswith(b"0\r\n\r\n"):
                received = await loop.sock_recv(connection, 65_536)
                assert received, "closed without the last chunk"
                body += received
    await wait_until(lambda: app.connections.held == 0)


async def test_a_draining_server_does_not_wait_for_a_reader_that_does_not_read(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "CLOSE_SECONDS", 0.3)
    app = await open_app()
    async with idle_reader(app), app.follow() as follower:
        for _ in range(300):
            await app.append(KILOBYTES_8)
            assert await follower.event()
        app.connections.drain()
        assert await follower.event() is None  # the one that reads gets the end of its stream
        await wait_until(lambda: app.connections.held == 0)
        await wait_until(lambda: app.buffered == 0)
        async with asyncio.timeout(PATIENCE):
            await app.runner.cleanup()


async def test_a_stream_ends_with_its_token(app: HeldApp) -> None:
    async with app.follow(headers=app.headers(seconds=3)) as follower:
        assert await follower.event() is None
    await wait_until(lambda: app.connections.held == 0)


async def test_a_revocation_ends_only_that_sessions_streams(app: HeldApp) -> None:
    headers = app.headers(session="ses_2")
    async with app.follow() as mine, app.follow() as also_mine, app.follow(headers=headers) as its:
        await app.revoke("ses_1")
        assert await mine.event() is None
        assert await also_mine.event() is None
        await app.append("1")
        assert (await its.event() or {})["data"] == "1"
    async with app.client.get("stream", headers=app.headers()) as answer:
        assert answer.status == 401


async def test_nothing_is_written_after_the_revocation(app: HeldApp) -> None:
    """Not even events committed together with it: the reader may have lost access to them."""

    async def fn(tx: Transaction) -> None:
        await app.log.append(tx, AUTH_TOPIC, "session.revoked", '{"sessions":["ses_1"]}', "acc_1")
        await app.log.append(tx, TOPIC, "changed", '"not for you"')

    headers = app.headers(session="ses_2")
    async with app.follow() as mine, app.follow(headers=headers) as its:
        app.revoked.add("ses_1")
        await app.database.write(fn)
        assert await mine.event() is None
        assert (await its.event() or {})["data"] == '"not for you"'


async def test_a_session_revoked_between_guard_and_stream_gets_none(app: HeldApp) -> None:
    """It is registered first and checked once more then."""

    async def look_up(claims: Claims) -> Identity | None:
        found = await app.look_up(claims)
        app.revoked.add(claims.session_id)
        return found

    app.gate.look_up = look_up
    async with app.client.get("stream", headers=app.headers()) as answer:
        assert answer.status == 401
    assert app.connections.held == 0


async def test_draining_ends_streams_and_accepts_no_more(app: HeldApp) -> None:
    async with app.follow() as follower:
        app.connections.drain()
        assert await follower.block() == {"retry": str(DRAINED_RETRY_MS)}
        assert await follower.event() is None
        async with app.client.get("stream", headers=app.headers()) as answer:
            assert answer.status == 503
            assert answer.headers["Retry-After"]


async def test_a_disconnected_client_frees_its_slot(app: HeldApp) -> None:
    listeners = app.hub.listeners
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(app.follow())
        assert app.connections.held == 20
    await wait_until(lambda: app.connections.held == 0)
    assert app.hub.listeners == listeners
    assert not any(app.heartbeat._slices)


async def test_readers_that_disappear_do_not_affect_the_others(app: HeldApp) -> None:
    """A closed transport of uvloop's raises when it is written to."""
    loop = asyncio.get_running_loop()
    async with app.follow() as stays:
        for _ in range(20):
            async with contextlib.AsyncExitStack() as stack:
                connections = [await stack.enter_async_context(idle_reader(app)) for _ in range(5)]
                for connection in connections:
                    linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            await app.append("1")
        assert loop.is_running()
        for number in range(1, 21):
            event = await asyncio.wait_for(stays.event(), PATIENCE)
            assert event
            assert event["id"] == app.cursor(number)
    await wait_until(lambda: app.connections.held == 0)


async def test_a_stream_that_cannot_begin_is_ended_properly(
    app: HeldApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its head has been sent by then: a problem document would land in the middle of the body."""

    async def no(topic: str, count: int) -> object:
        raise OSError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(app.log, "newest", no)
        async with app.client.get("stream", headers=app.headers()) as answer:
            assert answer.status == 200
            assert (await answer.read()).startswith(b"retry: ")
    await wait_until(lambda: app.connections.held == 0)
    async with app.follow() as follower:
        await app.append("1")
        assert await follower.event()


@pytest.mark.parametrize(
    ("path", "most"), [("stream", 6_500), ("door?last=closed&timeout=30", 18_000)]
)
async def test_a_held_connection_takes_a_few_kilobytes(app: HeldApp, path: str, most: int) -> None:
    import tracemalloc

    async with contextlib.AsyncExitStack() as stack:
        for _ in range(10):
            await stack.enter_async_context(idle_reader(app, path))
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(50):
            await stack.enter_async_context(idle_reader(app, path))
        gc.collect()
        each = (tracemalloc.get_traced_memory()[0] - before) / 50
        tracemalloc.stop()
    assert each < most  # both ends of it are in this process
