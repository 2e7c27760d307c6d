"""What a request costs the server with 1,000 stored orders, events, chats and accounts, and more,
and a delivery with 100 listeners and more.

CPU time of the server process a request, whatever the disk does; the smallest of some rounds. The
largest number may cost at most 1.5 times as much as the smallest. A delivery may grow as much as
nginx's with nchan, which is measured beside it where it is installed. What a server holds after a
crowd has left may not grow with each further one, and several processes that write to one file may
not keep each other waiting.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks._figures import machine, spread
from benchmarks.peers.targets import (
    FILES,
    WARM_UP_CONNECTIONS,
    WARM_UP_SECONDS,
    Missing,
    Nchan,
    Target,
    measure,
)
from benchmarks.peers.tiffin import Tiffin
from benchmarks.peers.works import Work, fan_out, full_rooms, polls_together
from server.core.clock import now, to_text
from server.core.database import Database, Transaction
from server.core.databases import database_at, migrate
from server.core.memory import TRIM_SECONDS
from server.realtime.hub import LINGER_SECONDS
from server.realtime.log import EventLog
from server.settings import Settings
from support.raw_http import raise_file_limit
from support.rest import Rest
from support.server_process import ServerProcess
from support.stored import REQUESTS, Prepare, Stored, Users
from support.town import PASSWORD, database_in, open_restaurant

COUNTS = (1_000, 10_000, 100_000)
MOST = 1_000_000
LIMIT = 1.5
LISTENERS = (100, 1_000, 10_000)
RESULTS = Path(__file__).with_name("results") / "growth.md"
SLOW = ("delete an account",)
"""Checking a password takes as long as twenty requests."""
PROCESSES, WRITERS = 3, 2
COMMIT_SECONDS = Settings.model_fields["commit_interval_ms"].default / 1000
CROWDS: dict[str, tuple[Work, int, float]] = {
    "10,000 streams": (fan_out, 10_000, TRIM_SECONDS + 3),
    "1,000 held polls": (polls_together, 1_000, TRIM_SECONDS + 3),
    "1,000 sockets in 500 full rooms": (full_rooms, 1_000, LINGER_SECONDS + TRIM_SECONDS + 3),
}
"""The seconds are those after which a server has returned what it can."""
LISTENED = 5_000
"""Topics that a sweep looks after."""

Costs = dict[str, float]
"""Microseconds of CPU time, by what is measured."""


@dataclass(frozen=True)
class Site:
    """A server with so much stored."""

    server: ServerProcess
    database: Database
    users: Users

    def cpu_seconds(self) -> float:
        """What the server has used; Linux knows a process's clock by this number."""
        return time.clock_gettime((~self.server.pid << 3) | 2)


