"""The menu dialog: mark dishes as sold out, add, change and remove them."""

import asyncio
import re
from collections.abc import Coroutine, Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Label, Static

from server.features.restaurants.schemas import MenuItem, MenuItemChange, NewMenuItem
from tui.common.client.errors import ApiError, ClientError
from tui.common.dialogs.base import Dialog
from tui.common.dialogs.confirm import ConfirmScreen
from tui.common.format import bare_money, fit, minor_digits, money
from tui.common.language import _, ngettext
from tui.common.sanitize import in_one_line, plain
from tui.common.widgets.filter import FilterField
from tui.common.widgets.row_list import RowList
from tui.common.widgets.status_line import StatusLine
from tui.employee.uploads import DishPhotoPanel


class MenuScreen(Dialog[None]):
    """Every change is sent at once; the line at the foot shows its result."""

    DEFAULT_CSS = """
    MenuScreen {
        & > .box { width: 76; height: 80%; }
        & #about { height: 2; color: $wire-ink; margin-top: 1; }
        & StatusLine { height: 1; margin-top: 0; text-wrap: nowrap; text-overflow: ellipsis; }
    }
    """
    AUTO_FOCUS = "DishRows"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "sold_out", _("Sold out")),
        Binding("a", "add", _("Add")),
        Binding("e", "edit", _("Edit")),
        Binding("p", "photo", _("Photo")),
        Binding("delete,backspace", "remove", _("Remove")),
    ]

    def __init__(self, restaurant_id: str, dish_id: str | None = None) -> None:
        """`dish_id` is the dish to begin on."""
        super().__init__()
        self._restaurant_id = restaurant_id
        self._wanted = dish_id
        self._rows = DishRows()
        self._turn = asyncio.Lock()
        """Requests go one after another, in the order of the keys."""

    def body(self) -> ComposeResult:
        """The dishes, the description of the selected one, a line for results."""
        with Vertical(classes="box") as box:
            box.border_title = _("Menu")
            box.border_subtitle = _(
                "enter edits · space sold out · a add · p photo · del remove · / filter"
            )
            yield self._rows
            yield FilterField()
            yield Static("", id="about", markup=False)
            yield StatusLine(_("Loading the menu…"))

    def on_mount(self) -> None:
        """Load the menu."""
        self._run(self._load())

    def reload(self) -> None:
        """Read the menu again: it was changed elsewhere."""
        self._wanted = self.dish.id if self.dish is not None else self._wanted
        self._run(self._read())

    @property
    def dish(self) -> MenuItem | None:
        """The selected dish."""
        at = self._rows.highlighted_index
        return None if at is None else self._dishes[at]

    @property
    def _dishes(self) -> list[MenuItem]:
        return self._rows.dishes

    def action_sold_out(self) -> None:
        """Mark the dish as sold out, or as available again."""
        if self.dish is not None:
            self._run(self._toggle(self.dish.id))

    @on(RowList.OptionSelected)
    def _selected(self) -> None:
        self.action_edit()

    @on(RowList.OptionHighlighted)
    def _describe(self) -> None:
        about = self.dish.description if self.dish else ""
        self.query_one("#about", Static).update(plain(about))

    def action_add(self) -> None:
        """Add a dish at the end of the menu."""
        if currency := self._rows.currency:  # else the menu is not there yet
            self.app.push_screen(DishScreen(self._restaurant_id, currency), self._saved)

    def action_edit(self) -> None:
        """Change the selected dish."""
        if self.dish is not None:
            screen = DishScreen(self._restaurant_id, self._rows.currency, self.dish)
            self.app.push_screen(screen, self._saved)

    def action_photo(self) -> None:
        """Upload a photo of the selected dish."""
        dish = self.dish
        if dish is not None:
            panel = self.app.screen_stack[0].query_one(DishPhotoPanel)
            words = _("{dish}: the photo is being uploaded; see panel {number}.").format(
                dish=dish.name, number=panel.number
            )
            panel.offer_for(dish, lambda: self.show_status(words, "done"))

    def action_remove(self) -> None:
        """Remove the selected dish from the menu."""
        dish = self.dish
        if dish is None:
            return
        question = _(
            "“{dish}” will be removed from the menu for good. For today only, mark it as sold out."
        ).format(dish=dish.name)
        self.app.push_screen(
            ConfirmScreen(
                _("Remove a dish"), question, yes=_("Remove it"), no=_("Keep it"), danger=True
            ),
            lambda sure: self._run(self._remove(dish)) if sure else None,
        )

    # -- requests

    def _run(self, work: Coroutine[object, object, None]) -> None:
        self.run_worker(self._report(work), group="menu", exit_on_error=True)

    async def _report(self, work: Coroutine[object, object, None]) -> None:
        async with self._turn:
            try:
                await work
            except ApiError as refusal:
                self.show_status(refusal.message)
                if refusal.status == 404 and self._dishes:
                    await self._read()
            except ClientError as error:
                self.show_status(_("{message} Try again.").format(message=error.message))

    async def _load(self) -> None:
        await self._read()
        sold_out = sum(not dish.available for dish in self._dishes)
        count = ngettext("{count} dish", "{count} dishes", len(self._dishes))
        self.show_status(
            _("{count}, {sold_out} sold out.").format(
                count=count.format(count=len(self._dishes)), sold_out=sold_out or _("none")
            )
            if self._dishes
            else _("No dish yet."),
            "done",
        )

    async def _read(self) -> None:
        restaurant = await self.services.api.restaurant(self._restaurant_id)
        self.query_one(".box").border_title = Content(
            _("Menu of {restaurant}").format(restaurant=plain(restaurant.name))
        )
        self._rows.dishes = restaurant.menu
        self._rows.currency = restaurant.currency
        self._rows.highlight(self._wanted or "")
        self._wanted = None

    async def _toggle(self, dish_id: str) -> None:
        dish = next((one for one in self._dishes if one.id == dish_id), None)
        if dish is None:  # removed meanwhile
            return
        change = MenuItemChange(available=not dish.available)
        changed = await self.services.api.change_menu_item(self._restaurant_id, dish.id, change)
        self._saved(changed)
        self.show_status(
            (_("{dish}: available again.") if changed.available else _("{dish}: sold out.")).format(
                dish=dish.name
            ),
            "done",
        )

    async def _remove(self, dish: MenuItem) -> None:
        await self.services.api.remove_menu_item(self._restaurant_id, dish.id)
        self._rows.dishes = [one for one in self._dishes if one.id != dish.id]
        self._rows.redraw()
        self._describe()
        self.show_status(_("{dish} is off the menu.").format(dish=dish.name), "done")

    def _saved(self, dish: MenuItem | None) -> None:
        if dish is None:
            return
        ids = [one.id for one in self._dishes]
        if dish.id in ids:
            self._dishes[ids.index(dish.id)] = dish
            self._rows.redraw()
        else:
            self._dishes.append(dish)
            self._rows.highlight(dish.id)
        self._describe()
        self.show_status(_("{dish} is saved.").format(dish=dish.name), "done")


