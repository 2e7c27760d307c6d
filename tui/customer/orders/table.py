"""The table of orders: number, restaurant, status, total, age."""

from collections.abc import Hashable
from datetime import UTC, datetime
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from server.features.orders.schemas import Order
from tui.common.format import fit, human_money
from tui.common.widgets.row_list import RowList
from tui.customer.orders.format import STATUS_LOOKS, age, is_late, placed_at
from tui.customer.orders.model import OrderStore

GAP = 2
STATUS_CELLS = 12
AGE_CELLS = 4
LEAST_NAME_CELLS = 12
NEAR_THE_END = 15
"""Rows below the window at which the next page is worth asking for."""


class OrderTable(RowList):
    """Draws the book. The order in view is kept by its id, so that a new one does not move it."""

    HEADER = True
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "Details")]

    def __init__(self, store: OrderStore) -> None:
        super().__init__(id="order-table")
        self.store = store
        self._id: str | None = None
        self._money = 7

    @property
    def count(self) -> int:
        """How many orders are known."""
        return len(self.store)

    @property
    def order(self) -> Order | None:
        """The order in view."""
        return self.store.get(self._id)

    @property
    def wants_more(self) -> bool:
        """Whether older orders should be asked for: the end is near and there are any."""
        return self.store.older is not None and self.rows_to_end <= NEAR_THE_END

    def view(self, order_id: str) -> None:
        """Bring an order into view."""
        self._id = order_id
        self.renew()

    def renew(self) -> None:
        """Find the order in view again, measure, paint."""
        orders = [self.store.at(row) for row in range(min(200, self.count))]
        dearest = max((order.total_cents for order in orders), default=0)
        self._money = max(5, len(human_money(dearest)))
        row = self.store.index(self._id)
        if row is not None and row != self.cursor:
            self.cursor = row
        super().renew()
        if row is None and self.count:
            self._id = self.store.at(self.cursor).id

    def watch_cursor(self) -> None:
        """The order under the cursor is the one in view."""
        if self.cursor < self.count:
            self._id = self.store.at(self.cursor).id
        super().watch_cursor()

    def row_key(self, index: int) -> Hashable:
        """The order as it is now, and its age."""
        order = self.store.at(index)
        now = datetime.now(UTC)
        late = is_late(order, now)
        return order.id, order.version, order.status, late, age(placed_at(order), now), self._money

    def draw_header(self, width: int) -> Content:
        """The names of the columns."""
        number, name, status, money, aged = self._cells(width)
        total = f"{'Total':>{money}}" if money else ""
        return Content(
            f" {'Order':<{number}}{'Restaurant':<{name}}{'Status':<{status}}{total}"
            + (f"{'Age':>{aged}}" if aged else "")
        )

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """One order."""
        order = self.store.at(index)
        number, name, status, money, aged = self._cells(width)
        now = datetime.now(UTC)
        glyph, word, ink = STATUS_LOOKS[order.status]
        if is_late(order, now):
            word, ink = f"{word} !", "$warning"
        own = "" if focused else "$wire-ink"
        parts: list[tuple[str, str]] = [
            (" #", own),
            (fit(f"{order.number:04d}", number - 1, pad=True), ""),
            (fit(order.restaurant.name, name - GAP, pad=True) + " " * GAP, ""),
            (f"{glyph} ", ink),
            (fit(word, status - 2, pad=True), "$wire-ink" if order.status.terminal else ink),
        ]
        if money:
            parts += [
                ("€".rjust(money - self._money - 1) + " ", own),
                (f"{human_money(order.total_cents):>{self._money}}", ""),
            ]
        if aged:
            parts.append((f"{age(placed_at(order), now):>{aged}}", own))
        return [Content.assemble(*parts)]

    def _cells(self, width: int) -> tuple[int, int, int, int, int]:
        """The widths of number, restaurant, status, total and age.

        The restaurant takes what is left; where that is too little, the age goes, then the total.
        """
        number, status = 5 + GAP, STATUS_CELLS + GAP
        money, aged = self._money + 2, GAP + AGE_CELLS
        room = width - 2 - number - status
        if room - money - aged < LEAST_NAME_CELLS:
            aged = 0
        if room - money - aged < LEAST_NAME_CELLS:
            money, status, room = 0, STATUS_CELLS, room + GAP
        return number, max(LEAST_NAME_CELLS, room - money - aged), status, money, aged
