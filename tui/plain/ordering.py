"""Restaurants, menus and a basket by typed commands, until the order is placed."""

from pydantic import ValidationError

from server.features.accounts.schemas import Account
from server.features.orders.schemas import Order
from server.features.restaurants.schemas import Restaurant
from tui.common.client.errors import ApiError
from tui.common.client.retry import is_permanent
from tui.common.format import money
from tui.common.language import _
from tui.customer.ordering.basket import MAX_QUANTITY, MAX_TIP, Basket, address_for
from tui.customer.ordering.format import not_now, out_of_reach, tags_in_words
from tui.plain import words
from tui.plain.errors import Failed, UsageError
from tui.plain.shell import Shell

MOST_PER_CENT = 100
"""The largest tip."""


class OrderingShell(Shell):
    """The commands up to the order; each asks the server anew."""

    def __init__(self, server: str, *, as_json: bool) -> None:
        super().__init__(server, as_json=as_json)
        self._menu: Restaurant | None = None
        self._basket: Basket | None = None

    def placed(self, order: Order) -> None:
        """An order has been placed."""
        raise NotImplementedError

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
        count = whole(quantity)
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
            _("Basket at {restaurant}: {lines}.{more} Total {due_cents}.").format(
                restaurant=self._basket.restaurant.name,
                lines=lines,
                more=_amounts(self._basket),
                due_cents=_due(self._basket),
            )
        )

    async def do_tip(self, *tip: str) -> None:
        """tip [TIP]: a tip for the driver, such as 2 or 10%, or 0; without one, what it is now"""
        basket, given = self._filled_basket(), "".join(tip)
        if given:
            number, per_cent = given.removesuffix("%"), given.endswith("%")
            if not (number.isascii() and number.isdigit()):
                raise UsageError(_("Give a whole amount or per cent, such as tip 2 or tip 10%."))
            most = MOST_PER_CENT if per_cent else MAX_TIP
            if len(number) > len(str(most)) or int(number) > most:
                said = _("A tip is at most {amount}, or {per_cent}%.")
                raise Failed(said.format(amount=MAX_TIP, per_cent=MOST_PER_CENT))
            basket.tip_percent, basket.tip_typed = 0, 0
            if per_cent:
                basket.tip_percent = int(number)
            else:
                basket.tip_typed = int(number)
        if not basket.tip_cents:
            self.console.say(_("There is no tip."))
        else:
            await self.do_basket()

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
            raise Failed(
                _(
                    "Nothing was ordered yet.{more} The total is {due_cents}. Type order again to "
                    "accept that."
                ).format(more=_amounts(basket), due_cents=_due(basket))
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
        self.placed(placed)

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

    @property
    def _account(self) -> Account:
        account = self.session.account
        assert account is not None, _("commands need a log-in")
        return account


def whole(given: str) -> int:
    """A number of at least 1. Raises `UsageError`."""
    if given.isascii() and given.isdigit() and 0 < len(given) < 10 and int(given) > 0:
        return int(given)
    raise UsageError(_("“{given}” is not a whole number above 0.").format(given=given))


def _amounts(basket: Basket) -> str:
    """The fees and the tip."""
    currency = basket.restaurant.currency
    parts = [(name, money(cents, currency, spoken=True)) for name, cents in basket.beside_dishes]
    return words.amounts(parts)


def _due(basket: Basket) -> str:
    """What is paid at the door."""
    return money(basket.due_cents, basket.restaurant.currency, spoken=True)
