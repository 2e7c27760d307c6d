"""How a panel gets its news: why so, its last frames, what they cost, what others would."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.common.client.meter import Pattern, State
from tui.common.dialogs.base import Dialog
from tui.common.format import human_bytes, human_latency
from tui.common.sanitize import plain
from tui.common.theme import PATTERN_COLOR, STATE_GLYPH
from tui.common.wire.ladder import TIME_CELLS, Crossing, rows_of

if TYPE_CHECKING:
    from tui.common.client.figures import Figures
    from tui.common.client.meter import Frame, Meter, Wire
    from tui.common.panel import Panel

STATES = {
    State.LIVE: "live",
    State.WAITING: "waiting on a held request",
    State.CONNECTING: "connecting",
    State.RETRY: "reconnecting",
    State.DOWN: "down",
    State.IDLE: "not in use",
}
PATTERNS = {
    Pattern.LONG_POLL: "the server holds a request\nuntil something changes",
    Pattern.SSE: "one stream, server to you",
    Pattern.WEBSOCKET: "one stream, both ways",
    Pattern.SHORT_POLL: "ask again, when the server says",
    Pattern.REST: "one request, one answer",
}
FRAMES_SHOWN = 10
FRAMING_BYTES = 110
"""Of an event on a stream or a socket, besides its data: type, cursor and time."""
HEARTBEATS = 240
HEARTBEAT_BYTES = 14
"""Of a stream in an hour, and the bytes of one."""
PINGS = 360
PING_BYTES = 25
"""Of a WebSocket in an hour, and the bytes of one with its answer and the server's part."""
HELD = 80
"""Answers without news in an hour of a poll that is held for 45 s."""
POLLS = 3600
"""Short polls in an hour, a second apart."""


def estimates(events: float, request: float, data: float) -> list[tuple[Pattern, float, float]]:
    """What each pattern costs in an hour of so many events: bytes, and requests.

    `request` is the bytes of a request and its answer's head, `data` those of an event's data.
    """
    pushed = events * (data + FRAMING_BYTES)
    return [
        (Pattern.SHORT_POLL, POLLS * (request + data), POLLS),
        (Pattern.LONG_POLL, events * (request + data) + HELD * request, events + HELD),
        (Pattern.SSE, request + pushed + HEARTBEATS * HEARTBEAT_BYTES, 1),
        (Pattern.WEBSOCKET, request + pushed + PINGS * PING_BYTES, 1),
    ]


class NewsScreen(Dialog[None]):
    """How a panel gets its news; kept current."""

    DEFAULT_CSS = """
    NewsScreen > .box { width: 100; padding: 0 1; }
    NewsScreen Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i,enter", "close", show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("up", "scroll(-1)", show=False),
    ]

    def __init__(self, panel: "Panel") -> None:
        super().__init__()
        self._panel = panel

    def body(self) -> ComposeResult:
        """The lines."""
        with VerticalScroll(classes="box") as box:
            box.border_title = Content(f"How {self._panel.TITLE} gets its news")
            box.border_subtitle = "↑↓ scroll · esc closes"
            yield Static(markup=False)

    def action_scroll(self, lines: int) -> None:
        """Scroll."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def on_resize(self) -> None:
        """The ladder is as wide as the box."""
        self.call_after_refresh(self.redraw)

    def redraw(self) -> None:
        """Draw the frames and the figures."""
        box = self.query_one(VerticalScroll)
        lines = self._lines(max(40, box.scrollable_content_region.width or 94))
        self.query_one(Static).update(Content("\n").join(lines))

    def _lines(self, width: int) -> Iterator[Content]:
        panel, meter, wire = self._panel, self._panel.meter, self._panel.wire
        hue = PATTERN_COLOR[meter.pattern]
        words = PATTERNS[meter.pattern].replace("\n", " ")
        yield Content.assemble((str(meter.pattern), f"bold {hue}"), f": {words}")
        detail = f": {plain(meter.detail)}" if meter.detail else ""
        yield Content.assemble(STATE_GLYPH[meter.state], "  ", f"{STATES[meter.state]}{detail}")
        if panel.WHY:
            yield _head("Why this pattern")
            yield Content(panel.WHY)
        frames = last_frames(wire, meter.name)
        last = f"Its last {len(frames)} frames" if len(frames) > 1 else "Its only frame"
        yield _head(f"{last}, by seconds" if frames else "No frame yet")
        if frames:
            yield _ladder_head(width)
            rows = rows_of(
                map(Crossing, frames), frames[0].at, width, hue.removeprefix("$"), source=4
            )
            yield from (Content.assemble(*((text, _ink(ink)) for text, ink in row)) for row in rows)
        yield from _costs(meter, wire)
        yield _head("Source")
        for path in panel.SOURCES:
            yield Content(path)


