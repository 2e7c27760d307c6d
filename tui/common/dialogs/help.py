"""The help: all keys, the patterns, and how to read a wire line."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from tui.common.dialogs.base import Dialog
from tui.common.dialogs.news import PATTERNS, STATES
from tui.common.language import _
from tui.common.styles import PATTERN_COLOR, STATE_GLYPH
from tui.common.widgets.filter import Filterable, FilterField, matcher

if TYPE_CHECKING:
    from tui.common.panel import Panel

Keys = Sequence[tuple[str, str]]
"""Keys, and what they do."""

GENERAL: Keys = (
    ("1 … 6", _("go to a panel")),
    ("tab ⇧tab", _("next field, previous field")),
    ("^← ^→", _("next panel, previous panel")),
    ("/", _("filter the list; esc clears")),
    ("z", _("zoom panel, and back")),
    ("r f5", _("try again, refresh")),
    ("x", _("cut its line for 10 seconds")),
    ("X", _("hold the cut, or restore it")),
    ("i", _("how it gets its news")),
    ("t", _("day / night")),
    ("f2", _("account, log out")),
    ("f3", _("the lab, on a demo")),
    ("f8", _("mark an alert as read")),
    ("^p", _("all commands")),
    ("? f1", _("help")),
    ("esc", _("leave field, close")),
    ("^z", _("to the shell, until fg")),
    ("^q", _("quit")),
)
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
        Binding("slash", "filter", _("Filter"), show=False),
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
        groups = [(title, keys), (_("Keys everywhere"), general)]
        groups += [(panel.TITLE, panel.KEYS) for panel in panels]
        self._groups = [group for group in groups if group[1]]

    def body(self) -> ComposeResult:
        """Keys on the left, the wire on the right."""
        with VerticalScroll(classes="box") as box:
            box.border_title = _("Help")
            box.border_subtitle = _("/ filters · esc closes")
            yield FilterField()
            with Horizontal():
                with Vertical(classes="keys"):
                    yield KeyList(self._groups)
                with Vertical(classes="reading"):
                    yield Static(self._reading, markup=False)

    def action_scroll(self, lines: int) -> None:
        """Scroll."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_filter(self) -> None:
        """Filter the keys."""
        self.query_one(VerticalScroll).scroll_home(animate=False)
        self.query_one(KeyList).action_filter()


class KeyList(Static, Filterable):
    """The keys, in groups; those that a filter leaves."""

    def __init__(self, groups: Sequence[tuple[str, Keys]]) -> None:
        super().__init__()
        self._groups = groups

    def on_mount(self) -> None:
        """Show all."""
        self.redraw()

    def focus(self, scroll_visible: bool = True, from_app_focus: bool = False) -> Self:
        """It is the help that scrolls."""
        self.screen.query_one(VerticalScroll).focus()
        return self

    def filter_counts(self) -> tuple[int, int, str]:
        """How many keys are shown, of how many."""
        return sum(len(keys) for _, keys in self._found()), self._total, ""

    def redraw(self) -> None:
        """Show the keys that the filter leaves."""
        lines: list[Content] = []
        for title, keys in self._found():
            if lines:
                lines.append(Content(""))
            lines.append(Content.assemble((title, "bold")))
            lines += [_row(key, words) for key, words in keys]
        self.update(Content("\n").join(lines or [self.nothing_matches]))

    @property
    def _total(self) -> int:
        return sum(len(keys) for _, keys in self._groups)

    def _found(self) -> list[tuple[str, Keys]]:
        matches = matcher(self.filter_text)
        found = [
            (title, [one for one in keys if matches(f"{title} {one[0]} {one[1]}")])
            for title, keys in self._groups
        ]
        return [group for group in found if group[1]]


def _reading() -> Content:
    lines = [Content.assemble((_("Reading the wire line"), "bold"))]
    lines += [
        Content.assemble(STATE_GLYPH[state], ("  ", ""), (words, ""))
        for state, words in STATES.items()
    ]
    lines += [
        Content(""),
        *map(
            Content,
            _(
                "Then: events; the age of news as it\n"
                "arrives, from its being logged by the\n"
                "server (p50: half are younger, p95: 95\n"
                "in 100 are, ±: the clocks' error); bytes\n"
                "and requests an event; overhead: bytes\n"
                "on the wire for each byte of data. At\n"
                "the right, the age of the newest, or\n"
                "the last round trip where none is known."
            ).splitlines(),
        ),
        Content(""),
        Content.assemble((_("Patterns"), "bold")),
    ]
    for pattern, words in PATTERNS.items():
        for at, line in enumerate(words.split("\n")):
            name = str(pattern) if at == 0 else ""
            lines.append(Content.assemble((f"{name:<12}", f"bold {PATTERN_COLOR[pattern]}"), line))
    lines += [
        Content(""),
        Content.assemble((_("Text"), "bold")),
        _row(_("drag"), _("select")),
        _row("^c", _("copy the selection")),
    ]
    return Content("\n").join(lines)


def _row(key: str, words: str) -> Content:
    """Key and words, whose further lines begin below the first."""
    first, *more = Content(words).wrap(KEYS_CELLS - KEY_CELLS - 2)
    before = " " * max(0, KEY_CELLS - cell_len(key))
    line = Content.assemble(before, (key, "bold $primary"), "  ", first)
    return Content("\n").join([line, *(Content(" " * (KEY_CELLS + 2)) + one for one in more)])
