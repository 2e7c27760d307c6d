"""The customer's plain mode: restaurants, a basket, orders and support by typed commands."""

import asyncio
import uuid

from server.features.accounts.schemas import Account
from server.features.chat.schemas import ChatStatus, NewChat
from server.features.orders.schemas import NewRating, Order, OrderStatus
from tui.common.client.errors import ApiError
from tui.common.client.meter import Meter, Pattern
from tui.common.language import _
from tui.customer.orders.feed import OrderFeed
from tui.customer.orders.model import OrderStore
from tui.plain import words
from tui.plain.errors import Failed, UsageError
from tui.plain.ordering import OrderingShell, whole

MOST_STARS = 5
LONGEST_SUBJECT = 60
"""Characters of a chat's subject, taken from its first message."""


class CustomerShell(OrderingShell):
    """Orders are looked up on the server by each command; the feed brings news of them."""

    ROLE = "customer"

    def __init__(self, server: str, *, as_json: bool) -> None:
        super().__init__(server, as_json=as_json)
        self._orders: OrderFeed | None = None
        self._followed: tuple[str, asyncio.Future[int]] | None = None

    # -- news

    def start_news(self, account: Account) -> None:
        """Print what happens to orders, and what support writes."""
        if self._live:
            return
        super().start_news(account)
        meter = self.session.wire.meter("orders", Pattern.LONG_POLL)
        self._orders = OrderFeed(OrderStore(), self.api, self.session, meter, self)
        self._orders.reload()
        self.work(self._join_newest_chat(), "newest-chat")

    def meters(self) -> list[Meter]:
        """Of the connections that bring news."""
        own = [] if self._orders is None or not self._live else [self._orders.meter]
        return [*super().meters(), *own]

    def request_redraw(self) -> None:
        """The orders have changed: follow those that are open."""
        if self._orders is not None:
            self._orders.track_open()

    def on_loaded(self) -> None:
        """The orders are read: say which are open."""
        if self._orders is None:
            return
        for order in self._orders.store.open():
            self.console.say(words.for_customer(order), "order", order)

    def on_status_changed(self, order: Order) -> None:
        """Print an order's news."""
        said = words.for_customer(order)
        if order.status is OrderStatus.DELIVERED and self.console.interactive:
            said += _(" Type rate {number} and 1 to 5 stars to rate it.").format(
                number=order.number
            )
        self.console.say(said, "order", order)
        if self._followed is not None and order.id == self._followed[0]:
            self._finish_following(order)

    def on_refused(self, order: Order, reason: str) -> None:
        """Print that an order is not followed any more."""
        self.console.say(
            _("Order {number} is not followed any more: {reason}").format(
                number=order.number, reason=reason
            ),
            "error",
        )

    def placed(self, order: Order) -> None:
        """Follow it."""
        if self._orders is not None:
            self._orders.put(order)

    def _finish_following(self, order: Order) -> None:
        if order.status.terminal and self._followed is not None and not self._followed[1].done():
            self._followed[1].set_result(0 if order.status.value == "delivered" else 1)

    async def _join_newest_chat(self) -> None:
        try:
            chats = (await self.api.chats(ChatStatus.OPEN, limit=1)).items
        except ApiError:
            return
        for chat in chats:
            self.join(chat)

    # -- orders

    async def do_orders(self, which: str = "") -> None:
        """orders [all]: the open orders, or the newest ones of all"""
        if which not in ("", "all"):
            raise UsageError(_("Type orders, or orders all."))
        orders = (await self.api.orders()).items if which else await self.api.open_orders()
        if not orders:
            self.console.say(_("There are no orders.") if which else _("There are no open orders."))
        for order in orders:
            self.console.say(words.for_customer(order), data=order)

    async def do_follow(self, number: str = "", *restaurant: str) -> None:
        """follow [NUMBER]: print news of all orders, or of one until it is delivered"""
        if not number:
            await self.follow()
            return
        order = await self._find(number, restaurant, (await self.api.orders()).items)
        self.console.say(words.for_customer(order), data=order)
        if not order.status.terminal:
            done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._followed = order.id, done
            await self.follow(done)

    async def do_cancel(self, number: str, *restaurant: str) -> None:
        """cancel NUMBER: cancel an order, as long as nobody prepares it"""
        newest = (await self.api.orders()).items
        listed = {order.id for order in newest}
        older = [one for one in await self.api.open_orders() if one.id not in listed]
        order = await self._find(number, restaurant, [*newest, *older])
        cancelled = await self.api.cancel(order.id)
        if self._orders is not None:
            self._orders.put(cancelled)
        self.console.say(words.for_customer(cancelled), data=cancelled)

    async def do_rate(self, number: str, stars: str, *restaurant: str) -> None:
        """rate NUMBER STARS: rate an order that has been delivered, with 1 to 5 stars"""
        given = whole(stars)
        if given > MOST_STARS:
            raise UsageError(_("Give 1 to 5 stars, such as rate 12 5."))
        order = await self._find(number, restaurant, (await self.api.orders()).items)
        if order.status is not OrderStatus.DELIVERED:
            raise Failed(
                _("Order {number} has not been delivered; it can be rated after that.").format(
                    number=order.number
                )
            )
        await self.api.rate(order.id, NewRating(stars=given))
        rated = await self.api.order(order.id)
        self.console.say(words.for_customer(rated), data=rated)

    async def _find(self, number: str, restaurant: tuple[str, ...], orders: list[Order]) -> Order:
        """The order of that number; restaurants count their own, so a name may be needed too."""
        wanted = whole(number.lstrip("#"))
        found = [order for order in orders if order.number == wanted]
        if not found:
            raise Failed(
                _("There is no such order {wanted}. Type orders for those that there are.").format(
                    wanted=wanted
                )
            )
        if len(found) == 1 and not restaurant:
            return found[0]
        names = [order.restaurant.name for order in found]
        if not restaurant:
            raise Failed(
                _(
                    "Several restaurants have an order {wanted} of yours: {names}. Add the "
                    "restaurant's name."
                ).format(wanted=wanted, names=", ".join(names))
            )
        return words.choose(" ".join(restaurant), names, found, _("restaurant"))

    # -- support

    async def do_chat(self, *text: str) -> None:
        """chat [TEXT]: write to support, or read the newest messages"""
        chats = (await self.api.chats(ChatStatus.OPEN, limit=1)).items
        if text:
            said = " ".join(text)
            chat = chats[0] if chats else None
            if chat is None:
                new = NewChat(subject=said[:LONGEST_SUBJECT].strip())
                chat = await self.api.open_chat(new, str(uuid.uuid4()))
            await self.send(chat, said)
            return
        if not chats:
            self.console.say(_("There is no open chat. Type chat and your question."))
            return
        await self.tell_newest(chats[0])
