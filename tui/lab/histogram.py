"""Percentiles of many values in little memory."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence

EXACT_VALUES = 1000
"""Up to so many latencies are kept as they are; of more, buckets."""
BUCKET_GROWTH = 1.01
LEAST_VALUE = 1e-6
"""Seconds; what is smaller counts as this."""
_LOG_GROWTH = math.log(BUCKET_GROWTH)


class Histogram:
    """Durations in seconds: exact while they are few, then in buckets that are 1 % wide.

    A thousandth to a thousand seconds are 1,400 buckets. Percentiles are by nearest rank: the
    smallest value that so many percent do not exceed; from buckets, right to half a percent.
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.worst = 0.0
        self._exact: list[float] | None = []
        self._buckets: dict[int, int] = {}

    def add(self, value: float) -> None:
        """Count one more."""
        self.count += 1
        self.total += value
        self.least = min(self.least, value)
        self.worst = max(self.worst, value)
        number = math.floor(math.log(max(value, LEAST_VALUE)) / _LOG_GROWTH)
        self._buckets[number] = self._buckets.get(number, 0) + 1
        if self._exact is not None:
            insort(self._exact, value)
            if self.count > EXACT_VALUES:
                self._exact = None

    @property
    def mean(self) -> float | None:
        """None where there is nothing."""
        return self.total / self.count if self.count else None

    def percentile(self, percent: float) -> float | None:
        """The smallest value that so many percent do not exceed; None where there is nothing."""
        if not self.count:
            return None
        rank = max(1, math.ceil(self.count * percent / 100))
        if self._exact is not None:
            return self._exact[rank - 1]
        for value, upto in self._steps():
            if upto >= rank:
                return value
        return self.worst

    def ecdf(self) -> list[tuple[float, float]]:
        """Values, and the shares that do not exceed them, in order: for a plot."""
        if self._exact is not None:
            return [(value, (at + 1) / self.count) for at, value in enumerate(self._exact)]
        return [(value, upto / self.count) for value, upto in self._steps()]

    def below(self, limits: Sequence[float]) -> list[int]:
        """How many are smaller than each of these seconds."""
        if self._exact is not None:
            return [bisect_left(self._exact, limit) for limit in limits]
        steps = [(-math.inf, 0), *self._steps()]
        return [steps[bisect_left(steps, (limit, 0)) - 1][1] for limit in limits]

    def buckets(self) -> list[tuple[float, int]]:
        """The lower ends of the buckets, and how many are in each, in order."""
        return [(BUCKET_GROWTH**number, count) for number, count in sorted(self._buckets.items())]

    def _steps(self) -> Iterator[tuple[float, int]]:
        """The middles of the buckets, within the extremes, and how many there are up to each."""
        upto = 0
        for number, count in sorted(self._buckets.items()):
            upto += count
            yield min(max(BUCKET_GROWTH ** (number + 0.5), self.least), self.worst), upto