class DishRows(RowList):
    """The dishes, in the menu's order."""

    def __init__(self) -> None:
        super().__init__(id="dishes")
        self.dishes: list[MenuItem] = []
        self.currency = ""

    def row_ids(self) -> Sequence[str]:
        """The dishes' ids."""
        return [dish.id for dish in self.dishes]

    def filter_key(self, index: int) -> str:
        """Name, category, tags, description, and whether it is sold out."""
        dish = self.dishes[index]
        off = "" if dish.available else _("sold out")
        return f"{dish.name} {off} {dish.category} {' '.join(dish.tags)} {dish.description}"

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """One dish."""
        return [Content.assemble(" ", format_dish(self.dishes[index], self.currency, width - 2))]


def format_dish(dish: MenuItem, currency: str, width: int) -> Content:
    """Whether it is available, its name, its price at the right edge."""
    price = money(dish.price_cents, currency).rjust(7)
    off = "" if dish.available else _(" sold out")
    name = fit(dish.name, width - 2 - len(off) - len(price))
    gap = " " * max(0, width - 2 - cell_len(name) - len(off) - len(price))
    return Content.assemble(
        ("● ", "$success") if dish.available else ("✕ ", "bold $error"),
        (name, "" if dish.available else "$wire-ink strike"),
        (off, "bold $error"),
        gap,
        (price, "$title"),
    )


