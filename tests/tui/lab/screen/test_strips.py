"""Strips, ladders and words made of records: pure functions, without an app."""

import time

import pytest

from tui.common.wire.ladder import rows_of
from tui.lab.dials import PRESETS
from tui.lab.records import (
    LONG_POLL,
    PATTERNS,
    SHORT_POLL,
    SOCKETIO,
    SSE,
    SSE_FALLBACK,
    WEBSOCKET,
    Appended,
    Arrival,
    Exchange,
    Plan,
)
from tui.lab.screen.dialogs import reading
from tui.lab.screen.figures import COLUMNS, LEAST_CELLS, NAME_CELLS, cell, columns_for, explain
from tui.lab.screen.ladder import is_heartbeat, packet_words
from tui.lab.screen.race import RacePanel
from tui.lab.screen.runs import Runs, Watch
from tui.lab.screen.timeline import (
    BUCKET_SECONDS,
    KEPT_SECONDS,
    Seen,
    Timeline,
    ages_of,
    columns_of,
    source_of,
    strip_of,
)

AT = int(time.monotonic()) - 1000 + 0.01
"""In the past, wherever the clock began, and not at the edge of a bucket."""


def request(pattern: str, number: int, *steps: tuple[str, float]) -> list[Exchange]:
    kind = "request" if pattern in (SHORT_POLL, LONG_POLL) else "connection"
    return [Exchange(pattern, 0, number, kind, state, AT + at, 0, 0) for state, at in steps]  # type: ignore[arg-type]


def arrival(pattern: str, seq: int, at: float, age: float = 0.05, reader: int = 0) -> Arrival:
    return Arrival(pattern, reader, seq, AT + at - age, AT + at, False)


@pytest.mark.parametrize(
    ("pattern", "records", "strip"),
    [
        pytest.param(SHORT_POLL, [], "          ", id="nothing yet"),
        pytest.param(
            SHORT_POLL,
            [
                *request(SHORT_POLL, 1, ("started", 0.0), ("answered", 0.3), ("ended", 0.3)),
                *request(SHORT_POLL, 2, ("started", 0.5), ("answered", 0.8), ("ended", 0.8)),
                arrival(SHORT_POLL, 4, 0.8),
            ],
            "↗╌╌↘ ↗╌╌◆ ",
            id="a poll without news, and one with",
        ),
        pytest.param(
            LONG_POLL,
            [
                *request(LONG_POLL, 1, ("started", 0.1), ("answered", 0.5), ("ended", 0.5)),
                arrival(LONG_POLL, 1, 0.5),
                *request(LONG_POLL, 2, ("started", 0.6)),
            ],
            " ↗═══◆↗═══",
            id="a held poll",
        ),
        pytest.param(
            SSE,
            [
                *request(SSE, 1, ("started", 0.0), ("answered", 0.2)),
                arrival(SSE, 1, 0.4),
                arrival(SSE, 2, 0.42),
                *request(SSE, 1, ("failed", 0.6)),
                *request(SSE, 2, ("started", 0.7), ("answered", 0.9)),
            ],
            "↗╌══◆═✕↗╌═",
            id="a stream that is lost and comes back",
        ),
        pytest.param(
            WEBSOCKET,
            [
                *request(WEBSOCKET, 1, ("started", -9.0), ("answered", -8.9)),
                Arrival(WEBSOCKET, 1, 1, AT, AT + 0.3, False),
            ],
            "══════════",
            id="opened before the window; other readers are not drawn",
        ),
    ],
)
def test_a_strip_shows_what_its_first_reader_did(
    pattern: str, records: list[Exchange | Arrival], strip: str
) -> None:
    timeline = Timeline(PATTERNS)
    for record in records:
        if isinstance(record, Arrival):
            timeline.arrived(record)
        else:
            timeline.exchanged(record)
    columns = columns_of(timeline.strips[pattern], int(AT / BUCKET_SECONDS), 10, 2)
    assert "".join(glyph for glyph, _ in strip_of(columns, "p-sse", 9)) == strip
    early = "".join(glyph for glyph, _ in strip_of(columns, "p-sse", 4))
    assert early == strip[:5] + "     ", "nothing is drawn beyond now"


