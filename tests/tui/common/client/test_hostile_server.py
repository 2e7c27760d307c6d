"""Whatever a hostile or broken server says becomes words, within bounds."""

import asyncio
import gzip
import json
import tracemalloc
import zlib

import pytest
from aiohttp import web
from faulty_server import FaultyServer

from support.hostile_server import ENDLESS, HEAD, answer, hostile
from support.waiting import PATIENCE, wait_until
from tui.common.client import websocket
from tui.common.client.api import Api
from tui.common.client.chat_room import Room
from tui.common.client.meter import Pattern, State, Wire
from tui.common.client.request import ANSWER_BYTES, WORDS_LONG
from tui.common.client.session import ApiError, Session, Unreachable
from tui.common.client.sse import EVENT_BYTES, EventStream, EventTooLarge, SSEParser
from tui.common.client.websocket import FRAMES_AT_A_TIME

ME = {"id": "1", "email": "a@example.com", "name": "A", "role": "customer"}
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("says", "flood"),
    [
        pytest.param(ENDLESS, b"x" * 65536, id="body"),
        pytest.param(CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n", id="chunks"),
        pytest.param(HEAD, b"X: y\r\n" * 1000, id="headers"),
        pytest.param(HEAD + b"X: ", b"y" * 65536, id="one header"),
        pytest.param(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n" * 1000, id="trailers"),
        pytest.param(b"HTTP/1.1 302 X\r\nLocation: /\r\n\r\n", b"x" * 65536, id="redirect"),
    ],
)
async def test_an_answer_without_end_is_not_read_to_it(says: bytes, flood: bytes) -> None:
    async with hostile() as (server, session):
        server.says, server.flood = says, flood
        tracemalloc.start()
        try:
            with pytest.raises(Unreachable):
                await session.request("GET", "/me")
            assert tracemalloc.get_traced_memory()[1] < 3 * ANSWER_BYTES
        finally:
            tracemalloc.stop()


async def test_an_error_without_end_is_an_error() -> None:
    async with hostile() as (server, session):
        server.says, server.flood = b"HTTP/1.1 500 No\r\n\r\n", b"x" * 65536
        with pytest.raises(ApiError) as caught:
            await session.request("GET", "/me")
        assert caught.value.status == 500


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "GZIP"])
async def test_what_is_compressed_is_not_unpacked(encoding: str) -> None:
    bomb = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding.lower(), bytes)
    async with hostile() as (server, session):
        server.says = answer(bomb(bytes(10_000_000)), b"Content-Encoding: " + encoding.encode())
        with pytest.raises(Unreachable, match="compresses") as caught:
            await session.request("GET", "/me")
        assert caught.value.reason == "compressed answer"
        server.says = answer(json.dumps(ME).encode(), b"Content-Encoding: identity")
        assert (await Api(session).me()).id == "1"


@pytest.mark.parametrize(
    "says",
    [
        pytest.param(b"hello\r\n\r\n", id="no HTTP"),
        pytest.param(b"HTTP/1.1 999999 X\r\n\r\n", id="status"),
        pytest.param(HEAD + b"Content-Length: -1\r\n\r\n", id="length"),
        pytest.param(CHUNKED + b"zz\r\n{}", id="chunk"),
        pytest.param(HEAD + b"X: a\0b\r\nContent-Length: 2\r\n\r\n{}", id="null byte"),
        pytest.param(answer(b"{}", status=b"101 Switching"), id="101"),
        pytest.param(answer(b"", status=b"304 N"), id="304"),
        pytest.param(answer(b"{}", status=b"600 \xff"), id="600"),
        pytest.param(answer(b"{}", b"Content-Type: ;;;=\xff/;charset=\xff"), id="content type"),
        pytest.param(answer(b"[" * 100_000), id="deep"),
        pytest.param(answer(b'{"id":' * 100_000), id="deep object"),
        pytest.param(answer(b'{"id": "\\ud800"}'), id="surrogate"),
        pytest.param(answer(json.dumps(ME).encode("utf-16")), id="utf-16"),
        pytest.param(answer(b"[]", b"Set-Cookie: \xff=;;;"), id="list"),
        pytest.param(answer(json.dumps({**ME, "name": 7}).encode()), id="type"),
        pytest.param(answer(b'{"id": ' + b"9" * 5000 + b"}"), id="large number"),
        pytest.param(answer(b"{}", b"Date: Mon, 01 Jan 9999 00:00:00 -9999"), id="date"),
    ],
)
async def test_what_is_not_understood_is_words(says: bytes) -> None:
    async with hostile() as (server, session):
        server.says = says
        with pytest.raises((Unreachable, ApiError)) as caught:
            await Api(session).me()
        assert len(caught.value.message) < 2 * WORDS_LONG


