"""Limits kept in this process: a token bucket an account or address, requests at a time."""

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from server.core.errors import too_many

KEYS = 20_000
"""Buckets kept; the longest untouched goes first, and is full again by then."""


class RateLimit:
    """`per_minute` at once for one key, which grow back within a minute; 0 is no limit."""

    def __init__(self, per_minute: int, what: str) -> None:
        self._per_minute = per_minute
        self._what = what
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count one. Raises Problem 429 with `Retry-After` where that is one too many."""
        if not self._per_minute:
            return
        now = time.monotonic()
        left, since = self._buckets.pop(key, (float(self._per_minute), now))
        left = min(self._per_minute, left + (now - since) * self._per_minute / 60)
        allowed = left >= 1
        self._buckets[key] = (left - allowed, now)
        if len(self._buckets) > KEYS:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = (1 - left) * 60 / self._per_minute
            raise too_many(
                f"Too many {self._what}: at most {self._per_minute} a minute."
                f" Try again in {max(1, math.ceil(wait))} s.",
                wait,
            )


class InFlight:
    """`most` requests that are answered for one key at a time; 0 is no limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._now: Counter[str] = Counter()

    def enter(self, key: str) -> Callable[[], None]:
        """Count a request until what is returned is called, once or more.

        Raises Problem 429 where it is one too many.
        """
        if self._most and self._now[key] >= self._most:
            raise too_many(
                f"This account has {self._most} requests under way, which is all it may."
                " Wait for their answers.",
                1,
            )
        self._now[key] += 1
        entered = True

        def leave() -> None:
            nonlocal entered
            if entered:
                entered = False
                self._now[key] -= 1
                if not self._now[key]:
                    del self._now[key]

        return leave
