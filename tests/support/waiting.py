"""Waiting for facts, with a deadline that fails in words."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds for what has no bound of its own: a busy machine's, and a quarter of a test's."""
SHARE = 4
"""How many times as long as it took to ask one waits before asking again: a look at a whole screen
costs as much as drawing it, and would hold up what it waits for."""
LONGEST = 0.25
"""Seconds it waits at most, so that what stays for a second is seen."""


async def wait_until(
    condition: Callable[[], T | Awaitable[T]],
    seconds: float = PATIENCE,
    *,
    every: float = 0.02,
    what: str = "",
) -> T:
    """Ask `condition` until it answers something true, and hand that back.

    It may be a coroutine function. Raises AssertionError after `seconds`, with the last answer.
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
    """The same where nothing is asynchronous: processes, files, sockets."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(_too_late(condition, seconds, what, value))
        time.sleep(every)


def _too_late(condition: object, seconds: float, what: str, value: object) -> str:
    name = what or getattr(condition, "__qualname__", repr(condition))
    return f"not within {seconds:g} s: {name} (last answer: {value!r})"
