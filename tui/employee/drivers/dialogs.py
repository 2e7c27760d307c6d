"""The dialog that assigns an order to a driver."""

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
from tui.common.format import STATUS_LOOKS, fit
from tui.common.language import _
from tui.common.sanitize import plain

ASSIGNABLE = (OrderStatus.ACCEPTED, OrderStatus.PREPARING, OrderStatus.READY)
"""The statuses at which an order may be assigned here."""
NUMBER_CELLS = 6
STATUS_CELLS = 11
ADDRESS_CELLS = 28
DRIVER_CELLS = 19


class AssignScreen(Dialog[Order]):
    """Returns the chosen order as it was shown; None when closed."""

    DEFAULT_CSS = """
    AssignScreen {
        & > .box { width: 76; }
        & #hint { height: auto; color: $title; margin-bottom: 1; }
        & OptionList { max-height: 12; }
    }
    """
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("a", "close", show=False)]

    def __init__(self, driver: Driver, orders: Sequence[Order]) -> None:
        """`orders` are those that `assignable` gives."""
        super().__init__()
        self._driver, self._orders = driver, orders

    def body(self) -> ComposeResult:
        """A hint and the orders."""
        name = plain(self._driver.name)
        with Vertical(classes="box") as box:
            box.border_title = Content(_("Assign an order to {name}").format(name=fit(name, 40)))
            box.border_subtitle = _("enter assigns · esc closes")
            yield Static(self._hint(name), id="hint", markup=False)
            choice = OptionList(*(Option(order_line(order)) for order in self._orders), id="orders")
            choice.styles.height = "auto"
            choice.display = bool(self._orders)
            yield choice

    def on_mount(self) -> None:
        """Enter assigns the first."""
        if self._orders:
            self.query_one(OptionList).highlighted = 0

    def _hint(self, name: str) -> str:
        if not self._orders:
            return _(
                "No order can be assigned to {name}: none is accepted, cooking or ready, "
                "except their own."
            ).format(name=name)
        if any(order.status is OrderStatus.READY for order in self._orders):
            return _("An order that is ready (◆) leaves with {name} at once.").format(name=name)
        return _(
            "The order leaves with {name} once it is ready and sent off in the kitchen."
        ).format(name=name)

    @on(OptionList.OptionSelected)
    def _on_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._orders[event.option_index])


def assignable(orders: Iterable[Order], driver_id: str) -> list[Order]:
    """The orders that may be assigned to this driver, the oldest first."""
    found = (
        order
        for order in orders
        if order.status in ASSIGNABLE and (order.driver is None or order.driver.id != driver_id)
    )
    return sorted(found, key=lambda order: order.number)


def order_line(order: Order) -> Content:
    """Number, status, address, and the driver it has now."""
    glyph, name, ink = STATUS_LOOKS[order.status]
    address = fit(order.address.text, ADDRESS_CELLS, pad=True)
    number = f"#{order.number}"
    gap = " " * max(1, NUMBER_CELLS - cell_len(number))
    driver = (
        (_("no driver yet"), "$wire-ink")
        if order.driver is None
        else (
            fit(_("{driver} has it").format(driver=plain(order.driver.name)), DRIVER_CELLS),
            "$secondary",
        )
    )
    status = fit(name, STATUS_CELLS, pad=True)
    return Content.assemble(
        (number, "bold"), gap, (f"{glyph} {status}", ink), (address, ""), " ", driver
    )
