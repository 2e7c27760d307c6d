"""The experiment `redis`: a connection to Redis for each reader, against one for each process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui.common.processes import ChildError
from tui.lab.bench import PLAN, Bench, Experiment
from tui.lab.comparisons.crowd import Address, Crowd, publish, until
from tui.lab.comparisons.process_usage import NOT_TOLD, join_in_batches, usage_of
from tui.lab.comparisons.product_run import ProductRun, events_of, product_run
from tui.lab.fields import slope
from tui.lab.records import SSE, Plan

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from tui.lab.histogram import Histogram

SERVER = "tui.lab.comparisons.broadcaster"
IDLE_SECONDS = 2.0
"""How long each side is watched while nothing is sent; what it uses then is not the events'."""
BUFFERS = 20_000
"""Bytes by which Redis's memory changes as its buffers for whoever asks it come and go."""
SETTLE_SECONDS = 5.0
"""After the last event, for what is on its way."""
REDIS_SECONDS = 10.0


async def measure(bench: Bench, plan: Plan) -> None:
    """Each side sends its events for `seconds` to `readers`."""
    from redis.exceptions import RedisError  # here, as the lab starts without it

    try:
        each, shared, most = await _measure(bench, plan)
    except RedisError as error:
        raise ChildError(f"Redis failed while it was measured: {error}") from None
    _tell(bench, "each reader", each)
    _tell(bench, "each process", shared)
    words = "Clients that this Redis accepts (`maxclients`); small managed ones accept fewer."
    bench.find("accepted", most, "connections", words)
    bench.check(shared.complete, "Each reader of the product got each event once and in order.")


async def _measure(bench: Bench, plan: Plan) -> tuple[Side, Side, int | None]:
    from redis.asyncio import Redis

    async with bench.own_processes(plan) as own:
        bench.say("redis: starting three servers")
        url = bench.redis or own.redis()
        async with Redis.from_url(url, socket_timeout=REDIS_SECONDS) as told:
            await _answers(told)
            before = await _connected(told)
            each_url, each_child = await own.start("each", SERVER, "redis", "--redis", url)
            bench.say(f"redis: {plan.readers} readers, a connection to Redis for each")
            each = await each_reader(plan, each_url, each_child.pid, told, before)
            await asyncio.to_thread(each_child.end)
            await until(lambda: _gone(told, before), REDIS_SECONDS)
            (source, _), (door, child) = await asyncio.gather(
                own.server("source", url), own.server("door", url)
            )
            bench.say(f"redis: {plan.readers} readers of the product")
            async with product_run(source, plan, plan.seconds) as run:
                shared = await one_process(plan, run, door, child.pid, told, before)
            return each, shared, (await told.info("clients")).get("maxclients")


@dataclass(frozen=True, slots=True)
class Side:
    """What one way to reach the readers has cost. Bytes and seconds of CPU are for each event; None
    where that is not told, or too little to measure."""

    connections: int
    """To Redis."""
    redis_cpu: float | None
    redis_bytes: float | None
    """That Redis has sent."""
    redis_memory: float | None
    """Bytes for each reader."""
    server_cpu: float | None
    """Of the process that has the readers."""
    server_memory: float | None
    """Bytes for each reader."""
    latency: Histogram
    complete: bool
    """Whether each reader got each event once and in order."""


async def each_reader(plan: Plan, url: str, pid: int, told: Redis, before: int) -> Side:
    """The comparison: a connection to Redis for each reader."""
    count = events_of(plan)
    address = Address(f"{url}/")

    async def send() -> int:
        await publish(address, count, plan.rate, plan.size)
        return count

    return await _side(plan, address, send, pid, told, before)


async def one_process(
    plan: Plan, run: ProductRun, door: str, pid: int, told: Redis, before: int
) -> Side:
    """The product: `door` is another process than the one that appends."""

    async def send() -> int:
        await run.begin()
        await asyncio.sleep(plan.seconds)
        await until(run.has_ended, SETTLE_SECONDS)
        return (await run.state()).seq

    return await _side(plan, run.stream(door), send, pid, told, before)