def last_frames(wire: "Wire", meter: str) -> "list[Frame]":
    """The newest frames of that meter, the newest last."""
    found: list[Frame] = []
    for frame in reversed(wire.frames):
        if frame.meter == meter:
            found.append(frame)
            if len(found) == FRAMES_SHOWN:
                break
    return found[::-1]


def _costs(meter: "Meter", wire: "Wire") -> "Iterator[Content]":
    figures = meter.figures
    yield _head("What it costs")
    error = human_latency(max(1.0, meter.clock_error_ms or 0.0))
    if figures.age_p50_ms is not None and figures.age_p95_ms is not None:
        p50, p95 = human_latency(figures.age_p50_ms), human_latency(figures.age_p95_ms)
        yield Content(f"until now: news is {p50} old when it arrives (p50; p95 {p95}, ±{error})")
    yield Content(
        f"until now: {human_bytes(figures.bytes)}, {_many(figures.events, 'event')},"
        f" {_many(figures.requests, 'request')}; reconnected {meter.reconnects}×,"
        f" {meter.replayed} replayed"
    )
    hour = figures.events_per_minute * 60
    yield Content(
        f"in an hour like the last minute: {human_bytes(meter.bytes_per_minute * 60)},"
        f" {_many(hour, 'event')}, {_many(figures.requests_per_minute * 60, 'request')}"
    )
    request = _request_bytes(wire)
    if not meter.events or request is None:
        yield Content.assemble(("What others would have cost: after the first event.", "$wire-ink"))
        return
    data = meter.payload / meter.events
    yield _head("What the others would cost in that hour, an estimate")
    for pattern, size, requests in estimates(hour, request, data):
        if pattern is not meter.pattern:
            yield Content.assemble(
                (f"{pattern:<11}", f"bold {PATTERN_COLOR[pattern]}"),
                f"{human_bytes(size):>8}  {_many(requests, 'request'):>15}",
            )
    yield Content.assemble(
        (
            f"e = {hour:,} events; d = {data:,.0f} B, their data; q = {request:,.0f} B, a request"
            f" and its answer's head, all measured here. Short poll, each second: {POLLS} (q + d)."
            f" Long poll: e (q + d) + {HELD} q. SSE: q + e (d + {FRAMING_BYTES} B) + {HEARTBEATS}"
            f" heartbeats of {HEARTBEAT_BYTES} B. WebSocket: the same with {PINGS} pings of"
            f" {PING_BYTES} B.",
            "$wire-ink",
        )
    )


def _request_bytes(wire: "Wire") -> float | None:
    """A request and the head of its answer, by the single requests sent until now."""
    rest: Figures | None = None
    payload = 0
    for meter in wire.meters.values():
        if meter.pattern is Pattern.REST and meter.events:
            rest, payload = meter.figures, meter.payload
    return None if rest is None else (rest.bytes - payload) / rest.events


def _many(count: float, what: str) -> str:
    return f"{count:,.0f} {what}{'' if count == 1 else 's'}"


def _head(words: str) -> Content:
    return Content.assemble("\n", (words, "bold $title"))


def _ladder_head(width: int) -> Content:
    return Content.assemble(
        (f"{'':{TIME_CELLS}}you{'server':>{max(10, min(72, width - TIME_CELLS - 4))}}", "$wire-ink")
    )


def _ink(names: str) -> str:
    """The theme's variables in a style of `ThemeStyles`."""
    return " ".join(name if name == "bold" else f"${name}" for name in names.split())
