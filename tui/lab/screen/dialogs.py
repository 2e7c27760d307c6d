"""The lab's dialogs: a list to choose a network from, all of its dials, and an explanation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, get_args

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Region
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui.common.client.meter import Pattern
from tui.common.dialogs.base import Dialog
from tui.common.format import wrapped
from tui.common.styles import PATTERN_COLOR
from tui.lab.dials import KILO, PRESETS, Dials
from tui.lab.records import Shape
from tui.lab.screen.figures import COLUMNS

READING = (
    ("↗", "the reader asks, or connects"),
    ("↘", "an answer without news"),
    ("◆", "news: an event, or the newest state"),
    ("═", "held: a poll, a stream or a socket"),
    ("╌", "on the way: a poll, an event"),
    ("•", "heartbeat: the line is alive"),
    ("✕", "refused, cut or not answered"),
    ("░", "the network was cut; ▒ events in it"),
    ("▁▄█", "how old the news was as it arrived"),
    ("┊", "your mark"),
)
"""What the strips' glyphs stand for. They are ones of which all terminals agree on the width."""


HEADING_CELLS, MEANING_CELLS = 11, 30
"""Of a figure, in the help's second column."""


def reading() -> Content:
    """How to read the screen."""
    lines = [Content.assemble(("Reading a strip", "bold"))]
    lines += [Content.assemble((f"{glyph:<5}", "bold"), words) for glyph, words in READING]
    lines += [
        Content(""),
        Content.assemble(("Reading the histogram (h)", "bold")),
        Content("A row is a range of ages on arrival, in"),
        Content("ms, on a logarithmic axis for all. A bar"),
        Content("and its number say how many events came"),
        Content("that late; p50 stands in the row that"),
        Content("half of them do not go beyond."),
        Content(""),
        Content("Every pattern reads the same events at"),
        Content("the same time through the same network."),
        Content(""),
        Content.assemble(("Patterns", "bold")),
        *(
            Content.assemble((f"{name:<12}", f"bold {PATTERN_COLOR[pattern]}"), words)
            for name, pattern, words in (
                ("short poll", Pattern.SHORT_POLL, "ask again after a pause"),
                ("long poll", Pattern.LONG_POLL, "the server holds the request"),
                ("SSE", Pattern.SSE, "one answer that never ends"),
                ("WebSocket", Pattern.WEBSOCKET, "one stream, both ways"),
                ("Socket.IO", Pattern.WEBSOCKET, "a protocol above WebSocket"),
            )
        ),
        Content(""),
        Content("A short poll brings states: what is"),
        Content("overwritten before it asks is missed."),
        Content(""),
        Content.assemble(("Figures", "bold")),
    ]
    figures = [(column.heading, column.meaning) for column in COLUMNS]
    for figure, meaning in (*figures, ("lab late", "by how much its own timers were")):
        for row, line in enumerate(wrapped(meaning, MEANING_CELLS)):
            heading = "" if row else figure
            lines.append(Content.assemble((f"{heading:<{HEADING_CELLS}}", "bold"), line))
    return Content("\n").join(lines)


