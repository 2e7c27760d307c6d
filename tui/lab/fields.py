"""The figures of a pattern by name: what results.json, results.csv and results.md hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import quantiles

from tui.lab.records import Cost, Outcome, Verdict
from tui.lab.statistics import Figures

Value = float | int | str | bool | None


@dataclass(frozen=True, slots=True)
class Row:
    """All that is known of a pattern."""

    figures: Figures
    verdict: Verdict
    cost: Cost | None
    events: int | None
    isolated: bool


@dataclass(frozen=True, slots=True)
class Field:
    """A figure of a pattern, as it is named in results.json and results.csv."""

    name: str
    meaning: str
    value: Callable[[Row], Value]
    heading: str = ""
    """Of its column in results.md, where it has one."""
    compared: bool = False
    by_machine: bool = False
    """Whether it says as much of the machine as of the pattern."""


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _percentile(percent: float) -> Callable[[Row], Value]:
    return lambda row: _ms(row.figures.latency.percentile(percent))


def _cpu(row: Row) -> Value:
    cost, arrivals = row.cost, row.figures.arrivals
    if cost is None or not arrivals or not row.isolated:  # else it includes the source's own
        return None
    used = cost.cpu_seconds - cost.idle_cpu * cost.seconds
    return used / arrivals * 1e6 if used > 0 else None


def _memory(row: Row) -> Value:
    return None if row.cost is None else slope(row.cost.memory)[0]


def _counted(count: Callable[[Verdict], Value]) -> Callable[[Row], Value]:
    """Of events that have numbers."""
    return lambda row: count(row.verdict) if row.verdict.counted else None


def _radio_share(row: Row) -> Value:
    on, seconds = row.figures.radio_on, row.figures.seconds
    return None if on is None or not seconds else on / seconds


FIELDS = (
    Field("pattern", "How events were read.", lambda row: row.figures.pattern, "pattern"),
    Field("readers", "Readers of the pattern.", lambda row: row.figures.readers),
    Field("connected", "Readers that the server answered.", lambda row: row.verdict.connected),
    Field("events", "Events that the source appended.", lambda row: row.events),
    Field(
        "arrivals",
        "Events in readers' hands before the network was lifted at the end of the run.",
        lambda row: row.figures.arrivals,
        "arrivals",
    ),
    Field(
        "unseen",
        "Events that readers never got, also not once the network was lifted, counted once for "
        "each reader. Short polling reads the newest state: what was overwritten between two polls "
        "is unseen, and so is what came while a stream without a cursor was away. Anything else "
        "has lost them.",
        _counted(lambda verdict: verdict.lost),
        "unseen",
    ),
    Field(
        "repeated", "Events that a reader got again.", _counted(lambda verdict: verdict.repeated)
    ),
    Field(
        "unordered",
        "Events that came after a later one.",
        _counted(lambda verdict: verdict.unordered),
    ),
    Field(
        "late",
        "Events that came once the network was lifted.",
        _counted(lambda verdict: verdict.late),
    ),
    Field(
        "replayed",
        "Arrivals that had been committed before the reader was connected again.",
        lambda row: row.figures.replayed,
    ),
    Field(
        "promise_kept",
        "Whether every event came once and in order; of short polling, whether none came twice.",
        lambda row: row.verdict.kept(row.figures.pattern) if row.verdict.counted else None,
    ),
    Field(
        "latency_p50_ms",
        "Commit to reader, milliseconds: half of the arrivals took no longer.",
        _percentile(50),
        "p50 ms",
        compared=True,
    ),
    Field("latency_p95_ms", "The same of 95 %.", _percentile(95), "p95 ms", compared=True),
    Field("latency_p99_ms", "The same of 99 %.", _percentile(99), "p99 ms", compared=True),
    Field("latency_worst_ms", "The slowest arrival.", _percentile(100), "worst ms", compared=True),
    Field(
        "latency_mean_ms",
        "The mean, from the exact values.",
        lambda row: _ms(row.figures.latency.mean),
        compared=True,
    ),
    Field(
        "staleness_ms",
        "For how long a reader lacked an event and any newer one, on average over all events.",
        lambda row: _ms(row.figures.staleness),
        "stale ms",
        compared=True,
    ),
    Field(
        "events_behind",
        "By how many events a reader was behind, on average over the time.",
        lambda row: row.figures.events_behind,
        compared=True,
    ),
    Field(
        "requests_per_minute",
        "HTTP requests a minute and reader; a stream's is counted as a connection.",
        lambda row: row.figures.a_minute(row.figures.traffic.requests),
        "req/min",
        compared=True,
    ),
    Field(
        "requests_per_event",
        "Requests for each arrival.",
        lambda row: row.figures.an_event(row.figures.traffic.requests),
        compared=True,
    ),
    Field(
        "connections_per_minute",
        "TCP connections made a minute and reader.",
        lambda row: row.figures.a_minute(row.figures.traffic.connections),
        "conn/min",
    ),
    Field(
        "reconnects",
        "Streams and sockets that stood again after they were lost.",
        lambda row: row.figures.traffic.reconnects,
    ),
    Field(
        "failures",
        "Requests and connections that were refused, cut or not answered.",
        lambda row: row.figures.traffic.failures,
    ),
    Field(
        "bytes_up_per_event",
        "Bytes to the server for each arrival, as the proxy counted them: heads, chunk marks and "
        "frames included, TCP and IP not.",
        lambda row: row.figures.an_event(row.figures.traffic.bytes_up),
        "B up/event",
        compared=True,
    ),
    Field(
        "bytes_down_per_event",
        "The same from the server.",
        lambda row: row.figures.an_event(row.figures.traffic.bytes_down),
        "B down/event",
        compared=True,
    ),
    Field(
        "overhead",
        "Bytes both ways for each byte of the events' JSON.",
        lambda row: row.figures.overhead,
        "overhead",
        compared=True,
    ),
    Field("bytes_up", "All bytes to the server.", lambda row: row.figures.traffic.bytes_up),
    Field("bytes_down", "All bytes from it.", lambda row: row.figures.traffic.bytes_down),
    Field("packets_up", "Reads of bytes to it.", lambda row: row.figures.traffic.packets_up),
    Field("packets_down", "Writes of bytes from it.", lambda row: row.figures.traffic.packets_down),
    Field(
        "wake_ups_per_minute",
        "Bursts of packets a minute; 50 ms of silence end one. With several readers, of all.",
        lambda row: row.figures.a_minute(row.figures.wake_ups * row.figures.readers),
        "wake-ups/min",
        compared=True,
    ),
    Field(
        "radio_on_share",
        "The share of the run for which a phone's radio would have been on, by the tail-time "
        "model; of one reader.",
        _radio_share,
        "radio on",
        compared=True,
    ),
    Field(
        "radio_starts",
        "How often that radio would have been switched on.",
        lambda row: row.figures.radio_starts,
    ),
    Field(
        "cpu_us_per_event",
        "The server's CPU time for each arrival once readers are connected, microseconds, without "
        "what it uses when idle; of isolated runs. None where that is less than can be measured.",
        _cpu,
        "CPU µs/event",
        compared=True,
        by_machine=True,
    ),
    Field(
        "memory_bytes_per_reader",
        "What each reader adds to the server's memory, by those of the second half; where its "
        "process serves one pattern. None where that is less than can be measured.",
        _memory,
        "B/reader",
        compared=True,
        by_machine=True,
    ),
)


def row_of(figures: Figures, outcome: Outcome) -> dict[str, Value]:
    """A pattern's figures by their names, to three decimals."""
    pattern = figures.pattern
    verdict, cost = outcome.verdicts[pattern], outcome.costs.get(pattern)
    target = outcome.plan.target
    events = None if target is not None and target.rate is None else outcome.events
    row = Row(figures, verdict, cost, events, outcome.plan.isolated)
    values = {field.name: field.value(row) for field in FIELDS}
    return {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in values.items()
    }


def cell(value: Value, name: str = "") -> str:
    """A value as text for a table; `name` is that of its field."""
    if value is None:
        return "–"
    if name == "radio_on_share":
        return f"{value:.0%}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def slope(points: Sequence[tuple[float, float]]) -> tuple[float | None, float | None]:
    """By how much the second figure grows with the first: the median of the slopes between any two
    points, and how far their quartiles are apart. None of few points, or where the lower quartile
    does not grow, which is less than can be measured."""
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2)]
    low, median, high = quantiles(slopes) if len(slopes) > 2 else (0.0, 0.0, 0.0)
    return (median, high - low) if low > 0 else (None, None)
