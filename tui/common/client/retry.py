"""Retries: when to try again after an error or a suspend, and after which errors not to."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakSet

from tui.common.client.clock import read_http_date
from tui.common.client.errors import ApiError, ClientError, ResetStream, SignedOut, Unreachable
from tui.common.client.meter import State

if TYPE_CHECKING:
    from tui.common.client.meter import Meter

BASE_SECONDS = 0.5
CAP_SECONDS = 8.0
SERVER_SAYS_AT_MOST = 120.0
AT_ONCE_SECONDS = 0.25
HEALTHY_AFTER = 1.0
LEAST_PAUSE_SECONDS = 0.5
CHECK_SECONDS = 5.0
"""Between two looks at the clock."""
SUSPEND_SECONDS = 10.0
"""A pause of this length may have cost the connections: the server, or what is in between, gives
them up when nothing is acknowledged."""

AnswerT = TypeVar("AnswerT")
CursorT = TypeVar("CursorT")

OnError = Callable[[ClientError, float | None], None]
"""Called with an error and the seconds until the next attempt; None where there is none."""

_TEMPORARY = frozenset({408, 425, 429})


def is_permanent(error: BaseException) -> bool:
    """Whether asking again the same way is bound to end the same way.

    Every 4xx but 408, 425, 429 and one with a `Retry-After`, and being logged out. 401 is permanent
    too: a session renews its token and asks once more before it raises one.
    """
    if isinstance(error, ApiError):
        temporary = error.status in _TEMPORARY or error.retry_after is not None
        return error.status < 500 and not temporary
    return isinstance(error, SignedOut)


def retry_after_of(error: ClientError) -> float | None:
    """The seconds that the server asks to wait after this error, where it does."""
    return error.retry_after if isinstance(error, ApiError | Unreachable) else None


def short_message(error: ClientError) -> str:
    """The error in as few words as a wire line has room for."""
    if isinstance(error, Unreachable):
        return error.reason
    if isinstance(error, ApiError):
        return f"HTTP {error.status}: {error.problem.title}"
    return error.message


def parse_retry_after(value: str | None) -> float | None:
    """Seconds from a `Retry-After`, which holds seconds or a date; None if it says neither."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), SERVER_SAYS_AT_MOST)
    moment = read_http_date(text)
    if moment is None:
        return None
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), SERVER_SAYS_AT_MOST)


_pauses: dict[asyncio.Event, float] = {}
"""What ends each pause, and when it began."""


async def pause(seconds: float) -> None:
    """Wait before another attempt; `retry_now` ends it early."""
    ended = asyncio.Event()
    _pauses[ended] = time.monotonic()
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await ended.wait()
    finally:
        del _pauses[ended]


def retry_now() -> None:
    """End all pauses in this process but those that have only begun: a key may be held down."""
    for ended, began_at in _pauses.items():
        if time.monotonic() - began_at >= LEAST_PAUSE_SECONDS:
            ended.set()


class Reconnectable(Protocol):
    """What holds a connection to the server."""

    def on_resumed(self) -> None:
        """The connection may have died in a suspend: drop it and make another."""


class SuspendWatch:
    """Notices that this machine or process was suspended, and has connections made anew.

    One that has died meanwhile says nothing: a held request would wait for a minute more.
    """

    def __init__(self) -> None:
        self._watched: WeakSet[Reconnectable] = WeakSet()
        self._timer: asyncio.TimerHandle | None = None
        self._checked_at = 0.0

    def add(self, connection: Reconnectable) -> None:
        """Watch this one, as long as there is a reference to it."""
        self._watched.add(connection)
        if self._timer is None:
            self._checked_at = _clock()
            self._start_timer()

    def check(self) -> bool:
        """Whether there was a suspend since the last check; then connections are made anew."""
        now = _clock()
        resumed = now - self._checked_at > CHECK_SECONDS + SUSPEND_SECONDS
        self._checked_at = now
        if resumed:
            for connection in tuple(self._watched):
                connection.on_resumed()
            retry_now()
        return resumed

    def close(self) -> None:
        """Watch no more."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CHECK_SECONDS, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.check()
        if self._watched:
            self._start_timer()


def _clock() -> float:
    """Seconds by a clock that goes on in a suspend; the event loop's stands still on Linux."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time()


