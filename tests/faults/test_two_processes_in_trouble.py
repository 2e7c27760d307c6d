"""Orders at two processes arrive at both, once each, in order and in time, whatever breaks."""

import asyncio
import time

import pytest

from support.scene import SECONDS, play
from support.two_processes import Two
from support.witness import Outage
from tools.cluster.redis_server import RedisServer

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]


def times(each: float) -> int:
    """How often something that takes `each` seconds fits into the test."""
    return max(1, int(SECONDS / each))


async def test_events_arrive_while_redis_restarts(
    with_redis: Two, broken_redis: RedisServer
) -> None:
    async def fault(two: Two) -> None:
        for _ in range(times(2)):
            await asyncio.to_thread(broken_redis.restart)
            await asyncio.sleep(0.5)

    await play(with_redis, fault)


async def test_events_arrive_while_pubsub_connections_are_killed(
    with_redis: Two, broken_redis: RedisServer
) -> None:
    killed = []

    async def fault(two: Two) -> None:
        while len(killed) < times(0.2) or sum(killed) < 4:  # each listens again in its own time
            killed.append(await asyncio.to_thread(broken_redis.kill_pubsub))
            await asyncio.sleep(0.2)

    await play(with_redis, fault)


async def test_events_arrive_while_a_server_is_killed_and_restarted(
    with_redis: Two, broken_redis: RedisServer
) -> None:
    async def fault(two: Two) -> Outage:
        begins = time.time()
        for _ in range(times(6)):
            two.left.kill()
            await asyncio.sleep(0.3)
            await asyncio.to_thread(two.left.start)
            await asyncio.sleep(0.5)
        return Outage(begins, time.time())

    await play(with_redis, fault)


async def test_events_arrive_after_redis_is_gone_for_good(
    with_redis: Two, broken_redis: RedisServer
) -> None:
    async def fault(two: Two) -> None:
        broken_redis.kill()

    await play(with_redis, fault, busy=[with_redis.right])


async def test_events_arrive_while_redis_hangs(with_redis: Two, broken_redis: RedisServer) -> None:
    async def fault(two: Two) -> None:
        broken_redis.freeze()
        await asyncio.sleep(SECONDS * 0.75)
        broken_redis.thaw()

    await play(with_redis, fault)


@pytest.mark.parametrize("busy", ["both", "one"])
async def test_events_arrive_without_redis(without_redis: Two, busy: str) -> None:
    async def fault(two: Two) -> None:
        """Two processes, never with Redis."""

    await play(without_redis, fault, [without_redis.right] if busy == "one" else None)
