"""Thousands of held polls and streams on one process at once."""

import asyncio
import json
import platform
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from server.features.accounts.passwords import MEMORY_KIB
from support.metrics import figure
from support.raw_http import RawRequest, raise_file_limit
from support.rest import Rest
from support.server_process import ServerProcess, StartServer
from support.town import PASSWORD, open_restaurant
from support.waiting import wait_until

ENV = {
    "TIFFIN_MAX_CONNECTIONS": "20000",
    "TIFFIN_MAX_STREAMS_PER_ACCOUNT": "20000",
    "TIFFIN_MAX_SOCKETS": "0",
    "TIFFIN_LOG_LEVEL": "WARNING",
}
GARBAGE = 16_000
"""Blocks that may wait for the garbage collector, which the server runs seldom; a connection has
some 150."""
AT_A_TIME = 100
"""Connections opened in parallel."""
WARM_UP = 20
"""This many of each before anything is measured: what is loaded and kept at first use is there
then."""

T = TypeVar("T")


async def many(number: int, make: Callable[[], Awaitable[T]]) -> list[T]:
    """Run all of them, AT_A_TIME at a time."""
    places = asyncio.Semaphore(AT_A_TIME)

    async def one(_: object) -> T:
        async with places:
            return await make()

    return await asyncio.gather(*map(one, repeat(None, number)))


@dataclass(frozen=True)
class Figures:
    """What a process uses: its size (RSS, MB), blocks that Python has in use, open files."""

    size: float
    blocks: int
    files: int

    def __str__(self) -> str:
        return f"{self.size:.0f} MB, {self.blocks} blocks, {self.files} files"


class Crowd:
    """Held polls of one order and streams of its kitchen."""

    def __init__(self, server: ServerProcess, customer: Rest, employee: Rest) -> None:
        self._port = server.port
        self._customer = customer
        self._employee = employee
        self._kitchen = employee.grant["account"]["restaurant_id"]
        self._process = psutil.Process(server.pid)

    async def hold(self, order_id: str, each: int) -> tuple[list[RawRequest], list[RawRequest]]:
        """Open `each` of both; they are held when this returns."""
        poll = f"/orders/{order_id}/status?last_status=placed"
        stream = f"/restaurants/{self._kitchen}/orders/stream"
        polls = await many(each, lambda: RawRequest.send(self._port, poll, self._customer.token))

        async def open_stream() -> RawRequest:
            return await (await RawRequest.send(self._port, stream, self._employee.token)).head()

        streams = await many(each, open_stream)
        assert {stream.status for stream in streams} == {200}
        await self.held(2 * each)
        return polls, streams

    async def held(self, number: int) -> None:
        """Return once the server holds this many, each registered with the hub."""

        async def is_so() -> bool:
            return await figure(self._customer, "held_connections") == number

        await wait_until(is_so, 60, every=0.1, what=f"{number} held")

    async def files(self, number: int) -> None:
        """Return once the server has at most this many open files."""
        await wait_until(lambda: self._process.num_fds() <= number, what=f"{number} files at most")

    async def figures(self) -> Figures:
        """What the server uses."""
        return Figures(
            self._process.memory_info().rss / 1e6,
            round(await figure(self._customer, "memory_blocks")),
            self._process.num_fds(),
        )

    async def accept(
        self, order_id: str, polls: list[RawRequest], streams: list[RawRequest]
    ) -> float:
        """Accept the order, wait until all have answered, and disconnect; returns the seconds until
        the last had."""

        async def read_poll(poll: RawRequest) -> None:
            assert (await poll.json())["status"] == "accepted"

        async def read_event(stream: RawRequest) -> None:
            kind, data = await stream.event()
            assert kind == "order.updated"
            assert json.loads(data)["id"] == order_id

        began = time.monotonic()
        step = {"status": "accepted"}
        (await self._employee.post(f"/orders/{order_id}/status", step)).must(200)
        async with asyncio.timeout(60):
            await asyncio.gather(*map(read_poll, polls), *map(read_event, streams))
        seconds = time.monotonic() - began
        for request in (*polls, *streams):
            request.close()
        await self.held(0)
        return seconds


async def answer_times(rest: Rest, path: str, number: int) -> list[float]:
    """Seconds that this many GETs took, one after the other; sorted."""
    taken = []
    for _ in range(number):
        began = time.perf_counter()
        (await rest.get(path)).must(200)
        taken.append(time.perf_counter() - began)
    return sorted(taken)


@pytest.mark.parametrize(
    "each", [200, pytest.param(2000, marks=[pytest.mark.soak, pytest.mark.timeout(600)])]
)
async def test_all_are_answered_and_everything_is_freed(
    start_server: StartServer, data_dir: Path, each: int
) -> None:
    raise_file_limit(2 * each + 500)
    server = start_server(env=ENV)
    place = await open_restaurant(data_dir, server.url)
    async with Rest(server.url) as customer:
        await customer.register("ana@example.org")
        employee = await customer.another().log_in(place.employees[0], PASSWORD)
        crowd = Crowd(server, customer, employee)
        sizes = []
        for number, count in enumerate((WARM_UP, each, each)):
            order = (await customer.post("/orders", place.basket())).must(201).json["id"]
            held = await crowd.hold(order, count)
            full = await crowd.figures()
            times = await answer_times(customer, f"/orders/{order}", 300)
            seconds = await crowd.accept(order, *held)
            if number == 0:
                before = await crowd.figures()
                print(f"\nbefore: {before}")
                continue
            await crowd.files(before.files + 5)
            after = await crowd.figures()
            sizes.append(after.size)
            print(
                f"{each} polls + {each} streams: {full}"
                f" ({(full.size - before.size) / 2 / each * 1000:.1f} KB each);"
                f" a GET meanwhile p50 {times[150] * 1000:.1f} p99 {times[296] * 1000:.1f} ms;"
                f" all answered after {seconds:.2f} s; then {after}"
            )
            assert full.files >= 2 * each
            assert times[296] < 0.5
            assert seconds < 10
            assert after.blocks - before.blocks < GARBAGE
        # All of it is free again, but Python keeps it for reuse.
        assert sizes[1] - sizes[0] < 4 + 0.1 * (full.size - before.size)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps it")
@pytest.mark.usefixtures("full_hashes")
async def test_the_memory_that_hashing_passwords_takes_is_returned(
    start_server: StartServer,
) -> None:
    server = start_server(env=ENV)
    process = psutil.Process(server.pid)
    async with Rest(server.url) as customer:
        await customer.register("ana@example.org", PASSWORD)
        before = process.memory_info().rss
        for _ in range(3):  # glibc keeps it from the second hash on
            await customer.log_in("ana@example.org", PASSWORD)

    def returned() -> bool:
        return process.memory_info().rss < before + MEMORY_KIB * 1024 / 2

    await wait_until(returned, what="the memory of a hash is free")
