"""The experiment `two-servers`: readers at another server process than the writer's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tui.lab.bench import Bench, Experiment
from tui.lab.comparisons.crowd import Address, Crowd, publish, until
from tui.lab.records import NO_PROMISE, SSE, Plan
from tui.lab.servers import Servers

if TYPE_CHECKING:
    from tui.lab.results import RunResult

SERVER = "tui.lab.comparisons.broadcaster"
MEMORY_EVENTS = 20
MEMORY_RATE = 100.0
SETTLE_SECONDS = 5.0
NEVER_SECONDS = 0.5
"""After the writer's own reader has got everything: what another lacks then never comes."""
MISSED = "What never came; of the product, over the patterns that promise every event."


async def measure(bench: Bench, plan: Plan) -> None:
    """Runs for readers at the writer's own process, and at another one without and with Redis."""
    async with bench.own_processes(plan) as own:
        bench.say("two-servers: starting six servers")
        redis_url = bench.redis or own.redis()
        (
            (one, _),
            (other, _),
            (source, _),
            (door, _),
            (told_source, _),
            (told_door, _),
        ) = await asyncio.gather(
            own.start("memory", SERVER, "queue"),
            own.start("other-memory", SERVER, "queue"),
            own.server("source", data="alone"),
            own.server("door", data="alone"),
            own.server("told-source", redis_url, data="told"),
            own.server("told-door", redis_url, data="told"),
        )
        bench.say("two-servers: events kept in memory")
        near, far = await from_memory(one, other)
        bench.find("missed", far / MEMORY_EVENTS, "of events", MISSED, of="memory")
        words = "What never came of these to a reader at the writer's own process."
        bench.find("memory_missed_there", near / MEMORY_EVENTS, "of events", words)
        for name, writer, reader in (
            ("same process", source, source),
            ("without redis", source, door),
            ("with redis", told_source, told_door),
        ):
            servers = Servers(writer, dict.fromkeys(plan.patterns, reader), tuple(own.children))
            _tell_run(bench, name, await bench.run(plan, name, servers=servers))


async def from_memory(one: str, other: str) -> tuple[int, int]:
    """Of events sent to one process that keeps them in memory: how many its own reader has not got,
    and how many that of another process has not."""
    async with Crowd(Address(f"{one}/")) as here, Crowd(Address(f"{other}/")) as there:
        (near,), (far,) = await here.join(1), await there.join(1)
        await publish(Address(f"{one}/"), MEMORY_EVENTS, MEMORY_RATE, 0)
        await until(lambda: len(near.seqs) == MEMORY_EVENTS, SETTLE_SECONDS)
        await until(lambda: len(far.seqs) == MEMORY_EVENTS, NEVER_SECONDS)
    return MEMORY_EVENTS - len(near.seqs), MEMORY_EVENTS - len(far.seqs)


def _tell_run(bench: Bench, name: str, run: RunResult) -> None:
    for row in run.rows():
        if row["pattern"] == SSE:
            words = "A stream, from commit to reader, "
            bench.find("p50", row["latency_p50_ms"], "ms", f"{words}p50.", of=name)
            bench.find("p99", row["latency_p99_ms"], "ms", f"{words}p99.", of=name)
    verdicts = run.outcome.verdicts.items()
    lost = [one.lost / one.readers for pattern, one in verdicts if pattern not in NO_PROMISE]
    due = run.outcome.events * len(lost)
    bench.find("missed", sum(lost) / due if due else None, "of events", MISSED, of=name)


TWO_SERVERS = Experiment(
    "two-servers",
    "Two server processes, with and without Redis",
    "A reader is connected to another server process than the one that writes. What does it get, "
    "and when: where events are kept in memory alone, from the product without Redis, and with it?",
    Plan(seconds=5, rate=4),
    measure,
    frozenset({"isolated"}),
    own_servers=True,
)
