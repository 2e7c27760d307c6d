"""A numbered panel: border and title, body, summary while it is a card, and its wire line."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from math import ceil, inf
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.css.query import NoMatches
from textual.message import Message
from textual.widgets import Input, Static, TextArea
from textual.worker import Worker, WorkerState

from tui.common.client.meter import Pattern, State
from tui.common.format import age_lasts
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.services import Services, services_of
from tui.common.widgets.key_bar import press_hint
from tui.common.widgets.wire_line import WireLine

if TYPE_CHECKING:
    from tui.common.client.api import Api
    from tui.common.client.meter import Meter, Wire
    from tui.common.client.session import Session


TOGETHER_SECONDS = 0.5
MINUTES_SECONDS = 30.0
"""What changes with time is drawn at multiples of the first, and an age in minutes or more at
multiples of the second: all at once."""
EARLY_SECONDS = 0.05


def moment_in(seconds: float, multiple: float = TOGETHER_SECONDS) -> float:
    """`time.monotonic()` in so many seconds, or later: at the next multiple of `multiple`."""
    moment = time.monotonic() + seconds
    if 0 < seconds < TOGETHER_SECONDS:
        return moment
    return ceil((moment - EARLY_SECONDS) / multiple) * multiple


class Panel(Vertical):
    """One feature on the screen, with the connection that feeds it.

    A subclass names itself in `TITLE` and `PATTERN`, yields its widgets in `body()` and
    opens its streams in `start()`, as workers with a group of their own and
    `exit_on_error=False`. Stream handlers change the model, set `needs_redraw` and return:
    `redraw()` paints, at most 20 times a second. What it paints of the time, it asks to have drawn
    again by `redraw_in()`: no timer runs where nothing changes. A panel lives as long as one
    log-in: it is made anew for the next one, so it holds nothing of another account.
    """

    TITLE: ClassVar[str] = ""
    PATTERN: ClassVar[Pattern] = Pattern.REST
    METER: ClassVar[str] = ""
    """The name of the meter its wire line starts with; `TITLE` by default."""
    VERB: ClassVar[str] = "ev"
    """What the wire line counts: `ev`, `msgs`, `polls`, `requests`."""
    CARD_BODY: ClassVar[tuple[int, int] | None] = None
    """The least columns and rows at which the body is readable as a card: a card that large shows
    the body instead of the summary. None: a card always shows the summary."""
    SPAN: ClassVar[int] = 1
    """How many columns and rows of the wide grid it takes while it is in front."""
    REDRAW_SECONDS: ClassVar[float] = 0.0
    """Least time between two redraws, for contents that cannot be read when they change faster."""
    NOTHING_TO_CUT: ClassVar[str] = _("Not connected; nothing to cut.")
    WHY: ClassVar[str] = ""
    """Why its pattern is the right one for its news."""
    SOURCES: ClassVar[tuple[str, ...]] = ()
    """The files that send the news, and those that read it."""
    KEYS: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Keys and what they do, for the help screen."""
    ALLOW_MAXIMIZE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("r,f5", "retry", _("Try again"), show=False)]

    DEFAULT_CSS = """
    Panel {
        border: round $edge; background: $surface; padding: 0; height: 1fr; width: 1fr;
        border-title-color: $title; border-title-style: bold; border-title-background: $surface;
        border-subtitle-color: $wire-ink; border-subtitle-background: $surface;
        &.-main { border: round $primary; border-title-color: $primary; }
        &.-main:nocolor { border: heavy $primary; }
        &:focus { background-tint: transparent 0%; }
        & > .body { height: 1fr; padding: 0 1; }
        & > .summary {
            display: none; height: 1fr; padding: 0 1;
            text-wrap: nowrap; text-overflow: ellipsis;
        }
    }
    """

    class BadgeChanged(Message):
        """Posted when the count beside the title changes."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.number = 0
        """Its place among the panels, from 1, and its key; the grid gives it."""
        self.redrawn_at = 0.0
        """`time.monotonic()` of the last redraw."""
        self.redraw_at: float | None = None
        """`time.monotonic()` at which to redraw even if nothing happens."""
        self.on_redraw_wanted: Callable[[], object] = lambda: None
        """Called when `needs_redraw` or `redraw_at` is set."""
        self.followers: list[Panel] = []
        """Panels that show what this one knows: they are redrawn after it."""
        self._needs_redraw = False
        self._meter: Meter | None = None
        self._line: WireLine | None = None
        self._badge = 0
        self._note = Content("")
        self._summary = Content("")

    @property
    def needs_redraw(self) -> bool:
        """Whether something has changed since the last redraw."""
        return self._needs_redraw

    @needs_redraw.setter
    def needs_redraw(self, needed: bool) -> None:
        self._needs_redraw = needed
        if needed:
            self.on_redraw_wanted()

    def redraw_in(self, seconds: float, multiple: float = TOGETHER_SECONDS) -> None:
        """Be redrawn in so many seconds, or before; up to `multiple` later, with what else is."""
        moment = moment_in(seconds, multiple)
        self.redraw_at = moment if self.redraw_at is None else min(moment, self.redraw_at)
        self.on_redraw_wanted()

    def redraw_with_age(self, age: float) -> None:
        """Be redrawn when an age of so many seconds reads differently."""
        self.redraw_in(age_lasts(age), TOGETHER_SECONDS if age < 100 else MINUTES_SECONDS)

    @cached_property
    def services(self) -> Services:
        """What the app offers to its panels."""
        return services_of(self)

    @property
    def session(self) -> "Session":
        """The logged-in session."""
        return self.services.session

    @property
    def api(self) -> "Api":
        """Typed calls on that session."""
        return self.services.api

    @property
    def wire(self) -> "Wire":
        """All the meters."""
        return self.services.wire

    @property
    def in_view(self) -> bool:
        """Whether somebody can see it: in front, nothing over it, the terminal in focus."""
        app = self.app
        return self.has_class("-main") and len(app.screen_stack) == 1 and app.app_focus

    @property
    def watches_wire(self) -> bool:
        """Whether it shows heartbeats to somebody who looks at them."""
        return False

    @property
    def meter(self) -> "Meter":
        """The meter the wire line draws: the panel's own, unless another is set."""
        if self._meter is None:
            self._meter = self.wire.meter(self.METER or self.TITLE, self.PATTERN)
        return self._meter

    @meter.setter
    def meter(self, meter: "Meter") -> None:
        self._meter = meter
        if self._line is not None:
            self._line.meter = meter
            self._line.refresh()

    def show_meter(self, meter: "Meter | None") -> None:
        """Have the wire line show the connection that carries the news in view, if there is one."""
        if meter is not None and meter is not self.meter:
            self.meter = meter

    def compose(self) -> ComposeResult:
        """Compose body, summary and wire line; a panel fills in `body()`."""
        with Vertical(classes="body"):
            yield from self.body()
        yield Static(self._summary, classes="summary", markup=False)
        self._line = WireLine(self.meter, self.VERB)
        yield self._line
        self._update_title()

    def body(self) -> ComposeResult:
        """What the panel shows."""
        yield from ()

    def start(self) -> None:
        """Logged in and mounted: open the streams. Called once."""

    def stop(self) -> None:
        """The panel is about to be removed at log-out: release what workers would not."""

    def redraw(self) -> None:
        """Paint what has changed since the last time. Called at most 20 times a second."""

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Show an error of our own: it must not look like a feed without news."""
        error = event.worker.error
        if event.state is WorkerState.ERROR and error is not None:
            self.worker_failed(
                event.worker.group, _("Stopped by an error: {error!r}.").format(error=error)
            )

    def worker_failed(self, group: str, message: str) -> None:
        """A worker has ended with an error other than a `ClientError`: say so."""
        self.meter.set_state(State.DOWN, _("stopped by an error"))
        self.notify(
            _("{message} Log out and in again.").format(message=message),
            title=self.TITLE,
            severity="error",
        )

    def cut(self, seconds: float) -> None:
        """Cut the line in view for so many seconds; `inf` holds the cut until the next time."""
        meter = self.meter
        if seconds == inf and meter.is_held:
            meter.cut(0)
            return
        if self.drop_connection() or meter.is_cut:
            meter.cut(seconds)
        else:
            self.notify(self.NOTHING_TO_CUT, title=self.TITLE)

    def drop_connection(self) -> bool:
        """Drop the connection of the stream in view; it comes back by itself. False where there is
        none."""
        return False

    def copyable(self) -> Sequence[tuple[str, str]]:
        """What of its selection can be copied: what it is, and its text."""
        return ()

    def unsaved(self) -> str | None:
        """What would be lost with this window, in a sentence; None where there is nothing."""
        return None

    async def send_held(self) -> bool:
        """Send what waits to be undone, before the window closes: by default nothing does. False
        where that failed, which is said."""
        return True

    def filter(self) -> None:
        """Filter what it lists: by default the first list in it that can be filtered."""
        from tui.common.widgets.filter import Filterable

        lists = (
            rows
            for rows in self.query("*").results(Filterable)
            if rows.display and rows.check_action("filter", ())
        )
        if (rows := next(lists, None)) is not None:
            rows.action_filter()

    def action_retry(self) -> None:
        """Retry now whatever waits for its next attempt, and refresh what is shown."""
        from tui.common.client.retry import retry_now

        retry_now()
        self.reload()

    def reload(self) -> None:
        """Refresh what is shown: by default what another window may have changed."""
        self.refresh_remote()

    def acknowledge(self) -> bool:
        """Acknowledge what it shows over everything else; False if there is nothing."""
        return False

    def commands(self) -> Iterable[SystemCommand]:
        """What the command palette offers of this panel."""
        return ()

    def finds(self) -> Iterable[SystemCommand]:
        """What the palette finds of its data: the name, what else is searched, how to go there."""
        return ()

    def toast(self, message: str, *, about: str = "", error: bool = False) -> None:
        """Show a toast; a newer one `about` the same takes its place."""
        self.notify(
            message,
            title=f"{self.TITLE}: {about}" if about else self.TITLE,
            severity="warning" if error else "information",
            timeout=8,
        )

    def set_summary(self, summary: Content | str) -> None:
        """The panel's summary as a card, two lines. A plain string is text, never markup."""
        if isinstance(summary, str):
            summary = Content(plain(summary, newlines=True))
        if summary == self._summary:
            return
        self._summary = summary
        try:
            # its place is fixed; laying out the whole screen for every change would cost most
            self.query_one(".summary", Static).update(summary, layout=False)
        except NoMatches:  # before it is composed, or after it is gone
            return

    def set_badge(self, count: int = 0, note: Content | str = "") -> None:
        """A count beside the title (none at 0), and a note at the lower edge.

        A plain string is text, never markup.
        """
        note = Content(plain(note)) if isinstance(note, str) else note
        if note != self._note:
            self._note = note
            self.border_subtitle = Content.assemble(note)
        if count != self._badge:
            self._badge = count
            self._update_title()
            # To the app at once: from a panel drawn by its grid it would stop at the grid.
            self.app.post_message(self.BadgeChanged())

    @property
    def badge(self) -> int:
        """The count beside the title."""
        return self._badge

    def update_wire_line(self) -> float | None:
        """Repaint the wire line if it has changed. Returns `time.monotonic()` from which it has
        changed with time, None where it does not."""
        line = self._line
        if line is None or not line.is_on_screen or (wait := line.update()) is None:
            return None
        return moment_in(wait, TOGETHER_SECONDS if wait < MINUTES_SECONDS else MINUTES_SECONDS)

    def on_wire_changed(self) -> None:
        """Called when anything has crossed the wire, for any panel."""

    def refresh_remote(self) -> None:
        """Check what another window of the account may have done; called at intervals, and when the
        terminal gets the focus."""

    def on_resize(self, event: events.Resize) -> None:
        """Check whether there is room for the body even as a card."""
        self.needs_redraw = True
        least = self.CARD_BODY
        roomy = least is not None and event.size.width >= least[0] and event.size.height >= least[1]
        if roomy != self.has_class("-roomy"):
            self.set_class(roomy, "-roomy", update=False)
            # only these depend on it; restyling all below takes longer than laying it out
            self.app.stylesheet.update_nodes([self, *self.children])

    def on_click(self, event: events.Click) -> None:
        """A click anywhere in the panel goes to it; on a key named at its edge, presses it."""
        if not self.has_focus_within:
            self.enter()
        press_hint(self, event)

    def enter(self) -> None:
        """Focus the main widget: by default the first that can have the focus.

        At once, not with the next message: the next key is meant for this panel.
        """
        if self.can_focus:
            self.screen.set_focus(self)
            return
        for widget in self.query("*"):
            if widget.focusable and widget.display:
                self.screen.set_focus(widget)
                return

    def leave_field(self) -> None:
        """Move the focus from a field to the rest of the panel; nothing if no field has it."""
        if not isinstance(self.screen.focused, Input | TextArea):
            return
        for widget in self.query("*"):
            if widget.focusable and widget.display and not isinstance(widget, Input | TextArea):
                self.screen.set_focus(widget)
                return

    def _update_title(self) -> None:
        title: list[tuple[str, str]] = [
            (f"{self.number}", "$wire-ink not bold"),
            (f" {self.TITLE}", ""),
        ]
        if self._badge:
            title += [(" ", ""), (f" {self._badge} ", "bold $badge-ink on $primary")]
        self.border_title = Content.assemble(*title)
