"""The table of orders: number, restaurant, status, total, age."""

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget

from server.features.orders.schemas import Order
from tui.common.client.log_feed import MARK
from tui.common.format import STATUS_LOOKS, age, clock_time, fit, money
from tui.common.language import _
from tui.common.widgets.row_list import RowList
from tui.customer.orders.format import is_late, placed_at
from tui.customer.orders.model import OrderStore

GAP = 2
STATUS_CELLS = 12
AGE_CELLS = 4
LEAST_NAME_CELLS = 12
NEAR_DAYS = {0: _("today"), 1: _("yesterday")}
"""What a filter calls the days that have a name."""
NEAR_THE_END = 15
"""Rows below the window at which the next page is worth asking for."""


class OrderTable(RowList):
    """Draws the store."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", _("Details"))]

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
        totals = (money(order.total_cents, order.currency) for order in orders)
        self._money = max(map(cell_len, totals), default=5)
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
        number, name, status, cells, aged = self._cells(width)
        left = _("Order").ljust(number) + _("Restaurant").ljust(name) + _("Status").ljust(status)
        total = _("Total").rjust(cells) if cells else ""
        return Content(f" {left}{total}" + (_("Age").rjust(aged) if aged else ""))

    def filter_key(self, index: int) -> str:
        """Number, restaurant, status, dishes, and when: the age, the date, today or yesterday."""
        order, now = self.store.at(index), self._clock()
        placed = placed_at(order)
        days = (now.astimezone().date() - placed.astimezone().date()).days
        date = clock_time(placed, now).rpartition(" ")[0]
        when = f"{age(placed, now)} {NEAR_DAYS.get(days, '')} {date}"
        dishes = " ".join(item.name for item in order.items)
        status = STATUS_LOOKS[order.status][1]
        return f"#{order.number:04d} {order.restaurant.name} {status} {dishes} {when}"

    def filter_part(self) -> str:
        """Older ones may not be read yet."""
        return "" if self.store.older is None else _("of the newest")

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """One order."""
        order = self.store.at(index)
        number, name, status, cells, aged = self._cells(width)
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
        if cells:
            total = money(order.total_cents, order.currency)
            parts.append((" " * (cells - cell_len(total)) + total, ""))
        if aged:
            parts.append((f"{age(placed_at(order), now):>{aged}}", own))
        return [Content.assemble(*parts)]

    def _cells(self, width: int) -> tuple[int, int, int, int, int]:
        """The widths of number, restaurant, status, total and age.

        The restaurant takes what is left; where that is too little, the age goes, then the total.
        """
        number, status = 5 + GAP, STATUS_CELLS + GAP
        total, aged = self._money, GAP + AGE_CELLS
        room = width - 2 - number - status
        if room - total - aged < LEAST_NAME_CELLS:
            aged = 0
        if room - total - aged < LEAST_NAME_CELLS:
            total, status, room = 0, STATUS_CELLS, room + GAP
        return number, max(LEAST_NAME_CELLS, room - total - aged), status, total, aged


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
