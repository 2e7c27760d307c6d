"""Asks whether an order is to be cancelled, and why."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Static

from server.features.orders.schemas import CANCELLABLE, Order
from tui.common.screens.modal import Modal
from tui.common.text import in_one_line, plain
from tui.common.widgets.too_small import TooSmall
from tui.customer.panels.order_book import OrderBook
from tui.customer.panels.wording import euros, why_not_cancellable


class CancelScreen(Modal[str]):
    """Answers with the reason, "" for none, or None to keep the order."""

    DEFAULT_CSS = """
    CancelScreen {
        & > .box { width: 62; border: round $error; border-title-color: $error; }
        & Input { margin-top: 1; }
        & Horizontal { height: auto; margin-top: 1; align-horizontal: right; }
        & Button { margin-left: 2; }
    }
    """
    AUTO_FOCUS = "#keep"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def __init__(self, book: OrderBook, order: Order) -> None:
        super().__init__()
        self._book, self._order = book, order

    def compose(self) -> ComposeResult:
        """The question, the reason, two buttons."""
        order = self._order
        with Vertical(classes="box") as box:
            box.border_title = Content(f"Cancel order #{order.number:04d}?")
            box.border_subtitle = "esc keeps it"
            yield Static(self._question(), markup=False)
            yield Input(id="reason", compact=True, max_length=500, placeholder="why, if you like")
            with Horizontal():
                yield Button("Keep it", id="keep", compact=True)
                yield Button("Cancel the order", id="cancel", variant="error", compact=True)
        yield TooSmall()

    def on_mount(self) -> None:
        """The kitchen may begin while we ask."""
        self.set_interval(0.25, self._look)

    def _question(self) -> str:
        order = self._order
        return (
            f"{plain(order.restaurant.name)}, {euros(order.total_cents)}. They have not begun to "
            "cook. Once they have, it cannot be cancelled."
        )

    def _look(self) -> None:
        order = self._book.get(self._order.id)
        if order is not None and order.status not in CANCELLABLE:
            self.query_one(Static).update(why_not_cancellable(order))
            self.query_one("#cancel", Button).disabled = True

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.query_one("#cancel", Button).focus()

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        if event.button.id == "cancel":
            self.dismiss(in_one_line(self.query_one("#reason", Input).value).strip())
        else:
            self.dismiss(None)
