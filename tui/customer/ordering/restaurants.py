"""The restaurants to order from, two lines each."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar, TypeVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.content import Content

from server.features.restaurants.schemas import RestaurantSummary
from server.features.shared.schemas import Address
from tui.common.client.errors import ClientError, SignedOut
from tui.common.client.retry import Backoff, retry
from tui.common.format import fit, human_distance, message_for, money
from tui.common.language import _
from tui.common.widgets.row_list import RowList
from tui.customer.ordering.basket import Basket
from tui.customer.ordering.format import metres_to, not_now, out_of_reach, tags_in_words
from tui.customer.ordering.menus import Menus

MINUTES_CELLS = 15
OPEN = _("Open now")


class RestaurantList(RowList):
    """Name, cuisine, minutes, and what is in a basket; the second line is a description."""

    ROW_LINES = 3
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", _("Menu"))]

    def __init__(self, baskets: Mapping[str, Basket], menus: Menus) -> None:
        super().__init__(id="restaurants")
        self.restaurants: list[RestaurantSummary] = []
        self._baskets, self._menus = baskets, menus
        self._dishes: dict[str, str] = {}
        """The names and tags of the dishes by restaurant, once they were needed."""
        self.known: Address | None = None
        """The delivery address of the profile."""
        self.message = Content.assemble((_("Loading restaurants…"), "$wire-ink"))

    def row_ids(self) -> Sequence[str]:
        """The restaurants, as the server lists them."""
        return [restaurant.id for restaurant in self.restaurants]

    def show(self, restaurants: list[RestaurantSummary]) -> None:
        """Show these."""
        self.restaurants = restaurants
        if not restaurants:
            self.message = Content(_("No restaurant delivers here yet."))
        self.redraw()

    def filter_key(self, index: int) -> str:
        """What is shown of it, all of its description, and its dishes."""
        one = self.restaurants[index]
        open_now = OPEN if one.open_now else not_now(one)
        dishes = self._dishes.get(one.id, "")
        return " ".join(
            (one.name, one.cuisine, self._nearness(one), open_now, one.description, dishes)
        )

    def action_filter(self) -> None:
        """Open the filter field, and read the menus meanwhile: they are searched too."""
        super().action_filter()
        self.run_worker(self._read_dishes(), group="dishes", exclusive=True, exit_on_error=False)

    async def _read_dishes(self) -> None:
        try:
            menus = await self._menus.read()
        except ClientError:
            return  # the rest of a restaurant is searched
        self._dishes = {
            one.id: " ".join(f"{dish.name} {tags_in_words(dish.tags)}" for dish in one.menu)
            for one in menus
        }
        self.redraw()

    def _nearness(self, restaurant: RestaurantSummary) -> str:
        """How far it is, and how long a dish takes."""
        minutes = _("about {minutes} min").format(
            minutes=restaurant.preparation_minutes + restaurant.extra_minutes
        )
        if self.known is None:
            return minutes
        return f"{human_distance(metres_to(restaurant, self.known))}  {minutes}"

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """One restaurant, and a blank line."""
        restaurant = self.restaurants[index]
        basket = self._baskets.get(restaurant.id)
        begun = ""
        if basket and basket.count:
            begun = _("{count} in your basket  ").format(count=basket.count)
        minutes = self._nearness(restaurant)
        room = width - 3 - len(begun) - max(MINUTES_CELLS, len(minutes))
        name = fit(restaurant.name, max(8, room * 2 // 3))
        left = Content.assemble(
            (" " + name, "bold"),
            ("  " + fit(restaurant.cuisine, room - cell_len(name)), "$wire-ink"),
        )
        right = Content.assemble((begun, "$primary"), (minutes, "$wire-ink"))
        gap = max(1, width - left.cell_length - right.cell_length - 1)
        far = not_now(restaurant) or out_of_reach(restaurant, self.known)
        if far:
            second = Content.assemble((" " + fit(far, width - 2), "$warning"))
        else:
            more = "  ".join((*terms(restaurant), restaurant.description or restaurant.address))
            room = width - len(OPEN) - 4
            second = Content.assemble(
                (f" {OPEN}  ", "$success"), (fit(more, room) if room > 0 else "", "$wire-ink")
            )
        return [Content.assemble(left, " " * gap, right), second]


def terms(restaurant: RestaurantSummary) -> list[str]:
    """Its rating, fee and minimum, as far as it has any."""
    found, fee, currency = [], restaurant.delivery_fee, restaurant.currency
    if restaurant.rating.average is not None:
        found.append(f"★ {restaurant.rating.average:.1f}")
    if fee.base_cents or fee.per_km_cents:
        base = money(fee.base_cents, currency)
        words = _("Fee {base} + {each}/km.") if fee.per_km_cents else _("Fee {base}.")
        found.append(words.format(base=base, each=money(fee.per_km_cents, currency)))
    if restaurant.minimum_cents:
        found.append(_("From {least}.").format(least=money(restaurant.minimum_cents, currency)))
    return found


MAX_RETRY_SECONDS = 4.0
"""Longest pause between two attempts: the customer is waiting."""

ResultT = TypeVar("ResultT")


async def load_for(rows: RowList, ask: Callable[[], Awaitable[ResultT]]) -> ResultT | None:
    """The answer of `ask`, retried; None after a final error or when logged out.

    `rows` shows the error.
    """

    def show(error: ClientError, wait: float | None) -> None:
        if isinstance(error, SignedOut):
            return
        again = _("Esc goes back.") if wait is None else _("Retrying; esc goes back.")
        rows.message = Content.assemble(
            ("✕ ", "bold $error"), message_for(error), (f"\n{again}", "$wire-ink")
        )
        rows.redraw()

    try:
        return await retry(ask, backoff=Backoff(cap=MAX_RETRY_SECONDS), on_error=show)
    except ClientError:
        return None
