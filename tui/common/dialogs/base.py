"""A dialog over the panels."""

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from tui.common.language import _
from tui.common.services import Services, services_of
from tui.common.terminal_cells import LayoutCompositor
from tui.common.widgets.key_bar import press_hint
from tui.common.widgets.status_line import Kind, StatusLine
from tui.common.widgets.too_small import TooSmall, add_size_classes

ResultT = TypeVar("ResultT")


class Dialog(ModalScreen[ResultT]):
    """Centred box, dimmed surroundings, esc closes with None.

    A subclass yields its box in `body()`, and in it a `StatusLine` if it calls `show_status`. What
    it shows of the panels' news it draws in `redraw()`.
    """

    DEFAULT_CSS = """
    Dialog {
        align: center middle; background: $background 70%; layers: base cover;
        & > .box {
            width: 72; max-width: 96%; height: auto; max-height: 96%;
            border: round $primary; background: $surface; padding: 1 2;
            border-title-color: $primary; border-title-style: bold;
            border-subtitle-color: $wire-ink; scrollbar-size-vertical: 1; overflow-y: auto;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", _("Close")),
        Binding("q", "close", show=False),
        Binding("question_mark", "app.help", show=False),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("ctrl+q", "app.quit", show=False),
        Binding("y", "app.copy", _("Copy"), show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._compositor = LayoutCompositor()

    @cached_property
    def services(self) -> Services:
        """What the app offers to its dialogs."""
        return services_of(self)

    def compose(self) -> ComposeResult:
        """The box, and what covers it in a window that is too small."""
        add_size_classes(self)
        yield from self.body()
        yield TooSmall()

    def body(self) -> ComposeResult:
        """The box."""
        yield from ()

    def redraw(self) -> None:
        """Draw what has changed. Called when the dialog opens, and whenever panels were drawn: what
        a dialog shows of an order or of the time is what they show."""

    def on_mount(self) -> None:
        """Draw for the first time."""
        self.redraw()

    def show_status(self, message: str, kind: Kind = "error") -> None:
        """Show the result of the last action; "" clears it. Does nothing once it is closed."""
        if self.is_attached:
            self.query_one(StatusLine).show(message, kind)

    def copyable(self) -> Sequence[tuple[str, str]]:
        """What of it can be copied: what it is, and its text."""
        return ()

    def unsaved(self) -> str | None:
        """What would be lost with it, in a sentence; None if nothing."""
        return None

    def show_error(self, error: Exception) -> None:
        """Show what is wrong, and focus the field it is about. Raises what is an error of ours."""
        from tui.common.format import field_of, message_for

        message = message_for(error)
        if self.is_attached:
            self.show_status(message)
            self.focus_field(field_of(error))

    def focus_field(self, field: str | None) -> None:
        """Focus the widget of that id, if there is one."""
        for widget in self.query(f"#{field}") if field and field.isidentifier() else ():
            widget.focus()

    def on_click(self, event: events.Click) -> None:
        """A click on a key named at the edge presses it."""
        any(press_hint(box, event) for box in self.query(".box"))

    def action_close(self) -> None:
        """Close without an answer."""
        self.dismiss(None)
