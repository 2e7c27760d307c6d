"""A run's figures for each pattern: kept up to date record by record, in little memory.

Radio-on time follows the tail-time model: after a packet a phone's radio stays in its high-power
state until it has been silent for a tail time (N. Balasubramanian, A. Balasubramanian, A.
Venkataramani: Energy consumption in mobile phones, IMC 2009). For LTE the tail was measured as
11.576 s (J. Huang, F. Qian, A. Gerber, Z. M. Mao, S. Sen, O. Spatscheck: A close examination of
performance and power characteristics of 4G LTE networks, MobiSys 2012, Table 3 as others cite it,
doi:10.1145/2307636.2307658). Networks differ, so the tail is a parameter and is written beside the
figure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tui.lab.histogram import Histogram
from tui.lab.records import Appended, Arrival, Exchange, Heard, Plan

WAKE_SECONDS = 0.05
"""Packets that follow each other sooner wake the client once."""


class Bursts:
    """Packets that follow each other within a gap are one burst, which lasts a gap longer."""

    def __init__(self, gap: float) -> None:
        self.gap = gap
        self.count = 0
        self._lasted = 0.0
        """Of the bursts before this one."""
        self._began = self._newest = -math.inf

    def add(self, at: float) -> None:
        """A packet; times do not go backwards."""
        if at - self._newest > self.gap:
            if self.count:
                self._lasted += self._newest - self._began + self.gap
            self.count += 1
            self._began = at
        self._newest = at

    def lasted(self, now: float) -> float:
        """Seconds of all bursts up to now."""
        if not self.count:
            return 0.0
        return self._lasted + min(now, self._newest + self.gap) - self._began


class Source:
    """When events were committed. Arrivals may be told before their event is."""

    def __init__(self) -> None:
        self._sums = [0.0]
        """At n, the sum of the times of events 1 to n, as far as all are known."""
        self._early: dict[int, float] = {}
        self.payload: dict[int, int] = {}

    def append(self, record: Appended) -> None:
        """Events come in any order."""
        self.payload[record.seq] = record.payload
        self._early[record.seq] = record.committed
        while (committed := self._early.pop(len(self._sums), None)) is not None:
            self._sums.append(self._sums[-1] + committed)

    @property
    def newest(self) -> int:
        """Events 1 to this are known."""
        return len(self._sums) - 1

    def sum_to(self, seq: int) -> float:
        """The sum of their times."""
        return self._sums[seq]


class Staleness:
    """For how long readers lacked what the source had: the integral over time of the events that
    a reader is behind by, which is the sum over events of the time until it had that or a newer."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        """The newest event of each reader."""
        self._covered = 0.0
        """The sum of the times at which events were seen or replaced by a newer one."""

    def add(self, reader: int, seq: int, at: float) -> None:
        """A reader has that event; times do not go backwards."""
        seen = self._seen.get(reader, 0)
        if seq > seen:
            self._seen[reader] = seq
            self._covered += (seq - seen) * at

    def total(self, source: Source, readers: int, now: float) -> float | None:
        """Seconds times events times readers, up to now; None while an event is not known yet."""
        newest = source.newest
        if any(seen > newest for seen in self._seen.values()):
            return None
        lacking = readers * newest - sum(self._seen.values())
        return self._covered + lacking * now - readers * source.sum_to(newest)


@dataclass(slots=True)
class Traffic:
    """What has crossed the network for a pattern while the source went on."""

    requests: int = 0
    failures: int = 0
    """Requests and connections that were refused, cut or not answered."""
    reconnects: int = 0
    """Connections that were answered after a reader's first."""
    connections: int = 0
    """TCP connections."""
    bytes_up: int = 0
    bytes_down: int = 0
    packets_up: int = 0
    packets_down: int = 0
    delivered: int = 0
    """Events that arrived."""
    payload: int = 0
    """Bytes of those events, as JSON."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a pattern's records have come to so far. Times are in seconds.

    None stands for what there is no figure for.
    """

    pattern: str
    readers: int
    seconds: float
    """For how long the source has gone on."""
    arrivals: int
    latency: Histogram
    """From commit to reader, of all arrivals that say when they were committed."""
    replayed: int | None
    """Arrivals that were committed while the reader had no connection."""
    staleness: float | None
    """For how long a reader lacked an event, and any newer one, on average over all events."""
    events_behind: float | None
    """By how many events a reader was behind, on average over the time (by Little's law)."""
    traffic: Traffic
    wake_ups: int
    """Bursts of packets. With several readers they fall into one another's bursts."""
    radio_on: float | None
    """Seconds for which a phone's radio would have been on; only of a pattern with one reader, as
    packets do not say whose they are."""
    radio_starts: int | None
    radio_tail: float

    def a_minute(self, count: float) -> float | None:
        """That count for each minute and reader."""
        return count * 60 / self.seconds / self.readers if self.seconds > 0 else None

    def an_event(self, amount: float) -> float | None:
        """That amount for each event that arrived."""
        return amount / self.traffic.delivered if self.traffic.delivered else None

    @property
    def overhead(self) -> float | None:
        """Bytes on the wire, both ways, for each byte of payload."""
        kept = self.traffic
        return (kept.bytes_up + kept.bytes_down) / kept.payload if kept.payload else None