def test_marks_heartbeats_ages_and_the_source_have_their_cells() -> None:
    timeline = Timeline((SSE,))
    timeline.appended(Appended(1, AT + 0.01, 10))
    for seq in (2, 3):
        timeline.appended(Appended(seq, AT + 0.2, 10))
    timeline.arrived(arrival(SSE, 1, 0.0, age=0.1))
    timeline.arrived(arrival(SSE, 3, 0.3, age=0.8))
    timeline.heartbeat(SSE, AT + 0.1)
    timeline.mark(AT + 0.4)
    timeline.cut(AT + 0.3, is_cut=True)
    timeline.cut(AT + 0.3, is_cut=True)
    first = int(AT / BUCKET_SECONDS)
    strip = columns_of(timeline.strips[SSE], first, 5, 2)
    source = columns_of(timeline.source, first, 5, 2)
    assert "".join(glyph for glyph, _ in strip_of(strip, "p-sse", 4)) == "◆• ◆┊"
    assert "".join(glyph for glyph, _ in ages_of(strip, "p-sse", 0.8)) == "▂  █ "
    assert "".join(glyph for glyph, _ in source_of(source, 4)) == "╷ ┃░┊"
    assert (timeline.newest, timeline.seen[SSE].missed) == (3, 1)


@pytest.mark.parametrize(
    ("pattern", "kind", "strip"),
    [
        pytest.param(SSE, "connection", "↗═◆═╌╌╌◆══", id="a stream that a proxy keeps back"),
        pytest.param(SSE_FALLBACK, "request", "↗═◆═╌╌╌◆══", id="a poll in place of a stream"),
        pytest.param(SOCKETIO, "request", "↗═◆═╌╌╌◆══", id="a poll of Socket.IO without WebSocket"),
    ],
)
def test_what_is_committed_and_not_here_is_on_its_way(pattern: str, kind: str, strip: str) -> None:
    timeline = Timeline((pattern,))
    states = ("started", "answered") if kind == "connection" else ("started",)
    for state in states:
        timeline.exchanged(Exchange(pattern, 0, 1, kind, state, AT, 0, 0))  # type: ignore[arg-type]
    timeline.arrived(arrival(pattern, 1, 0.2))
    timeline.appended(Appended(1, AT + 0.15, 10))  # is told later than it arrives
    timeline.appended(Appended(2, AT + 0.4, 10))
    timeline.arrived(arrival(pattern, 2, 0.7))
    columns = columns_of(timeline.strips[pattern], int(AT / BUCKET_SECONDS), 10, 2)
    assert "".join(glyph for glyph, _ in strip_of(columns, "p-sse", 9)) == strip


def test_a_cut_is_one_block_whatever_happens_in_it() -> None:
    timeline = Timeline((SSE,))
    for seq, at in enumerate((0.0, 0.3, 0.6, 0.9), start=1):
        timeline.appended(Appended(seq, AT + at, 10))
    timeline.cut(AT + 0.2, is_cut=True)
    timeline.cut(AT + 0.8, is_cut=False)
    timeline.mark(AT + 0.3)
    columns = columns_of(timeline.source, int(AT / BUCKET_SECONDS), 10, 2)
    assert "".join(glyph for glyph, _ in source_of(columns, 9)) == "╷ ░┊░░▒░ ╷"


def test_a_race_that_has_no_room_yet_draws_no_axis() -> None:
    panel = RacePanel()
    panel.draw(Runs(), SSE, 20.0, None, 3)
    assert not panel.text


def test_a_long_run_needs_no_more_room_and_knows_how_its_line_stands() -> None:
    timeline = Timeline((SSE,))
    for record in request(SSE, 1, ("started", 0.0), ("answered", 0.1)):
        timeline.exchanged(record)
    for number in range(round(10 * KEPT_SECONDS / BUCKET_SECONDS)):
        timeline.heartbeat(SSE, AT + 1 + number * BUCKET_SECONDS)
    kept = timeline.strips[SSE]
    assert len(kept) <= 2 * KEPT_SECONDS / BUCKET_SECONDS + 1
    last = columns_of(kept, max(kept) + 1, 3, 1)
    assert "".join(glyph for glyph, _ in strip_of(last, "p-sse", 2)) == "═══"


def test_what_is_missed_and_repeated_is_counted_for_each_reader() -> None:
    seen = Seen()
    for reader, seq in ((0, 1), (0, 4), (1, 2), (1, 2), (1, 1)):
        seen.add(reader, seq)
    assert (seen.missed, seen.repeated, seen.behind(5, 2)) == (3, 2, 4)