class Backoff:
    """The waits between one stream's attempts, in seconds.

    Exponential from `base` to `cap`, each between half and all of it at random, so that a crowd
    that lost its server together does not come back together. What the server asks for (`retry:`,
    `Retry-After`) is a floor under that, with up to a tenth added.
    """

    def __init__(self, base: float = BASE_SECONDS, cap: float = CAP_SECONDS) -> None:
        self.base = base
        self.cap = cap
        self.attempt = 0
        self.floor = 0.0
        """Seconds, from the server's SSE `retry:`."""
        self._opened_at: float | None = None

    def opened(self) -> None:
        """A connection stands."""
        self._opened_at = time.monotonic()

    def lost(self, retry_after: float | None = None) -> float:
        """Seconds to wait after an attempt that failed or a connection that broke."""
        self._settle()
        exponential = min(self.cap, self.base * 2.0 ** min(self.attempt, 30))
        self.attempt += 1
        return self._floored(exponential * random.uniform(0.5, 1.0), retry_after)  # noqa: S311 not a secret

    def ended(self) -> float:
        """Seconds to wait after the server ended the stream by itself.

        Next to none beyond what the server asked for: it drains or the token ran out. One that
        ends time and again as soon as it is open is treated as lost.
        """
        self._settle()
        if self.attempt:
            return self.lost()
        self.attempt = 1
        return self._floored(random.uniform(0.0, AT_ONCE_SECONDS), None)  # noqa: S311 not a secret

    def reset(self) -> None:
        """All is well: the next loss starts from the shortest wait."""
        self.attempt = 0

    def _settle(self) -> None:
        if self._opened_at is not None and time.monotonic() - self._opened_at >= HEALTHY_AFTER:
            self.attempt = 0
        self._opened_at = None

    def _floored(self, wait: float, retry_after: float | None) -> float:
        asked = self.floor if retry_after is None else max(self.floor, retry_after)
        if asked <= 0:
            return wait
        return max(wait, asked * random.uniform(1.0, 1.1))  # noqa: S311 not a secret


async def retry(
    attempt: Callable[[], Awaitable[AnswerT]],
    *,
    attempts: int | None = None,
    backoff: Backoff | None = None,
    on_error: OnError = lambda _error, _wait: None,
    is_final: Callable[[ClientError], bool] = is_permanent,
    sleep: Callable[[float], Awaitable[object]] = pause,
) -> AnswerT:
    """What `attempt` returns, tried until it succeeds; for what may be done more than once.

    Raises its error where that `is_final`, and after `attempts`. Between two attempts it waits as
    `backoff` and the server's `Retry-After` say; `sleep` is called for each wait, and may end it
    early or raise.
    """
    backoff = backoff or Backoff()
    failed = 0
    while True:
        try:
            return await attempt()
        except ClientError as error:
            failed += 1
            if is_final(error) or failed == attempts:
                on_error(error, None)
                raise
            wait = backoff.lost(retry_after_of(error))
            on_error(error, wait)
        await sleep(wait)


async def sync_loop(
    read: Callable[[], Awaitable[CursorT]],
    follow: Callable[[CursorT], Awaitable[None]],
    *,
    meter: Meter | None = None,
    on_error: OnError = lambda _error, _wait: None,
    is_final: Callable[[ClientError], bool] = is_permanent,
    cap: float = CAP_SECONDS,
) -> None:
    """Read a snapshot and follow the events after it, until an error `is_final`.

    `read` applies the snapshot and returns its cursor; `follow` reads events from there. After an
    error, a reset and a `follow` that returns, both start over. `meter` shows the state. `cap` is
    the longest wait in seconds.
    """
    backoff = Backoff(cap=cap)

    async def read_and_follow() -> None:
        if meter is not None:
            meter.set_state(State.CONNECTING)
        cursor = await read()
        backoff.opened()
        with contextlib.suppress(ResetStream):
            await follow(cursor)

    def show(error: ClientError, wait: float | None) -> None:
        if meter is not None and wait is None:
            meter.set_state(State.DOWN, short_message(error))
        elif meter is not None and wait is not None:
            meter.retrying(short_message(error), wait)
        on_error(error, wait)

    while True:
        try:
            await retry(read_and_follow, backoff=backoff, on_error=show, is_final=is_final)
        except ClientError:
            return
        await pause(backoff.ended())
