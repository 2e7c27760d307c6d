"""The help: all keys, the patterns, how to read a wire line, and how a panel gets its news."""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from tui.common.client.meter import Pattern, State
from tui.common.dialogs.base import Dialog
from tui.common.format import human_bytes, human_latency, news_age
from tui.common.sanitize import plain
from tui.common.theme import PATTERN_COLOR, STATE_GLYPH

if TYPE_CHECKING:
    from tui.common.panel import Panel

Keys = Sequence[tuple[str, str]]
"""Keys, and what they do."""

GENERAL: Keys = (
    ("1 … 6", "go to a panel"),
    ("tab ⇧tab", "next field, previous field"),
    ("^← ^→", "next panel, previous panel"),
    ("/", "filter the list; esc clears"),
    ("z", "zoom panel, and back"),
    ("r f5", "try again, refresh"),
    ("x", "cut its line for 10 seconds"),
    ("X", "hold the cut, or restore it"),
    ("i", "how it gets its news"),
    ("t", "day / night"),
    ("f2", "account, log out"),
    ("f3", "the lab, on a demo"),
    ("f8", "mark an alert as read"),
    ("^p", "all commands"),
    ("? f1", "help"),
    ("esc", "leave field, close"),
    ("^z", "to the shell, until fg"),
    ("^q", "quit"),
)
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
TEXTUALS_OWN = frozenset(
    {"app.focus_next", "app.focus_previous", "screen.copy_text"}
    | {f"{how}_{side}" for how in ("scroll", "page") for side in ("left", "right")}
)
"""Actions of keys that Textual gives to every screen, or to lists that never scroll sideways."""
KEYS_CELLS = 38
"""The width of the keys' column, as in the CSS below."""
KEY_CELLS = 9


def keys_of(screen: Screen[Any]) -> Keys:
    """The keys of a dialog that have a description; what works everywhere is in `GENERAL`."""
    found = {
        active.binding.action: active.binding
        for active in screen.active_bindings.values()
        if active.enabled and active.binding.description and not isinstance(active.node, App)
    }
    shown = [
        (screen.app.get_key_display(one), one.description)
        for action, one in found.items()
        if action not in TEXTUALS_OWN
    ]
    return list(dict.fromkeys(shown))  # ten keys may be shown as one: 0-9


class HelpScreen(Dialog[None]):
    """Two columns; scrolls in a low window."""

    DEFAULT_CSS = """
    HelpScreen {
        & > .box { width: 90; }
        & Horizontal { height: auto; }
        & .keys { width: 38; height: auto; }
        & .reading { width: 1fr; height: auto; padding-left: 2; }
        &.-narrow Horizontal { layout: vertical; }
        &.-narrow .keys, &.-narrow .reading { width: 100%; padding: 0; margin-bottom: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "close", show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("up", "scroll(-1)", show=False),
    ]

    def __init__(
        self,
        title: str,
        keys: Keys,
        panels: Iterable["Panel"],
        *,
        general: Keys = GENERAL,
        reading: Content | None = None,
    ) -> None:
        """`keys` work where the help was opened, and come first; then those of `panels`. `reading`
        says how to read the screen: by default, the wire line and the patterns."""
        super().__init__()
        self._reading = _reading() if reading is None else reading
        groups = [(title, keys), ("Keys everywhere", general)]
        groups += [(panel.TITLE, panel.KEYS) for panel in panels]
        self._groups = [group for group in groups if group[1]]

    def body(self) -> ComposeResult:
        """Keys on the left, the wire on the right."""
        with VerticalScroll(classes="box") as box:
            box.border_title = "Help"
            box.border_subtitle = "esc closes"
            with Horizontal():
                with Vertical(classes="keys"):
                    yield Static(self._keys())
                with Vertical(classes="reading"):
                    yield Static(self._reading, markup=False)

    def action_scroll(self, lines: int) -> None:
        """Scroll."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def _keys(self) -> Content:
        lines: list[Content] = []
        for title, keys in self._groups:
            if lines:
                lines.append(Content(""))
            lines.append(Content.assemble((title, "bold")))
            lines += [_row(key, words) for key, words in keys]
        return Content("\n").join(lines)


class NewsScreen(Dialog[None]):
    """How a panel gets its news, and what that has cost so far; kept current."""

    DEFAULT_CSS = "NewsScreen > .box { width: 62; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("i,enter", "close", show=False)]

    def __init__(self, panel: "Panel") -> None:
        super().__init__()
        self._panel = panel

    def body(self) -> ComposeResult:
        """The lines."""
        with Vertical(classes="box") as box:
            box.border_title = Content(f"How {self._panel.TITLE} gets its news")
            box.border_subtitle = "esc closes"
            yield Static(markup=False)

    def redraw(self) -> None:
        """Draw the figures."""
        self.query_one(Static).update(self._lines())

    def _lines(self) -> Content:
        meter = self._panel.meter
        rows: list[tuple[str, str]] = [
            ("requests", str(meter.requests)),
            ("events", str(meter.events)),
            ("received", human_bytes(meter.bytes)),
            ("sent", human_bytes(meter.bytes_sent)),
            ("reconnected", f"{meter.reconnects}×, {meter.replayed} events replayed"),
        ]
        if meter.last_event_at is not None:
            age = news_age(time.monotonic() - meter.last_event_at)
            rows.append(("last event", age if age == "now" else f"{age} ago"))
        if meter.latencies:
            rows.append(("round trip", human_latency(meter.latencies[-1])))
        detail = f": {plain(meter.detail)}" if meter.detail else ""
        return Content("\n").join(
            [
                Content.assemble((str(meter.pattern), f"bold {PATTERN_COLOR[meter.pattern]}")),
                Content(f"{PATTERNS[meter.pattern]}"),
                Content(""),
                Content.assemble(STATE_GLYPH[meter.state], "  ", f"{STATES[meter.state]}{detail}"),
                Content(""),
                *(Content.assemble((f"{name:<14}", "$title"), value) for name, value in rows),
            ]
        )


def _reading() -> Content:
    lines = [Content.assemble(("Reading the wire line", "bold"))]
    lines += [
        Content.assemble(STATE_GLYPH[state], ("  ", ""), (words, ""))
        for state, words in STATES.items()
    ]
    lines += [
        Content(""),
        Content("Then: events, bytes, age of the last,"),
        Content("and the latency of round trips."),
        Content(""),
        Content.assemble(("Patterns", "bold")),
    ]
    for pattern, words in PATTERNS.items():
        for at, line in enumerate(words.split("\n")):
            name = str(pattern) if at == 0 else ""
            lines.append(Content.assemble((f"{name:<12}", f"bold {PATTERN_COLOR[pattern]}"), line))
    lines += [
        Content(""),
        Content.assemble(("Text", "bold")),
        _row("drag", "select"),
        _row("^c", "copy the selection"),
    ]
    return Content("\n").join(lines)


def _row(key: str, words: str) -> Content:
    """Key and words, whose further lines begin below the first."""
    first, *more = Content(words).wrap(KEYS_CELLS - KEY_CELLS - 2)
    before = " " * max(0, KEY_CELLS - cell_len(key))
    line = Content.assemble(before, (key, "bold $primary"), "  ", first)
    return Content("\n").join([line, *(Content(" " * (KEY_CELLS + 2)) + one for one in more)])
