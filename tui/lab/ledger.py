"""Whether readers got every event once and in order, counted for each pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.lab.records import (
    NO_PROMISE,
    SHORT_POLL,
    SSE_NO_CURSOR,
    Appended,
    Arrival,
    Exchange,
    Sink,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

ERRORS = 5
"""Of a pattern, that are kept."""
MOST_MISSED = 100_000
"""Between two events; with more, the number is no count of events."""


class _Reader:
    """What one reader has got."""

    __slots__ = ("late", "missing", "newest", "repeated", "skipped", "unordered")

    def __init__(self) -> None:
        self.newest = 0
        self.missing: set[int] = set()
        """Events before the newest that it has not got, and that may come still."""
        self.skipped = 0
        """Those that cannot: a state has replaced them."""
        self.repeated = self.unordered = self.late = 0

    def add(self, seq: int, *, late: bool, is_state: bool) -> None:
        if seq > self.newest:
            if is_state:
                self.skipped += seq - self.newest - 1
            else:
                self.missing.update(range(self.newest + 1, seq))
            self.newest = seq
        elif seq in self.missing:
            self.missing.discard(seq)
            self.unordered += 1
        else:
            self.repeated += 1
            return
        self.late += late

    def lost(self, events: int) -> int:
        return self.skipped + len(self.missing) + events - self.newest


class Ledger:
    """A sink that counts what each reader got, and passes the records on to another one.

    What arrives once the network is lifted only counts here.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._readers: dict[tuple[str, int], _Reader] = {}
        self._connected: set[tuple[str, int]] = set()
        self._errors: dict[str, dict[str, None]] = {}
        self.lifted = False
        self.arrivals = 0
        self.known = 0
        """The newest event of the source that was reported."""

    def appended(self, record: Appended) -> None:
        """See `Sink`."""
        self.known = max(self.known, record.seq)
        self._sink.appended(record)

    def arrived(self, record: Arrival) -> None:
        """See `Sink`."""
        self.count(record.pattern, record.reader, record.seq)
        if not self.lifted:
            self._sink.arrived(record)

    def count(self, pattern: str, number: int, seq: int, *, from_there: bool = False) -> bool:
        """A reader has got that event; `from_there`: its first is the first that it could get.
        Returns False where the number can be no count of events."""
        self.arrivals += 1
        is_first = (pattern, number) not in self._readers
        reader = self._reader(pattern, number)
        if from_there and is_first:
            reader.newest = seq - 1
        if seq - reader.newest > MOST_MISSED:
            return False
        reader.add(seq, late=self.lifted, is_state=pattern == SHORT_POLL)
        return True

    def exchanged(self, record: Exchange) -> None:
        """See `Sink`."""
        if self.lifted:
            return
        if record.state == "answered":
            self._connected.add((record.pattern, record.reader))
        self._sink.exchanged(record)

    def failed(self, pattern: str, words: str) -> None:
        """A reader has given up."""
        errors = self._errors.setdefault(pattern, {})
        if len(errors) < ERRORS:
            errors[words] = None

    def connected(self, pattern: str) -> int:
        """How many of its readers the server had answered before the network was lifted."""
        return sum(name == pattern for name, _ in self._connected)

    def is_complete(self, events: int, patterns: Iterable[str], readers: int) -> bool:
        """Whether the source has reported that many events, and each reader has got them all; where
        none are promised, the newest, if that may still come: a stream without a cursor that was
        away at the end does not get it."""
        if self.known < events:
            return False
        for pattern in patterns:
            for number in range(readers):
                reader = self._reader(pattern, number)
                if pattern not in NO_PROMISE:
                    complete = not reader.lost(events)
                else:
                    gone = pattern == SSE_NO_CURSOR and self.lifted
                    complete = gone or reader.newest >= events
                if not complete:
                    return False
        return True

    def verdict(self, pattern: str, events: int | None, readers: int) -> Verdict:
        """What became of that many events at the pattern's readers; None: of those up to the newest
        that a reader has got."""
        found = [self._reader(pattern, number) for number in range(readers)]
        return Verdict(
            readers=readers,
            connected=self.connected(pattern),
            lost=sum(reader.lost(reader.newest if events is None else events) for reader in found),
            repeated=sum(reader.repeated for reader in found),
            unordered=sum(reader.unordered for reader in found),
            late=sum(reader.late for reader in found),
            errors=tuple(self._errors.get(pattern, ())),
        )

    def _reader(self, pattern: str, number: int) -> _Reader:
        return self._readers.setdefault((pattern, number), _Reader())
