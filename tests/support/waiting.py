"""Waiting for facts, with a deadline and a message."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds for waits without a limit of their own: for a busy machine, and a quarter of a test's
limit."""
SHARE = 10
"""The pause before asking again, as a multiple of the time that asking took: reading a whole screen
costs as much as drawing it, and would delay what it waits for."""
LONGEST = 0.25
"""Seconds to pause at most, so that something shown for a second is seen."""


async def wait_until(
    condition: Callable[[], T | Awaitable[T]],
    seconds: float = PATIENCE,
    *,
    every: float = 0.02,
    what: str = "",
) -> T:
    """Ask `condition` until it returns something true, and return that.

    It may be a coroutine function. Raises AssertionError after `seconds`, with the last value.
    """
    deadline = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        answer = condition()
        value: T = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if (answered := time.monotonic()) >= deadline:
            raise AssertionError(_too_late(condition, seconds, what, value))
        await asyncio.sleep(max(every, min(LONGEST, SHARE * (answered - asked))))


def wait_for(
    condition: Callable[[], T], seconds: float = PATIENCE, *, every: float = 0.02, what: str = ""
) -> T:
    """The same without a loop: for processes, files, sockets."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(_too_late(condition, seconds, what, value))
        time.sleep(every)


def in_a_thread(work: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result, where nothing can be awaited; the test's loop stands still."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def keeps(within: float, attempt: Callable[[], Awaitable[float]], tries: int = 6) -> None:
    """Check a promise of seconds: one of `tries` attempts takes less than `within`.

    `attempt` returns how long it took. A busy machine may spoil one; what breaks the promise
    spoils all of them.
    """
    taken: list[float] = []
    while len(taken) < tries:
        taken.append(await attempt())
        print(f"{taken[-1] * 1000:.0f} ms")
        if taken[-1] < within:
            return
    raise AssertionError(f"never within {within:g} s: {taken}")


def _too_late(condition: object, seconds: float, what: str, value: object) -> str:
    name = what or getattr(condition, "__qualname__", repr(condition))
    return f"not within {seconds:g} s: {name} (last answer: {value!r})"
