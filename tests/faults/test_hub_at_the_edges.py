"""Rare moments in the hub, forced to happen."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.core.database import Database, Transaction
from server.core.databases import database_at
from server.realtime.broker import MemoryBroker
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.log import EventLog, LogPage
from support.metrics import figure
from support.rest import Rest
from support.server_process import StartServer, new_database
from support.town import PASSWORD, Place, open_restaurant
from support.two_processes import Two
from support.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.fault

TOPIC = "restaurant:here"


class SlowLog(EventLog):
    """A log whose reads may be delayed, or fail."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.passing = asyncio.Event()
        self.passing.set()
        self.reads = 0
        self.failing = False

    async def read(self, topic: str, after: int, limit: int) -> LogPage:
        if self.failing:
            self.reads += 1
            raise OSError("the disk says no")
        stretch = await super().read(topic, after, limit)
        self.reads += 1
        await self.passing.wait()
        return stretch


class ListSink:
    """A sink that collects events."""

    def __init__(self) -> None:
        self.got: list[int] = []

    def write(self, event: Event) -> bool:
        self.got.append(event.seq)
        return True

    async def ready(self) -> None:
        """Always."""

    def reset(self) -> None:
        raise AssertionError("reset")

    def fail(self) -> None:
        raise AssertionError("failed")


class Process:
    """A hub as one process has it."""

    def __init__(self, path: Path) -> None:
        self.database = database_at(new_database(path))
        self.log = SlowLog(self.database)
        self.hub = Hub(self.database, self.log, MemoryBroker(), sweep_seconds=0.05)

    async def open(self) -> None:
        await self.database.open()
        await self.log.open()
        await self.hub.open()

    async def close(self) -> None:
        await self.hub.close()
        await self.database.close()

    async def change(self) -> int:
        async def fn(tx: Transaction) -> int:
            return (await self.log.append(tx, TOPIC, "order.placed", "{}", "ord")).seq

        return await self.database.write(fn)


@pytest.fixture
async def processes(data_dir: Path) -> AsyncIterator[Sequence[Process]]:
    """Two on one file, without Redis."""
    path = data_dir / "tiffin.sqlite3"
    both = [Process(path) for _ in range(2)]
    for process in both:
        await process.open()
    yield both
    for process in both:
        await process.close()


async def test_a_change_of_ones_own_while_a_gap_is_read_arrives(
    processes: Sequence[Process],
) -> None:
    here, there = processes
    sink = ListSink()
    await here.hub.subscribe(TOPIC, None, sink)
    here.log.passing.clear()
    await there.change()
    await wait_until(lambda: here.log.reads == 1, what="the sweep has found it")
    # The read has its snapshot; commits from here on are not in it, and no other process will
    # commit again and so wake the sweep.
    await here.change()
    here.log.passing.set()
    await wait_until(lambda: sink.got == [1, 2], what="both are here")


async def test_a_gap_that_could_not_be_read_is_read_later(processes: Sequence[Process]) -> None:
    here, there = processes
    sink = ListSink()
    await here.hub.subscribe(TOPIC, None, sink)
    here.log.failing = True
    await there.change()
    await wait_until(lambda: here.log.reads >= 1, what="the sweep has found it")
    here.log.failing = False
    await wait_until(lambda: sink.got == [1], what="it is read after all")


async def test_a_hint_of_an_event_that_does_not_exist_is_harmless(
    processes: Sequence[Process],
) -> None:
    here, _ = processes
    sink = ListSink()
    subscription = await here.hub.subscribe(TOPIC, None, sink)
    subscription.topic.hint(1_000)
    await here.change()
    await wait_until(lambda: sink.got == [1])
    before = here.log.reads
    await asyncio.sleep(0.3)
    assert here.log.reads - before <= 1, "it asks for it for ever"


async def test_a_reader_that_stops_reading_and_half_closes_is_dropped(without_redis: Two) -> None:
    """Its buffer is full and its connection is closing: no other reader may notice."""
    place, server = await without_redis.open_restaurant(), without_redis.left
    async with Rest(server.url) as rest, stuck(rest, place, server.port) as reader:
        reader.shutdown(socket.SHUT_WR)
        await _fill(rest, place.basket())
        async with asyncio.timeout(PATIENCE):
            (await rest.get("//healthz")).must(200)
        reader.close()
        await wait_until(lambda: held(rest, 0), what="its place is free")


async def test_a_reader_that_stops_reading_does_not_delay_shutdown(
    start_server: StartServer, data_dir: Path
) -> None:
    server = start_server(env={"TIFFIN_LOG_LEVEL": "WARNING"})
    place = await open_restaurant(data_dir, server.url)
    async with Rest(server.url) as rest, stuck(rest, place, server.port):
        began = time.monotonic()
        assert await asyncio.to_thread(server.terminate) == 0
        print(f"gone after {time.monotonic() - began:.1f} s")


@asynccontextmanager
async def stuck(rest: Rest, place: Place, port: int) -> AsyncIterator[socket.socket]:
    """A stream whose reader never reads, with more to send than the buffers hold."""
    employee = await rest.another().log_in(place.employees[0], PASSWORD)
    await rest.register(f"c{place.employees[0]}")
    with socket.create_connection(("127.0.0.1", port)) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        path = f"/api/v1/restaurants/{place.id}/orders/stream"
        reader.sendall(
            f"GET {path} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {employee.token}"
            "\r\n\r\n".encode()
        )
        await wait_until(lambda: held(rest, 1), what="the stream is open")
        await _fill(rest, place.basket())
        yield reader


async def held(rest: Rest, number: int) -> bool:
    return await figure(rest, "held_connections") == number


async def _fill(rest: Rest, basket: dict[str, Any]) -> None:
    """Some 400 kB of events."""
    items = [dict(basket["items"][0], note="x" * 80) for _ in range(50)]
    body = json.dumps(basket | {"items": items}).encode()
    for _ in range(40):
        answer = await rest.post("/orders", data=body, headers={"Content-Type": "application/json"})
        answer.must(201)