async def test_an_error_has_the_status_of_its_answer_and_no_more_words_than_fit() -> None:
    said = {
        "type": "about:blank",
        "title": "t" * 10_000,
        "status": 200,
        "detail": "d" * 100_000,
        "request_id": "r",
        "errors": [{"loc": ["x" * 10_000] * 50, "msg": "m" * 10_000}] * 5,
    }
    async with hostile() as (server, session):
        server.says = answer(json.dumps(said).encode(), status=b"400 Bad")
        with pytest.raises(ApiError) as caught:
            await session.request("GET", "/me")
        assert caught.value.status == 400
        assert len(caught.value.message) < 10 * WORDS_LONG
        # A number that no JSON has in any other language.
        server.says = answer(json.dumps({**said, "status": 10**100}).encode(), status=b"500 X")
        with pytest.raises(ApiError) as caught:
            await session.request("GET", "/me")
        assert caught.value.status == 500


@pytest.mark.parametrize(
    "field",
    [
        pytest.param({"expires_in": 10**400}, id="lifetime"),
        pytest.param({"expires_in": "soon"}, id="lifetime in words"),
        pytest.param({"account": None}, id="nobody"),
    ],
)
async def test_a_session_that_makes_no_sense_is_words(field: dict[str, object]) -> None:
    async with hostile() as (server, session):
        server.granted |= field
        with pytest.raises(Unreachable):
            await session.log_in("a@example.com", "correct horse")


@pytest.mark.parametrize("token", ["a\r\nX-Injected: yes", "a\0b", "a" * 9_000_000])
async def test_a_token_that_fits_no_header_is_words(token: str) -> None:
    async with hostile() as (server, session):
        server.granted["access_token"] = token
        await session.log_in("a@example.com", "correct horse")
        with pytest.raises(Unreachable):
            await session.request("GET", "/me")
        assert not any(b"X-Injected" in head for head in server.heads)


async def test_a_list_without_end_is_not_read_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.common.client.account_api.PAGES", 5)
    row = {
        "id": "rst",
        "name": "A",
        "description": "B",
        "cuisine": "C",
        "address": "D",
        "lat": 1,
        "lng": 1,
        "preparation_minutes": 1,
    }
    async with hostile() as (server, session):
        server.says = answer(json.dumps({"items": [row], "next": "again"}).encode())
        with pytest.raises(Unreachable, match="goes on after 5 pages"):
            await Api(session).restaurants()


