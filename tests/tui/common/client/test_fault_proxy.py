"""The proxy that the other tests rely on does what it says, and nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from support.proxy import Proxy, proxy_to
from support.waiting import PATIENCE, wait_until
from tools.ports import free_port


class Behind:
    """A server: `/stream` sends a line at a time, when told; `/echo` what it got."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.open = 0

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        self.open += 1
        try:
            while line := await self.lines.get():
                await response.write(line)
        finally:
            self.open -= 1
        return response

    async def echo(self, request: web.Request) -> web.Response:
        return web.Response(body=await request.read() or b"nothing")


@pytest.fixture
async def behind() -> Behind:
    return Behind()


@pytest.fixture
async def proxy(behind: Behind) -> AsyncIterator[Proxy]:
    app = web.Application()
    app.router.add_get("/stream", behind.stream)
    app.router.add_route("*", "/echo", behind.echo)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with proxy_to(f"http://127.0.0.1:{runner.addresses[0][1]}") as proxy:
        yield proxy
    await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        yield http


async def test_it_passes_requests_and_answers_on(proxy: Proxy, http: aiohttp.ClientSession) -> None:
    big = b"x" * 300_000
    for _ in range(3):
        async with http.post(f"{proxy.url}/echo?a=b", data=big) as answer:
            assert await answer.read() == big
    async with http.head(f"{proxy.url}/echo") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    async with http.get(f"{proxy.url}/elsewhere") as answer:
        assert answer.status == 404
    assert proxy.requests == {"/echo": 4, "/elsewhere": 1}
    assert proxy.methods["POST", "/echo"] == 3
    assert proxy.connections == 1


async def test_a_stream_passes_as_it_comes_and_its_reader_may_leave(
    proxy: Proxy, http: aiohttp.ClientSession, behind: Behind
) -> None:
    async with http.get(f"{proxy.url}/stream") as answer:
        for line in (b"one", b"two"):
            behind.lines.put_nowait(line)
            assert await answer.content.readany() == line
        answer.close()
    await wait_until(lambda: behind.open == 0 and proxy.connections == 0)


@pytest.mark.parametrize("head_passes", [False, True])
async def test_buffering_holds_back_until_the_end(
    proxy: Proxy, http: aiohttp.ClientSession, behind: Behind, head_passes: bool
) -> None:
    proxy.buffering(head_passes=head_passes)
    behind.lines.put_nowait(b"one")
    asking = asyncio.ensure_future(http.get(f"{proxy.url}/stream"))
    await wait_until(lambda: behind.open == 1 and behind.lines.empty())
    if head_passes:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for((await asking).content.readany(), 0.2)
    else:
        done, _ = await asyncio.wait({asking}, timeout=0.2)
        assert not done
    behind.lines.put_nowait(b"two")
    behind.lines.put_nowait(b"")
    assert await (await asking).read() == b"onetwo"


async def test_what_is_held_back_passes_with_the_next_mode(
    proxy: Proxy, http: aiohttp.ClientSession, behind: Behind
) -> None:
    proxy.buffering()
    behind.lines.put_nowait(b"one")
    asking = asyncio.ensure_future(http.get(f"{proxy.url}/stream"))
    await wait_until(lambda: behind.open == 1 and behind.lines.empty())
    proxy.passing()
    answer = await asyncio.wait_for(asking, PATIENCE)
    assert await answer.content.readany() == b"one"
    proxy.buffering(head_passes=True, pieces=2)
    behind.lines.put_nowait(b"two")
    assert await answer.content.readany() == b"two"
    behind.lines.put_nowait(b"three")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(answer.content.readany(), 0.2)
    answer.close()


async def test_cutting_ends_what_is_open_and_what_comes(
    proxy: Proxy, http: aiohttp.ClientSession, behind: Behind
) -> None:
    behind.lines.put_nowait(b"one")
    answer = await http.get(f"{proxy.url}/stream")
    began_at = time.monotonic()
    proxy.cutting(0.3)
    with pytest.raises(aiohttp.ClientError):
        await answer.read()
    assert 0.25 < time.monotonic() - began_at < PATIENCE
    began_at = time.monotonic()
    with pytest.raises(aiohttp.ClientError):
        async with http.get(f"{proxy.url}/stream") as answer:
            await answer.read()
    assert 0.25 < time.monotonic() - began_at < PATIENCE
    assert proxy.cuts == 2


async def test_failing_refuses_each_so_many(proxy: Proxy, http: aiohttp.ClientSession) -> None:
    async def status() -> int:
        async with http.get(f"{proxy.url}/echo") as answer:
            await answer.read()
            return answer.status

    proxy.failing(every=3)
    assert [await status() for _ in range(6)] == [200, 200, 502] * 2
    proxy.passing()
    assert [await status() for _ in range(3)] == [200] * 3
    assert proxy.refused == 2


async def test_without_a_server_behind_it_it_says_so_and_finds_the_next(
    proxy: Proxy, http: aiohttp.ClientSession
) -> None:
    there, proxy.target = proxy.target, f"http://127.0.0.1:{free_port()}"
    async with http.get(f"{proxy.url}/echo") as answer:
        assert answer.status == 502
    proxy.target = there
    async with http.get(f"{proxy.url}/echo") as answer:
        assert answer.status == 200
    assert proxy.refused == 0
