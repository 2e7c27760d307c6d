"""The experiment `two-servers`: readers at another server process than the writer's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tui.lab.comparisons.crowd import Address, Crowd, publish, until
from tui.lab.records import PROMISES, SSE
from tui.lab.servers import Servers

if TYPE_CHECKING:
    from tui.lab.bench import Bench
    from tui.lab.records import Plan
    from tui.lab.results import RunResult

SERVER = "tui.lab.comparisons.broadcaster"
MEMORY_EVENTS = 20
MEMORY_RATE = 100.0
SETTLE_SECONDS = 5.0
NEVER_SECONDS = 0.5
"""After the writer's own reader has got everything: what another lacks then never comes."""
PREFIXES = ("same", "without_redis", "with_redis")
"""Of the names of each run's findings."""


async def two_servers(bench: Bench, plan: Plan) -> None:
    """Runs for readers at the writer's own process, and at another one without and with Redis."""
    async with bench.own_processes(plan, network=True) as own:
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
        bench.say("two-servers: events from memory, without a log")
        got, missed = await from_memory(one, other)
        runs = {}
        for name, writer, reader in (
            ("same process", source, source),
            ("other process", source, door),
            ("other process, Redis", told_source, told_door),
        ):
            servers = Servers(writer, dict.fromkeys(plan.patterns, reader), tuple(own.children))
            runs[name] = await bench.run(plan, name, servers=servers)
    _tell(bench, plan, got, missed, runs)


async def from_memory(one: str, other: str) -> tuple[int, int]:
    """Of events sent to one process that keeps them in memory: how many its own reader has got, and
    how many that of another process has not."""
    async with Crowd(Address(f"{one}/")) as here, Crowd(Address(f"{other}/")) as there:
        (near,), (far,) = await here.join(1), await there.join(1)
        numbers = range(1, MEMORY_EVENTS + 1)
        await asyncio.gather(*await publish(Address(f"{one}/"), numbers, MEMORY_RATE, 0))
        await until(lambda: len(near.seqs) == MEMORY_EVENTS, SETTLE_SECONDS)
        await until(lambda: len(far.seqs) == MEMORY_EVENTS, NEVER_SECONDS)
    return len(near.seqs), MEMORY_EVENTS - len(far.seqs)


def _tell(bench: Bench, plan: Plan, got: int, missed: int, runs: dict[str, RunResult]) -> None:
    bench.find(
        "memory_missed",
        missed,
        f"of {MEMORY_EVENTS} events",
        "Servers that keep events in memory alone: never seen by a reader at the other process; one"
        f" at the writer's own has got {got}.",
    )
    pattern = next((one for one in (SSE, *plan.patterns) if one in plan.patterns), SSE)
    for prefix, (name, run) in zip(PREFIXES, runs.items(), strict=True):
        row = run.row(pattern)
        for percent in (50, 99):
            bench.find(
                f"{prefix}_p{percent}_ms",
                row[f"latency_p{percent}_ms"],
                "ms",
                f"The product, {name}: {pattern}, from commit to reader, p{percent}.",
            )
        verdicts = run.outcome.verdicts.items()
        lost = sum(one.lost + one.repeated for name, one in verdicts if name in PROMISES)
        bench.find(
            f"{prefix}_lost",
            lost,
            "events",
            f"The product, {name}: lost or repeated by the patterns that promise every event.",
        )