@pytest.mark.parametrize(
    "flood", [b"x" * 65536, b"data: x\n" * 8000, b"id: " + b"y" * 2000 + b"\n"]
)
def test_an_event_without_end_is_not_kept(flood: bytes) -> None:
    parser = SSEParser()

    def feed() -> None:
        for _ in range(2 * EVENT_BYTES // len(flood)):
            parser.feed(flood)

    with pytest.raises(EventTooLarge):
        feed()
    assert SSEParser().feed(b"data: " + b"x" * (EVENT_BYTES - 10) + b"\n\n")


def test_an_id_that_no_head_would_hold_is_none() -> None:
    parser = SSEParser("c-1")
    parser.feed(b"id: " + b"y" * 5000 + b"\ndata: x\n\n")
    assert parser.last_event_id == "c-1"


async def test_a_stream_comes_back_after_an_event_without_end() -> None:
    async with hostile() as (server, session):
        server.says = HEAD + b"Content-Type: text/event-stream\r\n\r\n"
        server.flood = b"x" * 65536
        meter = session.wire.meter("events", Pattern.SSE)
        async with EventStream(session, "/events", meter) as stream:
            reading = asyncio.ensure_future(anext(stream))
            await wait_until(lambda: meter.state is State.RETRY, what="the event is given up")
            assert meter.detail == "event too large"
            server.flood = b""
            server.says += b"id: c-1\ndata: hello\n\n"
            assert (await reading).data == "hello"


async def test_a_cursor_that_fits_no_header_is_words() -> None:
    async with hostile() as (_, session):
        meter = session.wire.meter("events", Pattern.SSE)
        async with EventStream(session, "/events", meter, "c-1\r\nX-Injected: yes") as stream:
            reading = asyncio.ensure_future(anext(stream))
            await wait_until(lambda: meter.state is State.RETRY)
            assert meter.detail == "cannot be sent"
            reading.cancel()


async def test_the_token_does_not_go_where_a_redirect_leads(
    faulty: FaultyServer, session: Session
) -> None:
    async with hostile() as (elsewhere, _):
        asked = len(elsewhere.heads)
        elsewhere.says = answer(b"picture")

        async def away(_: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": f"{elsewhere.url}/result"})

        faulty.on("GET", "/uploads/u/result", away)
        assert await Api(session).picture("/api/v1/uploads/u/result") == b"picture"
        (head,) = elsewhere.heads[asked:]
        assert b"authorization" not in head.lower()
        # Nothing but a picture is fetched from elsewhere at all.
        faulty.on("GET", "/me", away)
        with pytest.raises(Unreachable, match="redirects to"):
            await session.request("GET", "/me")
        assert len(elsewhere.heads) == asked + 1


@pytest.mark.parametrize(
    "typed",
    [
        "http://a..b",
        f"http://{'a' * 64}",
        f"http://{'ö' * 80}.example",
        "http://[::1",
        "http://localhost:99999",
        "http://localhost:x",
        "http://",
        "ftp://localhost",
        "http://a b",
        "http://\0",
    ],
)
async def test_what_is_no_address_is_words(typed: str) -> None:
    session = Session(typed, Wire())
    with pytest.raises(Unreachable, match="address"):
        await session.log_in("a@example.com", "correct horse")
    await session.close()


@pytest.mark.parametrize("password", ["sesame", "ses/ame", "ses@ame", "ses:ame?x#y"])
async def test_a_user_and_password_in_the_address_are_left_out(password: str) -> None:
    async with hostile() as (server, _):
        asked = len(server.heads)
        server.says = answer(json.dumps(ME).encode())
        session = Session(server.url.replace("://", f"://ana:{password}@"), Wire())
        assert session.base_url == server.url
        await session.log_in("a@example.com", "correct horse")
        assert (await Api(session).me()).id == "1"
        await session.close()
        sent = b"".join(server.heads[asked:])
        assert b"Basic" not in sent
        assert b"ana" not in sent


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"\x89\x00", id="pings"),
        pytest.param(b"\x8a\x04tick", id="pongs"),
        pytest.param(b'\x81\x11{"type":"typing"}', id="texts"),
    ],
)
async def test_a_flood_of_frames_holds_up_neither_others_nor_the_end(
    frame: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "HANDSHAKE_SECONDS", 0.2)  # all of it is spent on the flood
    async with hostile() as (server, session):
        server.shakes_hands, server.says, server.flood = True, b"", frame * 5000
        meter = session.wire.meter("room", Pattern.WEBSOCKET)
        room = Room(session, "cht-1", meter)

        async def read() -> None:
            async with room:
                async for _ in room:
                    pass

        reading = asyncio.ensure_future(read())
        await wait_until(lambda: meter.bytes, what="the connection stands")
        at_once, before = 0, meter.bytes
        enough = before + 20_000
        while meter.bytes < enough:
            await asyncio.sleep(0)  # a turn of the loop, as a key press needs one
            at_once, before = max(at_once, meter.bytes - before), meter.bytes
        assert at_once <= FRAMES_AT_A_TIME * len(frame)
        reading.cancel()
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait({reading})
            await session.close()


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"\x81\x7f" + (2**62).to_bytes(8, "big"), id="endless"),
        pytest.param((b"\x01\x7e\xff\xff" + b"x" * 65535) * 70, id="fragments"),
        pytest.param(b"\x81\x02\xff\xfe", id="no UTF-8"),
        pytest.param(b"\xc1\x01x", id="reserved bits"),
        pytest.param(b"\x88\x01x", id="half a code"),
        pytest.param(b"\x88\x16\x03\xf5" + b'{"retry_after_ms":1e9', id="reason"),
    ],
)
async def test_a_room_comes_back_after_any_frame(frame: bytes) -> None:
    async with hostile() as (server, session):
        server.shakes_hands, server.says = True, frame
        meter = session.wire.meter("room", Pattern.WEBSOCKET)
        async with Room(session, "cht-1", meter) as room:
            reading = asyncio.ensure_future(anext(room))
            await wait_until(lambda: meter.state is State.RETRY, what="it comes back")
            assert not reading.done()
            reading.cancel()


async def test_a_websocket_is_not_opened_where_a_redirect_leads() -> None:
    async with hostile() as (elsewhere, _), hostile() as (server, session):
        asked = len(elsewhere.heads)
        location = f"Location: {elsewhere.url}/ws".encode()
        server.says = answer(b"", location, status=b"302 Found")
        meter = session.wire.meter("room", Pattern.WEBSOCKET)
        async with Room(session, "cht-1", meter) as room:
            reading = asyncio.ensure_future(anext(room))
            await wait_until(lambda: meter.state is State.RETRY)
            assert meter.detail == "redirected (HTTP 302)"
            reading.cancel()
        assert len(elsewhere.heads) == asked
