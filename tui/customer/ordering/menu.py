"""The menu to fill a basket from, and the basket beside it."""

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from server.features.restaurants.schemas import MenuItem
from tui.common.format import fit, money
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.widgets.filter import matcher
from tui.common.widgets.row_list import RowList
from tui.customer.ordering.basket import Basket
from tui.customer.ordering.format import tag_in_words, tags_in_words

OTHERS = _("Other dishes")
"""Of no category, on a menu that has categories."""
STEPPER_CELLS = 12
"""` [−]  2 [+] `, where there is room for it."""
MINUS, PLUS = range(1, 4), range(8, 11)
"""The cells of its ends, which can be clicked."""
STEPPER_FROM_COLUMNS = 44
QUANTITY_CELLS = 5
QUANTITY_BINDINGS: tuple[BindingType, ...] = (
    Binding("plus,equals_sign", "more(1)", _("More"), key_display="+"),
    Binding("minus", "more(-1)", _("Fewer"), key_display="-"),
    Binding("right", "more(1)", show=False),
    Binding("left", "more(-1)", show=False),
    *(
        Binding(str(digit), f"quantity({digit})", _("Quantity"), show=digit == 0, key_display="0-9")
        for digit in range(10)
    ),
    Binding("delete", "quantity(0)", _("None"), show=False),
    Binding("e", "note", _("Note")),
)
"""Keys that change the selected dish, in the menu and in the basket."""


class DishList(RowList):
    """Dishes with quantities: the base of the menu and the basket."""

    class Changed(Message):
        """The basket has changed."""

    class NoteWanted(Message):
        """The customer wants to write a note for a dish."""

        def __init__(self, dish: MenuItem) -> None:
            super().__init__()
            self.dish = dish

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.basket: Basket | None = None

    def dish(self, index: int) -> MenuItem:
        """The dish of that row."""
        raise NotImplementedError

    def action_more(self, by: int) -> None:
        """Add so many of the selected dish."""
        item = self.selected
        if item is not None and self.basket is not None:
            self._set(item, self.basket.quantity(item.id) + by)

    def action_quantity(self, quantity: int) -> None:
        """Set the quantity of the selected dish."""
        item = self.selected
        if item is not None:
            self._set(item, quantity)

    def action_note(self) -> None:
        """Ask for a note for the selected dish."""
        item = self.selected
        if item is not None:
            self.post_message(self.NoteWanted(item))

    def clicked(self, x: int) -> bool:
        """One more or one fewer, where that is drawn."""
        item = self.selected
        if item is None or self.basket is None or not _has_stepper(self._width):
            return False
        if x not in PLUS and (x not in MINUS or not self.basket.quantity(item.id)):
            return False
        self.action_more(1 if x in PLUS else -1)
        return True

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    @property
    def selected(self) -> MenuItem | None:
        """The selected dish."""
        at = self.highlighted_index
        return None if at is None else self.dish(at)

    def _set(self, item: MenuItem, quantity: int) -> None:
        if self.basket is not None:
            self.basket.set_quantity(item, quantity)
            self.post_message(self.Changed())
            self.redraw()


