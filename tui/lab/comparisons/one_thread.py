"""The experiment `one-thread`: a second window beside one that waits for news, on three servers."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from statistics import median

from tui.common.processes import ChildError
from tui.lab.bench import PLAN, Bench, Experiment
from tui.lab.comparisons.crowd import CONNECT_SECONDS, Address, ask, connect_all, until
from tui.lab.comparisons.process_usage import NOT_TOLD, Usage, usage_of
from tui.lab.comparisons.product_run import ProductRun, product_run
from tui.lab.records import LONG_POLL, Plan

SERVER = "tui.lab.comparisons.threaded_server"
ASKED = 20
"""Requests of the other window, of which the median counts."""
WAIT = (
    f"From the other window's first request to an answer (p50 of {ASKED} where many wait); with one"
    " thread it gave up after half of the poll and asked again."
)
TIMED_OUT = "Whether it gave up on its first request: its own limit, not an answer of the server."
WAITING = "Windows that waited for news meanwhile."
ONE, MANY, PRODUCT = "one thread", "threads", "product"
"""The servers, as their findings name them."""
TIMEOUT_SECONDS = 5.0
AT_ONCE = 1.0
"""Seconds: an answer that takes longer is no answer at once."""
REST_SECONDS = 0.1
HELD_SECONDS = 60
"""How long the product, and a thread, hold a poll: as long as the report has it."""


async def measure(bench: Bench, plan: Plan) -> None:
    """A poll is held for `seconds`; the second window has half of that to be answered."""
    async with bench.own_processes(plan) as own:
        bench.say("one-thread: starting three servers")
        (one, _), (threads, many), (product, loop) = await asyncio.gather(
            own.start("one-thread", SERVER, "--threads", "1"),
            own.start("threads", SERVER, "--threads", "many"),
            own.server("event-loop"),
        )
        bench.say("one-thread: one window waits for news, a second one asks")
        _tell_frozen(bench, await frozen(one, plan.seconds))
        bench.say(f"one-thread: {plan.readers} windows wait, another asks a server with threads")
        threaded = await beside_held(
            Address(f"{threads}/status?timeout={HELD_SECONDS}"),
            Address(f"{threads}/"),
            plan.readers,
            many.pid,
        )
        bench.say(f"one-thread: {plan.readers} windows wait, another asks the product")
        async with product_run(product, plan, plan.seconds) as run:
            looped = await beside_held(
                run.poll(HELD_SECONDS), run.status, plan.readers, loop.pid, run
            )
    _tell_held(bench, MANY, plan.readers, threaded)
    _tell_held(bench, PRODUCT, plan.readers, looped)
    words = f"The product answers a window at once while {plan.readers:,} others wait."
    bench.check(looped.wait < AT_ONCE, words)


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a second window saw of a server with one thread. Times are in seconds."""

    patience: float
    """How long it waited for an answer at first."""
    answered: bool
    """Whether it got one."""
    waited: float
    """From its first request to its first answer."""
    after_leave: float
    """How much of that the first window had left already."""


async def frozen(url: str, held: float) -> Frozen:
    """A first window waits for news, for which its poll is held so long; halfway it leaves. A
    second one asks when the first one is being served. Raises ChildError."""
    patience = held / 2
    async with _holding(Address(f"{url}/status?timeout={held}"), 1, heads=True) as first:
        began = time.monotonic()
        answered = await _timed(Address(f"{url}/"), patience) is not None
        first[0].close()
        left = time.monotonic()
    if await _timed(Address(f"{url}/"), held + CONNECT_SECONDS) is None:
        raise ChildError("The server with one thread did not answer after its poll had ended.")
    now = time.monotonic()
    return Frozen(patience, answered, now - began, now - left)


@dataclass(frozen=True, slots=True)
class Held:
    """What a server is like that holds many polls."""

    wait: float
    """Seconds that another request took, the median of some; infinite where one timed out."""
    before: Usage | None
    after: Usage | None


