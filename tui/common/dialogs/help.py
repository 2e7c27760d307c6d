"""All keys, the patterns, and how to read a wire line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.common.client.meter import Pattern, State
from tui.common.dialogs.base import Dialog
from tui.common.theme import PATTERN_INK, STATE_GLYPH

if TYPE_CHECKING:
    from tui.common.panel import Panel

GENERAL = (
    ("tab ⇧tab", "next field, the one before"),
    ("^← ^→", "next panel, the one before"),
    ("z", "zoom panel, and back"),
    ("x", "cut its line, see it return"),
    ("t", "day / night"),
    ("f2", "account, log out"),
    ("^p", "all commands"),
    ("esc", "leave field, close"),
    ("^z", "to the shell, until fg"),
    ("^q", "quit"),
)
STATES = (
    (State.LIVE, "live"),
    (State.WAITING, "waiting on a held request"),
    (State.RETRY, "reconnecting"),
    (State.DOWN, "down"),
    (State.IDLE, "not in use"),
)
PATTERNS = (
    (Pattern.LONG_POLL, "the server holds a request\nuntil something changes"),
    (Pattern.SSE, "one stream, server to you"),
    (Pattern.WEBSOCKET, "one stream, both ways"),
    (Pattern.SHORT_POLL, "ask again, when the server says"),
    (Pattern.REST, "one request, one answer"),
)
KEY_CELLS = 9


class HelpScreen(Dialog[None]):
    """Two columns; scrolls where the window is low."""

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
        Binding("question_mark,q", "close", "Close", show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("up", "scroll(-1)", show=False),
    ]

    def __init__(self, panels: Sequence["Panel"] = ()) -> None:
        super().__init__()
        self._panels = [(panel.TITLE, panel.KEYS) for panel in panels if panel.KEYS]
        self._count = len(panels)

    def body(self) -> ComposeResult:
        """Keys on the left, the wire on the right."""
        with VerticalScroll(classes="box") as box:
            box.border_title = "Help"
            box.border_subtitle = "esc closes"
            with Horizontal():
                with Vertical(classes="keys"):
                    yield Static(self._keys())
                with Vertical(classes="reading"):
                    yield Static(self._reading())

    def action_scroll(self, lines: int) -> None:
        """Up and down where it does not fit."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def _keys(self) -> Content:
        numbers = [("1 … " + str(self._count), "go to a panel")] if self._count else []
        groups: list[tuple[str, Sequence[tuple[str, str]]]] = [("Keys", [*numbers, *GENERAL])]
        groups += self._panels
        lines: list[Content] = []
        for title, keys in groups:
            if lines:
                lines.append(Content(""))
            lines.append(Content.assemble((title, "bold")))
            lines += [_row(key, words) for key, words in keys]
        return Content("\n").join(lines)

    def _reading(self) -> Content:
        lines = [Content.assemble(("Reading the wire line", "bold"))]
        lines += [
            Content.assemble(STATE_GLYPH[state], ("  ", ""), (words, "")) for state, words in STATES
        ]
        lines += [
            Content(""),
            Content("Then: events, bytes, age of the last,"),
            Content("and the latency of round trips."),
            Content(""),
            Content.assemble(("Patterns", "bold")),
        ]
        for pattern, words in PATTERNS:
            for at, line in enumerate(words.split("\n")):
                name = str(pattern) if at == 0 else ""
                lines.append(
                    Content.assemble((f"{name:<12}", f"bold {PATTERN_INK[pattern]}"), line)
                )
        lines += [
            Content(""),
            Content.assemble(("Text", "bold")),
            _row("drag", "select"),
            _row("^c", "copy the selection"),
        ]
        return Content("\n").join(lines)


def _row(key: str, words: str) -> Content:
    return Content.assemble(
        (" " * max(0, KEY_CELLS - cell_len(key)), ""), (key, "bold $primary"), "  ", words
    )
