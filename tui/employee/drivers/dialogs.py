"""Which order a driver takes."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from server.features.orders.schemas import Order, OrderStatus
from server.features.restaurants.schemas import Driver
from tui.common.dialogs.base import Dialog
from tui.common.format import fit
from tui.common.sanitize import plain
from tui.employee.kitchen.model import NAMES

TAKEN_AT = (OrderStatus.ACCEPTED, OrderStatus.PREPARING, OrderStatus.READY)
"""The statuses at which an order may be given to a driver from here."""
LOOKS = {
    OrderStatus.ACCEPTED: ("●", "$p-ws"),
    OrderStatus.PREPARING: ("◐", "$warning"),
    OrderStatus.READY: ("◆", "$accent"),
}
NUMBER_CELLS = 6
STATUS_CELLS = 11
WHERE_CELLS = 28
WHO_CELLS = 19


class AssignScreen(Dialog[Order]):
    """Answers the order as it was shown; None when closed."""

    DEFAULT_CSS = """
    AssignScreen {
        & > .box { width: 76; }
        & #words { height: auto; color: $title; margin-bottom: 1; }
        & OptionList { max-height: 12; }
    }
    """
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("a", "close", show=False)]

    def __init__(self, driver: Driver, orders: Sequence[Order]) -> None:
        """`orders` are those that the driver may take, as `takeable` gives them."""
        super().__init__()
        self._driver, self._orders = driver, orders

    def body(self) -> ComposeResult:
        """A line of words and the orders."""
        name = plain(self._driver.name)
        with Vertical(classes="box") as box:
            box.border_title = Content(f"Which order for {fit(name, 40)}?")
            box.border_subtitle = "enter chooses · esc closes"
            yield Static(self._words(name), id="words", markup=False)
            choice = OptionList(*(Option(order_line(order)) for order in self._orders), id="orders")
            choice.styles.height = "auto"
            choice.display = bool(self._orders)
            yield choice

    def on_mount(self) -> None:
        """Enter takes the first."""
        if self._orders:
            self.query_one(OptionList).highlighted = 0

    def _words(self, name: str) -> str:
        if not self._orders:
            return (
                f"There is nothing that {name} could take: no order is accepted, being made or "
                "ready that is not theirs already."
            )
        if any(order.status is OrderStatus.READY for order in self._orders):
            return f"What is ready (◆) leaves with {name} at once."
        return f"It leaves with {name} once it is ready and sent off in the kitchen."

    @on(OptionList.OptionSelected)
    def _picked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._orders[event.option_index])


def takeable(orders: Iterable[Order], driver_id: str) -> list[Order]:
    """The orders that this driver may take, the oldest first."""
    may = (
        order
        for order in orders
        if order.status in TAKEN_AT and (order.driver is None or order.driver.id != driver_id)
    )
    return sorted(may, key=lambda order: order.number)


def order_line(order: Order) -> Content:
    """Number, status, where to, and who has it now."""
    glyph, ink = LOOKS[order.status]
    where = fit(order.address.text, WHERE_CELLS, pad=True)
    number = f"#{order.number}"
    gap = " " * max(1, NUMBER_CELLS - cell_len(number))
    who = (
        ("nobody yet", "$wire-ink")
        if order.driver is None
        else (fit(f"{plain(order.driver.name)} has it", WHO_CELLS), "$secondary")
    )
    status = fit(NAMES[order.status], STATUS_CELLS, pad=True)
    return Content.assemble(
        (number, "bold"), gap, (f"{glyph} {status}", ink), (where, ""), " ", who
    )
