"""The dialog "History": a day's orders, or those found by number, customer or dish."""

from collections.abc import Callable, Coroutine, Hashable, Sequence
from datetime import date, datetime, timedelta
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from server.features.orders.schemas import Order
from server.features.restaurants.schemas import RestaurantSummary
from tui.common.client.errors import ClientError
from tui.common.dialogs.base import Dialog
from tui.common.dialogs.copy import Copyable, order_parts
from tui.common.format import STATUS_LOOKS, day_name, fit, hours_minutes, items_in_short, money
from tui.common.language import _, ngettext
from tui.common.widgets.row_list import RowList
from tui.common.widgets.status_line import StatusLine
from tui.employee.history.span import DAY, DAY_KEYS
from tui.employee.kitchen.dialogs import OrderDetailsScreen

ENOUGH = 40
"""Orders that a search finds before it waits for somebody to come near their end."""
NEAR_THE_END = 10
"""Rows below those in view."""
CUSTOMER_CELLS = 18
NARROW_CELLS, NARROW_CUSTOMER_CELLS = 90, 12
STATUS_CELLS = 11


class HistoryList(RowList):
    """An order a line; `left` and `right` change the day."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", _("Details")),
        *DAY_KEYS,
    ]

    def __init__(self, restaurant: RestaurantSummary) -> None:
        super().__init__(id="history")
        self.orders: list[Order] = []
        self.of_a_day = True
        """Numbered from the day's first; else with the day of each."""
        self._restaurant = restaurant
        self._money = 7

    @property
    def order(self) -> Order | None:
        """The selected one."""
        at = self.highlighted_index
        return None if at is None or at >= len(self.orders) else self.orders[at]

    def show(self, orders: list[Order], *, of_a_day: bool, message: str = "") -> None:
        """Show these."""
        self.orders, self.of_a_day = orders, of_a_day
        self.message = Content.assemble((message, "$wire-ink"))
        totals = [money(order.total_cents, order.currency) for order in orders]
        self._money = max(map(len, totals), default=7)
        self.redraw()

    def row_ids(self) -> Sequence[str]:
        """The orders, as they are shown."""
        return [order.id for order in self.orders]

    def row_key(self, index: int) -> Hashable:
        """The order as it was read, and its place."""
        order = self.orders[index]
        return order.id, order.version, index if self.of_a_day else -1, self._money

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """One order: when, number, customer, dishes, total, status."""
        order = self.orders[index]
        at = self._restaurant.there(order.timeline[0].at)
        clock = hours_minutes(at, at.tzinfo, in_column=True)
        when = f"{index + 1:>3}. {clock}" if self.of_a_day else f"{at:%Y-%m-%d} {clock}"
        glyph, word, ink = STATUS_LOOKS[order.status]
        quiet = "" if focused else "$wire-ink"
        name_cells = NARROW_CUSTOMER_CELLS if width < NARROW_CELLS else CUSTOMER_CELLS
        total = f"{money(order.total_cents, order.currency):>{self._money}}"
        left = Content.assemble(
            (f" {when}  ", quiet),
            (f"#{order.number:<6}", "bold"),
            (fit(order.customer.name, name_cells, pad=True) + "  ", ""),
        )
        right = Content.assemble(
            f"  {total}  ", (f"{glyph} ", ink), (fit(word, STATUS_CELLS, pad=True), quiet)
        )
        room = width - left.cell_length - right.cell_length
        dishes = fit(items_in_short(order), room, pad=True) if room > 0 else ""
        return [Content.assemble(left, (dishes, quiet), right)]


