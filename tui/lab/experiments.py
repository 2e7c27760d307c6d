"""The lab's experiments by their names: `patterns`, and one for each lesson."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.lab.bench import Experiment
from tui.lab.comparisons.one_thread import one_thread
from tui.lab.comparisons.redis_connections import redis
from tui.lab.comparisons.slow_reader import slow_reader
from tui.lab.comparisons.two_servers import two_servers
from tui.lab.records import LONG_POLL, SSE, Plan

if TYPE_CHECKING:
    from tui.lab.bench import Bench


async def _race(bench: Bench, plan: Plan) -> None:
    await bench.run(plan)


EXPERIMENTS = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            "patterns",
            "",
            "The same events over every pattern at the same time.",
            Plan(),
            _race,
        ),
        Experiment(
            "slow-reader",
            "One reader who stops to read, among a thousand",
            "What do the others notice, and what does a queue for each reader cost? On the product,"
            " and on two servers written for comparison: one writes to its readers in turn, one has"
            " a queue for each.",
            Plan(seconds=6, rate=10, size=16 * 1024, readers=1000, patterns=(SSE,), shape="steady"),
            slow_reader,
        ),
        Experiment(
            "redis",
            "A connection to Redis for each reader, or one for each process",
            "The report lets every client's stream subscribe to Redis by itself; the product"
            " subscribes once for a process, and passes events on from there. What do they cost?",
            Plan(seconds=4, rate=10, readers=300, patterns=(SSE,), shape="steady"),
            redis,
        ),
        Experiment(
            "two-servers",
            "Readers at another server process than the writer's",
            "What do they get, and when: from servers that keep events in memory, from the product"
            " without Redis, and with it?",
            Plan(seconds=5, rate=4),
            two_servers,
        ),
        Experiment(
            "one-thread",
            "The server that freezes the second window",
            "One window waits for news, a second one asks: on a server with one thread, with a"
            " thread for each connection, and with an event loop. The report's authors looked for"
            " this for three days.",
            Plan(seconds=4, readers=500, patterns=(LONG_POLL,)),
            one_thread,
        ),
    )
}