class NetworkDialog(Dialog[str]):
    """Returns the name of the preset that was chosen."""

    DEFAULT_CSS = """
    NetworkDialog {
        & > .box { width: 76; }
        & OptionList { height: auto; max-height: 100%; }
    }
    """

    def __init__(self, network: str) -> None:
        super().__init__()
        self._network = network

    def body(self) -> ComposeResult:
        """A line or two for each."""
        with Vertical(classes="box") as box:
            box.border_title = "The network between readers and server"
            box.border_subtitle = "enter turns it at once · esc closes"
            options = [
                Option(Content.assemble((f"{name:<9}", "bold"), preset.reason), id=name)
                for name, preset in PRESETS.items()
            ]
            chosen = OptionList(*options, compact=True)
            chosen.highlighted = list(PRESETS).index(self._network)
            yield chosen

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take it."""
        self.dismiss(event.option.id)


VALUES: dict[str, tuple[Any, ...]] = {
    "rate": (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0),
    "readers": (1, 10, 100, 1000),
    "window": (5.0, 10.0, 20.0, 60.0),
    "shape": get_args(Shape),
    "size": (16, 64, 1024, 16 * 1024, 64 * 1024),
    "poll_seconds": (0.5, 1.0, 2.0, 5.0),
}
"""Of the plan, and the seconds in view."""
AROUND = ("size", "poll_seconds")
"""The first value follows the last."""


def next_value(name: str, now: Any, distance: int) -> Any:
    """The value above or below now; the last one where there is none."""
    values = VALUES[name]
    if isinstance(now, str):
        return values[(values.index(now) + 1) % len(values)]
    beyond = [one for one in values if (one - now) * distance > 0]
    if beyond:
        return min(beyond) if distance > 0 else max(beyond)
    return values[0] if name in AROUND else now


@dataclass(frozen=True, slots=True)
class Dial:
    """A dial of the network with the values it can be turned to."""

    field: str
    name: str
    values: tuple[Any, ...]
    words: Callable[[Any], str]
    also: Callable[[Any], dict[str, Any]] = lambda value: {}
    """What else goes with a value."""


def _ms(value: float) -> str:
    return f"{value * 1000:g} ms" if value else "none"


def _seconds(value: float) -> str:
    return f"{value:g} s" if value else "never"


def _rate(value: float) -> str:
    return f"{value * 8 / 1_000_000:g} Mbit/s" if value else "unlimited"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


DIALS = (
    Dial("delay", "delay, one way", (0.0, 0.01, 0.03, 0.1, 0.15, 0.3, 0.6), _ms),
    Dial("jitter", "jitter on top, up to", (0.0, 0.01, 0.05, 0.1, 0.3), _ms),
    Dial("down", "bandwidth down", (0.0, *(n * KILO / 8 for n in (64, 384, 1000, 8000))), _rate),
    Dial("up", "bandwidth up", (0.0, *(n * KILO / 8 for n in (64, 384, 1000, 8000))), _rate),
    Dial("loss", "segments lost", (0.0, 0.005, 0.02, 0.05, 0.1), lambda value: f"{value:.1%}"),
    Dial("stall", "everything waits", (False, True), _yes),
    Dial(
        "cut_every", "a cut every", (0.0, 5.0, 10.0, 20.0, 40.0), _seconds,
        lambda value: {"cut_for": value / 4},
    ),
    Dial("reset", "cut with a reset (or FIN)", (True, False), _yes),
    Dial("half_open", "half open: all vanishes", (False, True), _yes),
    Dial("idle", "ends what is silent for", (0.0, 5.0, 15.0, 30.0, 60.0), _seconds),
    Dial("buffer", "proxy collects of a body", (0, 1024, 4096, 16384), lambda n: f"{n:,} B"),
    Dial("websocket", "proxy and WebSocket", ("pass", "refuse", "strip"), str),
    Dial(
        "bad_gateway", "proxy answers 502", (0, 5, 2, 1),
        lambda n: f"each {n}. request" if n else "never",
    ),
    Dial("http10", "proxy speaks HTTP/1.0", (False, True), _yes),
)  # fmt: skip


class DialsDialog(Dialog[None]):
    """All dials; each turn holds at once."""

    DEFAULT_CSS = "DialsDialog > .box { width: 62; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Dial before", show=False, priority=True),
        Binding("down,j", "move(1)", "Next dial", show=False, priority=True),
        Binding("left,h,minus", "turn(-1)", "Turn back", key_display="←"),
        Binding("right,l,plus,space", "turn(1)", "Turn on", key_display="→"),
        Binding("d,enter", "close", show=False),
    ]

    def __init__(self, dials: Dials, turned: Callable[[Dials, str], object]) -> None:
        """`turned` is called with the dials and what was turned, in words."""
        super().__init__()
        self._dials = dials
        self._turned = turned
        self._at = 0

    def body(self) -> ComposeResult:
        """A line for each dial."""
        with VerticalScroll(classes="box") as box:
            box.border_title = "The network's dials"
            box.border_subtitle = "↑↓ which · ←→ turn · esc closes"
            yield Static(markup=False)

    def redraw(self) -> None:
        """Draw their values."""
        self.query_one(Static).update(Content("\n").join(self._lines()))

    def _lines(self) -> Iterator[Content]:
        for number, dial in enumerate(DIALS):
            value = getattr(self._dials, dial.field)
            front = number == self._at
            yield Content.assemble(
                ("▸ " if front else "  ", "bold $primary"),
                (f"{dial.name:<27}", "bold" if front else "$title"),
                ("‹ " if front else "  ", "$primary"),
                dial.words(value),
                (" ›" if front else "", "$primary"),
            )

    def action_move(self, distance: int) -> None:
        """Go to another dial."""
        self._at = (self._at + distance) % len(DIALS)
        self.redraw()
        line = Region(0, self._at, 1, 1)
        self.query_one(VerticalScroll).scroll_to_region(line, animate=False)

    def action_turn(self, distance: int) -> None:
        """Turn it by one value; one in between, of a preset, goes to its neighbour."""
        dial = DIALS[self._at]
        now = getattr(self._dials, dial.field)
        if now in dial.values:
            at = dial.values.index(now) + distance
        else:
            lower = [number for number, value in enumerate(dial.values) if value < now]
            at = lower[-1] + (distance > 0)
        value = dial.values[at % len(dial.values)]
        self._dials = replace(self._dials, **{dial.field: value}, **dial.also(value))
        self._turned(self._dials, f"{dial.name}: {dial.words(value)}")
        self.redraw()


class ExplainDialog(Dialog[None]):
    """One paragraph on what is being seen, kept current."""

    DEFAULT_CSS = "ExplainDialog > .box { width: 72; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("i,enter", "close", show=False)]

    def __init__(self, title: str, words: Callable[[], str]) -> None:
        super().__init__()
        self._heading, self._words = title, words

    def body(self) -> ComposeResult:
        """The paragraph."""
        with VerticalScroll(classes="box") as box:
            box.border_title = Content(self._heading)
            box.border_subtitle = "esc closes"
            yield Static(markup=False)

    def redraw(self) -> None:
        """Draw it with the figures of now."""
        self.query_one(Static).update(Content(self._words()))
