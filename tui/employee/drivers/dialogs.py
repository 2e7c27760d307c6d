"""The dialog that assigns an order to a driver."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.content import Content

from server.features.orders.schemas import Order, OrderStatus
from server.features.restaurants.schemas import Driver
from tui.common.dialogs.choice import ChoiceScreen
from tui.common.format import STATUS_LOOKS, fit
from tui.common.language import _
from tui.common.sanitize import plain

ASSIGNABLE = (OrderStatus.ACCEPTED, OrderStatus.PREPARING, OrderStatus.READY)
"""The statuses at which an order may be assigned here."""
NUMBER_CELLS = 6
STATUS_CELLS = 11
ADDRESS_CELLS = 26
DRIVER_CELLS = 19


class AssignScreen(ChoiceScreen[Order]):
    """Answers the chosen order as it was shown."""

    DEFAULT_CSS = "AssignScreen > .box { width: 76; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("a", "close", show=False)]

    def __init__(self, driver: Driver, orders: Sequence[Order]) -> None:
        """`orders` are those that `assignable` gives."""
        name = plain(driver.name)
        super().__init__(
            _("Assign an order to {name}").format(name=fit(name, 40)),
            [(order_line(order), order) for order in orders],
            words=_explain(name, orders),
            hint=_("enter assigns · esc closes"),
        )


def _explain(name: str, orders: Sequence[Order]) -> str:
    if not orders:
        return _(
            "No order can be assigned to {name}: none is accepted, cooking or ready, "
            "except their own."
        ).format(name=name)
    if any(order.status is OrderStatus.READY for order in orders):
        return _("An order that is ready (◆) leaves with {name} at once.").format(name=name)
    return _("The order leaves with {name} once it is ready and sent off in the kitchen.").format(
        name=name
    )


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
