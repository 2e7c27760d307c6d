"""The customer's panel "Orders": the table, the selected order, and what can be done with it."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from server.features.orders.schemas import CANCELLABLE, Order, OrderStatus
from tui.common.client.meter import Pattern
from tui.common.language import _, listed, ngettext
from tui.common.panel import MINUTES_SECONDS
from tui.common.sanitize import plain
from tui.common.widgets.filter import FilterField
from tui.common.widgets.row_list import RowList
from tui.customer.ordering.menus import Menus
from tui.customer.orders import format as orders_format
from tui.customer.orders.actions import OrderActions
from tui.customer.orders.feed import FEED, OrderFeed
from tui.customer.orders.format import order_title, progress_of, status_message
from tui.customer.orders.summary import OrderSummary
from tui.customer.orders.table import OrderTable, OrderTableHeader

EARLY, LATE = {"cancel_order", "ask_early"}, {"ask_support", "too_late_to_cancel"}
"""Actions of c and a while the order can be cancelled, and after that."""
CLOCK_SECONDS = 60.0
"""How often ages and minutes are drawn again, unless an order is open."""
OPEN_SECONDS = 5.0
"""The same while one is: it may become late, and the minutes until it arrives are shown."""


class OrdersPanel(OrderActions):
    """Every open order is long-polled; the wire line shows the request of the selected one."""

    TITLE = _("Orders")
    PATTERN = Pattern.LONG_POLL
    WHY = _(
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
        ("n", _("new order")),
        ("enter", _("details of an order")),
        ("o", _("order the same again")),
        ("c", _("cancel, before they cook")),
        ("a", _("ask support about it")),
        ("r", _("refresh")),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new_order", _("New order")),
        Binding("c", "cancel_order", _("Cancel")),
        Binding("a", "ask_support", _("Ask support")),
        # the key bar shows what suits the order; the other key is answered all the same
        Binding("c", "too_late_to_cancel", show=False),
        Binding("a", "ask_early", show=False),
        Binding("o", "order_again", _("Order again")),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._shown: tuple[str, OrderStatus] | None = None
        """The selected order and its status: the keys depend on these."""

    def body(self) -> ComposeResult:
        """The table, and the selected order below it."""
        # Here, not in start(): the table may ask for a redraw before.
        self.feed = OrderFeed(self.store, self.api, self.session, self.meter, self)
        self.menus = Menus(self.api, self.session)
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
        names = listed(plain(basket.restaurant.name) for basket in filled)
        return ngettext(
            "Your basket at {restaurants} would be lost.",
            "Your baskets at {restaurants} would be lost.",
            len(filled),
        ).format(restaurants=names)

    @property
    def order(self) -> Order | None:
        """The selected order."""
        return self._table.order

    # -- what the feed reports

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
            _("No longer updated: {reason} Press r to retry.").format(reason=reason),
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
        order = self._table.order
        if action == "order_again":
            return order is not None
        if action in EARLY | LATE:
            return order is not None and (order.status in CANCELLABLE) == (action in EARLY)
        return True

    def reload(self) -> None:
        """Read the newest orders again."""
        self.feed.reload()
