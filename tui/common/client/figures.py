"""What a connection, or all of a pattern, costs and brings: the figures, and how they are kept."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Protocol

WINDOW_SECONDS = 60
AGES_KEPT = 200
LATENCIES_KEPT = 40


def percentile(values: Sequence[float], share: float) -> float | None:
    """The least of the sorted values that so many of them do not exceed; None without values."""
    return values[max(0, ceil(share * len(values)) - 1)] if values else None


def byte_length(text: str) -> int:
    """Bytes of the text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


class LastMinute:
    """How much has happened in the last 60 seconds, to the second."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int]] = deque()
        """Each second in which it has happened, and how much."""

    def add(self, amount: int = 1) -> None:
        """So much happens now."""
        second = int(time.monotonic())
        seconds = self._seconds
        if seconds and seconds[-1][0] == second:
            seconds[-1] = second, seconds[-1][1] + amount
        else:
            seconds.append((second, amount))
            self._trim()

    @property
    def count(self) -> int:
        """How much."""
        self._trim()
        return sum(count for _, count in self._seconds)

    def _trim(self) -> None:
        oldest = int(time.monotonic()) - WINDOW_SECONDS
        while self._seconds and self._seconds[0][0] < oldest:
            self._seconds.popleft()


@dataclass
class Outage:
    """A time without a connection, by `time.monotonic()`, and what came back after it."""

    began: float
    counted: int = 0
    """Events that a request beside the cut line has brought meanwhile."""
    counts: Callable[[], bool] = lambda: False
    """Whether that request is there now; else nobody can know what is missed."""
    asked_at: float = 0.0
    """When the connection was opened again."""
    back_at: float | None = None
    replayed: int = 0
    replayed_bytes: int = 0
    replayed_at: float = 0.0
    """When the last of them came."""

    @property
    def missed(self) -> int | None:
        """The events missed until now; None where nobody can know."""
        return self.counted if self.counts() else None

    def is_from_before(self, age_ms: float) -> bool:
        """Whether news of that age is older than the new connection: a poll's answer does not say
        so itself."""
        return age_ms > (time.monotonic() - self.asked_at) * 1000

    def add_replayed(self, size: int) -> None:
        """An event of before has come, of so many bytes."""
        self.replayed += 1
        self.replayed_bytes += size
        self.replayed_at = time.monotonic()


class Counted(Protocol):
    """What figures are made of: a meter."""

    requests: int
    events: int
    bytes: int
    bytes_sent: int
    payload: int
    ages: deque[float]
    latencies: deque[float]

    @property
    def requests_per_minute(self) -> int: ...

    @property
    def events_per_minute(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one meter, or of several together; `None` where nothing has been measured.

    Bytes are those of both directions: what is asked is part of the cost.
    """

    requests: int
    requests_per_minute: int
    events: int
    events_per_minute: int
    bytes: int
    requests_per_event: float | None
    bytes_per_event: float | None
    overhead: float | None
    """Bytes on the wire for each byte of the events' data."""
    age_p50_ms: float | None
    """Of the age of news as it arrives: from its being logged by the server to its receipt."""
    age_p95_ms: float | None
    round_trip_ms: float | None
    """The median of the round trips kept."""

    @classmethod
    def of(cls, meters: Iterable[Counted]) -> "Figures":
        """Of these meters."""
        meters = list(meters)
        requests = sum(meter.requests for meter in meters)
        events = sum(meter.events for meter in meters)
        size = sum(meter.bytes + meter.bytes_sent for meter in meters)
        payload = sum(meter.payload for meter in meters)
        ages = sorted(age for meter in meters for age in meter.ages)
        latencies = [value for meter in meters for value in meter.latencies]
        return cls(
            requests=requests,
            requests_per_minute=sum(meter.requests_per_minute for meter in meters),
            events=events,
            events_per_minute=sum(meter.events_per_minute for meter in meters),
            bytes=size,
            requests_per_event=requests / events if events else None,
            bytes_per_event=size / events if events else None,
            overhead=size / payload if payload else None,
            age_p50_ms=percentile(ages, 0.5),
            age_p95_ms=percentile(ages, 0.95),
            round_trip_ms=median(latencies) if latencies else None,
        )
