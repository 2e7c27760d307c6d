"""The new order: choose a restaurant, fill a basket, check out."""

from collections.abc import Awaitable, Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import ContentSwitcher

from server.features.orders.schemas import Order, PlaceOrder
from server.features.restaurants.schemas import Restaurant, RestaurantSummary
from server.features.shared.schemas import Address
from tui.common.client.errors import ApiError, ClientError, SignedOut
from tui.common.client.retry import is_permanent
from tui.common.dialogs.base import Dialog
from tui.common.dialogs.confirm import ConfirmScreen
from tui.common.format import field_of, message_for, money
from tui.common.language import _, ngettext
from tui.common.sanitize import plain
from tui.common.widgets.filter import FilterField
from tui.common.widgets.key_bar import KeyBar
from tui.common.widgets.row_list import RowList
from tui.common.widgets.status_line import StatusLine
from tui.customer.ordering.basket import Basket
from tui.customer.ordering.breadcrumb import Breadcrumb
from tui.customer.ordering.checkout import SAFE_TO_RETRY, Checkout, menu_in_refusal, place_order
from tui.customer.ordering.dish import DishDetails, DishNote, DishPhoto
from tui.customer.ordering.format import below_minimum, not_now
from tui.customer.ordering.menu import BasketSummary, DishList, MenuList
from tui.customer.ordering.menus import Menus
from tui.customer.ordering.restaurants import RestaurantList, load_for

SNUG_COLUMNS = 76
MEDIUM_COLUMNS = 92
"""From this width on the window is `-medium`."""
CLOSED = "urn:tiffin:problem:closed"
SENDING = _("Sending…  esc stops")
STOPPED = _("Stopped, but it may have arrived.")
FIRST_ARRIVED = _("Your first attempt did arrive: that is your order, without your later changes.")


