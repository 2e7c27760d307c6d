"""The experiment `slow-reader`: what others notice of one who stops reading, on three servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from server.features.accounts.schemas import Role
from server.features.drivers.schemas import DriverPosition
from tui.common.client.api import Api
from tui.common.client.http import API_PREFIX
from tui.common.client.meter import Wire
from tui.common.client.session import Session
from tui.lab.bench import PLAN, Bench, Experiment
from tui.lab.comparisons.crowd import SLOW_BUFFER, Address, Crowd, ask, connect_all, publish, until
from tui.lab.comparisons.process_usage import NOT_TOLD, join_in_batches
from tui.lab.comparisons.product_run import ProductRun, events_of, product_run
from tui.lab.fields import slope
from tui.lab.histogram import Histogram
from tui.lab.records import SSE, Plan

SERVER = "tui.lab.comparisons.broadcaster"
TURN, QUEUE, PRODUCT = "in turn", "queues", "product"
"""The servers, as their findings name them."""
SETTLE_SECONDS = 5.0
"""For what is on its way; and after the slow reader reads again, for what it lacks."""
POSITIONS = 400
GRACE_SECONDS = 1.0
"""What the others lack so long after the last event, they lack because of the slow reader."""


async def measure(bench: Bench, plan: Plan) -> None:
    """On each server `readers` read for `seconds`; in the second half one of them does not."""
    async with bench.own_processes(plan) as own:
        bench.say("slow-reader: starting three servers")
        (turn, turning), (queue, queueing), (product, serving) = await asyncio.gather(
            own.start("turn", SERVER, "turn"),
            own.start("queue", SERVER, "queue"),
            own.server("product"),
        )
        for name, url, child in ((TURN, turn, turning), (QUEUE, queue, queueing)):
            bench.say(f"slow-reader: {plan.readers} readers, {name}")
            queued = await of_broadcaster(plan, url, child.pid)
            _tell(bench, name, queued)
            child.request_end()
        bench.say(f"slow-reader: {plan.readers} readers, {PRODUCT}")
        async with product_run(product, plan, plan.seconds) as run:
            kept = await of_product(plan, run, serving.pid)
        bench.say("slow-reader: one reader of a driver's position")
        positions, has_newest = await of_state(product)
    _tell(bench, PRODUCT, kept)
    bench.find(
        "positions_seen",
        positions / POSITIONS,
        "of positions",
        f"Of the {POSITIONS} that a driver reported while the product's reader did not read, what"
        " it then got. A position is a state, of which the newest is enough.",
    )
    size = plan.size / 1024
    bench.find(
        "queue_bytes",
        (queued.waiting or 0) * plan.size,
        "B",
        f"What the slow one's queue held of {plan.rate * size:,.0f} KiB a second for"
        f" {plan.seconds / 2:g} s; the rest filled the system's buffers. It has no limit.",
    )
    bench.check(kept.others_complete, "The product's other readers got each event once, in order.")
    bench.check(kept.slow_complete, "So did the slow one, once it read again.")
    bench.check(has_newest, "A slow reader of a driver's position got the newest one.")


@dataclass(frozen=True, slots=True)
class Slowed:
    """What a server was like with a slow reader. Times are in seconds."""

    before: Histogram
    """From the source to the others, while all read."""
    beside: Histogram
    """The same of what was sent while one did not read, whenever it came."""
    late: float
    """The share of that which was not there when the slow one began to read again."""
    waiting: int | None
    """Events that the server kept in memory until the slow one would read, as it says itself; None
    of the product, which keeps none."""
    each: float | None
    """Bytes of memory for each reader; None where that is not told, or too little to measure."""
    others_complete: bool
    """Whether each of the others has got each event once and in order in the end."""
    slow_complete: bool
    """The same of the slow one."""
    caught_up: float
    """How long that took it from when it read again."""


async def of_broadcaster(plan: Plan, url: str, pid: int) -> Slowed:
    """A comparison with a slow reader."""
    address = Address(f"{url}/")
    count = events_of(plan)
    sending: asyncio.Task[None] | None = None

    async def begin() -> None:
        nonlocal sending
        sending = asyncio.create_task(publish(address, count, plan.rate, plan.size))

    async def waiting() -> int:
        return int(await ask(Address(f"{url}/longest")))

    try:
        found = await _slowed(plan, address, pid, begin, count, waiting)
        if sending is not None and sending.done():
            sending.result()
        return found
    finally:
        if sending is not None:
            sending.cancel()
            await asyncio.wait({sending})


async def of_product(plan: Plan, run: ProductRun, pid: int) -> Slowed:
    """The product with a slow reader."""
    count = events_of(plan)

    return await _slowed(plan, run.stream(), pid, run.begin, count, None)


async def of_state(url: str) -> tuple[int, bool]:
    """How many of a driver's positions reach a reader of the product who does not read while they
    are reported, and then reads on; and whether the newest does."""
    session = Session(url, Wire())
    try:
        await session.demo(Role.EMPLOYEE)
        api = Api(session)
        driver = (await api.drivers())[0]
        headers = {"Authorization": f"Bearer {await session.access_token()}"}
        path = f"{url}{API_PREFIX}/drivers/{driver.id}/location"
        reports = Address(path, headers | {"Content-Type": "application/json"})
        here = driver.location or DriverPosition(lat=52.5, lng=13.4)
        steps = iter(range(1, POSITIONS + 1))

        async def report() -> None:
            position = DriverPosition(lat=here.lat + next(steps) * 1e-6, lng=here.lng)
            await ask(reports, "PUT", position.model_dump_json(exclude_none=True).encode())

        async with Crowd(Address(f"{path}/stream", headers)) as crowd:
            (slow,) = await crowd.join(1, buffer=SLOW_BUFFER)
            slow.pause()
            await connect_all(POSITIONS, report, reports)
            newest = next(one for one in await api.drivers() if one.id == driver.id).location
            before = len(slow.seqs)
            slow.resume()
            seq = newest.seq if newest else 0
            has_newest = await until(lambda: seq in slow.seqs, SETTLE_SECONDS)
            return len(slow.seqs) - before, has_newest
    finally:
        await session.close()


async def _slowed(
    plan: Plan,
    address: Address,
    pid: int,
    begin: Callable[[], Awaitable[object]],
    count: int,
    waiting: Callable[[], Awaitable[int]] | None,
) -> Slowed:
    """Let readers connect, the slow one in their midst, and `begin` to send them so many events."""
    expected = list(range(1, count + 1))
    async with Crowd(address) as crowd:
        await crowd.join(plan.readers // 2)  # what the first ones load is not a reader's
        (slow,) = await crowd.join(1, buffer=SLOW_BUFFER)
        memory = await join_in_batches(crowd, plan.readers - plan.readers // 2, pid)
        crowd.apart.add(slow)
        others = [reader for reader in crowd.readers if reader is not slow]
        await begin()
        await asyncio.sleep(plan.seconds / 2)
        slow.pause()
        before, crowd.latency = crowd.latency, Histogram()
        half = sum(len(reader.seqs) for reader in others)
        await asyncio.sleep(plan.seconds / 2)
        await until(lambda: all(reader.seqs == expected for reader in others), GRACE_SECONDS)
        kept = None if waiting is None else await waiting()
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
        each=slope(memory)[0],
        others_complete=others_complete,
        slow_complete=slow_complete,
        caught_up=caught_up,
    )


def _tell(bench: Bench, name: str, one: Slowed) -> None:
    def ms(latency: Histogram, percent: float) -> float | None:
        found = latency.percentile(percent)
        return None if found is None else found * 1000

    told = "" if one.each is not None else f" It was {NOT_TOLD}."
    for figure, value, unit, words in (
        ("p50_before", ms(one.before, 50), "ms", "From the source to a reader, p50, all read."),
        ("p99_before", ms(one.before, 99), "ms", "The same, p99."),
        ("p50", ms(one.beside, 50), "ms", "To the others, p50, of what was sent while one slept."),
        ("p99", ms(one.beside, 99), "ms", "The same, p99."),
        ("late", one.late, "of events", "Of those, what came only once it read again."),
        ("waiting", one.waiting, "events", "What then waited in memory until it would read."),
        ("caught_up", one.caught_up * 1000, "ms", "Until the slow one then had everything."),
        ("memory_each", one.each, "B", f"Memory for each reader, while nothing is sent.{told}"),
    ):
        bench.find(figure, value, unit, words, of=name)


SLOW_READER = Experiment(
    "slow-reader",
    "One slow reader among a thousand",
    "One of a thousand readers stops reading, as a phone does in a pocket. What do the others "
    "notice, and what does a queue for each reader cost? Of a server that writes to one after the "
    "other, of one with a queue for each, and of the product, where a slow reader reads on in the "
    "log.",
    Plan(seconds=5, rate=10, size=16 * 1024, readers=1000, patterns=(SSE,), shape="steady"),
    measure,
    PLAN - {"seconds", "rate", "readers", "size"},
    own_servers=True,
)