@asynccontextmanager
async def site_with(count: int) -> AsyncIterator[Site]:
    """Start a server, and store `count` of each."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        server = ServerProcess(data_dir, env={"TIFFIN_LOG_LEVEL": "WARNING"}).start()
        try:
            place = await open_restaurant(data_dir, server.url, drivers=3)
            async with database_in(data_dir) as database, Rest(server.url) as customer:
                employee = await customer.another().log_in(place.employees[0], PASSWORD)
                await customer.register("ana@example.org")
                users = Users(customer, employee, place)
                began = time.monotonic()
                await Stored(database, users).fill(count)
                print(f"{count:,} of each stored in {time.monotonic() - began:.0f} s")
                yield Site(server, database, users)
        finally:
            server.terminate()


async def request(site: Site, prepare: Prepare, many: int) -> float:
    """What a request costs the server, in seconds."""
    prepared = [await prepare(site.users) for _ in range(many)]
    before = site.cpu_seconds()
    for send in prepared:
        await send()
    return (site.cpu_seconds() - before) / many


async def sweep(site: Site) -> float:
    """What it costs to find five changed topics among those that are listened to, in seconds."""
    log = EventLog(site.database)
    topics = [f"chat:cht_stored{number}" for number in range(LISTENED)]
    known, _ = await log.changes(None, ())
    for topic in topics[:5]:
        await site.database.write(lambda tx, topic=topic: log.append(tx, topic, "message", "{}"))
    began = time.process_time()
    await log.changes(known, topics)
    return time.process_time() - began


async def trimming(site: Site) -> float:
    """What it costs to find that no event is too old, in seconds."""
    before = to_text(now() - timedelta(days=7))
    began = time.process_time()
    await EventLog(site.database).trim(before)
    return time.process_time() - began


async def measure_requests(counts: Sequence[int], rounds: int, many: int) -> list[Costs]:
    """The costs at each number of stored rows. The servers take turns, so that a machine that has
    something else to do for a while is as slow for each."""
    works: dict[str, Callable[[Site], Awaitable[float]]] = {
        name: partial(request, prepare=prepare, many=2 if name in SLOW else many)
        for name, prepare in REQUESTS.items()
    }
    works |= {"a sweep, five new": sweep, "trimming, none due": trimming}
    async with AsyncExitStack() as stack:
        sites = [await stack.enter_async_context(site_with(count)) for count in counts]
        costs: list[Costs] = [{} for _ in sites]
        for name, work in works.items():
            for _ in range(rounds):
                for site, found in zip(sites, costs, strict=True):
                    cost = await work(site) * 1e6
                    found[name] = min(cost, found.get(name, cost))
        return costs


def table(counts: Sequence[int], found: Sequence[Costs]) -> str:
    """The costs as Markdown, the fastest growing first."""
    growth = {name: found[-1][name] / found[0][name] for name in found[0]}
    heads = " | ".join(f"{count:,}" for count in counts)
    rows = [
        f"| {name} | {' | '.join(f'{costs[name]:,.0f}' for costs in found)} | {ratio:.2f} |"
        for name, ratio in sorted(growth.items(), key=lambda item: -item[1])
    ]
    over = [name for name, ratio in growth.items() if ratio > LIMIT]
    verdict = f"Over {LIMIT}: {', '.join(over)}." if over else f"None is over {LIMIT}."
    head = f"| µs of CPU | {heads} | last ÷ first |\n|---|{'---:|' * (len(counts) + 1)}"
    return "\n".join([head, *rows, "", verdict])


def measure_deliveries(rounds: int, seconds: float) -> dict[str, Sequence[float]]:
    """Microseconds a delivery at each number of listeners, less what the event costs with one."""
    raise_file_limit(FILES)
    targets: list[type[Target]] = [Tiffin]
    try:
        Nchan.make()
        targets.append(Nchan)
    except Missing as missing:
        print(f"nchan is skipped: {missing}.")
    found: dict[tuple[type[Target], int], list[float]] = defaultdict(list)
    for _ in range(rounds):
        for number in (1, *LISTENERS):
            for target in targets:
                event = measure(target, fan_out, number, seconds).microseconds * number
                print(f"an event to {number:,} listeners of {target.name}: {event:,.0f} µs")
                found[target, number].append(event)
    costs = {event: median(values) for event, values in found.items()}
    return {
        target.name: [(costs[target, many] - costs[target, 1]) / (many - 1) for many in LISTENERS]
        for target in targets
    }


def delivery_table(found: dict[str, Sequence[float]]) -> str:
    """The deliveries' costs as Markdown."""
    growth = {name: costs[-1] / costs[0] for name, costs in found.items()}
    heads = " | ".join(f"{number:,}" for number in LISTENERS)
    rows = [
        f"| {name} | {' | '.join(f'{cost:.1f}' for cost in costs)} | {growth[name]:.2f} |"
        for name, costs in found.items()
    ]
    ours, theirs = growth[Tiffin.name], growth.get(Nchan.name)
    verdict = "nginx with nchan is not installed here."
    if theirs is not None:
        verdict = f"Tiffin's grows {'no more' if ours <= theirs else '**more**'} than nchan's."
    head = (
        f"| µs of CPU a delivery | {heads} | last ÷ first |\n|---|{'---:|' * (len(LISTENERS) + 1)}"
    )
    return "\n".join([head, *rows, "", verdict])