class NewOrderScreen(Dialog[Order]):
    """Answers the placed order, or None. Baskets that were not ordered stay in `baskets`."""

    SCOPED_CSS: ClassVar[bool] = False  # else rules by breakpoint would not hold
    DEFAULT_CSS = """
    NewOrderScreen {
        & > .box { width: 120; height: 90%; max-height: 40; margin-bottom: 1; }
        &.-short > .box, &.-flat > .box { padding: 0 1; margin: 0; height: 100%; max-height: 100%; }
        &.-narrow > .box { width: 100%; max-width: 100%; }
        & Breadcrumb { margin-bottom: 1; }
        &.-short Breadcrumb { margin-bottom: 0; }
        & ContentSwitcher { height: 1fr; }
        & #dishes > Horizontal { height: 1fr; }
        & #beside { display: none; width: 40; border-left: solid $edge; padding: 0 0 0 1;
            margin-left: 1; }
        &.-snug #beside { display: block; width: 24; }
        &.-medium #beside { display: block; width: 30; }
        &.-snug #beside > BasketSummary, &.-medium #beside > BasketSummary { display: none; }
        & StatusLine { min-height: 0; max-height: 4; margin-top: 0; }
    }
    NewOrderScreen.-wide #beside { display: block; }
    """
    AUTO_FOCUS = "#restaurants"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "checkout", _("Checkout")),
        Binding("escape", "close", _("Back")),
    ]

    def __init__(
        self,
        baskets: dict[str, Basket],
        menus: Menus,
        again: Order | None = None,
        recent: Sequence[Address] = (),
    ) -> None:
        """`menus` are searched; `again` is an order to start a basket from; `recent` are addresses
        of earlier ones."""
        super().__init__()
        self._recent = recent
        self._baskets, self._menus = baskets, menus
        self._again = again
        self._basket: Basket | None = None
        self._sending = False

    def body(self) -> ComposeResult:
        """Three pages in one box, a line for messages, the keys."""
        with Vertical(classes="box") as box:
            box.border_title = _("New order")
            yield Breadcrumb(markup=False)
            with ContentSwitcher(initial="restaurants"):
                yield RestaurantList(self._baskets, self._menus)
                with Vertical(id="dishes"):
                    with Horizontal():
                        yield MenuList()
                        with Vertical(id="beside"):
                            yield DishPhoto()
                            yield BasketSummary()
                    yield DishDetails()
                    yield DishNote()
                yield Checkout(self._recent)
            yield FilterField()
            yield StatusLine()
        yield KeyBar()

    def on_resize(self, event: events.Resize) -> None:
        """A narrow window has just room for the photo beside the menu."""
        self.set_class(SNUG_COLUMNS <= event.size.width < MEDIUM_COLUMNS, "-snug")

    def on_mount(self) -> None:
        """Start with the restaurants, or with a basket like the earlier order."""
        self._show_page("restaurants")
        self._run(self._list_restaurants(), "restaurants")
        if self._again is not None:
            self._run(self._order_again(self._again), "menu")

    @property
    def page(self) -> str:
        """Which page is open: `restaurants`, `dishes` or `checkout`."""
        return self.query_one(ContentSwitcher).current or "restaurants"

    def _show_page(self, page: str) -> None:
        turns = page != self.page
        self.query_one(FilterField).clear()
        self.query_one(ContentSwitcher).current = page
        self.show_status("")
        self.query_one(DishNote).display = False
        name = self._basket.restaurant.name if self._basket and page != "restaurants" else ""
        self.query_one(Breadcrumb).show(page, name)
        if turns:  # styles now, not with the next frame: a hidden widget takes no focus
            self.app.stylesheet.update(self)
        if page == "restaurants":
            self.query_one(RestaurantList).focus()
        elif page == "dishes":
            self.query_one(MenuList).focus()
        else:
            self.query_one(Checkout).enter()
        self._basket_changed()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Check out only from the dishes."""
        if action == "checkout":
            return self.page == "dishes" and self._basket is not None
        return True

    def action_checkout(self) -> None:
        """Go to the checkout, unless the basket is empty."""
        if self._basket is None or not self._basket.lines:
            self.show_status(_("The basket is empty. Choose a dish with enter."))
            return
        self.query_one(Checkout).show(self._basket)
        self._show_page("checkout")
        if words := not_now(self._basket.restaurant) or below_minimum(self._basket):
            self.show_status(words)

    async def _quote(self, basket: Basket) -> None:
        """Ask what the basket costs with its fees, and show it."""
        checkout = self.query_one(Checkout)
        try:
            basket.quote = await self.services.api.quote(checkout.content())
        except (ClientError, ValueError) as error:
            closed = isinstance(error, ApiError) and error.problem.type == CLOSED
            if closed and basket is self._basket and self.page == "checkout":
                self.show_status(message_for(error))  # by a pause since the menu was read, say
            return  # sending it says what is wrong
        if basket is self._basket and self.page == "checkout":
            checkout.redraw()

    def action_close(self) -> None:
        """Go back one page, or close."""
        if self.query_one(DishNote).display:
            self.query_one(DishNote).display = False
            self.query_one(MenuList).focus()
        elif self._sending:
            self.workers.cancel_group(self, "send")
            self.show_status(f"{STOPPED} {SAFE_TO_RETRY}", "warning")
        elif self.page == "checkout":
            self._show_page("dishes")
        elif self.page == "dishes":
            self.workers.cancel_group(self, "menu")
            self._show_page("restaurants")
        else:
            self.dismiss(None)

    async def _list_restaurants(self) -> None:
        rows = self.query_one(RestaurantList)
        found = await load_for(rows, self.services.api.restaurants)
        if found is not None:
            account = self.services.session.account
            rows.known = account.address if account else None
            rows.show(found)

    @on(RowList.OptionSelected, "#restaurants")
    def _restaurant_selected(self, event: RowList.OptionSelected) -> None:
        rows = self.query_one(RestaurantList)
        restaurant = next(one for one in rows.restaurants if one.id == event.option_id)
        self.open_menu(restaurant)

    def open_menu(self, restaurant: RestaurantSummary, dish_id: str | None = None) -> None:
        """Go to a restaurant's dishes, with the highlight on that one."""
        basket = self._baskets.get(restaurant.id) or Basket(restaurant)
        self._open(basket)
        self._run(self._read_menu(basket, dish_id), "menu")

    def _open(self, basket: Basket) -> None:
        """Open the menu of this basket's restaurant."""
        self._basket = basket
        self._baskets[basket.restaurant.id] = basket
        menu = self.query_one(MenuList)
        menu.show([], basket)
        menu.message = Content.assemble((_("Loading the menu…"), "$wire-ink"))
        self.query_one(BasketSummary).show(basket)
        self._show_page("dishes")

    async def _read_menu(self, basket: Basket, dish_id: str | None) -> None:
        menu = self.query_one(MenuList)
        wanted = basket.restaurant.id
        restaurant = await load_for(menu, lambda: self.services.api.restaurant(wanted))
        if restaurant is None or basket is not self._basket:
            return
        changes = basket.update_menu(restaurant)
        menu.show(restaurant.menu, basket)
        menu.highlight(dish_id or "")
        self._basket_changed()
        if changes:
            self.show_status(" ".join(changes), "warning")

    async def _order_again(self, order: Order) -> None:
        rows = self.query_one(RestaurantList)
        restaurant = await load_for(rows, lambda: self.services.api.restaurant(order.restaurant.id))
        if restaurant is None:
            return
        basket, changes = Basket.from_order(order, restaurant)
        self._open(basket)
        self.query_one(MenuList).show(restaurant.menu, basket)
        if basket.lines:
            self.action_checkout()
        if changes:
            self.show_status(" ".join(changes), "warning")

    @on(RowList.OptionHighlighted, "#menu")
    def _show_photo(self) -> None:
        dish = self.query_one(MenuList).selected
        self.query_one(DishPhoto).show_dish(dish)
        self.query_one(DishDetails).show_dish(dish)

    @on(DishList.Changed)
    def _basket_changed(self) -> None:
        basket = self._basket
        box = self.query_one(".box")
        box.border_subtitle = ""
        if basket is None or self.page == "restaurants":
            self.query_one(RestaurantList).redraw()
            return
        if self.page == "dishes":  # the checkout's total has fees and tip
            words = ngettext("{count} dish · {total}", "{count} dishes · {total}", basket.count)
            total = money(basket.total_cents, basket.restaurant.currency)
            told = words.format(count=basket.count, total=total)
            box.border_subtitle = Content(told if basket.count else _("basket empty"))
        self.query_one(BasketSummary).show(basket)
        self.query_one(MenuList).redraw()
        self._show_photo()
        if self.page == "checkout":
            self.query_one(Checkout).redraw()
            if basket.lines:
                self._run(self._quote(basket), "quote")

    @on(DishList.NoteWanted)
    def _note_wanted(self, event: DishList.NoteWanted) -> None:
        if self._basket is None:
            return
        if self.page == "checkout":
            self._show_page("dishes")
        line = self._basket.lines.get(event.dish.id)
        self.query_one(DishNote).ask(event.dish, line.note if line else "")

    @on(DishNote.Written)
    def _note_written(self, event: DishNote.Written) -> None:
        if self._basket is not None:
            self._basket.set_note(event.dish, event.note)
        self._basket_changed()
        self.query_one(MenuList).focus()

    @on(Checkout.Edited)
    def _edited(self) -> None:
        if not self._sending:
            self.show_status("")

    @on(Checkout.Send)
    def _send_wanted(self) -> None:
        """Send the basket, unless it is being sent or something is missing."""
        if self._sending or self._basket is None:
            return
        checkout = self.query_one(Checkout)
        words, field = checkout.problem
        if words:
            self.show_status(words)
            checkout.point_at(field)
            return
        try:
            content = checkout.content()
        except ValueError as error:
            self.show_status(message_for(error))
            checkout.point_at(field_of(error))
            return
        self._sending = True
        self.show_status(SENDING, "info")
        self._run(self._send(self._basket, content), "send")

    async def _send(self, basket: Basket, content: PlaceOrder) -> None:
        try:
            order, as_sent = await place_order(self.services.api, basket, content)
        except SignedOut:
            return
        except ClientError as error:
            final = is_permanent(error)
            self.show_status(
                message_for(error) if final else f"{message_for(error)} {SAFE_TO_RETRY}"
            )
            self.query_one(Checkout).point_at(field_of(error))
            if final:
                await self._check_menu(basket, menu_in_refusal(error))
        else:
            self._baskets.pop(basket.restaurant.id, None)
            if not as_sent:
                self.notify(
                    FIRST_ARRIVED, title=f"#{order.number:04d}", severity="warning", timeout=10
                )
            self.dismiss(order)
        finally:
            self._sending = False

    async def _check_menu(self, basket: Basket, restaurant: Restaurant | None) -> None:
        """After a refusal, see whether the menu has changed; if so, ask whether to order anyway."""
        menu_refused = restaurant is not None
        if restaurant is None:
            try:
                restaurant = await self.services.api.restaurant(basket.restaurant.id)
            except ClientError:
                return
        before = basket.due_cents
        changes = basket.update_menu(restaurant)
        self.query_one(MenuList).show(restaurant.menu, basket)
        self._basket_changed()
        if changes:
            self.show_status(" ".join(changes), "warning")
            self._ask(basket, changes, before)
        elif menu_refused:
            await self._quote(basket)
            total = money(basket.due_cents, basket.restaurant.currency)
            self.show_status(
                _("With its fees it is {total}. Look at it, then send it.").format(total=total),
                "warning",
            )

    def _ask(self, basket: Basket, changes: list[str], before: int) -> None:
        """Show what has changed since it was sent, and ask whether to order anyway."""
        lost = sum(line.cents for line in basket.sold_out)
        total = basket.due_cents - lost
        if len(basket.sold_out) == len(basket.lines):
            return  # nothing is left to order
        currency = basket.restaurant.currency
        due = money(total, currency)
        lines = [
            _("The menu of {restaurant} has changed.").format(
                restaurant=plain(basket.restaurant.name)
            ),
            "",
            *changes,
        ]
        if total != before:
            lines += [
                "",
                _("The total: {total} now, not {before}.").format(
                    total=due, before=money(before, currency)
                ),
            ]

        def answered(yes: bool | None) -> None:
            if yes:
                basket.drop_sold_out()
                self._basket_changed()
                self._send_wanted()

        rest = _("Order the rest · {total}") if lost else _("Place the order · {total}")
        self.app.push_screen(
            ConfirmScreen(
                _("Still order it?"), "\n".join(lines), yes=rest.format(total=due), no=_("Not now")
            ),
            answered,
        )

    def _run(self, doing: "Awaitable[None]", group: str) -> None:
        self.run_worker(doing, group=group, exclusive=True, exit_on_error=False)
