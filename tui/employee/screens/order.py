"""One order, whole, with room to scroll."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from server.features.orders.schemas import Order
from tui.common.screens.modal import Modal
from tui.common.widgets.too_small import TooSmall
from tui.employee.panels.details import lines_of

WIDTH = 64


class OrderScreen(Modal[None]):
    """Follows the order while it is open."""

    DEFAULT_CSS = """
    OrderScreen { & > .box { width: 70; } & Static { width: 1fr; height: auto; } }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space,enter", "close", "Close", show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("up", "scroll(-1)", show=False),
    ]

    def __init__(self, order: Order, present: Callable[[], Order | None]) -> None:
        """`present` gives the order as it is by now; None once it is off the board."""
        super().__init__()
        self._order = order
        self._present = present

    def compose(self) -> ComposeResult:
        """The lines, and a scroll bar where there are many."""
        with VerticalScroll(classes="box") as box:
            box.border_title = Content(f"Order #{self._order.number}")
            box.border_subtitle = "esc closes"
            yield Static("", id="order", markup=False)
        yield TooSmall()

    def on_mount(self) -> None:
        """Keep the clock in it right."""
        self.set_interval(1, self._draw)
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Other widths."""
        self.call_after_refresh(self._draw)

    def action_scroll(self, lines: int) -> None:
        """Up and down where it does not fit."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def _draw(self) -> None:
        self._order = self._present() or self._order
        static = self.query_one("#order", Static)
        width = static.content_size.width or WIDTH
        static.update(Content("\n").join(lines_of(self._order, datetime.now(UTC), width)))
