"""The experiment `slow-reader`: what others notice of one who stops reading, on three servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.lab.comparisons.crowd import SLOW_BUFFER, Address, Crowd, ask, publish, until
from tui.lab.comparisons.process_usage import NOT_TOLD, usage_of
from tui.lab.comparisons.product_run import ProductRun, product_run
from tui.lab.statistics import Histogram

if TYPE_CHECKING:
    from tui.lab.bench import Bench
    from tui.lab.records import Plan

SERVER = "tui.lab.comparisons.broadcaster"
SETTLE_SECONDS = 5.0
"""For what is on its way; and after the slow reader reads again, for what it lacks."""
GRACE_SECONDS = 1.0
"""What the others lack so long after the last event, they lack because of the slow reader."""


async def slow_reader(bench: Bench, plan: Plan) -> None:
    """On each server `readers` read for `seconds`; in the second half one of them does not."""
    async with bench.own_processes(plan) as own:
        bench.say("slow-reader: starting three servers")
        (turn, turning), (queue, queueing), (product, serving) = await asyncio.gather(
            own.start("turn", SERVER, "turn"),
            own.start("queue", SERVER, "queue"),
            own.server("product"),
        )
        found: list[Slowed] = []
        for way, url, child in (("turn", turn, turning), ("queue", queue, queueing)):
            bench.say(f"slow-reader: {plan.readers} readers. {TITLES[way]}")
            found.append(await of_broadcaster(plan, url, child.pid))
            child.request_end()
        bench.say(f"slow-reader: {plan.readers} readers. {TITLES['product']}")
        async with product_run(product, plan, plan.seconds) as run:
            found.append(await of_product(plan, run, serving.pid))
    _tell(bench, plan, dict(zip(TITLES, found, strict=True)))


@dataclass(frozen=True, slots=True)
class Slowed:
    """What a server was like with a slow reader. Times are in seconds."""

    before: Histogram
    """From the source to the others, while all read."""
    beside: Histogram
    """The same of what was sent while one did not read, whenever it came."""
    late: float
    """The share of that which was not there when the slow one began to read again."""
    waiting: int
    """Events that the server kept for the slow one then, as it says itself."""
    each: float | None
    """Bytes of memory for each reader; None where the system does not tell."""
    others_complete: bool
    """Whether each of the others has got each event once and in order in the end."""
    slow_complete: bool
    """The same of the slow one."""
    caught_up: float
    """How long that took it from when it read again."""


async def of_broadcaster(plan: Plan, url: str, pid: int) -> Slowed:
    """A comparison with a slow reader."""
    address = Address(f"{url}/")
    count = max(2, round(plan.rate * plan.seconds))
    sending: asyncio.Task[list[asyncio.Task[bytes]]] | None = None

    async def begin() -> None:
        nonlocal sending
        numbers = range(1, count + 1)
        sending = asyncio.create_task(publish(address, numbers, plan.rate, plan.size))

    async def waiting() -> int:
        return int(await ask(Address(f"{url}/longest")))

    try:
        return await _slowed(plan, address, pid, begin, count, waiting)
    finally:
        if sending is not None:
            sending.cancel()


async def of_product(plan: Plan, run: ProductRun, pid: int) -> Slowed:
    """The product with a slow reader."""
    count = max(2, round(plan.rate * plan.seconds))

    async def waiting() -> int:
        return 0  # none: it reads on in the log

    return await _slowed(plan, run.stream(), pid, run.begin, count, waiting)


async def _slowed(
    plan: Plan,
    address: Address,
    pid: int,
    begin: Callable[[], Awaitable[object]],
    count: int,
    waiting: Callable[[], Awaitable[int]],
) -> Slowed:
    """Let readers connect, the slow one in their midst, and `begin` to send them so many events."""
    expected = list(range(1, count + 1))
    async with Crowd(address) as crowd:
        await crowd.join(1)  # what the first one loads is not a reader's
        small = usage_of(pid)
        await crowd.join(plan.readers // 2)
        (slow,) = await crowd.join(1, buffer=SLOW_BUFFER)
        await crowd.join(plan.readers - plan.readers // 2)
        large = usage_of(pid)
        crowd.apart.add(slow)
        others = [reader for reader in crowd.readers if reader is not slow]
        await begin()
        await asyncio.sleep(plan.seconds / 2)
        slow.pause()
        before, crowd.latency = crowd.latency, Histogram()
        half = sum(len(reader.seqs) for reader in others)
        await asyncio.sleep(plan.seconds / 2)
        await until(lambda: all(reader.seqs == expected for reader in others), GRACE_SECONDS)
        kept = await waiting()
        arrived = sum(len(reader.seqs) for reader in others)
        due = count * len(others) - half
        resumed = time.monotonic()
        slow.resume()
        slow_complete = await until(lambda: slow.seqs == expected, SETTLE_SECONDS)
        caught_up = time.monotonic() - resumed
        others_complete = await until(
            lambda: all(reader.seqs == expected for reader in others), SETTLE_SECONDS
        )
        beside = crowd.latency
    return Slowed(
        before=before,
        beside=beside,
        late=(due - (arrived - half)) / due if due else 0.0,
        waiting=kept,
        each=(large.resident - small.resident) / (plan.readers + 1) if small and large else None,
        others_complete=others_complete,
        slow_complete=slow_complete,
        caught_up=caught_up,
    )


TITLES = {
    "turn": "One reader after the other",
    "queue": "A queue for each reader",
    "product": "The product",
}


def _tell(bench: Bench, plan: Plan, found: dict[str, Slowed]) -> None:
    for name, one in found.items():
        _tell_server(bench, name, one)
    queue = found["queue"]
    bench.find(
        "queue_waiting",
        queue.waiting,
        "events",
        "A queue for each reader: what the queue of the slow one held in the end. It has no limit.",
    )
    size = plan.size / 1024
    bench.find(
        "queue_waiting_kb",
        queue.waiting * size,
        "KiB",
        f"The same in memory, after {plan.seconds / 2:g} s; for as long as it is not read it grows"
        f" by {plan.rate * size:,.0f} KiB a second.",
    )
    kept = found["product"]
    bench.check(kept.others_complete, "The product's other readers got each event once, in order.")
    bench.check(
        kept.slow_complete, "So did the slow one, once it read again: nothing is lost or repeated."
    )


def _tell_server(bench: Bench, name: str, one: Slowed) -> None:
    def ms(latency: Histogram, percent: float) -> float | None:
        found = latency.percentile(percent)
        return None if found is None else found * 1000

    told = "" if one.each is not None else f"; {NOT_TOLD}"
    for what, value, unit, words in (
        ("p99_before_ms", ms(one.before, 99), "ms", "from the source to a reader, p99, all read"),
        ("p50_ms", ms(one.beside, 50), "ms", "the same to the others, p50, while one does not"),
        ("p99_ms", ms(one.beside, 99), "ms", "the same, p99"),
        (
            "late_share",
            one.late * 100,
            "%",
            "of what the others should have got meanwhile, what came only after that",
        ),
        ("caught_up_ms", one.caught_up * 1000, "ms", "until the slow one then had everything"),
        ("kb_each", one.each and one.each / 1024, "KiB", f"memory for each idle reader{told}"),
    ):
        bench.find(f"{name}_{what}", value, unit, f"{TITLES[name]}: {words}.")
