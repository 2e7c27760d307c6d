"""Limits by account or address: rates, delays and requests at a time, and a day's creations."""

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Generic, TypeVar

from server.core.clock import now
from server.core.errors import too_many
from server.settings import Settings

EntryT = TypeVar("EntryT")
ItemT = TypeVar("ItemT")

DAY = timedelta(days=1)
KEYS = 20_000
"""Keys that each limit remembers."""
CANDIDATES = 32
"""Of the longest untouched keys, how many are examined for one that may be dropped."""
READS_AT_ONCE = 0.25
"""The share of a minute's reads that may come at once: more would delay everybody."""
FORGOTTEN_SECONDS = 86_400.0
"""How long failures count after the last of them."""
_ROUNDING = 1e-6


class Tally:
    """What one process counts, until the others are told; `on_first` is called with the first."""

    __slots__ = ("_counts", "_on_first")

    def __init__(self, on_first: Callable[[], None]) -> None:
        self._counts: dict[str, int] = {}
        self._on_first = on_first

    def add(self, key: str, count: int) -> None:
        """Count so many more of that key; fewer where it is negative."""
        counts = self._counts
        if not counts:
            self._on_first()
        counts[key] = counts.get(key, 0) + count

    def take(self) -> dict[str, int]:
        """What was counted since the last call."""
        taken, self._counts = self._counts, {}
        return {key: count for key, count in taken.items() if count}


class RateLimit:
    """`most` within `seconds` for one key, of which a `share` may come at once; 0 is no limit."""

    def __init__(self, most: int, what: str, seconds: float = 60.0, share: float = 1.0) -> None:
        self._each = seconds / most if most else 0.0
        """Seconds until one more is allowed."""
        self._at_once = max(1, int(most * share))
        self._seconds = self._at_once * self._each
        self._limit = f"Too many {what}: at most {most} {_span(seconds)}."
        self._full: OrderedDict[str, float] = OrderedDict()
        """When a key will have its whole allowance again."""
        self.tally: Tally | None = None
        """Where other processes share this limit."""

    def consume(self, key: str, cost: int = 1) -> None:
        """Count `cost`, or what may come at once if that is less.

        Raises Problem 429 with `Retry-After` where that is too many; then nothing is counted.
        """
        if not self._each:
            return
        now = time.monotonic()
        before = max(now, self._full.pop(key, now))
        cost = min(cost, self._at_once)
        after = before + cost * self._each
        wait = after - now - self._seconds
        allowed = wait <= _ROUNDING
        self._full[key] = after if allowed else before
        if len(self._full) > KEYS:
            _make_room(self._full, lambda full: full - now > self._seconds - self._each)
        if not allowed:
            raise too_many(f"{self._limit} Try again in {max(1, math.ceil(wait))} s.", wait)
        if self.tally is not None:
            self.tally.add(key, cost)

    def refund(self, key: str, cost: int = 1) -> None:
        """Undo a `consume`."""
        if key in self._full:
            self._full[key] -= cost * self._each
            if self.tally is not None:
                self.tally.add(key, -cost)

    def count_elsewhere(self, key: str, cost: int) -> None:
        """Count what another process has admitted, or taken back, even where that is too much."""
        now = time.monotonic()
        self._full[key] = max(now, self._full.pop(key, now)) + cost * self._each
        if len(self._full) > KEYS:
            _make_room(self._full, lambda full: full - now > self._seconds - self._each)


class Release:
    """Calls `act` the first time it is called, and does nothing after; also as a callback."""

    __slots__ = ("_act",)

    def __init__(self, act: Callable[[], None]) -> None:
        self._act: Callable[[], None] | None = act

    def __call__(self, *_: object) -> None:
        if (act := self._act) is not None:
            self._act = None
            act()


class InFlight:
    """At most `most` requests of one key at a time; 0 is no limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._now: dict[str, int] = {}

    def enter(self, key: str) -> Release | None:
        """Count a request until the returned function is called; None: it is not counted.

        Raises Problem 429 where there are too many.
        """
        if not self._most:
            return None
        present = self._now.get(key, 0)
        if present >= self._most:
            raise too_many(
                f"This account has {self._most} requests under way, the most it may have."
                " Wait for their answers.",
                1,
            )
        self._now[key] = present + 1
        return Release(partial(self._leave, key))

    def _leave(self, key: str) -> None:
        self._now[key] -= 1
        if not self._now[key]:
            del self._now[key]


class _Line:
    """The turns of one key: how many are taken, and who waits for one."""

    __slots__ = ("taken", "waiting")

    def __init__(self) -> None:
        self.taken = 0
        self.waiting: deque[asyncio.Future[None]] = deque()


class Turns:
    """At most `most` requests of one key are handled at a time, and others wait; 0 is no limit.

    So the requests of others wait behind a few of one address, and not behind all of them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lines: dict[str, _Line] = {}

    async def acquire(self, key: str) -> Release | None:
        """Wait for a turn, which lasts until the returned function is called; None: for ever."""
        if not self._most:
            return None
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line()
        if line.taken < self._most:
            line.taken += 1
        else:
            await self._wait(key, line)
        return Release(partial(self._pass_on, key))

    async def _wait(self, key: str, line: _Line) -> None:
        turn = asyncio.get_running_loop().create_future()
        line.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had its turn already
                self._pass_on(key)
            elif turn in line.waiting:
                line.waiting.remove(turn)
            raise

    def _pass_on(self, key: str) -> None:
        """Give the turn to the one that has waited longest."""
        line = self._lines[key]
        while line.waiting:
            turn = line.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        line.taken -= 1
        if not line.taken:
            del self._lines[key]


