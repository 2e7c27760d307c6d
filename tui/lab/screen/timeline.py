"""What a run's last minute looked like: a strip for each pattern on one axis of time.

Kept in buckets of a twentieth of a second, so that neither a fast source nor a long run needs room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tui.common.styles import Part
from tui.lab.records import SHORT_POLL, Appended, Arrival, Exchange

BUCKET_SECONDS = 0.05
KEPT_SECONDS = 65.0
"""A little more than the longest window."""
AGE_GLYPHS = "▁▂▃▄▅▆▇█"


class Mark:
    """What has happened in a bucket, as bits: plain numbers, as every cell is looked at."""

    NONE = 0
    ASKED = 1
    ANSWERED = 2
    NEWS = 4
    HEARTBEAT = 8
    LOST = 16
    """A request or a connection was refused, cut or not answered."""
    USER = 32
    """A mark that the user has set."""


class Line:
    """How a reader's line stands after a bucket."""

    NONE = 0
    WAITING = 1
    """A request is on its way, or an answer, or an event."""
    HELD = 2
    """The server holds a request, a stream or a socket, and has nothing to send."""
    CUT = 3
    """Of the source: the network lets nothing through."""


@dataclass(slots=True)
class Bucket:
    """A twentieth of a second of a pattern, or of the source."""

    marks: int = Mark.NONE
    """Those of `Mark`."""
    news: int = 0
    age: float = 0.0
    """Of the oldest event that arrived, in seconds from its commit."""
    line: int | None = None
    """One of `Line`; None: as before."""


LINES: tuple[Part, ...] = ((" ", ""), ("╌", "wire-sep"), ("═", "wire-sep"))
"""How a line is drawn where nothing happens, by `Line`."""
Buckets = Mapping[int, Bucket]
"""By their number: the time divided by `BUCKET_SECONDS`."""


@dataclass(frozen=True, slots=True)
class Column:
    """What one cell of a strip shows."""

    marks: int
    news: int
    age: float
    line: int


def columns_of(buckets: Buckets, first: int, count: int, width: int) -> list[Column]:
    """So many cells of `width` buckets each, from the bucket `first` on."""
    found = [Bucket(line=None) for _ in range(count)]
    line = Line.NONE
    for number in sorted(buckets):
        bucket = buckets[number]
        at = (number - first) // width
        if at >= count:
            break
        if at < 0:
            line = line if bucket.line is None else bucket.line
            continue
        column = found[at]
        column.marks |= bucket.marks
        column.news += bucket.news
        column.age = max(column.age, bucket.age)
        if bucket.line is not None:
            column.line = bucket.line
    columns = []
    for column in found:
        line = line if column.line is None else column.line
        columns.append(Column(column.marks, column.news, column.age, line))
    return columns


def strip_of(columns: Iterable[Column], ink: str, until: int) -> Iterator[Part]:
    """The row of a pattern, up to the cell `until`, where now is. News hide what else happened in
    the same cell, and a loss hides all."""
    for at, column in enumerate(columns):
        marks = column.marks
        if at > until:
            yield " ", ""
        elif not marks:
            yield LINES[column.line]
        elif marks & Mark.LOST:
            yield "✕", "bold error"
        elif marks & Mark.NEWS:
            yield "◆", f"bold {ink}"
        elif marks & Mark.USER:
            yield "┊", "accent"
        elif marks & Mark.HEARTBEAT:
            yield "•", ink
        elif marks & Mark.ANSWERED:
            yield "↘", "wire-ink"
        else:
            yield "↗", ink


def source_of(columns: Iterable[Column], until: int) -> Iterator[Part]:
    """The row of the source: a tick where events were committed, taller where there were more;
    shaded while the network was cut, darker where there were any. The user's marks hide both."""
    for at, column in enumerate(columns):
        if at > until:
            yield " ", ""
        elif column.marks & Mark.USER:
            yield "┊", "accent"
        elif column.line == Line.CUT:
            yield ("▒" if column.news else "░"), "error"
        elif column.news:
            yield ("╷" if column.news == 1 else "┃"), "foreground"
        else:
            yield " ", ""


def ages_of(columns: Iterable[Column], ink: str, worst: float) -> Iterator[Part]:
    """The ages of news where they arrived, as bars of which a full one is `worst` seconds."""
    top = len(AGE_GLYPHS) - 1
    for column in columns:
        if column.news and worst > 0:
            yield AGE_GLYPHS[min(top, int(column.age / worst * top + 0.5))], ink
        else:
            yield " ", ""


