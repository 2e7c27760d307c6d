"""A process that dies between commit and publication: the sweep of the other finds the event."""

import asyncio
import time

import aiohttp
import pytest
from server_that_dies import EXIT

from support.rest import Rest
from support.server_process import StartServer
from support.two_processes import Two
from support.waiting import PATIENCE, wait_until
from support.witness import LATEST, Witness

pytestmark = pytest.mark.fault


async def test_a_committed_order_arrives_and_is_placed_once(
    with_redis: Two, start_server: StartServer
) -> None:
    survivor, place = with_redis.right, await with_redis.open_restaurant()
    doomed = start_server(
        survivor.data_dir,
        redis_url=survivor.environment["TIFFIN_REDIS_URL"],
        module="tests.faults.server_that_dies",
    )
    witness = Witness(survivor, place, place.employees[0])
    reading = asyncio.create_task(witness.follow())
    basket, headers = place.basket(), {"Idempotency-Key": "once"}
    async with Rest(doomed.url) as here, Rest(survivor.url) as there:
        await wait_until(lambda: witness.start >= 0 or reading.done())
        there.token = (await here.register("late@example.org")).token
        before = time.time()
        with pytest.raises(aiohttp.ClientConnectionError):
            await here.post("/orders", basket, headers=headers)
        assert doomed.process is not None
        assert doomed.process.wait(PATIENCE) == EXIT
        (row,) = with_redis.logged(f"restaurant:{place.id}")
        assert row.at >= before - 0.1
        await wait_until(lambda: witness.seen, what="the order is seen on the survivor")
        again = (await there.post("/orders", basket, headers=headers)).must(201)
        assert again.json["id"] == row.subject
        rows = with_redis.logged(f"restaurant:{place.id}")
    reading.cancel()
    assert rows == [row]
    late = witness.latest(rows)
    assert late <= LATEST
    print(f"after {late * 1000:.0f} ms")