class MenuList(DishList):
    """Quantity, dish, diet, description, price, by category. Sold-out dishes cannot be selected."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", _("Add")),
        *QUANTITY_BINDINGS,
    ]

    def __init__(self) -> None:
        super().__init__(id="menu")
        self.items: list[MenuItem] = []
        self._listed: list[MenuItem | str] = []
        """The dishes that the filter leaves, and the names of their categories."""
        self._prices: dict[str, str] = {}
        self._money = 0
        """Cells of the longest price."""

    def row_ids(self) -> Sequence[str]:
        """The dishes by category, each category below its name."""
        return [f"= {one}" if isinstance(one, str) else one.id for one in self._listed]

    def dish(self, index: int) -> MenuItem:
        """The dish of that row."""
        item = self._listed[index]
        assert isinstance(item, MenuItem), "a category cannot be selected"
        return item

    def selectable(self, index: int) -> bool:
        """Only dishes that are available."""
        item = self._listed[index]
        return isinstance(item, MenuItem) and item.available

    def show(self, items: list[MenuItem], basket: Basket) -> None:
        """Show this menu, to fill this basket."""
        if basket is not self.basket:
            self.highlighted = None
        self.items, self.basket = items, basket
        currency = basket.restaurant.currency
        self._prices = {item.id: money(item.price_cents, currency) for item in items}
        self._money = max(map(cell_len, self._prices.values()), default=0)
        if not items:
            self.message = Content(_("There is nothing on this menu yet. Esc goes back."))
        self.redraw()

    def refilter(self) -> None:
        """List the dishes that the filter leaves, and the names of their categories."""
        matches = matcher(self.filter_text)
        by_category: dict[str, list[MenuItem | str]] = {}
        for item in self.items:
            words = f"{item.name} {item.category} {tags_in_words(item.tags)} {item.description}"
            if matches(words):
                by_category.setdefault(item.category, []).append(item)
        self._listed = [item for items in by_category.values() for item in items]
        if any(item.category for item in self.items):
            self._listed = [
                row for name, items in by_category.items() for row in (name or OTHERS, *items)
            ]
        self._searched = None
        super().refilter()

    def filter_key(self, index: int) -> str:
        """The filter itself: `refilter` has left out what does not match."""
        return self.filter_text

    def filter_counts(self) -> tuple[int, int, str]:
        """Dishes, without the names of categories."""
        return sum(isinstance(one, MenuItem) for one in self._listed), len(self.items), ""

    def action_select(self) -> None:
        """Add one of the selected dish."""
        self.action_more(1)

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """One dish, or the name of a category."""
        item = self._listed[index]
        if isinstance(item, str):
            return [Content.assemble((" " + fit(item, width - 1), "bold $title"))]
        line = self.basket.lines.get(item.id) if self.basket else None
        quantity, cells = _quantity(line.quantity if line else 0, width)
        if not item.available:
            quantity = Content(" " * cells)
        room = _room(width, self._money, cells)
        name = fit(item.name, room)
        left = room - cell_len(name)
        told, ink = item.description, "$wire-ink"
        if not item.available:
            told, ink = _("sold out"), "$warning"
        elif line and line.note:
            told, ink = f"“{plain(line.note)}”", "$accent"
        implied = ["vegetarian"] if "vegan" in item.tags else []
        diet = " ".join(
            tag_in_words(one) for one in item.tags if ":" not in one and one not in implied
        )
        fits = item.available and not (line and line.note) and 0 < cell_len(diet) <= left - 4
        diet = f"  {diet}" if fits else ""
        left -= cell_len(diet)
        more = f"  {fit(told, left - 2)}" if left >= 6 and told else ""
        quiet = "" if item.available else "$wire-ink"
        return [
            Content.assemble(
                quantity,
                (name, quiet or ("bold" if line else "")),
                (diet, "$success"),
                (more, ink),
                (" " * max(0, left - cell_len(more)), ""),
                (f"  {self._prices[item.id]:>{self._money}} ", quiet),
            )
        ]


class BasketList(DishList):
    """The lines of the basket; at its ends the arrow keys move on to the fields around it."""

    BINDINGS: ClassVar[list[BindingType]] = list(QUANTITY_BINDINGS)

    def __init__(self) -> None:
        super().__init__(id="basket")
        self.message = Content(_("The basket is empty. Esc goes back to the menu."))

    def row_ids(self) -> Sequence[str]:
        """The dishes in the basket."""
        return list(self.basket.lines) if self.basket else []

    def dish(self, index: int) -> MenuItem:
        """The dish of that row."""
        assert self.basket is not None
        return list(self.basket.lines.values())[index].item

    def show(self, basket: Basket) -> None:
        """Show this basket."""
        self.basket = basket
        self.redraw()

    def redraw(self) -> None:
        """Be as high as its lines, where there is room for them."""
        self.styles.max_height = max(1, len(self.row_ids()))
        super().redraw()

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """One line."""
        assert self.basket is not None
        return [basket_line(self.basket, index, width, stepper=True)]


def basket_line(basket: Basket, index: int, width: int, *, stepper: bool = False) -> Content:
    """One line of a basket: quantity, with a `stepper` if it can be clicked, dish, note, what it
    costs."""
    line = list(basket.lines.values())[index]
    currency = basket.restaurant.currency
    price = money(line.cents, currency)
    money_cells = max(cell_len(money(one.cents, currency)) for one in basket.lines.values())
    quantity, cells = _quantity(line.quantity, width if stepper else 0)
    room = _room(width, money_cells, cells)
    sold_out = not line.item.available
    name = fit(line.item.name, room)
    told = _("sold out") if sold_out else f"“{plain(line.note)}”" if line.note else ""
    left = room - cell_len(name)
    more = f"  {fit(told, left - 2)}" if told and left >= 6 else ""
    return Content.assemble(
        quantity,
        (name, "$wire-ink strike" if sold_out else ""),
        (more, "$warning" if sold_out else "$accent"),
        (" " * max(0, left - cell_len(more)), ""),
        (f"  {price:>{money_cells}} ", ""),
    )


def _has_stepper(width: int) -> bool:
    return width >= STEPPER_FROM_COLUMNS


def _quantity(quantity: int, width: int) -> tuple[Content, int]:
    """A dish's quantity as a stepper, in a narrow list as `2×`; and its cells."""
    if not _has_stepper(width):
        words = f"{quantity}×" if quantity else ""
        return Content.assemble(
            (f" {words:>{QUANTITY_CELLS - 2}} ", "bold $primary")
        ), QUANTITY_CELLS
    if not quantity:
        return Content.assemble((" " * PLUS.start + "[+] ", "$wire-ink")), STEPPER_CELLS
    return Content.assemble(
        (" [−] ", "$wire-ink"), (f"{quantity:>2}", "bold $primary"), (" [+] ", "$wire-ink")
    ), STEPPER_CELLS


def _room(width: int, money: int, cells: int) -> int:
    """Cells between a dish's quantity, which takes `cells`, and its price, which takes `money` and
    is never cut."""
    return max(0, width - cells - len("  ") - money - len(" "))


class BasketSummary(Widget):
    """The basket beside the menu: lines and total."""

    basket: Basket | None = None

    def show(self, basket: Basket) -> None:
        """Show this basket as it is now."""
        self.basket = basket
        self.refresh()

    def render(self) -> Content:
        """A heading, the lines that fit, the total."""
        basket, width = self.basket, self.content_size.width
        heading = Content.assemble((_(" Your basket"), "bold"))
        if basket is None or not basket.lines:
            return Content("\n").join(
                [
                    heading,
                    Content(""),
                    Content.assemble((_(" Nothing yet; enter adds a dish."), "$wire-ink")),
                ]
            )
        room = max(1, self.content_size.height - 5)
        count = len(basket.lines)
        shown = count if count <= room else room - 1
        lines = [basket_line(basket, at, width) for at in range(shown)]
        if shown < count:
            lines.append(
                Content.assemble(
                    (_("    and {count} more").format(count=count - shown), "$wire-ink")
                )
            )
        total = money(basket.total_cents, basket.restaurant.currency)
        rule = Content.assemble((" " + "─" * max(0, width - 2), "$edge"))
        last = Content.assemble(
            (_("     Total"), "bold"), " " * max(1, width - 11 - len(total)), (total, "bold")
        )
        return Content("\n").join([heading, Content(""), *lines, rule, last])
