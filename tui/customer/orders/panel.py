"""The customer's panel "Orders": the table, the order in view, and what can be done with it."""

from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Static

from server.features.orders.schemas import CANCELLABLE, Order, OrderStatus
from tui.common.client.errors import ApiError, ClientError, SignedOut
from tui.common.client.meter import Pattern
from tui.common.dialogs.base import Dialog
from tui.common.format import message_for
from tui.common.panel import Panel
from tui.common.sanitize import in_one_line, plain
from tui.common.widgets.row_list import RowList
from tui.common.widgets.too_small import TooSmall
from tui.customer.orders import format as order_lines
from tui.customer.orders.feed import OrderFeed
from tui.customer.orders.format import euros, news, why_not_cancellable
from tui.customer.orders.model import OrderBook
from tui.customer.orders.table import OrderTable
from tui.customer.orders.view import OrderInView

if TYPE_CHECKING:
    from tui.customer.ordering.basket import Basket

CLOCK_SECONDS = 5.0
"""How often ages and minutes are drawn again."""


class OrdersPanel(Panel):
    """Every open order has a held request of its own; the wire line shows the one in view."""

    TITLE = "Orders"
    PATTERN = Pattern.LONG_POLL
    VERB = "polls"
    CARD_BODY = (36, 14)
    KEYS = (
        ("n", "new order"),
        ("enter", "details of an order"),
        ("o", "order the same again"),
        ("c", "cancel, until they cook"),
        ("r", "read the list again"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new_order", "New order"),
        Binding("o", "order_again", "Order again"),
        Binding("c", "cancel_order", "Cancel"),
        Binding("r", "reload", "Reload", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.book = OrderBook()
        self.baskets: dict[str, Basket] = {}
        """Baskets begun and not sent, by restaurant."""
        self._own_cancels: set[str] = set()
        self._shown: tuple[str, OrderStatus] | None = None
        """The order in view, and where it stands: the keys depend on these."""

    def body(self) -> ComposeResult:
        """The table above, the order in view below."""
        # Here, not in start(): the table may want a redraw before.
        self.feed = OrderFeed(self.book, self.api, self.session, self.wire, self)
        yield OrderTable(self.book)
        yield OrderInView()

    def start(self) -> None:
        """Read the orders, follow the open ones."""
        self.set_interval(CLOCK_SECONDS, self.changed)
        self.feed.reload()
        self.needs_redraw = True

    def refresh_remote(self) -> None:
        """See whether another window has placed an order."""
        self.feed.look()

    @property
    def order(self) -> Order | None:
        """The order in view."""
        return self._table.order

    # -- what the feed tells

    def work(self, doing: Coroutine[object, object, None], group: str) -> None:
        """Run this as a worker; a new one of a group replaces the one before."""
        self.run_worker(doing, group=group, exclusive=True, exit_on_error=False)

    def changed(self) -> None:
        """Paint with the next redraw."""
        self.needs_redraw = True

    def opened(self) -> None:
        """Begin with the newest order that is open."""
        open_orders = self.book.open()
        if open_orders:
            self._table.view(open_orders[0].id)

    def moved(self, order: Order) -> None:
        """Say so, unless it is what one has just done oneself."""
        if order.status is OrderStatus.CANCELLED and order.id in self._own_cancels:
            return
        self.notify(
            news(order, datetime.now(UTC)),
            title=_name(order),
            severity="warning" if order.status is OrderStatus.CANCELLED else "information",
        )

    def lost(self, order: Order, words: str) -> None:
        """Say that this order is not followed any more, and why."""
        self.notify(
            f"Not followed any more: {words} Press r to retry.",
            title=_name(order),
            severity="warning",
        )

    @on(RowList.Scrolled)
    def _scrolled(self) -> None:
        if self._table.wants_more:
            self.feed.more()

    # -- painting

    def redraw(self) -> None:
        """Paint what has changed."""
        table, feed, now = self._table, self.feed, datetime.now(UTC)
        feed.follow_open()
        table.message = order_lines.nothing_there(self.book, feed.error)
        table.renew()
        order, open_orders = table.order, self.book.open()
        self.query_one(OrderInView).show(order)
        self._point_meter(order)
        lead = order_lines.most_pressing(open_orders)
        self.set_summary(order_lines.summary(lead or order, self.book, feed.error, now))
        self.services.set_headline(order_lines.headline(lead, now))
        error = feed.older_error or (feed.error if self.book.loaded else "")
        note = order_lines.note(self.book, feed.reading_older, error)
        self.set_badge(len(open_orders), note)
        shown = None if order is None else (order.id, order.status)
        if shown != self._shown:
            self._shown = shown
            self.refresh_bindings()
        if table.wants_more and not feed.older_error:
            feed.more()

    def _point_meter(self, order: Order | None) -> None:
        """The wire line shows the poll that `x` would cut."""
        followed = self._followed(order)
        self.show_meter(self.feed.tracker.meter_of(followed.id) if followed is not None else None)

    def _followed(self, order: Order | None) -> Order | None:
        """The order in view if it is polled, else the newest that is."""
        if order is not None and self.feed.tracker.follows(order.id):
            return order
        return next((each for each in self.book if self.feed.tracker.follows(each.id)), None)

    @on(RowList.Moved)
    def _cursor_moved(self) -> None:
        self.needs_redraw = True

    # -- what can be done

    def drop_connection(self) -> None:
        """Drop the held request of the order in view, or of the newest open one."""
        order = self._followed(self._table.order)
        if order is None or not self.feed.tracker.drop_connection(order.id):
            self.notify(
                "No order is open, so no request is held. Press n to order.", title=self.TITLE
            )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys only where they make sense."""
        if action == "order_again":
            return self._table.order is not None
        if action == "cancel_order":
            order = self._table.order
            return order is not None and not order.status.terminal
        return True

    def commands(self) -> Iterable[SystemCommand]:
        """What the palette offers of it."""
        yield SystemCommand("New order", "Restaurant, dishes, address, go", self.action_new_order)
        order = self._table.order
        if order is None:
            return
        name = _name(order)
        yield SystemCommand("Order details", f"{name}: dishes, steps, driver", self.show_details)
        yield SystemCommand("Order again", f"The dishes of {name}", self.action_order_again)
        if order.status in CANCELLABLE:
            yield SystemCommand("Cancel the order", name, self.action_cancel_order)

    def action_reload(self) -> None:
        """Read the newest orders again."""
        self.feed.reload()

    def action_new_order(self) -> None:
        """Restaurants, menu, basket, place."""
        from tui.customer.ordering.screen import NewOrderScreen

        self.app.push_screen(NewOrderScreen(self.baskets), self._placed)

    def action_order_again(self) -> None:
        """The basket of the order in view, at today's prices."""
        from tui.common.dialogs.confirm import ConfirmScreen

        order = self._table.order
        if order is None:
            return
        begun = self.baskets.get(order.restaurant.id)
        if begun is None or not begun.lines:
            self._again(order)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._again(order)

        words = (
            f"You have begun a basket of {begun.count} at {plain(order.restaurant.name)}. "
            "The dishes of this order would take its place."
        )
        self.app.push_screen(
            ConfirmScreen("Order again", words, yes="Replace it", no="Keep it"), answered
        )

    def _again(self, order: Order) -> None:
        from tui.customer.ordering.screen import NewOrderScreen

        self.app.push_screen(NewOrderScreen(self.baskets, again=order), self._placed)

    def _placed(self, order: Order | None) -> None:
        if order is None:
            if any(basket.in_doubt for basket in self.baskets.values()):
                self.feed.reload()  # it may have arrived after all
            return
        known = order.id in self.book
        self.feed.take(order)
        self._table.view(order.id)
        self._table.focus()
        if not known:
            self.notify(
                f"Sent to {plain(order.restaurant.name)}. Now it is their turn.",
                title=f"Order #{order.number:04d} placed",
            )

    @on(RowList.Chosen)
    def show_details(self) -> None:
        """Everything about the order in view; it stays live while it is open."""
        from tui.customer.orders.details import OrderDetails

        order = self._table.order
        if order is None:
            return
        self.app.push_screen(OrderDetails(self.book, order.id), self._after_details)
        self.work(self.feed.read(order.id), f"read-{order.id}")

    def _after_details(self, wish: str | None) -> None:
        actions: dict[str, Callable[[], None]] = {
            "again": self.action_order_again,
            "cancel": self.action_cancel_order,
        }
        if wish in actions:
            actions[wish]()

    def action_cancel_order(self) -> None:
        """Ask, then cancel the order in view."""

        order = self._table.order
        if order is None:
            return
        if order.status not in CANCELLABLE:
            self.notify(why_not_cancellable(order), title=_name(order), severity="warning")
            return

        def answered(reason: str | None) -> None:
            if reason is not None:
                self.work(self._cancel(order, reason), f"cancel-{order.id}")

        self.app.push_screen(CancelScreen(self.book, order), answered)

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
                await self.feed.read(order.id)
                words = why_not_cancellable(self.book.get(order.id) or order)
            self.notify(words, title=f"{_name(order)}: not cancelled", severity="warning")
            return
        self.feed.take(cancelled)
        self.notify("Cancelled. Nothing is charged.", title=_name(order))

    @property
    def _table(self) -> OrderTable:
        return self.query_one(OrderTable)


def _name(order: Order) -> str:
    """What a toast about an order is headed."""
    return plain(f"#{order.number:04d} {order.restaurant.name}")


class CancelScreen(Dialog[str]):
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
        self.set_interval(0.25, self._refresh_remote)

    def _question(self) -> str:
        order = self._order
        return (
            f"{plain(order.restaurant.name)}, {euros(order.total_cents)}. They have not begun to "
            "cook. Once they have, it cannot be cancelled."
        )

    def _refresh_remote(self) -> None:
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