def measure_crowd(work: Work, number: int, pause: float) -> Sequence[float]:
    """Megabytes of a fresh server before so many connections, while they are open, and that many
    seconds after they have left, the first and the second time."""
    with tempfile.TemporaryDirectory() as folder, Tiffin(Path(folder)) as server:
        work(server, WARM_UP_CONNECTIONS, WARM_UP_SECONDS)
        time.sleep(pause)
        found = [server.kilobytes() / 1000]
        for _ in range(2):
            opened = work(server, number, 3).kilobytes * number / 1000
            time.sleep(pause)
            found += [found[-1] + opened, server.kilobytes() / 1000]
        return found


def crowd_table() -> str:
    """What crowds leave, as Markdown."""
    raise_file_limit(FILES)
    rows = [
        f"| {name} | {' | '.join(f'{size:.0f}' for size in measure_crowd(*crowd))} |"
        for name, crowd in CROWDS.items()
    ]
    head = "| MB | before | open | left | open again | left again |\n|---|---:|---:|---:|---:|---:|"
    return "\n".join([head, *rows])


async def _append(log: EventLog, topic: str, tx: Transaction) -> None:
    await log.append(tx, topic, "message", "{}")


async def _write(path: Path, seconds: float) -> list[float]:
    database = database_at(path, commit_interval=COMMIT_SECONDS)
    await database.open()
    try:
        log, taken, end = EventLog(database), [], time.monotonic() + seconds

        async def one(number: int) -> None:
            topic = f"chat:{os.getpid()}-{number}"
            while (began := time.monotonic()) < end:
                await database.write(partial(_append, log, topic))
                taken.append(time.monotonic() - began)

        await asyncio.gather(*map(one, range(WRITERS)))
        return taken
    finally:
        await database.close()


def write_for(path: Path, seconds: float) -> list[float]:
    """The seconds that each write of this process took, of some writers at a time."""
    return asyncio.run(_write(path, seconds))


def measure_writers(seconds: float) -> str:
    """How long a write takes while several processes write to one file, in words."""
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(PROCESSES) as processes:
        path = Path(folder) / "tiffin.sqlite3"
        asyncio.run(migrate(path))
        write_for(path, 0.1)
        parts = list(processes.map(write_for, [path] * PROCESSES, [seconds] * PROCESSES))
    taken = [each for part in parts for each in part]
    fewest = min(map(len, parts)) / max(map(len, parts))
    return (
        f"{spread(taken)} of {len(taken):,} writes; who wrote least wrote {fewest:.0%} of who most"
    )


def main(counts: Sequence[int], rounds: int, many: int) -> None:
    """Measure, print and store."""
    found = asyncio.run(measure_requests(counts, rounds, many))
    text = "\n".join(
        [
            "# Growth",
            "",
            f"`make bench ONLY=growth`: {machine()}. CPU time of the server a request, the smallest"
            f" mean of {rounds} rounds of {many}, with that many orders, events, chats, messages,"
            " accounts and announcements stored. Sweep and trimming are timed by themselves.",
            "",
            table(counts, found),
            "",
            "A delivery of an announcement to that many listeners, without what the event costs"
            " with a single one; the median of three fresh servers each.",
            "",
            delivery_table(measure_deliveries(3, 2)),
            "",
            "The resident memory of a fresh server that two crowds come to, one after the other,"
            f" {TRIM_SECONDS + 3:g} s after each has left; rooms are kept"
            f" {LINGER_SECONDS:g} s more. What stays of the streams is nothing but room for others:"
            " their objects are freed, but in nearly each of Python's arenas of 1 MB a few of other"
            " parts lie, and Python returns whole arenas only. Of the sockets, limits and verified"
            " tokens of their accounts stay too.",
            "",
            crowd_table(),
            "",
            f"Writes to one file by {PROCESSES} processes, {WRITERS} at a time each:"
            f" {measure_writers(10)}.",
            "",
        ]
    )
    print(text)
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true", help=f"also with {MOST:,} stored")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--requests", type=int, default=20, help="in each round")
    options = parser.parse_args()
    main((*COUNTS, MOST) if options.million else COUNTS, options.rounds, options.requests)