class HistoryScreen(Dialog[None]):
    """Shows today's orders first; a text finds orders of any day."""

    DEFAULT_CSS = """
    HistoryScreen {
        & > .box { width: 116; height: 90%; }
        & #day { height: 1; color: $title; text-style: bold; }
        & #find { margin-bottom: 1; }
        & StatusLine { margin-top: 0; }
    }
    """
    AUTO_FOCUS = "HistoryList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "find", _("Find"), key_display="/"),
        Binding("p", "ticket", _("Ticket")),
        Binding("down", "to_list", show=False),
        Binding("up", "find", show=False),
    ]

    def __init__(
        self, restaurant: RestaurantSummary, now: datetime, print_ticket: Callable[[Order], None]
    ) -> None:
        """`now` is the server's clock; `print_ticket` prints or saves a ticket, and says so."""
        super().__init__()
        self._restaurant = restaurant
        self._today = restaurant.there(now).date()
        self._day = self._today
        self._text = ""
        """What is searched; "" shows a day."""
        self._following: str | None = None
        """The next page of a search."""
        self._print = print_ticket

    def body(self) -> ComposeResult:
        """What is shown, the field, the orders, a line for results."""
        with Vertical(classes="box") as box:
            box.border_title = _("History")
            box.border_subtitle = _("←→ day · / find · enter details · p ticket · esc closes")
            yield Static("", id="day", markup=False)
            yield Input(
                id="find",
                compact=True,
                max_length=80,
                placeholder=_("find by number, customer or dish, of any day"),
            )
            yield HistoryList(self._restaurant)
            yield StatusLine()

    def on_mount(self) -> None:
        """Read today's orders."""
        self._read_day()

    @property
    def rows(self) -> HistoryList:
        """The list."""
        return self.query_one(HistoryList)

    def copyable(self) -> Sequence[Copyable]:
        """Of the selected order."""
        return () if self.rows.order is None else order_parts(self.rows.order)

    # -- keys

    def action_day(self, days: int) -> None:
        """Go so many days on; none is after today."""
        self._text = self.query_one("#find", Input).value = ""
        try:
            self._day = min(self._today, self._day + timedelta(days=days))
        except OverflowError:
            return
        self._read_day()

    def action_find(self) -> None:
        """Go to the field."""
        self.query_one("#find", Input).focus()

    def action_to_list(self) -> None:
        """Go to the orders."""
        self.rows.focus()

    def action_ticket(self) -> None:
        """Print or save the selected order's ticket."""
        if (order := self.rows.order) is not None:
            self._print(order)

    def action_close(self) -> None:
        """Leave the search, then close."""
        if self._text or self.query_one("#find", Input).has_focus:
            self.rows.focus()
            if self._text:
                self.action_day(0)
        else:
            self.dismiss(None)

    @on(RowList.OptionSelected)
    def _details(self) -> None:
        if (order := self.rows.order) is not None:
            self.app.push_screen(HistoryDetailsScreen(order, self._print))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        self._text = event.value.strip()
        self.rows.focus()
        if not self._text:
            self._read_day()
            return
        self._following = None
        self._say(_("Orders with “{text}”").format(text=self._text))
        self.rows.show([], of_a_day=False, message=_("Searching…"))
        self._run(self._find(self._text))

    @on(RowList.Scrolled)
    def _scrolled(self) -> None:
        if self._text and self._following and self.rows.rows_to_end < NEAR_THE_END:
            before, self._following = self._following, None
            self._run(self._find(self._text, before))

    # -- requests

    def _run(self, work: Coroutine[object, object, None]) -> None:
        self.run_worker(self._report(work), group="history", exclusive=True, exit_on_error=True)

    async def _report(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except ClientError as error:
            self.rows.message = Content.assemble(("✕ ", "bold $error"), error.message)
            self.rows.redraw()
            words = _("{why} Press enter in the field, or ← and →, to try again.")
            self.show_status(words.format(why=error.message))

    def _read_day(self) -> None:
        self._say(day_name(self._day))
        self.rows.show([], of_a_day=True, message=_("Loading…"))
        self._run(self._load(self._day))

    async def _load(self, day: date) -> None:
        since, until = day.isoformat(), (day + DAY).isoformat()
        orders = await self.services.api.orders_placed(since, until)
        orders.reverse()  # the day's first is the first
        nothing = _("No orders on this day. ← goes a day back.")
        self.rows.show(orders, of_a_day=True, message=nothing)
        if orders:
            self.rows.highlighted = len(orders) - 1 if day == self._today else 0
        count = ngettext("{count} order", "{count} orders", len(orders))
        count = count.format(count=len(orders))
        self._say(f"{day_name(day)} · {count} · {self._restaurant.time_zone}")

    async def _find(self, text: str, before: str | None = None) -> None:
        orders = list(self.rows.orders) if before else []
        enough = len(orders) + ENOUGH
        nothing = _("No order with “{text}”.").format(text=text)
        while True:
            page = await self.services.api.found_orders(text, before)
            orders += page.items
            self.rows.show(orders, of_a_day=False, message=_("Searching…"))
            before = page.next
            if before is None or len(orders) >= enough:
                break
            self.show_status(_("Searching older orders…"), "info")
        self._following = before
        self.rows.message = Content.assemble((nothing, "$wire-ink"))
        self.rows.redraw()
        words = ngettext("{count} order with “{text}”", "{count} orders with “{text}”", len(orders))
        if before:
            words = _("{count} orders and more with “{text}”")
        self._say(words.format(count=len(orders), text=text))

    def _say(self, what: str) -> None:
        self.query_one("#day", Static).update(Content(fit(what, 70)))
        self.show_status("")


class HistoryDetailsScreen(OrderDetailsScreen):
    """An order of the past; `p` prints its ticket."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("p", "ticket", _("Ticket"))]

    def __init__(self, order: Order, print_ticket: Callable[[Order], None]) -> None:
        super().__init__(order, lambda: None)
        self._print = print_ticket

    def on_mount(self) -> None:
        """Say the key."""
        super().on_mount()
        self.query_one(".box").border_subtitle = _("p ticket · esc closes")

    def action_ticket(self) -> None:
        """Print or save its ticket."""
        self._print(self._order)
