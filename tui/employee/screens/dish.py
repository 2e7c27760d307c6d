"""A dish's form: name, description, price."""

import re

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Label, Static

from server.features.restaurants.schemas import MenuItem, MenuItemChange, NewMenuItem
from tui.common.client.errors import ClientTrouble
from tui.common.screens.modal import Modal
from tui.common.text import human_money, in_one_line, plain
from tui.common.trouble import field_of, words_of
from tui.common.widgets.too_small import TooSmall

FIELDS = (("name", "Name", 80), ("description", "Description", 500), ("price_cents", "Price", 10))


class DishScreen(Modal[MenuItem]):
    """Saves, and answers the dish as the server has it; None when closed."""

    DEFAULT_CSS = """
    DishScreen {
        & > .box { width: 64; }
        & .row { height: 1; margin-bottom: 1; }
        & .row > Label { width: 13; color: $title; }
        & .row > Input { width: 1fr; }
        & #words { height: auto; min-height: 1; margin-top: 1; }
    }
    """
    AUTO_FOCUS = "#name"

    def __init__(self, restaurant_id: str, dish: MenuItem | None = None) -> None:
        """`dish` is the one to change; None for a new one."""
        super().__init__()
        self._restaurant_id = restaurant_id
        self._dish = dish

    def compose(self) -> ComposeResult:
        """Three fields and a button."""
        dish = self._dish
        values = ("", "", "")
        if dish is not None:
            values = (dish.name, dish.description, human_money(dish.price_cents))
        with Vertical(classes="box") as box:
            box.border_title = "New dish" if dish is None else "Change a dish"
            box.border_subtitle = "enter goes on and saves · esc closes"
            for (field, label, longest), value in zip(FIELDS, values, strict=True):
                with Horizontal(classes="row"):
                    yield Label(label, markup=False)
                    yield Input(in_one_line(value), id=field, compact=True, max_length=longest)
            yield Button("Save", id="save", variant="primary", compact=True)
            yield Static("", id="words", markup=False)
        yield TooSmall()

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
            words = words_of(error)
            if self.is_attached:
                self._say(words)
                self._point_at(field_of(error))
            return
        if self.is_attached:
            self.dismiss(dish)

    async def _send(self) -> MenuItem:
        api = self.tiffin.api
        name, description, price = (self.query_one(f"#{key}", Input).value for key, *_ in FIELDS)
        cents = cents_of(price)
        if cents is None:
            self._point_at("price_cents")
            raise ClientTrouble("Give the price as a number: 12.50.")
        if self._dish is None:
            new = NewMenuItem(name=name, description=description, price_cents=cents)
            return await api.add_menu_item(self._restaurant_id, new)
        change = MenuItemChange(name=name, description=description, price_cents=cents)
        return await api.change_menu_item(self._restaurant_id, self._dish.id, change)

    def _say(self, words: str) -> None:
        line = Content.assemble(("✕ ", "bold $error"), plain(words))
        self.query_one("#words", Static).update(line)

    def _point_at(self, field: str | None) -> None:
        if field in {key for key, *_ in FIELDS}:
            self.query_one(f"#{field}", Input).focus()


def cents_of(text: str) -> int | None:
    """Minor units from `12`, `12.5`, `12,50`, with or without a currency's sign."""
    found = re.fullmatch(r"\s*€?\s*(\d{1,6})(?:[.,](\d{1,2}))?\s*€?\s*", text, re.ASCII)
    if found is None:
        return None
    whole, part = found.groups()
    return int(whole) * 100 + int((part or "0").ljust(2, "0"))
