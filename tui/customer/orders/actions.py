"""What a customer can do with orders: place, repeat, open, rate, cancel, copy, ask support."""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import SystemCommand
from textual.message import Message

from server.features.orders.schemas import CANCELLABLE, NewRating, Order
from tui.common.client.errors import ApiError, ClientError, SignedOut
from tui.common.commands import orders_found
from tui.common.dialogs.copy import Copyable, order_parts
from tui.common.format import message_for
from tui.common.language import _
from tui.common.panel import Panel
from tui.common.sanitize import plain
from tui.common.widgets.filter import FilterField
from tui.common.widgets.row_list import RowList
from tui.customer.ordering.menus import Menus
from tui.customer.orders.dialogs import CancelScreen
from tui.customer.orders.feed import OrderFeed
from tui.customer.orders.format import order_title, why_not_cancellable
from tui.customer.orders.model import OrderStore
from tui.customer.orders.table import OrderTable

if TYPE_CHECKING:
    from server.features.restaurants.schemas import Restaurant
    from tui.customer.ordering.basket import Basket
    from tui.customer.ordering.screen import NewOrderScreen


class OrderActions(Panel):
    """The keys and commands of the panel "Orders"."""

    feed: OrderFeed
    menus: Menus
    """What is searched for a dish."""

    class AskSupport(Message):
        """The customer has a question about this order."""

        def __init__(self, order: Order) -> None:
            super().__init__()
            self.order = order

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.store = OrderStore()
        self.baskets: dict[str, Basket] = {}
        """Baskets that were started and not ordered, by restaurant."""
        self._own_cancels: set[str] = set()

    def work(self, doing: Coroutine[object, object, None], group: str) -> None:
        """Run this as a worker; a new one of a group replaces the one before."""
        self.run_worker(doing, group=group, exclusive=True, exit_on_error=False)

    def action_ask_support(self) -> None:
        """Have a chat about the selected order opened."""
        if (order := self._table.order) is not None:
            self._ask_support(order)

    def _ask_support(self, order: Order) -> None:
        self.post_message(self.AskSupport(order))

    def action_ask_early(self) -> None:
        """The same, while it can be cancelled."""
        self.action_ask_support()

    def commands(self) -> Iterable[SystemCommand]:
        """What the command palette offers."""
        yield SystemCommand(
            _("New order"), _("Restaurant, dishes, checkout"), self.action_new_order
        )
        order = self._table.order
        if order is None:
            return
        name = order_title(order)
        about = _("{order}: dishes, steps, driver").format(order=name)
        yield SystemCommand(_("Order details"), about, self._table.action_select)
        about = _("The dishes of {order}").format(order=name)
        yield SystemCommand(_("Order again"), about, self.action_order_again)
        yield SystemCommand(_("Ask support about the order"), name, self.action_ask_support)
        save = partial(self._save_receipt, order)
        about = _("{order}, as text").format(order=name)
        yield SystemCommand(_("Save the receipt"), about, save)
        if order.status in CANCELLABLE:
            yield SystemCommand(_("Cancel the order"), name, self.action_cancel_order)

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
        screen = self._new_order()
        screen.call_later(screen.open_menu, restaurant, dish_id)

    def copyable(self) -> Sequence[Copyable]:
        """Of the selected order."""
        order = self._table.order
        return () if order is None else order_parts(order, _("your phone"))

    def action_new_order(self) -> None:
        """Choose a restaurant, fill a basket, place the order."""
        self._new_order()

    def action_order_again(self) -> None:
        """Start a basket like the selected order, at today's prices."""
        if (order := self._table.order) is not None:
            self._order_again(order)

    def _order_again(self, order: Order) -> None:
        from tui.common.dialogs.confirm import ConfirmScreen

        existing = self.baskets.get(order.restaurant.id)
        if existing is None or not existing.lines:
            self._new_order(order)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._new_order(order)

        words = _(
            "You have a basket of {count} at {restaurant}. The dishes of this order would replace "
            "it."
        ).format(count=existing.count, restaurant=plain(order.restaurant.name))
        self.app.push_screen(
            ConfirmScreen(_("Order again"), words, yes=_("Replace it"), no=_("Keep it")), answered
        )

    def _new_order(self, again: Order | None = None) -> "NewOrderScreen":
        from tui.customer.ordering.screen import NewOrderScreen

        recent = self.store.recent_addresses()
        screen = NewOrderScreen(self.baskets, self.menus, again, recent)
        self.app.push_screen(screen, self._placed)
        return screen

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
            _("Sent to {restaurant}. Waiting for the restaurant to accept.").format(
                restaurant=plain(order.restaurant.name)
            ),
            title=_("Order #{number:04d} placed").format(number=order.number),
        )

    @on(RowList.OptionSelected)
    def _order_chosen(self, event: RowList.OptionSelected) -> None:
        if event.option_id is not None:
            self.show_details(event.option_id)

    def show_details(self, order_id: str) -> None:
        """Open everything about this order."""
        from tui.customer.orders.dialogs import OrderDetailsScreen

        answered = partial(self._details_answered, order_id)
        self.app.push_screen(OrderDetailsScreen(self.store, order_id), answered)
        self.work(self.feed.refresh(order_id), f"read-{order_id}")

    def _details_answered(self, order_id: str, answer: str | None) -> None:
        """Do that with the order of the details. Another may be selected by now: a filter hides it
        where it no longer has the status that was looked for."""
        actions: dict[str, Callable[[Order], None]] = {
            "again": self._order_again,
            "cancel": self._cancel_order,
            "ask": self._ask_support,
        }
        order = self.store.get(order_id)
        if order is None or answer is None:
            return
        if answer in actions:
            actions[answer](order)
        else:
            self.work(self._rate(order, int(answer)), f"rate-{order.id}")

    async def _rate(self, order: Order, stars: int) -> None:
        try:
            await self.api.rate(order.id, NewRating(stars=stars))
        except SignedOut:
            return
        except ClientError as error:
            self.notify(message_for(error), title=order_title(order), severity="warning")
            return
        self.notify(
            _("Rated {stars}. Thank you.").format(stars="★" * stars), title=order_title(order)
        )
        await self.feed.refresh(order.id)

    def _save_receipt(self, order: Order) -> None:
        from tui.customer.orders.dialogs import save_receipt

        save_receipt(self, order, self.session.server_now())

    def action_cancel_order(self) -> None:
        """Ask, then cancel the selected order."""
        if (order := self._table.order) is not None:
            self._cancel_order(order)

    def _cancel_order(self, order: Order) -> None:
        if order.status not in CANCELLABLE:
            self._say_too_late(order)
            return

        def answered(reason: str | None) -> None:
            if reason is not None:
                self.work(self._cancel(order, reason), f"cancel-{order.id}")

        self.app.push_screen(CancelScreen(self.store, order), answered)

    def action_too_late_to_cancel(self) -> None:
        """Say why the selected order cannot be cancelled, and what one can do."""
        if (order := self._table.order) is not None:
            self._say_too_late(order)

    def _say_too_late(self, order: Order) -> None:
        self.notify(why_not_cancellable(order), title=order_title(order), severity="warning")

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
            title = _("{order}: not cancelled").format(order=order_title(order))
            self.notify(words, title=title, severity="warning")
            return
        self.feed.put(cancelled)
        self.notify(_("Cancelled. Nothing is charged."), title=order_title(order))

    @property
    def _table(self) -> OrderTable:
        return self.query_one(OrderTable)
