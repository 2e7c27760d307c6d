"""The page of `benchmarks.scaling`: costs, ratios, and what they come to at multiples of a load."""

import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks._figures import machine
from server.settings import Settings

RESULTS = Path(__file__).with_name("results") / "scaling.md"
CONNECTIONS: int = Settings.model_fields["database_connections"].default
AT_ONCE = 2 * CONNECTIONS
"""Transactions under way: as many as two processes have connections for."""
PLACES = 8
SWEEPS_PER_SECOND = 2
LOADS = (1, 10, 100, 1_000)
ORDERS, STEPS, MESSAGES, STREAMS = 2, 10, 10, 2_000
"""At a load of 1: a second, and held at once. 90,000 orders a day with a peak of twice the mean,
five steps and five messages each."""
STREAMS_A_PROCESS, PART_OF_A_CORE = 10_000, 0.5
"""What a process is given to do: the default of TIFFIN_MAX_CONNECTIONS, and half of a core."""
READ_BY, READ_WITHIN = 0.1, 60
"""The part of the streams that acknowledge an announcement within so many seconds, each with an
event to the one topic of acknowledgements."""
FOLLOWERS = 2
"""Processes that follow an order's or a chat's topic; the desk's queue is followed by all."""
PEERS = RESULTS.with_name("peers.md")
PEERS_ORDER = "an order placed, to its kitchen's one stream"
PEERS_STEP = "an order stepped, its one poll woken"
PEERS_MESSAGE = "a chat message, 1,000 sockets, 300 a second"
ONE_TOPIC = "an event, all to one topic"
ONE_ROOM = "a chat message, all in one room"
MESSAGE = f"a chat message, in {AT_ONCE} rooms"
NO_QUEUE = f"a chat message, in {AT_ONCE} rooms, without the queue's event"
ORDER = f"an order placed, at {PLACES} restaurants"
STEP = f"an order stepped, at {PLACES} restaurants"


@dataclass
class Cost:
    """Of one unit of work, by rounds."""

    seconds: list[float] = field(default_factory=list)
    """By the clock, with AT_ONCE under way."""
    cpu: list[float] = field(default_factory=list)
    """Seconds of CPU of PostgreSQL."""
    wal: list[float] = field(default_factory=list)
    """Bytes of the write-ahead log."""

    @property
    def per_second(self) -> float:
        return 1 / median(self.seconds)

    @property
    def row(self) -> str:
        cpu, wal = median(self.cpu) * 1e6, median(self.wal)
        return f"{self.per_second:,.0f} | {cpu:,.0f} | {wal / 1000:,.1f}"


def of_the_server(row: str) -> float:
    """Seconds of the server's CPU, as benchmarks/results/peers.md has it."""
    found = re.search(rf"^\| {re.escape(row)}, µs \|(.*)$", PEERS.read_text(), re.M)
    assert found is not None, row
    tiffin = found[1].split("|")[4]
    return float(tiffin.replace(",", "")) / 1e6


def report(
    costs: dict[str, Cost], sweep: float, connection: float, redis: dict[int, float], channel: float
) -> str:
    """The page."""
    few, most = min(redis), max(redis)
    each = (redis[most] - redis[few]) / (most - few)
    base = redis[few] - each * few
    lines = [
        "# Scaling",
        "",
        f"`make bench ONLY=scaling`: {machine()}, PostgreSQL with fsync, {AT_ONCE} transactions"
        " under way in two servers' connections. Medians of rounds in which the kinds took turns."
        " Only ratios and CPU time can be compared with another run.",
        "",
        "| PostgreSQL | a second | µs of its CPU | kB of WAL |",
        "|---|---:|---:|---:|",
        *(f"| {kind} | {cost.row} |" for kind, cost in costs.items()),
        "",
        "| ratio, of the rounds' times | |",
        "|---|---:|",
    ]
    names = list(costs)
    for one, other in ((0, 1), (2, 3), (3, 4), (5, 6)):
        pairs = zip(costs[names[one]].seconds, costs[names[other]].seconds, strict=True)
        ratio = median(a / b for a, b in pairs)
        lines.append(f"| {names[one]} ÷ {names[other]} | {ratio:.2f} |")
    lines += [
        "",
        f"A sweep, of which each process makes {SWEEPS_PER_SECOND} a second, takes"
        f" {sweep * 1e6:,.0f} µs of PostgreSQL's CPU. A connection that has worked takes"
        f" {connection / 1e6:,.1f} MB, and a process has {CONNECTIONS}.",
        "",
        "| Redis, processes that hear a message | µs of its CPU |",
        "|---|---:|",
        *(f"| {count} | {cost * 1e6:,.1f} |" for count, cost in redis.items()),
        "",
        f"A channel that one process follows takes {channel:,.0f} bytes.",
        "",
        "## A load of 1, and its multiples",
        "",
        f"{ORDERS} orders, {STEPS} steps and {MESSAGES} chat messages a second, {STREAMS:,} streams"
        f" and polls held. A process is given {PART_OF_A_CORE:.0%} of a core and"
        f" {STREAMS_A_PROCESS:,} streams; its CPU costs are those of `peers.md`. An order's and a"
        f" room's topic are followed by {FOLLOWERS} processes, the desk's queue by all."
        f" An announcement is acknowledged by {READ_BY:.0%} of the streams within {READ_WITHIN} s."
        " Bold is more than there can be.",
        "",
        "| | " + " | ".join(f"{load:,}" for load in LOADS) + " |",
        "|---|" + "---:|" * len(LOADS),
    ]
    queue = costs[MESSAGE].per_second
    rows: dict[str, list[str]] = defaultdict(list)
    for load in LOADS:
        orders, steps, messages = ORDERS * load, STEPS * load, MESSAGES * load
        own = (
            orders * of_the_server(PEERS_ORDER)
            + steps * of_the_server(PEERS_STEP)
            + messages * of_the_server(PEERS_MESSAGE)
        )
        processes = max(
            2, math.ceil(own / PART_OF_A_CORE), math.ceil(STREAMS * load / STREAMS_A_PROCESS)
        )
        work = {ORDER: orders, STEP: steps, MESSAGE: messages}
        cpu = sum(count * median(costs[kind].cpu) for kind, count in work.items())
        swept = processes * SWEEPS_PER_SECOND * sweep
        wal = sum(count * median(costs[kind].wal) for kind, count in work.items())
        topics = orders + steps + messages
        heard = topics * (base + each * FOLLOWERS) + messages * (base + each * processes)
        for name, value in {
            "the row of the desk's queue, in use": _share(messages / queue),
            "the row of acknowledgements, in use after an announcement": _share(
                STREAMS * load * READ_BY / READ_WITHIN / costs[ONE_TOPIC].per_second
            ),
            "processes": f"{processes:,}",
            "PostgreSQL's CPU, cores": f"{cpu:,.2f}",
            "of it for sweeps, cores": f"{swept:,.2f}",
            "its write-ahead log, MB a second": f"{wal / 1e6:,.2f}",
            "its connections": f"{processes * CONNECTIONS:,}",
            "their memory, GB": f"{processes * CONNECTIONS * connection / 1e9:,.1f}",
            "Redis' one core, in use": _share(heard),
        }.items():
            rows[name].append(value)
    lines += [f"| {name} | " + " | ".join(values) + " |" for name, values in rows.items()]
    return "\n".join([*lines, ""])


def _share(part: float) -> str:
    return f"**{part:,.0%}**" if part > 1 else f"{part:.1%}"