FIELDS = (
    ("name", _("Name"), 80),
    ("description", _("Description"), 500),
    ("price_cents", _("Price"), 10),
)


class DishScreen(Dialog[MenuItem]):
    """Saves a dish and answers it as the server has it; None when closed."""

    DEFAULT_CSS = """
    DishScreen {
        & > .box { width: 64; }
        & .row { height: 1; margin-bottom: 1; }
        & .row > Label { width: 13; color: $title; }
        & .row > Input { width: 1fr; }
    }
    """
    AUTO_FOCUS = "#name"

    def __init__(self, restaurant_id: str, currency: str, dish: MenuItem | None = None) -> None:
        """`currency` is the restaurant's; `dish` is the one to change, None to add one."""
        super().__init__()
        self._restaurant_id, self._currency = restaurant_id, currency
        self._dish = dish

    def body(self) -> ComposeResult:
        """Three fields and a button."""
        dish = self._dish
        values = ("", "", "")
        if dish is not None:
            values = (dish.name, dish.description, bare_money(dish.price_cents, self._currency))
        with Vertical(classes="box") as box:
            box.border_title = _("New dish") if dish is None else _("Change a dish")
            box.border_subtitle = _("enter next field or save · esc closes")
            for (field, label, longest), value in zip(FIELDS, values, strict=True):
                with Horizontal(classes="row"):
                    yield Label(label, markup=False)
                    yield Input(in_one_line(value), id=field, compact=True, max_length=longest)
            yield Button(_("Save"), id="save", variant="primary", compact=True)
            yield StatusLine()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "price_cents":
            self._save_pressed()
        else:
            self.focus_next()

    @on(Button.Pressed, "#save")
    def _save_pressed(self) -> None:
        self.run_worker(self._save(), group="dish", exclusive=True, exit_on_error=True)

    async def _save(self) -> None:
        try:
            dish = await self._send()
        except Exception as error:
            self.show_error(error)
            return
        if self.is_attached:
            self.dismiss(dish)

    async def _send(self) -> MenuItem:
        api = self.services.api
        name, description, price = (self.query_one(f"#{key}", Input).value for key, *_ in FIELDS)
        cents = cents_of(price, self._currency)
        if cents is None:
            self.focus_field("price_cents")
            words = _("Enter the price as a number: {example}.")
            raise ClientError(words.format(example=bare_money(1250, self._currency)))
        if self._dish is None:
            new = NewMenuItem(name=name, description=description, price_cents=cents)
            return await api.add_menu_item(self._restaurant_id, new)
        change = MenuItemChange(name=name, description=description, price_cents=cents)
        return await api.change_menu_item(self._restaurant_id, self._dish.id, change)


def cents_of(text: str, currency: str) -> int | None:
    """Minor units from `12`, `12.5`, `12,50`, with or without the currency's sign or code."""
    digits = minor_digits(currency)
    sign = re.sub(r"[\d.,٫\s]", "", money(0, currency))
    named = rf"(?:{re.escape(sign)}|{re.escape(currency)})?"
    part = rf"(?:[.,٫](\d{{1,{digits}}}))?" if digits else "()"
    found = re.fullmatch(rf"\s*{named}\s*(\d{{1,8}}){part}\s*{named}\s*", text, re.IGNORECASE)
    if found is None:
        return None
    whole, minor = found.groups()
    return int(whole + (minor or "").ljust(digits, "0"))
