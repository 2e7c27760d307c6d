"""A dialog over the panels."""

from functools import cached_property
from typing import ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget

from tui.common.services import Services, services_of

ResultT = TypeVar("ResultT")


class Dialog(ModalScreen[ResultT]):
    """Centred box, dimmed surroundings, esc closes with None."""

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
        Binding("escape", "close", "Close"),
        Binding("down", "app.focus_next", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("ctrl+q", "app.quit", show=False),
    ]

    @cached_property
    def services(self) -> Services:
        """What the app offers to its dialogs."""
        return services_of(self)

    def action_close(self) -> None:
        """Leave without an answer."""
        self.dismiss(None)


LEAST_COLUMNS = 56
LEAST_ROWS = 16


class TooSmall(Widget):
    """Covers its screen while the window is below 56x16."""

    DEFAULT_CSS = """
    TooSmall {
        display: none; layer: cover; width: 100%; height: 100%; background: $background;
        content-align: center middle; text-align: center;
    }
    """

    def render(self) -> Content:
        """The size there is and the size that is needed."""
        columns, rows = self.app.size
        return Content.assemble(
            ("This window is too small", "bold"),
            f"\n{columns}x{rows}; tiffin needs {LEAST_COLUMNS}x{LEAST_ROWS}\n",
            ("ctrl+q quits", "$wire-ink"),
        )
