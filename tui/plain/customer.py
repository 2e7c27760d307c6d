"""The customer's plain mode: restaurants, a basket, orders and support by typed commands."""

import asyncio
import uuid

from pydantic import ValidationError

from server.features.accounts.schemas import Account
from server.features.chat.schemas import ChatStatus, NewChat
from server.features.orders.schemas import Order
from server.features.restaurants.schemas import Restaurant
from tui.common.client.errors import ApiError
from tui.common.client.meter import Meter, Pattern
from tui.common.client.retry import is_permanent
from tui.common.format import money
from tui.common.language import _
from tui.customer.ordering.basket import MAX_QUANTITY, Basket, address_for
from tui.customer.ordering.format import not_now, out_of_reach, tags_in_words
from tui.customer.orders.feed import OrderFeed
from tui.customer.orders.model import OrderStore
from tui.plain import words
from tui.plain.errors import Failed, UsageError
from tui.plain.shell import Shell

LONGEST_SUBJECT = 60
"""Characters of a chat's subject, taken from its first message."""


class CustomerShell(Shell):
    """Orders are looked up on the server by each command; the feed brings news of them."""

    ROLE = "customer"

    def __init__(self, server: str, *, as_json: bool) -> None:
        super().__init__(server, as_json=as_json)
        self._orders: OrderFeed | None = None
        self._menu: Restaurant | None = None
        self._basket: Basket | None = None
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
        self.console.say(words.for_customer(order), "order", order)
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

    # -- ordering

    async def do_restaurants(self) -> None:
        """restaurants: all restaurants, with their numbers"""
        for number, one in enumerate(await self.api.restaurants(), 1):
            away = not_now(one) or out_of_reach(one, self._account.address)
            self.console.say(
                _(
                    "{number}: {name}, {cuisine}, about {preparation_minutes} minutes. {away}"
                ).format(
                    number=number,
                    name=one.name,
                    cuisine=one.cuisine,
                    preparation_minutes=one.preparation_minutes + one.extra_minutes,
                    away=away or one.description,
                ),
                data=one,
            )

    async def do_menu(self, restaurant: str = "", *more: str) -> None:
        """menu [RESTAURANT]: the dishes of a restaurant, by its number or name"""
        given = " ".join([restaurant, *more])
        if given:
            found = await self.api.restaurants()
            chosen = words.choose(given, [one.name for one in found], found, _("restaurant"))
            self._menu = await self.api.restaurant(chosen.id)
        elif self._menu is None:
            raise UsageError(_("Give a restaurant, such as menu 3. Type restaurants for all."))
        else:
            self._menu = await self.api.restaurant(self._menu.id)
        self.console.say(_("Menu of {menu}.").format(menu=self._menu.name))
        for number, dish in enumerate(self._menu.menu, 1):
            sold_out = "" if dish.available else _(" Sold out.")
            price = money(dish.price_cents, self._menu.currency, spoken=True)
            tags = f" {tags_in_words(dish.tags).capitalize()}." if dish.tags else ""
            self.console.say(
                f"{number}: {dish.name}, {price}.{sold_out} {dish.description}{tags}", data=dish
            )

    async def do_add(self, quantity: str, dish: str, *more: str) -> None:
        """add QUANTITY DISH: put dishes of the last menu into the basket, by number or name"""
        self._need_session()
        if self._menu is None:
            raise Failed(_("Choose a restaurant first, such as menu 3."))
        count = _whole(quantity)
        names = [one.name for one in self._menu.menu]
        item = words.choose(" ".join([dish, *more]), names, self._menu.menu, _("dish"))
        if not item.available:
            raise Failed(_("{item} is sold out.").format(item=item.name))
        basket = self._basket
        if basket is None or basket.restaurant.id != self._menu.id:
            if basket is not None and basket.lines:
                raise Failed(
                    _(
                        "The basket has dishes of {restaurant}. Type order to order them, or empty "
                        "to remove them."
                    ).format(restaurant=basket.restaurant.name)
                )
            basket = self._basket = Basket(self._menu)
        wanted = basket.quantity(item.id) + count
        if wanted > MAX_QUANTITY:
            raise Failed(
                _("An order has at most {max_quantity} of a dish.").format(
                    max_quantity=MAX_QUANTITY
                )
            )
        basket.set_quantity(item, wanted)
        if basket.quantity(item.id) != wanted:
            raise Failed(_("The basket is full; order it first."))
        await self.do_basket()

    async def do_remove(self, dish: str, *more: str) -> None:
        """remove DISH: take a dish out of the basket"""
        basket = self._filled_basket()
        items = [line.item for line in basket.lines.values()]
        given = " ".join([dish, *more])
        basket.set_quantity(words.choose(given, [one.name for one in items], items, _("dish")), 0)
        await self.do_basket()

    async def do_empty(self) -> None:
        """empty: empty the basket"""
        self._basket = None
        self.console.say(_("The basket is empty."))

    async def do_basket(self) -> None:
        """basket: what is in the basket, and what it costs"""
        self._need_session()
        if self._basket is None or not self._basket.lines:
            self.console.say(_("The basket is empty."))
            return
        lines = ", ".join(
            f"{line.quantity} {line.item.name}" for line in self._basket.lines.values()
        )
        self.console.say(
            _("Basket at {restaurant}: {lines}. Total {due_cents}.").format(
                restaurant=self._basket.restaurant.name,
                lines=lines,
                due_cents=_due(self._basket),
            )
        )

    async def do_address(self, *text: str) -> None:
        """address [TEXT]: where to deliver, also home or work; without a text, where it goes now"""
        known = self._account.address
        if text:
            basket, given = self._filled_basket(), " ".join(text)
            named = {"home": known, _("Home").casefold(): known}
            named |= dict.fromkeys(("work", _("Work").casefold()), self._account.work_address)
            kept = named.get(given.casefold())
            basket.place, basket.address = kept, None if kept else given
        chosen = self._basket.address if self._basket is not None else None
        place = (self._basket.place if self._basket is not None else None) or known
        where = chosen or (place.text if place is not None else "")
        self.console.say(
            _("Delivery to {where}.").format(where=where)
            if where
            else _("There is no address yet.")
        )

    async def do_order(self, *note: str) -> None:
        """order [NOTE]: order what is in the basket; payment is at the door"""
        basket = self._filled_basket()
        known = basket.place or self._account.address
        text = basket.address or (known.text if known is not None else "")
        if not text:
            raise Failed(_("Say where to deliver, such as address 4 Mill Lane."))
        basket.note = " ".join(note)
        address = address_for(text, known, basket.restaurant)
        seen = basket.quote
        basket.quote = await self.api.quote(basket.content(address))
        if basket.quote.fees and (seen is None or seen.fees != basket.quote.fees):
            fees = ", ".join(
                f"{fee.kind} {money(fee.cents, basket.restaurant.currency, spoken=True)}"
                for fee in basket.quote.fees
            )
            raise Failed(
                _(
                    "Nothing was ordered yet. With {fees} the total is {due_cents}. Type order "
                    "again to accept that."
                ).format(fees=fees, due_cents=_due(basket))
            )
        content = basket.content(address)
        if content not in basket.unconfirmed:
            basket.unconfirmed.append(content)
        try:
            placed = await self.api.place_order(content, basket.key)
        except ApiError as error:
            if not is_permanent(error):
                raise
            basket.on_refused(content)
            await self._on_refused_order(basket, error)
            return
        self._basket = None
        self.console.say(words.for_customer(placed), data=placed)
        if self._orders is not None:
            self._orders.put(placed)

    async def _on_refused_order(self, basket: Basket, error: ApiError) -> None:
        """Say why, and take the menu's changes; raises `Failed`."""
        changed = error.problem.model_extra or {}
        try:
            changes = basket.update_menu(Restaurant.model_validate(changed.get("restaurant")))
        except ValidationError:
            raise error from None
        sold_out = [line.item.name for line in basket.sold_out]
        basket.drop_sold_out()
        removed = (
            _(" Removed from the basket: {sold_out}.").format(sold_out=", ".join(sold_out))
            if sold_out
            else ""
        )
        raise Failed(
            _(
                "Nothing was ordered, as the menu has changed. {changes}{removed} The "
                "total is {due_cents} now. Type order again to accept that."
            ).format(changes=" ".join(changes), removed=removed, due_cents=_due(basket))
        )

    def _filled_basket(self) -> Basket:
        self._need_session()
        if self._basket is None or not self._basket.lines:
            raise Failed(
                _("The basket is empty. Type menu and a restaurant, then add 1 and a dish.")
            )
        return self._basket

    def _need_session(self) -> None:
        if self.one_shot:
            raise UsageError(
                _(
                    "A basket lasts only as long as the program. Type the commands in it, or "
                    "send them through a pipe, one a line."
                )
            )

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

    async def _find(self, number: str, restaurant: tuple[str, ...], orders: list[Order]) -> Order:
        """The order of that number; restaurants count their own, so a name may be needed too."""
        wanted = _whole(number.lstrip("#"))
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

    @property
    def _account(self) -> Account:
        account = self.session.account
        assert account is not None, _("commands need a log-in")
        return account


def _whole(given: str) -> int:
    """A number of at least 1. Raises `UsageError`."""
    if given.isascii() and given.isdigit() and 0 < len(given) < 10 and int(given) > 0:
        return int(given)
    raise UsageError(_("“{given}” is not a whole number above 0.").format(given=given))


def _due(basket: Basket) -> str:
    """What is paid at the door."""
    return money(basket.due_cents, basket.restaurant.currency, spoken=True)