async def _side(
    plan: Plan,
    address: Address,
    send: Callable[[], Awaitable[int]],
    pid: int,
    told: Redis,
    before: int,
) -> Side:
    """Let readers connect, and send: returns how many events."""
    async with Crowd(address) as crowd:
        await crowd.join(1)  # what the first one loads is not a reader's
        first = await _told(told)
        alone = await _told(told)
        await crowd.join(plan.readers // 2)  # the first ones take what was free before
        memory = await join_in_batches(crowd, plan.readers - plan.readers // 2, pid)
        joined, large = await _told(told), usage_of(pid)
        await asyncio.sleep(IDLE_SECONDS)
        idle, still = await _told(told), usage_of(pid)
        events = await send()
        expected = list(range(1, events + 1))
        complete = await until(
            lambda: all(reader.seqs == expected for reader in crowd.readers), SETTLE_SECONDS
        )
        end, used = await _told(told), usage_of(pid)
        connections = await _connected(told) - before
    seconds = end.at - idle.at

    def an_event(now: float, then: float, earlier: float, asking: float = 0) -> float | None:
        """Without what is used when nothing is sent, and what asking Redis takes."""
        rate = (then - earlier - asking) / (idle.at - joined.at)
        used = now - then - asking - rate * seconds
        return used / max(1, events) if used > 0 else None

    grown = joined.memory - alone.memory
    cpu = None
    if large and still and used:
        cpu = an_event(used.cpu_seconds, still.cpu_seconds, large.cpu_seconds)
    return Side(
        connections=connections,
        redis_cpu=an_event(end.cpu, idle.cpu, joined.cpu, alone.cpu - first.cpu),
        redis_bytes=an_event(end.sent, idle.sent, joined.sent, alone.sent - first.sent),
        redis_memory=grown / plan.readers if grown > BUFFERS else None,
        server_cpu=cpu,
        server_memory=slope(memory)[0],
        latency=crowd.latency,
        complete=complete,
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What Redis has used since it began."""

    at: float
    cpu: float
    sent: float
    memory: float


async def _told(told: Redis) -> _Told:
    info: dict[str, Any] = await told.info()
    cpu = info["used_cpu_user"] + info["used_cpu_sys"]
    sent, memory = info["total_net_output_bytes"], info["used_memory"]
    return _Told(time.monotonic(), float(cpu), float(sent), float(memory))


async def _connected(told: Redis) -> int:
    return int((await told.info("clients"))["connected_clients"])


async def _gone(told: Redis, before: int) -> bool:
    return await _connected(told) <= before


async def _answers(told: Redis) -> None:
    """Returns once Redis answers. Raises ChildError."""
    from redis.exceptions import RedisError

    why = ""

    async def answers() -> bool:
        nonlocal why
        try:
            return bool(await told.ping())
        except (RedisError, OSError) as error:
            why = str(error)
            return False

    if not await until(answers, REDIS_SECONDS):
        raise ChildError(f"Redis does not answer: {why}")


def _or_none(value: float | None, times: float) -> float | None:
    return None if value is None else value * times


def _tell(bench: Bench, name: str, side: Side) -> None:
    p50, p99 = (_or_none(side.latency.percentile(percent), 1000) for percent in (50, 99))
    redis_cpu, cpu = _or_none(side.redis_cpu, 1e6), _or_none(side.server_cpu, 1000)
    for figure, value, unit, words in (
        ("connections", side.connections, "connections", "To Redis"),
        ("redis_cpu", redis_cpu, "µs an event", "CPU of Redis"),
        ("redis_bytes", side.redis_bytes, "B an event", "Sent by Redis"),
        ("redis_memory", side.redis_memory, "B a reader", "Memory of Redis"),
        ("server_cpu", cpu, "ms an event", "CPU of the process that has the readers"),
        ("server_memory", side.server_memory, "B a reader", "Memory of that process"),
        ("p50", p50, "ms", "From the source to a reader, p50"),
        ("p99", p99, "ms", "The same, p99"),
    ):
        unknown = "" if value is not None else f" It was {NOT_TOLD}."
        bench.find(figure, value, unit, f"{words}.{unknown}", of=name)


REDIS = Experiment(
    "redis",
    "A connection to Redis for each reader, or one for each process",
    "The report subscribes to Redis once for each client that reads a stream. The product "
    "subscribes once for each server process, and passes events on from there. What do the two "
    "cost, in Redis and in the server?",
    Plan(seconds=4, rate=10, readers=300, patterns=(SSE,), shape="steady"),
    measure,
    PLAN - {"seconds", "rate", "readers", "size"},
    own_servers=True,
)