class Seen:
    """Which events the readers of a pattern have got, as far as the newest tells: by count alone,
    so in little room."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}
        self.missed = 0
        """Events that were passed over by a newer one."""
        self.repeated = 0

    def add(self, reader: int, seq: int) -> None:
        """A reader has got that event."""
        newest = self._newest.get(reader, 0)
        if seq <= newest:
            self.repeated += 1
            return
        self.missed += seq - newest - 1
        self._newest[reader] = seq

    def lacks(self, newest: int) -> bool:
        """Whether there is an event newer than the first reader's newest."""
        return self._newest.get(0, 0) < newest

    def behind(self, newest: int, readers: int) -> int:
        """Events of the source that readers may still get."""
        return readers * newest - sum(self._newest.values())


class Timeline:
    """A sink of a run's records: the strips of each pattern's first reader, and of the source."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.source: dict[int, Bucket] = {}
        self.strips: dict[str, dict[int, Bucket]] = {pattern: {} for pattern in patterns}
        self.seen = {pattern: Seen() for pattern in self.strips}
        self.newest = 0
        """The source's newest event."""
        self.revision = 0
        self._network = Line.NONE
        self._open: dict[str, set[int]] = {pattern: set() for pattern in self.strips}
        """Connections that last, by their exchanges' numbers."""
        self._waiting: dict[str, dict[int, str]] = {pattern: {} for pattern in self.strips}
        """Exchanges that are not answered: their kinds, by their numbers."""

    def appended(self, record: Appended) -> None:
        """See `Sink`."""
        self._bucket(self.source, record.committed).news += 1
        self.newest = max(self.newest, record.seq)
        for pattern, buckets in self.strips.items():
            if self._is_held(pattern) and self.seen[pattern].lacks(self.newest):
                self._bucket(buckets, record.committed).line = Line.WAITING

    def arrived(self, record: Arrival) -> None:
        """See `Sink`."""
        self.seen[record.pattern].add(record.reader, record.seq)
        if record.reader:
            return
        bucket = self._bucket(self.strips[record.pattern], record.received)
        bucket.news += 1
        bucket.age = max(bucket.age, record.received - record.committed)
        bucket.marks |= Mark.NEWS
        bucket.line = self._line(record.pattern)

    def exchanged(self, record: Exchange) -> None:
        """See `Sink`."""
        if record.reader:
            return
        bucket = self._bucket(self.strips[record.pattern], record.at)
        waiting, held = self._waiting[record.pattern], self._open[record.pattern]
        waiting.pop(record.number, None)
        if record.state == "started":
            bucket.marks |= Mark.ASKED
            waiting[record.number] = record.kind
        elif record.state == "answered":
            bucket.marks |= Mark.ANSWERED if record.kind == "request" else Mark.NONE
            if record.kind == "connection":
                held.add(record.number)
        else:
            held.discard(record.number)
            bucket.marks |= Mark.LOST if record.state == "failed" else Mark.NONE
        bucket.line = self._line(record.pattern)

    def _line(self, pattern: str) -> int:
        """Once there is an event for what the server held, that is on its way."""
        if self._is_held(pattern):
            return Line.WAITING if self.seen[pattern].lacks(self.newest) else Line.HELD
        return Line.WAITING if self._waiting[pattern] else Line.NONE

    def _is_held(self, pattern: str) -> bool:
        """Streams are, and polls that are not answered, but for short ones."""
        waits = pattern != SHORT_POLL and "request" in self._waiting[pattern].values()
        return bool(self._open[pattern] or waits)

    def heartbeat(self, pattern: str, at: float) -> None:
        """The server has shown that a line is alive."""
        self._bucket(self.strips[pattern], at).marks |= Mark.HEARTBEAT

    def cut(self, at: float, *, is_cut: bool) -> None:
        """From now on the network is cut, or not."""
        line = Line.CUT if is_cut else Line.NONE
        if line != self._network:
            self._network = line
            self._bucket(self.source, at).line = line

    def mark(self, at: float) -> None:
        """Set a mark in every strip."""
        for buckets in (self.source, *self.strips.values()):
            self._bucket(buckets, at).marks |= Mark.USER

    def is_state(self, pattern: str) -> bool:
        """Whether it brings states: what it passes over is missed, not lost."""
        return pattern == SHORT_POLL

    def _bucket(self, buckets: dict[int, Bucket], at: float) -> Bucket:
        self.revision += 1
        number = int(at / BUCKET_SECONDS)
        bucket = buckets.get(number)
        if bucket is None:
            bucket = buckets[number] = Bucket()
            if len(buckets) > 2 * KEPT_SECONDS / BUCKET_SECONDS:
                self._forget(buckets, number)
        return bucket

    @staticmethod
    def _forget(buckets: dict[int, Bucket], now: int) -> None:
        """Drop what no window shows any more, but for how the line stood then."""
        oldest = now - int(KEPT_SECONDS / BUCKET_SECONDS)
        line = None
        for number in sorted(buckets):
            if number >= oldest:
                break
            dropped = buckets.pop(number)
            line = line if dropped.line is None else dropped.line
        if line is not None:
            kept = buckets.setdefault(oldest, Bucket())
            kept.line = line if kept.line is None else kept.line
