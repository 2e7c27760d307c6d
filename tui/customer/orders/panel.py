"""The customer's panel "Orders": the table, the selected order, and what can be done with it."""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from math import inf
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType

from server.features.orders.schemas import CANCELLABLE, STEPS, NewRating, Order, OrderStatus
from tui.common.client.errors import ApiError, ClientError, SignedOut
from tui.common.client.meter import Pattern
from tui.common.commands import orders_found
from tui.common.dialogs.copy import Copyable, order_parts
from tui.common.format import message_for
from tui.common.panel import MINUTES_SECONDS, Panel
from tui.common.sanitize import plain
from tui.common.widgets.filter import FilterField
from tui.common.widgets.row_list import RowList
from tui.customer.orders import format as orders_format
from tui.customer.orders.dialogs import CancelScreen
from tui.customer.orders.feed import FEED, OrderFeed
from tui.customer.orders.format import status_message, why_not_cancellable
from tui.customer.orders.model import OrderStore
from tui.customer.orders.summary import OrderSummary
from tui.customer.orders.table import OrderTable, OrderTableHeader

if TYPE_CHECKING:
    from server.features.restaurants.schemas import Restaurant
    from tui.customer.ordering.basket import Basket

CLOCK_SECONDS = 60.0
"""How often ages and minutes are drawn again, unless an order is open."""
OPEN_SECONDS = 5.0
"""The same while one is: it may become late, and the minutes until it arrives are shown."""


