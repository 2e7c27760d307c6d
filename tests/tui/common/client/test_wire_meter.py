"""The meter counts what happened, and sums it up by pattern."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from tui.common.client.figures import LATENCIES_KEPT
from tui.common.client.meter import (
    FRAMES_KEPT,
    HEARTBEAT_SECONDS,
    STATE_SECONDS,
    TRAFFIC_SECONDS,
    Pattern,
    State,
    Wire,
)


def test_a_name_has_one_meter() -> None:
    wire = Wire()
    assert wire.meter("kitchen", Pattern.SSE) is wire.meter("kitchen", Pattern.SSE)
    assert list(wire.meters) == ["kitchen"]


def test_every_note_moves_the_revision() -> None:
    wire = Wire()
    meter = wire.meter("kitchen", Pattern.SSE)
    seen = [wire.revision]
    for note in (
        lambda: meter.set_state(State.LIVE),
        lambda: meter.sent("GET /x", 10),
        meter.opened,
        lambda: meter.measured(3.0),
        lambda: meter.received(10),
        lambda: meter.event("order.placed", 10),
        lambda: meter.frame("204 nothing new", 3),
        lambda: meter.heartbeat("heartbeat", 3),
        meter.reconnected,
        lambda: meter.retrying("lost", 1.0),
        meter.closed,
    ):
        note()
        seen.append(wire.revision)
    assert seen == sorted(set(seen))


def test_events_and_requests_are_counted_and_logged() -> None:
    wire = Wire()
    meter = wire.meter("kitchen", Pattern.SSE)
    meter.sent("GET /x", 120)
    meter.received(500)
    meter.event("order.placed", 400)
    meter.event("order.updated", 50, replayed=True)
    meter.heartbeat("heartbeat", 14)
    assert (meter.requests, meter.bytes, meter.bytes_sent) == (1, 500, 120)
    assert (meter.events, meter.replayed) == (2, 1)
    assert meter.last_event_at == pytest.approx(time.monotonic(), abs=5)
    assert [(frame.direction, frame.what, frame.size) for frame in wire.frames] == [
        ("out", "GET /x", 120),
        ("in", "order.placed", 400),
        ("in", "order.updated", 50),
        ("in", "heartbeat", 14),
    ]
    assert {(frame.meter, frame.pattern) for frame in wire.frames} == {("kitchen", Pattern.SSE)}


def test_heartbeats_of_a_kind_are_one_frame_until_something_else_comes() -> None:
    wire = Wire()
    kitchen, news = wire.meter("kitchen", Pattern.SSE), wire.meter("news", Pattern.SSE)
    chat = wire.meter("chat", Pattern.WEBSOCKET)
    kitchen.heartbeat("heartbeat", 14)
    kitchen.heartbeat("heartbeat", 14)
    chat.sent_heartbeat("ping", 12)
    news.heartbeat("heartbeat", 14)
    chat.heartbeat("pong", 8)
    chat.sent_heartbeat("ping", 12)
    kitchen.event("order.placed", 400)
    kitchen.heartbeat("heartbeat", 14)
    shown = [(one.meter, one.direction, one.what, one.size, one.heartbeats) for one in wire.frames]
    assert shown == [
        ("", "in", "heartbeat", 42, 3),
        ("chat", "in", "pong", 8, 1),
        ("chat", "out", "ping", 24, 2),
        ("kitchen", "in", "order.placed", 400, 0),
        ("kitchen", "in", "heartbeat", 14, 1),
    ]
    assert chat.bytes_sent == 24


def test_what_is_more_urgent_is_asked_to_be_shown_sooner() -> None:
    wire = Wire()
    meter = wire.meter("kitchen", Pattern.SSE)
    asked: list[float] = []
    wire.on_change = asked.append
    meter.received(14)
    meter.heartbeat("heartbeat", 14)
    meter.event("order.placed", 400)
    meter.set_state(State.LIVE)
    assert asked == [HEARTBEAT_SECONDS, HEARTBEAT_SECONDS, TRAFFIC_SECONDS, STATE_SECONDS]


def test_memory_is_bounded() -> None:
    wire = Wire()
    meter = wire.meter("kitchen", Pattern.SSE)
    for number in range(FRAMES_KEPT + 50):
        meter.measured(float(number))
        meter.event("e", 1)
    assert len(wire.frames) == FRAMES_KEPT
    assert len(meter.latencies) == LATENCIES_KEPT
    assert meter.latencies[-1] == FRAMES_KEPT + 49


def test_what_is_cleared_is_gone_for_good() -> None:
    wire = Wire()
    old = wire.meter("kitchen", Pattern.SSE)
    old.sent("GET /stream", 10)
    revision = wire.revision
    wire.clear()
    assert wire.revision > revision
    old.event("late", 10)
    assert (wire.meters, list(wire.frames), wire.totals()) == ({}, [], [])
    new = wire.meter("kitchen", Pattern.SSE)
    assert new is not old
    new.event("e", 1)
    assert [frame.what for frame in wire.frames] == ["e"]


def test_a_wait_is_shown_until_the_next_state() -> None:
    meter = Wire().meter("kitchen", Pattern.SSE)
    meter.retrying("connection refused", 3.0)
    assert (meter.state, meter.detail) == (State.RETRY, "connection refused")
    assert meter.retry_at == pytest.approx(time.monotonic() + 3, abs=1)
    meter.set_state(State.LIVE)
    assert (meter.state, meter.detail, meter.retry_at) == (State.LIVE, "", None)


def test_requests_a_minute_forget_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    meter = Wire().meter("orders", Pattern.LONG_POLL)
    now = time.monotonic()
    for ago in (90.0, 61.0, 59.0, 1.0):
        with monkeypatch.context() as patch:
            patch.setattr(time, "monotonic", lambda ago=ago: now - ago)
            meter.sent("GET /x", 1)
    assert meter.requests == 4
    assert meter.requests_per_minute == 2


def test_totals_by_pattern() -> None:
    wire = Wire()
    one, two = wire.meter("a", Pattern.LONG_POLL), wire.meter("b", Pattern.LONG_POLL)
    for meter, latency in ((one, 10.0), (two, 20.0), (two, 90.0)):
        meter.sent("GET /x", 100)
        meter.received(300)
        meter.event("200", 300, payload=50)
        meter.measured(latency)
    one.opened()
    wire.meter("c", Pattern.SSE).opened()
    polls, streams = wire.totals()
    assert (polls.pattern, polls.connections) == (Pattern.LONG_POLL, 1)
    assert (polls.figures.requests, polls.figures.events) == (3, 3)
    figures = polls.figures
    assert (figures.bytes, figures.bytes_per_event, figures.round_trip_ms) == (1200, 400, 20.0)
    assert (figures.requests_per_minute, figures.events_per_minute) == (3, 3)
    assert (figures.requests_per_event, figures.overhead) == (1.0, 8.0)
    assert (streams.connections, streams.figures.bytes_per_event) == (1, None)
    assert (streams.figures.overhead, streams.figures.round_trip_ms) == (None, None)


def test_the_age_of_news_is_by_the_servers_clock_and_of_news_only() -> None:
    wire = Wire()
    ahead = timedelta(hours=1)

    def stamp(seconds_ago: float) -> str:
        return (datetime.now(UTC) + ahead - timedelta(seconds=seconds_ago)).isoformat()

    wire.clock.record(None, 0.004, stamp(0.002))
    meter = wire.meter("kitchen", Pattern.SSE)
    with pytest.MonkeyPatch.context() as patch:
        began = time.monotonic() - 100
        patch.setattr(time, "monotonic", lambda: began)
        meter.begin_news()
    for seconds_ago in (0.2, *[0.02] * 18, 90, 200):  # the last was there before
        meter.event("order.placed", 100, logged_at=stamp(seconds_ago))
    meter.event("of an older server", 100)
    meter.event("nonsense", 100, logged_at="soon")
    figures = meter.figures
    assert figures.age_p50_ms == pytest.approx(20, abs=10)
    assert figures.age_p95_ms == pytest.approx(200, abs=10)
    assert len(meter.ages) == 20
    assert meter.clock_error_ms == pytest.approx(2.5, abs=0.1)
