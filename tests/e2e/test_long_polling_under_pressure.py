"""Long polls when there are too many, and when the server stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from server.transports.connections import Connections
from support.cast import Cast, cast_of
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Answer, Rest
from support.server_process import StartServer
from support.town import PASSWORD, open_restaurant
from support.waiting import PATIENCE, wait_until


@asynccontextmanager
async def crowded(data_dir: Path, **settings: Any) -> AsyncIterator[tuple[LiveServer, Cast]]:
    """A server with few places, and everybody."""
    async with (
        running_server(settings_for(data_dir, **settings)) as server,
        cast_of(server) as cast,
    ):
        yield server, cast


def poll(rest: Rest, order_id: object) -> asyncio.Task[Answer]:
    params = {"last_status": "placed", "timeout": "60"}
    return asyncio.create_task(rest.get(f"/orders/{order_id}/status", params=params))


async def held(server: LiveServer, number: int) -> None:
    await wait_until(lambda: server.services[Connections].held == number, what=f"{number} held")


async def test_above_four_fifths_the_longest_waiting_poll_is_answered_early(data_dir: Path) -> None:
    async with crowded(data_dir, max_connections=10) as (server, cast):
        order = (await cast.order())["id"]
        polls = []
        for number in range(8):
            polls.append(poll(cast.customer, order))
            await held(server, number + 1)
        assert not any(each.done() for each in polls)
        for longest in range(3):
            polls.append(poll(cast.customer, order))
            answer = (await asyncio.wait_for(polls[longest], PATIENCE)).must(204)
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.body == b""
            await held(server, 8)
        await cast.step(order, "accepted")
        for each in polls[3:]:
            assert (await asyncio.wait_for(each, PATIENCE)).must(200).json["status"] == "accepted"


async def test_without_a_free_connection_it_is_503(data_dir: Path) -> None:
    async with crowded(data_dir, max_connections=3) as (server, cast), AsyncExitStack() as stack:
        for number in range(3):
            await stack.enter_async_context(stream(cast.employee, cast.place.id))
            await held(server, number + 1)
        order = (await cast.order())["id"]
        answer = (await poll(cast.customer, order)).must(503)
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert int(answer.headers["Retry-After"]) >= 1
        path = f"/restaurants/{cast.place.id}/orders/stream"
        assert "Retry-After" in (await cast.employee.get(path)).must(503).headers
        # Requests that are not held are served as ever.
        (await cast.customer.get(f"/orders/{order}")).must(200)
        await stack.aclose()
        await held(server, 0)
        waiting = poll(cast.customer, order)
        await held(server, 1)
        await cast.step(order, "accepted")
        (await waiting).must(200)


async def test_each_account_has_its_own_limit(data_dir: Path) -> None:
    async with crowded(data_dir, max_streams_per_account=2) as (server, cast):
        order = (await cast.order())["id"]
        polls = [poll(cast.customer, order) for _ in range(2)]
        await held(server, 2)
        answer = (await poll(cast.customer, order)).must(429)
        assert int(answer.headers["Retry-After"]) >= 1
        polls.append(poll(cast.employee, order))
        await held(server, 3)
        polls.pop(0).cancel()
        await held(server, 2)
        polls.append(poll(cast.customer, order))
        await held(server, 3)
        await cast.step(order, "accepted")
        for each in polls:
            (await asyncio.wait_for(each, PATIENCE)).must(200)


@asynccontextmanager
async def stream(rest: Rest, place: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """A kitchen's stream whose beginning has arrived."""
    url = rest.url(f"/restaurants/{place}/orders/stream")
    async with rest.http.get(url, headers=rest.headers) as answer:
        assert answer.status == 200, await answer.text()
        await answer.content.readuntil(b"\n\n")
        yield answer


async def test_sigterm_ends_all_polls_and_streams(
    start_server: StartServer, data_dir: Path
) -> None:
    server = start_server()
    place = await open_restaurant(data_dir, server.url)
    async with Rest(server.url) as customer, AsyncExitStack() as stack:
        await customer.register("ana@example.org")
        employee = await customer.another().log_in(place.employees[0], PASSWORD)
        order = (await customer.post("/orders", place.basket())).must(201).json["id"]
        streams = [await stack.enter_async_context(stream(employee, place.id)) for _ in range(5)]
        polls = [poll(customer, order) for _ in range(5)]

        async def all_held() -> bool:
            return b"\ntiffin_held_connections 10.0" in (await customer.get("//metrics")).body

        await wait_until(all_held)
        leaving = asyncio.create_task(asyncio.to_thread(server.terminate))
        for answer in await asyncio.wait_for(asyncio.gather(*polls), PATIENCE):
            assert "Retry-After" not in answer.must(204).headers, "to be sent again at once"
        for each in streams:
            async with asyncio.timeout(PATIENCE):
                assert b"data:" not in await each.content.read()  # to the end of its chunks
        assert await leaving == 0
