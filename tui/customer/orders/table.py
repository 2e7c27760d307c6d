"""The table of orders: number, restaurant, status, total, age."""

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget

from server.features.orders.schemas import Order
from tui.common.client.log_feed import MARK
from tui.common.format import STATUS_LOOKS, age, fit, human_money
from tui.common.widgets.row_list import RowList
from tui.customer.orders.format import is_late, placed_at
from tui.customer.orders.model import OrderStore

GAP = 2
STATUS_CELLS = 12
AGE_CELLS = 4
LEAST_NAME_CELLS = 12
NEAR_THE_END = 15
"""Rows below the window at which the next page is worth asking for."""


class OrderTable(RowList):
    """Draws the store."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", "Details")]

    def __init__(self, store: OrderStore, clock: Callable[[], datetime]) -> None:
        """`clock` is the server's."""
        super().__init__(id="order-table")
        self.store = store
        self._clock = clock
        self._money = 7

    def row_ids(self) -> Sequence[str]:
        """The orders, newest first."""
        return self.store.ids

    @property
    def order(self) -> Order | None:
        """The selected order."""
        return self.store.get(self.highlighted_id)

    @property
    def wants_more(self) -> bool:
        """Whether older orders should be read: the end is near and there are any."""
        near = self.rows_to_end <= NEAR_THE_END
        return near and self.store.older is not None and not self.filter_text

    def redraw(self) -> None:
        """Measure the totals, then draw."""
        orders = [self.store.at(row) for row in range(min(200, len(self.store)))]
        dearest = max((order.total_cents for order in orders), default=0)
        self._money = max(5, len(human_money(dearest)))
        super().redraw()

    def row_key(self, index: int) -> Hashable:
        """The order as it is now, and its age."""
        order = self.store.at(index)
        now = self._clock()
        looks = is_late(order, now), age(placed_at(order), now), order.id in self.store.replayed
        return order.id, order.version, order.status, *looks, self._money

    def header(self) -> Content:
        """The names of the columns; nothing over an empty table."""
        width = self.scrollable_content_region.width
        if not self.option_count:
            return Content("")
        number, name, status, money, aged = self._cells(width)
        total = f"{'Total':>{money}}" if money else ""
        return Content(
            f" {'Order':<{number}}{'Restaurant':<{name}}{'Status':<{status}}{total}"
            + (f"{'Age':>{aged}}" if aged else "")
        )

    def filter_key(self, index: int) -> str:
        """Number, restaurant, status and dishes."""
        order = self.store.at(index)
        dishes = " ".join(item.name for item in order.items)
        status = STATUS_LOOKS[order.status][1]
        return f"#{order.number:04d} {order.restaurant.name} {status} {dishes}"

    def filter_part(self) -> str:
        """Older ones may not be read yet."""
        return "" if self.store.older is None else "of the newest"

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """One order."""
        order = self.store.at(index)
        number, name, status, money, aged = self._cells(width)
        now = self._clock()
        glyph, word, ink = STATUS_LOOKS[order.status]
        if is_late(order, now):
            word, ink = f"{word} !", "$warning"
        own = "" if focused else "$wire-ink"
        parts: list[tuple[str, str]] = [
            (f"{MARK if order.id in self.store.replayed else ' '}#", own),
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


class OrderTableHeader(Widget):
    """The line above the table."""

    DEFAULT_CSS = """
    OrderTableHeader { height: 1; color: $wire-ink; background: $surface; }
    OrderTableHeader.-empty { display: none; }
    """

    def __init__(self, table: OrderTable) -> None:
        super().__init__()
        self._table = table
        self._drawn = Content("")

    def redraw(self) -> None:
        """Repaint if the columns have changed."""
        header = self._table.header()
        if header != self._drawn:
            self._drawn = header
            self.set_class(not header, "-empty")
            self.refresh()

    def render(self) -> Content:
        """The names of the columns."""
        return self._drawn