class FairQueue(Generic[ItemT]):
    """A queue whose keys take turns: one with a thousand items delays only its own."""

    def __init__(self) -> None:
        self._items: OrderedDict[str, deque[ItemT]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._items)

    def put(self, key: str, item: ItemT) -> None:
        """Add it behind the key's other items."""
        self._items.setdefault(key, deque()).append(item)

    def get(self) -> ItemT:
        """The next key's first item; that key is then the last in turn. KeyError if empty."""
        key, items = self._items.popitem(last=False)
        item = items.popleft()
        if items:
            self._items[key] = items
        return item


class GrowingDelay:
    """A delay after failures of one key: none for the first `free` of them, then 1 s, doubled with
    each further one up to `longest` seconds. With 0 free ones there is no delay at all."""

    def __init__(self, free: int, longest: float) -> None:
        self._free = free
        self._longest = longest
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """How many failures, and when the last was."""
        self.tally: Tally | None = None
        """Where other processes share this delay."""

    def seconds_left(self, key: str) -> float:
        """Seconds until the next attempt is allowed; 0 where it is now."""
        failures, last = self._of(key)
        if not self._free or failures < self._free:
            return 0.0
        delay = min(self._longest, 2.0 ** min(failures - self._free, 64))
        return max(0.0, last + delay - time.monotonic())

    def begin_attempt(self, key: str) -> None:
        """Count an attempt as failed until `undo_attempt` or `reset`, so that many simultaneous
        ones do not get around the delay."""
        if self._free:
            self.count_elsewhere(key, 1)
            if self.tally is not None:
                self.tally.add(key, 1)

    def undo_attempt(self, key: str) -> None:
        """The attempt has not failed."""
        failures, last = self._of(key)
        if failures:
            self._failures[key] = (failures - 1, last)
            if self.tally is not None:
                self.tally.add(key, -1)

    def reset(self, key: str) -> None:
        """Forget the key's failures."""
        failures, _ = self._failures.pop(key, (0, 0.0))
        if failures and self.tally is not None:
            self.tally.add(key, -failures)

    def count_elsewhere(self, key: str, count: int) -> None:
        """Count so many failures more, or fewer, as another process has."""
        failures, last = self._of(key)
        if count > 0:
            last = time.monotonic()
        elif failures + count <= 0:
            self._failures.pop(key, None)
            return
        self._failures[key] = (failures + count, last)
        self._failures.move_to_end(key)
        if len(self._failures) > KEYS:
            _make_room(self._failures, lambda entry: entry[0] >= self._free)

    def _of(self, key: str) -> tuple[int, float]:
        failures, last = self._failures.get(key, (0, 0.0))
        if time.monotonic() - last > FORGOTTEN_SECONDS:
            return 0, 0.0
        return failures, last


class RequestLimits:
    """What every request is counted against."""

    def __init__(self, settings: Settings) -> None:
        self.writes = RateLimit(settings.rate_per_minute, "changes by this account")
        """By account."""
        self.reads = RateLimit(
            settings.reads_per_minute, "requests by this account", share=READS_AT_ONCE
        )
        """By account: its reads, and what is not counted as a write."""
        self.addresses = RateLimit(
            settings.address_per_minute, "requests from this address", share=READS_AT_ONCE
        )
        """By address: the requests of all accounts there, counted as reads."""
        self.anonymous = RateLimit(
            settings.anonymous_per_minute,
            "requests from this address without a valid token",
            share=READS_AT_ONCE,
        )
        """By address: requests without a valid token."""
        self.in_flight = InFlight(settings.requests_per_account)
        """By account: requests that are not answered yet."""
        self.turns = Turns(settings.reads_at_once)
        """By address: its reads, a few at a time."""
        self.shared = {
            "writes": self.writes,
            "reads": self.reads,
            "addresses": self.addresses,
            "anonymous": self.anonymous,
        }
        """Those that hold for all processes together."""


def check_day(first: datetime | None, limit: str, advice: str = "") -> None:
    """Raises Problem 429 where an account has made as many of something as it may within a day.

    `first` is when it made the first of its last as many; None where it has made fewer.
    """
    moment = now()
    if first is not None and moment - DAY < first <= moment:  # later: the clock was put back
        raise too_many(
            f"This account has {limit} within a day, the most it may.{advice}",
            (first + DAY - moment).total_seconds(),
            "daily-limit",
        )


def _make_room(entries: OrderedDict[str, EntryT], limited: Callable[[EntryT], bool]) -> None:
    """Drop the longest untouched key, preferring one that is not limited: made-up keys in masses do
    not free those that have to wait."""
    for _ in range(CANDIDATES):
        key, entry = entries.popitem(last=False)
        if not limited(entry):
            return
        entries[key] = entry
    entries.popitem(last=False)


def _span(seconds: float) -> str:
    return {60.0: "a minute", 3600.0: "an hour"}.get(seconds, f"in {seconds:g} s")
