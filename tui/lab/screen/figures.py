"""A run's figures as they are shown: beside the strips, in the table, and in a paragraph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tui.lab.dials import Dials
from tui.lab.records import (
    LONG_POLL,
    PROMISES,
    SHORT_POLL,
    SOCKETIO,
    SSE,
    SSE_FALLBACK,
    SSE_NO_CURSOR,
    WEBSOCKET,
    Plan,
)
from tui.lab.results import OWN_SHARE
from tui.lab.screen.timeline import Seen
from tui.lab.statistics import Figures

NAMES = {
    SHORT_POLL: "short poll",
    LONG_POLL: "long poll",
    SSE: "SSE",
    WEBSOCKET: "WebSocket",
    SOCKETIO: "Socket.IO",
    SSE_FALLBACK: "SSE or poll",
    SSE_NO_CURSOR: "SSE, no ID",
}
INKS = {
    SHORT_POLL: "p-short",
    LONG_POLL: "p-long",
    SSE: "p-sse",
    WEBSOCKET: "p-ws",
    SOCKETIO: "success",
    SSE_FALLBACK: "secondary",
    SSE_NO_CURSOR: "title",
}
"""The theme's colours, one a pattern."""
FEW = 5
"""Arrivals, below which there is nothing to explain."""


@dataclass(frozen=True, slots=True)
class Result:
    """A pattern's figures so far."""

    figures: Figures
    seen: Seen
    newest: int
    """The source's newest event."""

    @property
    def pattern(self) -> str:
        """Its name in records."""
        return self.figures.pattern

    def ms(self, percent: float) -> float | None:
        """A percentile of the latency in milliseconds."""
        value = self.figures.latency.percentile(percent)
        return None if value is None else value * 1000


def source_words(plan: Plan) -> str:
    """How events follow each other."""
    rate = f"{plan.rate:.2g}" if plan.rate < 1 else f"{plan.rate:g}"
    return "events by hand" if plan.shape == "hand" else f"{plan.shape} {rate}/s"


def missed_words(result: Result) -> str:
    """What was passed over, or repeated."""
    words = f"{result.seen.missed:,} missed"
    return f"{words}, {result.seen.repeated:,} repeated" if result.seen.repeated else words


def number(value: float | None, unit: str = "") -> str:
    """Three digits or a little more, a dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}" if unit else text


def _bytes_an_event(result: Result) -> float | None:
    traffic = result.figures.traffic
    return result.figures.an_event(traffic.bytes_up + traffic.bytes_down)


def beside(result: Result) -> tuple[str, str]:
    """Two lines beside a strip."""
    figures = result.figures
    first = f"p50 {number(result.ms(50))}  p99 {number(result.ms(99))} ms · {missed_words(result)}"
    requests = number(figures.a_minute(figures.traffic.requests))
    return first, f"{requests} req/min · {number(_bytes_an_event(result))} B/event"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table."""

    heading: str
    value: Callable[[Result], float | None]
    meaning: str


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _radio(result: Result) -> float | None:
    on, seconds = result.figures.radio_on, result.figures.seconds
    return None if on is None or not seconds else on / seconds * 100


COLUMNS = (
    Column("p50", lambda one: one.ms(50), "ms from commit to reader: half took no longer"),
    Column("p99", lambda one: one.ms(99), "the same of 99 in 100"),
    Column("missed", lambda one: one.seen.missed, "events passed over by a newer one"),
    Column(
        "req/min", lambda one: one.figures.a_minute(one.figures.traffic.requests), "HTTP requests"
    ),
    Column("B/event", _bytes_an_event, "bytes for an event both ways, heads and frames included"),
    Column(
        "stale",
        lambda one: _scaled(one.figures.staleness, 1000),
        "ms for which an event was lacking, mean",
    ),
    Column("×payload", lambda one: one.figures.overhead, "bytes on the wire per byte of payload"),
    Column("worst", lambda one: one.ms(100), "the slowest arrival, ms"),
    Column("p95", lambda one: one.ms(95), "as p50, of 95 in 100"),
    Column("reconn", lambda one: one.figures.traffic.reconnects, "streams that stood again"),
    Column("replayed", lambda one: one.figures.replayed, "arrivals from before the reconnect"),
    Column(
        "behind",
        lambda one: one.seen.behind(one.newest, one.figures.readers),
        "events that may still come",
    ),
    Column(
        "conn/min",
        lambda one: one.figures.a_minute(one.figures.traffic.connections),
        "TCP connections made",
    ),
    Column(
        "B up",
        lambda one: one.figures.an_event(one.figures.traffic.bytes_up),
        "bytes up for an event",
    ),
    Column(
        "B down",
        lambda one: one.figures.an_event(one.figures.traffic.bytes_down),
        "bytes down for an event",
    ),
    Column(
        "wakes/min",
        lambda one: one.figures.a_minute(one.figures.wake_ups),
        "bursts of packets, which wake a device",
    ),
    Column("radio %", _radio, "of the time a phone's radio would be on, by the tail-time model"),
)
"""By worth: the last go first where it is narrow."""
NAME_CELLS = 12
LEAST_CELLS = 8


