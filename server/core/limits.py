"""Rate limits: a token bucket an account or address, kept in this process."""

import math
import time
from collections import OrderedDict

from server.core.errors import too_many

KEYS = 20_000
"""Buckets kept; the longest untouched goes first, and is full again by then."""


class RateLimit:
    """`per_minute` at once for one key, which grow back within a minute; 0 is no limit."""

    def __init__(self, per_minute: int, what: str) -> None:
        self._per_minute = per_minute
        self._what = what
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, cost: int = 1) -> None:
        """Count `cost`, or all there may be if that is less.

        Raises Problem 429 with `Retry-After` where that is too many; then nothing is counted.
        """
        if not self._per_minute:
            return
        now = time.monotonic()
        left, since = self._buckets.pop(key, (float(self._per_minute), now))
        left = min(self._per_minute, left + (now - since) * self._per_minute / 60)
        cost = min(cost, self._per_minute)
        allowed = left >= cost
        self._buckets[key] = (left - cost if allowed else left, now)
        if len(self._buckets) > KEYS:
            self._buckets.popitem(last=False)
        if not allowed:
            wait = (cost - left) * 60 / self._per_minute
            raise too_many(
                f"Too many {self._what}: at most {self._per_minute} a minute."
                f" Try again in {max(1, math.ceil(wait))} s.",
                wait,
            )