async def beside_held(
    held: Address, asked: Address, count: int, pid: int, run: ProductRun | None = None
) -> Held:
    """That many polls are held, and another window asks. `run` says how many the product holds; a
    comparison sends the head of its answer at once."""
    await ask(asked)  # what the first request loads is not a connection's
    await asyncio.sleep(REST_SECONDS)  # its thread ends
    before = usage_of(pid)
    async with _holding(held, count, heads=run is None):
        if run is not None:
            await _all_held(run, count)
        after = usage_of(pid)
        waits = [await _timed(asked, TIMEOUT_SECONDS) for _ in range(ASKED)]
    took = [math.inf if wait is None else wait for wait in waits]
    return Held(median(took), before, after)


@contextlib.asynccontextmanager
async def _holding(
    address: Address, count: int, *, heads: bool
) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """So many connections that have asked for it; with `heads`, whose answers have begun."""
    writers: list[asyncio.StreamWriter] = []

    async def one() -> None:
        reader, writer = await asyncio.open_connection(*address.where)
        writers.append(writer)
        writer.write(address.request())
        if heads:
            await reader.readuntil(b"\r\n\r\n")

    try:
        await connect_all(count, one, address)
        yield writers
    finally:
        for writer in writers:
            writer.close()


async def _timed(address: Address, patience: float) -> float | None:
    """How long an answer takes; None where there is none within so many seconds."""
    began = time.monotonic()
    with contextlib.suppress(TimeoutError):
        await ask(address, seconds=patience)
        return time.monotonic() - began
    return None


async def _all_held(run: ProductRun, count: int) -> None:
    held = 0

    async def all_are() -> bool:
        nonlocal held
        held = await run.held()
        return held >= count

    if not await until(all_are, CONNECT_SECONDS):
        raise ChildError(f"Of {count} polls the product's server holds only {held}.")


def _tell_frozen(bench: Bench, found: Frozen) -> None:
    bench.find("wait", found.waited * 1000, "ms", WAIT, of=ONE)
    bench.find("timed_out", not found.answered, "", TIMED_OUT, of=ONE)
    bench.find("waiting", 1, "", WAITING, of=ONE)
    bench.find(
        "frozen_after_leave",
        found.after_leave,
        "s",
        "For how long the server with one thread stayed frozen after the only window that waited"
        f" had been closed: until its poll ended, which was held for {found.patience * 2:g} s. The"
        f" report holds one for {HELD_SECONDS} s.",
    )


def _tell_held(bench: Bench, name: str, count: int, held: Held) -> None:
    timed_out = held.wait == math.inf
    wait = None if timed_out else held.wait * 1000
    bench.find("wait", wait, "ms", WAIT, of=name)
    bench.find("timed_out", timed_out, "", TIMED_OUT, of=name)
    bench.find("waiting", count, "", WAITING, of=name)
    unknown, threads, memory, reserved = f" It was {NOT_TOLD}.", None, None, None
    if held.before is not None and held.after is not None:
        before, after, unknown = held.before, held.after, ""
        threads = after.threads - before.threads
        memory = max(0, after.resident - before.resident) / count or None
        reserved = (after.reserved - before.reserved) / count
    for figure, value, unit, words in (
        ("more_threads", threads, "threads", "Threads that were started for them"),
        ("memory_each", memory, "B", "Memory for each of them"),
        ("reserved_each", reserved, "B", "Address space for each, stacks of threads included"),
    ):
        bench.find(figure, value, unit, f"{words}.{unknown}", of=name)


ONE_THREAD = Experiment(
    "one-thread",
    "The server that freezes the second window",
    "One window waits for news, and another one asks for something else: of a server with one "
    "thread, with a thread for each connection, and with an event loop. Why did the report's "
    "authors see their second window freeze, and what do the two remedies cost?",
    Plan(seconds=4, readers=500, patterns=(LONG_POLL,)),
    measure,
    PLAN - {"seconds", "readers"},
    own_servers=True,
)