class _Pattern:
    """What is kept of one pattern."""

    def __init__(self, tail: float) -> None:
        self._tail = tail
        self.latency = Histogram()
        self.staleness = Staleness()
        self.arrivals = self.replayed = 0
        self.unpriced: list[int] = []
        """Events that arrived and whose payload is not known yet."""
        self.begin()

    def begin(self) -> None:
        """The run begins: no traffic counts that was before."""
        self.traffic = Traffic()
        self.wakes = Bursts(WAKE_SECONDS)
        self.radio = Bursts(self._tail)


class Statistics:
    """A sink of a run's records and a tap of its network, from which figures are read at any time.

    Traffic counts while the source goes on; events count whenever they arrive.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.source = Source()
        self.lateness = Histogram()
        """Of the timers of the lab's own process while the source went on."""
        self._sourced = plan.target.numbered if plan.target else frozenset(plan.patterns)
        self._began = self._ends = math.inf
        self._connected: set[tuple[str, int]] = set()
        self._patterns = {pattern: _Pattern(plan.radio_tail) for pattern in plan.patterns}

    def begun(self, at: float) -> None:
        """See `Tap`."""
        self._began, self._ends = at, at + self.plan.seconds
        for kept in self._patterns.values():
            kept.begin()

    def connected(self, pattern: str, at: float) -> None:
        """See `Tap`."""
        if at <= self._ends:
            self._patterns[pattern].traffic.connections += 1

    def passed(self, pattern: str, at: float, *, up: bool, data: bytes) -> None:
        """See `Tap`."""
        if at > self._ends:
            return
        kept = self._patterns[pattern]
        if up:
            kept.traffic.bytes_up += len(data)
            kept.traffic.packets_up += 1
        else:
            kept.traffic.bytes_down += len(data)
            kept.traffic.packets_down += 1
        kept.wakes.add(at)
        kept.radio.add(at)

    def late(self, at: float, seconds: float) -> None:
        """See `Tap`."""
        if at <= self._ends:
            self.lateness.add(seconds)

    def appended(self, record: Appended) -> None:
        """See `Sink`."""
        self.source.append(record)

    def arrived(self, record: Arrival) -> None:
        """See `Sink`."""
        kept = self._patterns[record.pattern]
        kept.arrivals += 1
        kept.latency.add(record.received - record.committed)
        kept.staleness.add(record.reader, record.seq, record.received)
        kept.replayed += record.replayed
        if record.received <= self._ends:
            kept.traffic.delivered += 1
            kept.unpriced.append(record.seq)
            if record.seq in self.source.payload:
                self._price(kept)

    def heard(self, record: Heard) -> None:
        """An event of a target has arrived."""
        kept = self._patterns[record.pattern]
        kept.arrivals += 1
        kept.replayed += record.replayed
        if record.sent is not None:
            kept.latency.add(record.received - record.sent)
        if record.seq is not None and record.pattern in self._sourced:
            kept.staleness.add(record.reader, record.seq, record.received)
        if record.received <= self._ends:
            kept.traffic.delivered += 1
            kept.traffic.payload += record.payload

    def exchanged(self, record: Exchange) -> None:
        """See `Sink`."""
        traffic = self._patterns[record.pattern].traffic
        again = False
        if record.state == "answered" and record.kind == "connection":
            reader = record.pattern, record.reader
            again = reader in self._connected
            self._connected.add(reader)
        if record.at <= self._ends:
            traffic.requests += record.state == "started" and record.kind == "request"
            traffic.failures += record.state == "failed"
            traffic.reconnects += again

    @property
    def latencies(self) -> dict[str, Histogram]:
        """Of each pattern, from commit to reader; they change as news arrives."""
        return {pattern: kept.latency for pattern, kept in self._patterns.items()}

    def figures(self, now: float) -> list[Figures]:
        """Of each pattern, up to now; what is read of them later may have changed."""
        now = min(now, self._ends)
        return [self._figures(pattern, kept, now) for pattern, kept in self._patterns.items()]

    def _figures(self, pattern: str, kept: _Pattern, now: float) -> Figures:
        readers, events = self.plan.readers, self.source.newest
        seconds = max(0.0, now - self._began)
        self._price(kept)
        known, alone = pattern in self._sourced, readers == 1
        stale = kept.staleness.total(self.source, readers, now) if known else None
        dated = self.plan.target is None or kept.latency.count
        return Figures(
            pattern=pattern,
            readers=readers,
            seconds=seconds,
            arrivals=kept.arrivals,
            latency=kept.latency,
            replayed=kept.replayed if dated else None,
            staleness=stale / events / readers if stale is not None and events else None,
            events_behind=stale / seconds / readers if stale is not None and seconds else None,
            traffic=kept.traffic,
            wake_ups=kept.wakes.count,
            radio_on=kept.radio.lasted(now) if alone else None,
            radio_starts=kept.radio.count if alone else None,
            radio_tail=self.plan.radio_tail,
        )

    def _price(self, kept: _Pattern) -> None:
        """Count the payload of events of which it has become known."""
        payload = self.source.payload
        kept.traffic.payload += sum(payload.get(seq, 0) for seq in kept.unpriced)
        kept.unpriced = [seq for seq in kept.unpriced if seq not in payload]
