"""A schedule of faults for two server processes and their Redis."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from typing import Protocol

from support.two_processes import Two
from tools.cluster.redis_server import RedisServer


class Line(Protocol):
    """A relay or a proxy in front of a server."""

    def cut(self) -> None:
        """Drop its connections."""


async def cut_at_random(lines: Sequence[Line], seconds: tuple[float, float]) -> None:
    """Cut one of them or another, for ever; `seconds` are the least and the most between two."""
    while True:
        await asyncio.sleep(random.uniform(*seconds))
        random.choice(lines).cut()


async def break_in_turn(
    two: Two, redis: RedisServer, lull: float, done: list[str], enough: asyncio.Event
) -> None:
    """Kill a process with -9 and start it, restart Redis empty, go on with the other, until there
    is `enough`: then all of them run. To cancel it would not stop a thread that starts one.

    `lull` is the seconds without a fault before a kill and after a start; `done` gets the servers.
    """
    for server in itertools.cycle(two.both):
        await asyncio.sleep(lull)
        if enough.is_set():
            return
        server.kill()
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.start)
        await asyncio.sleep(lull)
        if enough.is_set():
            return
        await asyncio.to_thread(redis.restart)
        done.append(server.url)