def columns_for(width: int) -> list[tuple[Column, int]]:
    """Those that fit, and how wide each is."""
    found: list[tuple[Column, int]] = []
    room = width - NAME_CELLS
    for column in COLUMNS:
        cells = max(LEAST_CELLS, len(column.heading) + 1)
        if cells > room:
            break
        found.append((column, cells))
        room -= cells
    return found


def cell(column: Column, now: Result, before: Result | None) -> str:
    """A figure, or as a multiple of the last run's."""
    value = column.value(now)
    if before is None:
        return number(value)
    was = column.value(before)
    if value is None or was is None:
        return "–"
    if not was:
        return "=" if not value else f"0→{number(value)}"
    return f"×{value / was:.3g}"


def own_lateness(late: float | None, results: list[Result]) -> list[str]:
    """The patterns of whose p50 the lab's own lateness is more than a tenth."""
    return [
        NAMES[one.pattern]
        for one in results
        if late is not None
        and (p50 := one.figures.latency.percentile(50)) is not None
        and late > OWN_SHARE * p50
    ]


def explain(result: Result, plan: Plan, dials: Dials) -> str:
    """What is being seen of a pattern and why, from its figures."""
    figures, traffic = result.figures, result.figures.traffic
    arrived, way = figures.latency.count, dials.delay + dials.jitter / 2
    name = NAMES[result.pattern]
    if arrived < FEW:
        return (
            f"{name} has brought {arrived} of {result.newest} events so far. There is something to"
            f" explain from {FEW} on."
        )
    p50 = number(result.ms(50), "ms")
    path = f"The way takes {number(way * 1000, 'ms')} each way on average"
    sentences = [*_why(result, plan, way, p50, path)]
    sentences.append(
        f"In the histogram (h) the middle half of its news lies between {number(result.ms(25))} and"
        f" {number(result.ms(75), 'ms')}."
    )
    if figures.traffic.reconnects or traffic.failures:
        sentences.append(
            f"{traffic.failures:,} requests or connections failed; {traffic.reconnects:,} streams"
            f" stood again, and {figures.replayed:,} events were replayed from the cursor"
            + (", none lost so far." if result.pattern in PROMISES else ".")
        )
    if figures.overhead is not None:
        sentences.append(
            f"An event costs {number(_bytes_an_event(result), 'B')} on the wire,"
            f" {number(figures.overhead)} times its payload."
        )
    if figures.radio_on is not None and figures.seconds:
        sentences.append(
            f"A phone's radio would have been on for {figures.radio_on / figures.seconds:.0%} of"
            f" the time (tail of {figures.radio_tail:g} s)."
        )
    return " ".join(sentences)


def _why(result: Result, plan: Plan, way: float, p50: str, path: str) -> list[str]:
    figures, traffic, pattern = result.figures, result.figures.traffic, result.pattern
    requests = number(figures.a_minute(traffic.requests))
    if pattern == SHORT_POLL:
        expected = plan.poll_seconds / 2 + way
        pace = "after each answer" if plan.poll_pace == "pause" else "from poll to poll"
        cycle = plan.poll_seconds + (2 * way if plan.poll_pace == "pause" else 0)
        return [
            f"The reader asks again {plan.poll_seconds:g} s {pace}: {requests} requests a minute,"
            f" {number(60 / cycle)} by arithmetic, whether anything has happened or not.",
            f"An event waits for the next poll, half a pause on average, and then for the way"
            f" back: about {number(expected * 1000, 'ms')} where events are rarer than polls;"
            f" p50 is {p50}.",
            f"A poll brings the newest state alone: {result.seen.missed:,} of {result.newest:,}"
            f" events were overwritten between two polls and never seen.",
        ]
    if pattern == LONG_POLL:
        each = figures.an_event(traffic.requests)
        return [
            "The server holds the request until an event is committed, and the answer leaves at"
            f" once. {path}; p50 is {p50}.",
            "An event that meets no held request, as the next one is still on its way, waits for"
            " up to a round trip more; p99 shows it:"
            f" {number(result.ms(99), 'ms')}.",
            f"Each answer needs a new request: {requests} a minute, {number(each)} an event.",
        ]
    words = {
        SSE: "The answer to one request never ends, and each event is a few lines of it",
        WEBSOCKET: "One connection was upgraded from HTTP, and each event is a frame on it",
        SOCKETIO: "Socket.IO connects in several steps, and then sends each event as a frame",
        SSE_FALLBACK: "The apps' stream: where SSE brings nothing for two seconds, it polls",
        SSE_NO_CURSOR: "SSE by a reader that never says which event it had last",
    }[pattern]
    return [
        f"{words}: nothing is asked again. {path}, and p50 is {p50}: what is above the way is the"
        " server's and the lab's.",
        f"{traffic.connections:,} TCP connections so far, {requests} requests a minute.",
    ]
