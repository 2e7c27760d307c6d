"""The lab's HTTP proxy holds back, refuses and downgrades as such proxies do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from support.waiting import PATIENCE, wait_until
from tui.lab.dials import Dials
from tui.lab.http_proxy import HEAD_BYTES, Head, HTTPProxy, NotHTTP, Parser, Part, length_of
from tui.lab.network import Network


class Behind:
    """`/stream` sends what `lines` gets, `/echo` what it was sent, `/ws` echoes messages."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.streams: list[bool] = []
        """For each, whether it is open."""

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        number = len(self.streams)
        self.streams.append(True)
        try:
            while line := await self.lines.get():
                await response.write(line)
        finally:
            self.streams[number] = False
        return response

    async def echo(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read() or b"nothing")

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data)
        return socket


class Scene:
    """A server, the network before it, and a client."""

    def __init__(self, behind: Behind, network: Network, http: aiohttp.ClientSession) -> None:
        self.behind, self.network, self.http = behind, network, http

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.network.links['sse'].port}"

    async def echo(self, data: bytes = b"") -> tuple[int, bytes]:
        async with self.http.post(f"{self.url}/echo", data=data) as answer:
            return answer.status, await answer.read()


@asynccontextmanager
async def scene_with(dials: Dials) -> AsyncIterator[Scene]:
    behind = Behind()
    app = web.Application()
    app.router.add_get("/stream", behind.stream)
    app.router.add_get("/ws", behind.websocket)
    app.router.add_route("*", "/echo", behind.echo)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(timeout=timeout) as http, Network(dials) as network:
        await network.listen("sse", *runner.addresses[0])
        yield Scene(behind, network, http)
    await runner.cleanup()


async def test_a_buffering_proxy_holds_an_answer_until_4_kb_or_its_end() -> None:
    async with scene_with(Dials(buffer=4096)) as scene:
        assert await scene.echo(b"x" * 100_000) == (200, b"x" * 100_000)
        lines = scene.behind.lines
        lines.put_nowait(b"one")
        asking = asyncio.ensure_future(scene.http.get(f"{scene.url}/stream"))
        await wait_until(lambda: scene.network.links["sse"].open and lines.empty())
        assert not (await asyncio.wait({asking}, timeout=0.2))[0]
        lines.put_nowait(b"x" * 8000)
        answer = await asking
        assert (await answer.content.readexactly(4096))[:4] == b"onex"
        lines.put_nowait(b"the rest")
        lines.put_nowait(b"")
        assert (await answer.read())[-9:] == b"xthe rest"
        link = scene.network.links["sse"]
        # Where no such proxy is any more, the network is another: what was open is cut.
        lines.put_nowait(b"two")
        asking = asyncio.ensure_future(scene.http.get(f"{scene.url}/stream"))
        await wait_until(lines.empty)
        scene.network.turn(Dials())
        assert link.cuts == 1
        await wait_until(lambda: scene.behind.streams == [False, False, True], what="asked again")
        lines.put_nowait(b"three")
        async with await asking as answer:
            assert await answer.content.readany() == b"three"


@pytest.mark.parametrize(
    ("dials", "status"),
    [
        (Dials(), 101),
        (Dials(buffer=4096), 101),
        (Dials(websocket="refuse"), 426),
        (Dials(websocket="strip"), 400),
        (Dials(http10=True), 400),
        (Dials(bad_gateway=1), 502),
    ],
    ids=["none", "buffers", "refuses", "strips", "HTTP/1.0", "bad gateway"],
)
async def test_websocket_passes_a_proxy_that_knows_it_alone(dials: Dials, status: int) -> None:
    async with scene_with(dials) as scene:
        if status == 101:
            async with scene.http.ws_connect(f"{scene.url}/ws") as socket:
                for text in ("hello", "x" * 10_000):
                    await socket.send_str(text)
                    assert await socket.receive_str() == text
        else:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await scene.http.ws_connect(f"{scene.url}/ws")
            assert refused.value.status == status
        # The same connection serves other requests, in all but HTTP/1.0.
        assert (await scene.echo(b"still"))[0] == (502 if status == 502 else 200)


async def test_each_nth_request_is_refused_and_reaches_no_server() -> None:
    async with scene_with(Dials(bad_gateway=3)) as scene:
        answers = [await scene.echo(b"x" * 50_000) for _ in range(6)]
        assert [status for status, _ in answers] == [200, 200, 502] * 2
        assert scene.network.links["sse"].connections == 1


async def test_answers_in_http_10_have_no_chunks_and_end_with_their_connection() -> None:
    async with scene_with(Dials(http10=True)) as scene:
        for line in (b"one", b"two", b""):
            scene.behind.lines.put_nowait(line)
        async with scene.http.get(f"{scene.url}/stream") as answer:
            assert answer.version == aiohttp.HttpVersion10
            assert "Transfer-Encoding" not in answer.headers
            assert await answer.read() == b"onetwo"
        assert await scene.echo(b"three") == (200, b"three")
        async with scene.http.head(f"{scene.url}/echo") as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        assert scene.network.links["sse"].connections == 3
        await wait_until(lambda: not scene.network.links["sse"].open)


CHUNKED = (
    b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nTrailer: 1\r\n\r\n"
)
MESSAGES = b"".join(
    (
        CHUNKED,
        b"GET / HTTP/1.1\r\n\r\n",
        b"PUT /b HTTP/1.1\r\ncontent-length:  3\r\n\r\nabc",
        CHUNKED,
    )
)


@given(st.lists(st.integers(0, len(MESSAGES)), max_size=30))
def test_it_does_not_matter_where_reads_divide_messages(cuts: list[int]) -> None:
    ends = [*sorted(cuts), len(MESSAGES)]
    parser = Parser(length_of)
    found = [
        one
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
        for one in parser.feed(MESSAGES[start:end])
    ]
    assert b"".join(one.raw for one in found) == MESSAGES
    bodies = [b""]
    for one in found:
        if isinstance(one, Part):
            bodies[-1] += one.content
            if one.last:
                bodies.append(b"")
    assert bodies == [b"hello world", b"", b"abc", b"hello world", b""]
    assert sum(isinstance(one, Head) for one in found) == 4


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n" + b"x" * HEAD_BYTES,
        b"GET / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
        CHUNKED.replace(b"6\r\n", b"six\r\n"),
        CHUNKED.replace(b"6\r\n", b"6" * 5000),
    ],
)
def test_what_is_no_http_is_refused(data: bytes) -> None:
    with pytest.raises(NotHTTP):
        list(Parser(length_of).feed(data))
    sent: list[bytes] = []
    HTTPProxy(
        Dials(buffer=1), lambda _: None, sent.append, lambda: sent.append(b"end")
    ).from_client(data)
    assert sent[-2].startswith(b"HTTP/1.1 431 ")
    assert sent[-1] == b"end"
