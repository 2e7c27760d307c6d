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
from tui.common.language import _, ngettext
from tui.common.sanitize import plain
from tui.common.styles import PATTERN_COLOR, STATE_GLYPH
from tui.common.wire.ladder import TIME_CELLS, Crossing, rows_of

if TYPE_CHECKING:
    from tui.common.client.figures import Figures
    from tui.common.client.meter import Frame, Meter, Wire
    from tui.common.panel import Panel

STATES = {
    State.LIVE: _("live"),
    State.WAITING: _("waiting on a held request"),
    State.CONNECTING: _("connecting"),
    State.RETRY: _("reconnecting"),
    State.DOWN: _("down"),
    State.IDLE: _("not in use"),
}
PATTERNS = {
    Pattern.LONG_POLL: _("the server holds a request\nuntil something changes"),
    Pattern.SSE: _("one stream, server to you"),
    Pattern.WEBSOCKET: _("one stream, both ways"),
    Pattern.SHORT_POLL: _("ask again, when the server says"),
    Pattern.REST: _("one request, one answer"),
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
            box.border_title = Content(
                _("How {title} gets its news").format(title=self._panel.TITLE)
            )
            box.border_subtitle = _("↑↓ scroll · esc closes")
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
            yield _head(_("Why this pattern"))
            yield Content(panel.WHY)
        frames = last_frames(wire, meter.name)
        last = ngettext(
            "Its only frame, by seconds", "Its last {count} frames, by seconds", len(frames)
        )
        yield _head(last.format(count=len(frames)) if frames else _("No frame yet"))
        if frames:
            yield _ladder_head(width)
            rows = rows_of(
                map(Crossing, frames), frames[0].at, width, hue.removeprefix("$"), source=4
            )
            yield from (Content.assemble(*((text, _ink(ink)) for text, ink in row)) for row in rows)
        yield from _costs(meter, wire)
        yield _head(_("Source"))
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
    yield _head(_("What it costs"))
    error = human_latency(max(1.0, meter.clock_error_ms or 0.0))
    if figures.age_p50_ms is not None and figures.age_p95_ms is not None:
        p50, p95 = human_latency(figures.age_p50_ms), human_latency(figures.age_p95_ms)
        yield Content(
            _("until now: news is {p50} old when it arrives (p50; p95 {p95}, ±{error})").format(
                p50=p50, p95=p95, error=error
            )
        )
    yield Content(
        _(
            "until now: {bytes}, {events}, {requests}; reconnected {reconnects}×, "
            "{replayed} replayed"
        ).format(
            bytes=human_bytes(figures.bytes),
            events=_events(figures.events),
            requests=_requests(figures.requests),
            reconnects=meter.reconnects,
            replayed=meter.replayed,
        )
    )
    hour = figures.events_per_minute * 60
    yield Content(
        _(
            "in an hour like the last minute: {bytes_per_minute}, {hour}, {requests_per_minute}"
        ).format(
            bytes_per_minute=human_bytes(meter.bytes_per_minute * 60),
            hour=_events(hour),
            requests_per_minute=_requests(figures.requests_per_minute * 60),
        )
    )
    request = _request_bytes(wire)
    if not meter.events or request is None:
        yield Content.assemble(
            (_("What others would have cost: after the first event."), "$wire-ink")
        )
        return
    data = meter.payload / meter.events
    yield _head(_("What the others would cost in that hour, an estimate"))
    for pattern, size, requests in estimates(hour, request, data):
        if pattern is not meter.pattern:
            yield Content.assemble(
                (f"{pattern:<11}", f"bold {PATTERN_COLOR[pattern]}"),
                f"{human_bytes(size):>8}  {_requests(requests):>15}",
            )
    yield Content.assemble(
        (
            _(
                "e = {hour:,} events; d = {data:,.0f} B, their data; q = {request:,.0f} B, "
                "a request and its answer's head, all measured here. Short poll, each "
                "second: {polls} (q + d). Long poll: e (q + d) + {held} q. SSE: q + e (d + "
                "{framing_bytes} B) + {heartbeats} heartbeats of {heartbeat_bytes} B. "
                "WebSocket: the same with {pings} pings of {ping_bytes} B."
            ).format(
                hour=hour,
                data=data,
                request=request,
                polls=POLLS,
                held=HELD,
                framing_bytes=FRAMING_BYTES,
                heartbeats=HEARTBEATS,
                heartbeat_bytes=HEARTBEAT_BYTES,
                pings=PINGS,
                ping_bytes=PING_BYTES,
            ),
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


def _events(count: float) -> str:
    return ngettext("{count:,.0f} event", "{count:,.0f} events", _plural(count)).format(count=count)


def _requests(count: float) -> str:
    words = ngettext("{count:,.0f} request", "{count:,.0f} requests", _plural(count))
    return words.format(count=count)


def _plural(count: float) -> int:
    return 1 if count == 1 else max(2, round(count)) if count else 0


def _head(words: str) -> Content:
    return Content.assemble("\n", (words, "bold $title"))


def _ladder_head(width: int) -> Content:
    server = _("server").rjust(max(10, min(72, width - TIME_CELLS - 4)))
    return Content.assemble((" " * TIME_CELLS + _("you") + server, "$wire-ink"))


def _ink(names: str) -> str:
    """The theme's variables in a style of `ThemeStyles`."""
    return " ".join(name if name == "bold" else f"${name}" for name in names.split())