@pytest.mark.parametrize(
    ("data", "up", "words", "heartbeat"),
    [
        (b"GET /api/v1/x?after=3 HTTP/1.1\r\nAuthorization: Bearer s3cret\r\n\r\n", True,
         "GET /api/v1/x?after=3", False),
        (b'40{"token":"s3cret"}', True, "body", False),
        (b"\x81\x92abcds3cret", True, "frame: text", False),
        (b'HTTP/1.1 200 OK\r\nA: b\r\n\r\n{"newest":{"seq":7}}', False, "200 OK, #7", False),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", False, "304 Not Modified", False),
        (b'2f\r\nid: c\nevent: lab.event\ndata: {"seq":9,"x":1}\n\n\r\n', False, "event #9", False),
        (b"e\r\n: keep-alive\n\n\r\n", False, ": keep-alive", True),
        (b'\x81\x0a{"seq":12}', False, "frame: text #12", False),
        (b"\x89\x00", False, "frame: ping", True),
        (b"\x81\x012", False, "frame: text 2", True),
        (b"\x1b[2J\x07", False, "[2J", False),
        (b"", False, "nothing", False),
    ],
)  # fmt: skip
def test_a_packet_is_named_without_its_token(
    data: bytes, up: bool, words: str, heartbeat: bool
) -> None:
    assert packet_words(data, up=up) == words
    assert is_heartbeat(data) is heartbeat


def watched(pattern: str, **plan: object) -> Watch:
    """A run of ten seconds with ten events and one of everything."""
    watch = Watch(Plan(seconds=10, patterns=(pattern,), **plan))  # type: ignore[arg-type]
    watch.begun(AT)
    for seq in range(1, 11):
        watch.appended(Appended(seq, AT + seq - 0.5, 100))
        number = seq + 1
        for record in request(pattern, number, ("started", seq - 0.6), ("answered", seq - 0.4)):
            watch.exchanged(record)
        watch.passed(pattern, AT + seq - 0.6, up=True, data=b"GET /events HTTP/1.1\r\n\r\n")
        watch.passed(pattern, AT + seq - 0.4, up=False, data=bytes(376))
        watch.arrived(arrival(pattern, seq, seq - 0.4, age=0.1))
    watch.exchanged(request(pattern, 99, ("failed", 9.9))[0])
    return watch


def test_the_ladder_of_a_pattern_is_drawn_in_the_order_of_time() -> None:
    watch = watched(LONG_POLL)
    rungs = sorted(watch.ladder.rungs[LONG_POLL], key=lambda rung: rung.at)
    for width in (160, 96, 76):
        rows = ["".join(part for part, _ in row) for row in rows_of(rungs, AT, width, "p-long")]
        assert all(len(row) <= width for row in rows), width
        asked, committed, answered, read = rows[:4]
        assert asked.startswith("   0.400 │ GET /events 24 B ─")
        assert asked.rstrip().endswith("─▶ │")
        assert committed.rstrip().endswith("├─event 1 committed")
        assert "◀─" in answered
        assert "376 B" in answered
        assert "◆ event 1 read, 100 ms old" in read
        assert "✕ lost" in rows[-1]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (SHORT_POLL, ("30 by arithmetic", "0 of 10 events were overwritten", "about 1,000 ms")),
        (LONG_POLL, ("holds the request", "p50 is 100 ms", "1 an event")),
        (SSE, ("never ends", "1 requests or connections failed", "400 B on the wire, 4 times")),
        (WEBSOCKET, ("upgraded", "The way takes 6.5 ms each way")),
        (SOCKETIO, ("several steps", "tail of 11.576 s")),
    ],
)
def test_the_explanation_is_made_of_the_figures(pattern: str, said: tuple[str, ...]) -> None:
    plan = Plan(poll_seconds=2.0)
    result = watched(pattern, poll_seconds=2.0).results(AT + 10)[pattern]
    dials = PRESETS["office"].dials if pattern == WEBSOCKET else PRESETS["none"].dials
    words = explain(result, plan, dials)
    for part in said:
        assert part in words, words
    empty = Watch(Plan(patterns=(pattern,)))
    assert "0 of 0 events so far" in explain(empty.results(AT + 10)[pattern], plan, dials)


def test_columns_fit_and_are_compared_as_multiples() -> None:
    for width in range(NAME_CELLS, 200, 7):
        found = columns_for(width)
        assert NAME_CELLS + sum(cells for _, cells in found) <= width
        assert [column for column, _ in found] == list(COLUMNS[: len(found)])
    assert len(columns_for(NAME_CELLS + LEAST_CELLS)) == 1
    result = watched(SSE).results(AT + 10)[SSE]
    p50, _, missed = COLUMNS[:3]
    assert cell(p50, result, None) == "100"
    assert cell(p50, result, result) == "×1"
    assert cell(missed, result, result) == "="


def test_the_help_explains_every_figure_of_the_table() -> None:
    lines = reading().plain.splitlines()
    explained = {line.split("  ")[0] for line in lines}
    assert {column.heading for column in COLUMNS} <= explained
    assert max(map(len, lines)) <= 42, "a line would wrap, and its rest begin at the left"
