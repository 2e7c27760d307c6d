"""A reader of a driver's stream that stops reading: what it costs, and what it gets later."""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.cast import Cast, cast_of
from support.idle_reader import idle_reader
from support.live_server import running_server, settings_for

IN_FLIGHT = 64 * 1024
"""Bytes that may be buffered for a reader that stops reading."""
COST = 256 * 1024


@pytest.fixture
async def cast(data_dir: Path) -> AsyncIterator[Cast]:
    # Reporting so many positions may take any time here, and no reader is to be dropped for it.
    settings = settings_for(data_dir, stalled_reader_seconds=900)
    async with running_server(settings) as server, cast_of(server) as cast:
        yield cast


async def drive(cast: Cast, numbers: range, seconds: float) -> None:
    """Report positions, one after the other, spread over this many seconds."""
    path = f"/drivers/{cast.place.drivers[0]}/location"
    began = time.monotonic()
    for count, number in enumerate(numbers):
        body = {"lat": 48.0 + number / 1_000_000, "lng": 2.0}
        (await cast.employee.put(path, body)).must(204)
        ahead = began + seconds * count / len(numbers) - time.monotonic()
        if ahead > 0:
            await asyncio.sleep(ahead)


async def stops_reading(cast: Cast, positions: int, seconds: float) -> None:
    """The cost is bounded, however much happens meanwhile, and then the newest arrives."""
    path = f"/drivers/{cast.place.drivers[0]}/location/stream"
    await drive(cast, range(1, 51), 0)
    async with idle_reader(cast.employee, path) as reader:
        await reader.until(b'"seq":50,')
        before_reading = reader.read_bytes
        await drive(cast, range(51, 101), 0)
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            await drive(cast, range(101, positions + 1), seconds)
            gc.collect()
            cost = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        await reader.until(b'"seq":%d,' % positions)
        in_flight = reader.read_bytes - before_reading
        seqs = [location["seq"] for location in reader.data()]
    print(f"{cost} bytes kept, {in_flight} under way, {len(seqs)} of {positions} positions read")
    assert cost < COST  # the test's own end of it included
    assert in_flight < IN_FLIGHT
    assert seqs == sorted(set(seqs))
    assert seqs[-1] == positions
    assert len(seqs) < positions / 2


async def test_a_reader_that_stops_costs_little_and_gets_the_newest(cast: Cast) -> None:
    await stops_reading(cast, 600, 0)


@pytest.mark.soak
async def test_ten_thousand_positions_in_a_minute_cost_a_bounded_amount(cast: Cast) -> None:
    await stops_reading(cast, 10_000, 60)