class OrdersPanel(Panel):
    """Every open order is long-polled; the wire line shows the request of the selected one."""

    TITLE = "Orders"
    PATTERN = Pattern.LONG_POLL
    WHY = (
        "An order changes a handful of times: a held request brings each change at once, costs"
        " nothing in between but a request every 45 s, and passes every proxy."
    )
    SOURCES = (
        "server/features/orders/long_polling.py",
        "server/transports/long_polling.py",
        "tui/common/client/long_polling.py",
        "tui/customer/orders/feed.py",
    )
    VERB = "polls"
    CARD_BODY = (36, 14)
    KEYS = (
        ("n", "new order"),
        ("enter", "details of an order"),
        ("o", "order the same again"),
        ("c", "cancel, before they cook"),
        ("r", "refresh"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new_order", "New order"),
        Binding("o", "order_again", "Order again"),
        Binding("c", "cancel_order", "Cancel"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.store = OrderStore()
        self.baskets: dict[str, Basket] = {}
        """Baskets that were started and not ordered, by restaurant."""
        self.menus: list[Restaurant] = []
        """The menus that the palette searches."""
        self.menus_read_at = -inf
        """`time.monotonic()` when they were read."""
        self._own_cancels: set[str] = set()
        self._shown: tuple[str, OrderStatus] | None = None
        """The selected order and its status: the keys depend on these."""

    def body(self) -> ComposeResult:
        """The table, and the selected order below it."""
        # Here, not in start(): the table may ask for a redraw before.
        self.feed = OrderFeed(self.store, self.api, self.session, self.meter, self)
        table = OrderTable(self.store, self.session.server_now)
        yield OrderTableHeader(table)
        yield table
        yield FilterField()
        yield OrderSummary()

    def start(self) -> None:
        """Read the orders and poll the open ones."""
        self.feed.reload()
        self.needs_redraw = True

    def worker_failed(self, group: str, message: str) -> None:
        """Say it in the table too, where it was the feed."""
        super().worker_failed(group, message)
        if group == FEED:
            self.feed.error = message
            self.request_redraw()

    def unsaved(self) -> str | None:
        """A basket with dishes in it is only in this window."""
        filled = [basket for basket in self.baskets.values() if basket.lines]
        if not filled:
            return None
        names = ", ".join(plain(basket.restaurant.name) for basket in filled)
        baskets = "Your baskets" if len(filled) > 1 else "Your basket"
        return f"{baskets} at {names} would be lost."

    @property
    def order(self) -> Order | None:
        """The selected order."""
        return self._table.order

    # -- what the feed reports

    def work(self, doing: Coroutine[object, object, None], group: str) -> None:
        """Run this as a worker; a new one of a group replaces the one before."""
        self.run_worker(doing, group=group, exclusive=True, exit_on_error=False)

    def request_redraw(self) -> None:
        """The store, or an error, has changed."""
        self.needs_redraw = True

    def on_loaded(self) -> None:
        """Select the newest open order."""
        open_orders = self.store.open()
        if open_orders:
            self._table.highlight(open_orders[0].id)

    def on_status_changed(self, order: Order) -> None:
        """Show a toast, except for the customer's own cancellation."""
        if order.status is OrderStatus.CANCELLED and order.id in self._own_cancels:
            return
        self.notify(
            status_message(order, self.session.server_now()),
            title=order_title(order),
            severity="warning" if order.status is OrderStatus.CANCELLED else "information",
        )

    def on_refused(self, order: Order, reason: str) -> None:
        """Report that this order is not followed any more, and why."""
        self.notify(
            f"No longer updated: {reason} Press r to retry.",
            title=order_title(order),
            severity="warning",
        )

    @on(RowList.Scrolled)
    def _scrolled(self) -> None:
        self.query_one(OrderTableHeader).redraw()
        if self._table.wants_more:
            self.feed.load_older()

    # -- drawing

    def redraw(self) -> None:
        """Draw what has changed."""
        if (left := self.store.replayed.left) is not None:
            self.redraw_in(left)
        if self.store.open():
            self.redraw_in(OPEN_SECONDS)
        else:
            self.redraw_in(CLOCK_SECONDS, MINUTES_SECONDS)
        table, feed, now = self._table, self.feed, self.session.server_now()
        feed.track_open()
        table.message = orders_format.empty_message(self.store, feed.error)
        table.redraw()
        self.query_one(OrderTableHeader).redraw()
        order, open_orders = table.order, self.store.open()
        self.query_one(OrderSummary).show(order)
        self._show_tracked_meter(order)
        lead = orders_format.most_urgent(open_orders)
        self.set_summary(orders_format.summary(lead or order, self.store, feed.error, now))
        self.services.set_headline(orders_format.headline(lead, now), progress_of(lead))
        error = feed.older_error or (feed.error if self.store.loaded else "")
        footer = orders_format.footer(self.store, feed.loading_older, error)
        self.set_badge(len(open_orders), footer)
        shown = None if order is None else (order.id, order.status)
        if shown != self._shown:
            self._shown = shown
            self.refresh_bindings()
        if table.wants_more and not feed.older_error:
            feed.load_older()

    def _show_tracked_meter(self, order: Order | None) -> None:
        """The wire line shows the poll of an open order, else the one for every change."""
        followed = self._tracked_order(order)
        polled = None if followed is None else self.feed.tracker.meter_of(followed.id)
        self.show_meter(polled or self.feed.meter)

    def _tracked_order(self, order: Order | None) -> Order | None:
        """The selected order if it is polled, else the newest that is."""
        if order is not None and self.feed.tracker.is_tracked(order.id):
            return order
        return next((each for each in self.store if self.feed.tracker.is_tracked(each.id)), None)

    @on(RowList.OptionHighlighted)
    def _highlighted(self) -> None:
        self.needs_redraw = True

    # -- keys

    def drop_connection(self) -> bool:
        """Drop all held requests: one brings every change, one more each open order's status."""
        return self.feed.drop_connection()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Disable the keys that the selected order does not allow."""
        if action == "order_again":
            return self._table.order is not None
        if action == "cancel_order":
            order = self._table.order
            return order is not None and not order.status.terminal
        return True

    def commands(self) -> Iterable[SystemCommand]:
        """What the command palette offers."""
        yield SystemCommand("New order", "Restaurant, dishes, checkout", self.action_new_order)
        order = self._table.order
        if order is None:
            return
        name = order_title(order)
        details = f"{name}: dishes, steps, driver"
        yield SystemCommand("Order details", details, self._table.action_select)
        yield SystemCommand("Order again", f"The dishes of {name}", self.action_order_again)
        if order.status in CANCELLABLE:
            yield SystemCommand("Cancel the order", name, self.action_cancel_order)

    def finds(self) -> Iterable[SystemCommand]:
        """The orders that are known."""
        yield from orders_found(self.store, "restaurant", self._show_found)

    def _show_found(self, order_id: str) -> None:
        self.services.go_to(self)
        self.query_one(FilterField).clear()
        self._table.highlight(order_id)
        self.show_details(order_id)

    def open_menu(self, restaurant: "Restaurant", dish_id: str | None = None) -> None:
        """Start an order at that restaurant, with the highlight on that dish."""
        from tui.customer.ordering.screen import NewOrderScreen

        screen = NewOrderScreen(self.baskets)
        self.app.push_screen(screen, self._placed)
        screen.call_later(screen.open_menu, restaurant, dish_id)

    def copyable(self) -> Sequence[Copyable]:
        """Of the selected order."""
        order = self._table.order
        return () if order is None else order_parts(order)

    def reload(self) -> None:
        """Read the newest orders again."""
        self.feed.reload()

    def action_new_order(self) -> None:
        """Choose a restaurant, fill a basket, place the order."""
        from tui.customer.ordering.screen import NewOrderScreen

        self.app.push_screen(NewOrderScreen(self.baskets), self._placed)

    def action_order_again(self) -> None:
        """Start a basket like the selected order, at today's prices."""
        from tui.common.dialogs.confirm import ConfirmScreen

        order = self._table.order
        if order is None:
            return
        existing = self.baskets.get(order.restaurant.id)
        if existing is None or not existing.lines:
            self._open_again(order)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._open_again(order)

        words = (
            f"You have a basket of {existing.count} at {plain(order.restaurant.name)}. "
            "The dishes of this order would replace it."
        )
        self.app.push_screen(
            ConfirmScreen("Order again", words, yes="Replace it", no="Keep it"), answered
        )

    def _open_again(self, order: Order) -> None:
        from tui.customer.ordering.screen import NewOrderScreen

        self.app.push_screen(NewOrderScreen(self.baskets, again=order), self._placed)

    def _placed(self, order: Order | None) -> None:
        if order is None:
            if any(basket.unconfirmed for basket in self.baskets.values()):
                self.feed.reload()  # it may have arrived after all
            return
        self.feed.put(order)
        self.query_one(FilterField).clear()
        self._table.highlight(order.id)
        self._table.focus()
        self.notify(
            f"Sent to {plain(order.restaurant.name)}. Waiting for the restaurant to accept.",
            title=f"Order #{order.number:04d} placed",
        )

    @on(RowList.OptionSelected)
    def _order_chosen(self, event: RowList.OptionSelected) -> None:
        if event.option_id is not None:
            self.show_details(event.option_id)

    def show_details(self, order_id: str) -> None:
        """Open everything about this order."""
        from tui.customer.orders.dialogs import OrderDetailsScreen

        self.app.push_screen(OrderDetailsScreen(self.store, order_id), self._details_answered)
        self.work(self.feed.refresh(order_id), f"read-{order_id}")

    def _details_answered(self, answer: str | None) -> None:
        actions: dict[str, Callable[[], None]] = {
            "again": self.action_order_again,
            "cancel": self.action_cancel_order,
        }
        order = self._table.order
        if answer in actions:
            actions[answer]()
        elif answer is not None and order is not None:
            self.work(self._rate(order, int(answer)), f"rate-{order.id}")

    async def _rate(self, order: Order, stars: int) -> None:
        try:
            await self.api.rate(order.id, NewRating(stars=stars))
        except SignedOut:
            return
        except ClientError as error:
            self.notify(message_for(error), title=order_title(order), severity="warning")
            return
        self.notify(f"Rated {'★' * stars}. Thank you.", title=order_title(order))
        await self.feed.refresh(order.id)

    def action_cancel_order(self) -> None:
        """Ask, then cancel the selected order."""
        order = self._table.order
        if order is None:
            return
        if order.status not in CANCELLABLE:
            self.notify(why_not_cancellable(order), title=order_title(order), severity="warning")
            return

        def answered(reason: str | None) -> None:
            if reason is not None:
                self.work(self._cancel(order, reason), f"cancel-{order.id}")

        self.app.push_screen(CancelScreen(self.store, order), answered)

    async def _cancel(self, order: Order, reason: str) -> None:
        self._own_cancels.add(order.id)
        try:
            cancelled = await self.api.cancel(order.id, reason or None)
        except SignedOut:
            return
        except ClientError as error:
            self._own_cancels.discard(order.id)
            words = message_for(error)
            if isinstance(error, ApiError) and error.status == 409:
                await self.feed.refresh(order.id)
                words = why_not_cancellable(self.store.get(order.id) or order)
            self.notify(words, title=f"{order_title(order)}: not cancelled", severity="warning")
            return
        self.feed.put(cancelled)
        self.notify("Cancelled. Nothing is charged.", title=order_title(order))

    @property
    def _table(self) -> OrderTable:
        return self.query_one(OrderTable)


def order_title(order: Order) -> str:
    """The title of a toast about an order."""
    return plain(f"#{order.number:04d} {order.restaurant.name}")


def progress_of(order: Order | None) -> float | None:
    """How far an open order has come, from 0 to 1."""
    if order is None or order.status.terminal:
        return None
    return STEPS.index(order.status) / (len(STEPS) - 1)
