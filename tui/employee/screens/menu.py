"""The menu, to say what is sold out, and to change it."""

from collections.abc import Coroutine
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from server.features.restaurants.schemas import MenuItem, MenuItemChange
from tui.common.client.errors import ApiError, ClientTrouble
from tui.common.screens.confirm import ConfirmScreen
from tui.common.screens.modal import Modal
from tui.common.text import fit, human_money, plain
from tui.common.widgets.too_small import TooSmall
from tui.employee.panels.photo import DishPhotoPanel
from tui.employee.screens.dish import DishScreen

KEYS = "space sold out · a adds · e edits · p photo · del removes · esc closes"


class MenuScreen(Modal[None]):
    """Every change is sent at once; the line at the foot says what came of it."""

    DEFAULT_CSS = """
    MenuScreen {
        & > .box { width: 76; height: 80%; }
        & OptionList { height: 1fr; }
        & #about { height: 2; color: $wire-ink; margin-top: 1; }
        & #words { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    }
    """
    AUTO_FOCUS = "OptionList"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "sold_out", "Sold out"),
        Binding("a", "add", "Add"),
        Binding("e", "edit", "Edit"),
        Binding("p", "photo", "Photo"),
        Binding("delete,backspace", "remove", "Remove"),
        Binding("down", "cursor(1)", show=False),
        Binding("up", "cursor(-1)", show=False),
    ]

    def __init__(self, restaurant_id: str) -> None:
        super().__init__()
        self._restaurant_id = restaurant_id
        self._dishes: list[MenuItem] = []
        self._busy = False

    def compose(self) -> ComposeResult:
        """The dishes, the one in focus in full, a line of news."""
        with Vertical(classes="box") as box:
            box.border_title = "Menu"
            box.border_subtitle = (
                "space sold out · a adds · e edits · p photo · del removes · esc closes"
            )
            yield OptionList(id="dishes")
            yield Static("", id="about", markup=False)
            yield Static("Reading the menu …", id="words", markup=False)
        yield TooSmall()

    def on_mount(self) -> None:
        """Read the menu."""
        self._do(self._load())

    def on_resize(self) -> None:
        """The prices stay at the right edge."""
        self.call_after_refresh(self._fill)

    def say(self, words: str, *, trouble: bool = False) -> None:
        """Show `words` at the foot."""
        mark = ("✕ ", "bold $error") if trouble else ("✓ ", "bold $success")
        self.query_one("#words", Static).update(Content.assemble(mark, plain(words)))

    @property
    def dish(self) -> MenuItem | None:
        """The dish in focus."""
        at = self.query_one(OptionList).highlighted
        return self._dishes[at] if at is not None and at < len(self._dishes) else None

    def action_cursor(self, distance: int) -> None:
        """To the next dish."""
        dishes = self.query_one(OptionList)
        if distance > 0:
            dishes.action_cursor_down()
        else:
            dishes.action_cursor_up()

    def action_sold_out(self) -> None:
        """Sold out, or there again."""
        if self.dish is not None:
            self._do(self._toggle(self.dish))

    @on(OptionList.OptionSelected)
    def _chosen(self) -> None:
        self.action_sold_out()

    @on(OptionList.OptionHighlighted)
    def _describe(self) -> None:
        about = self.dish.description if self.dish else ""
        self.query_one("#about", Static).update(plain(about))

    def action_add(self) -> None:
        """A new dish, at the menu's end."""
        if self._dishes or not self._busy:
            self.app.push_screen(DishScreen(self._restaurant_id), self._saved)

    def action_edit(self) -> None:
        """Change the dish in focus."""
        if self.dish is not None:
            self.app.push_screen(DishScreen(self._restaurant_id, self.dish), self._saved)

    def action_photo(self) -> None:
        """Give the dish in focus its photo."""
        dish = self.dish
        if dish is not None:
            panel = self.app.screen_stack[0].query_one(DishPhotoPanel)
            words = f"{dish.name}: the photo is on its way; panel {panel.number} follows it."
            panel.offer_for(dish, lambda: self.say(words))

    def action_remove(self) -> None:
        """Take the dish in focus off the menu."""
        dish = self.dish
        if dish is None:
            return
        question = f"“{dish.name}” leaves the menu for good. For today only, say it is sold out."
        self.app.push_screen(
            ConfirmScreen("Remove a dish", question, yes="Remove it", no="Keep it", danger=True),
            lambda sure: self._do(self._remove(dish)) if sure else None,
        )

    # -- what is sent

    def _do(self, work: Coroutine[object, object, None]) -> None:
        if self._busy:
            work.close()
            return
        self._busy = True
        self.run_worker(self._told(work), group="menu", exit_on_error=True)

    async def _told(self, work: Coroutine[object, object, None]) -> None:
        try:
            await work
        except ApiError as refusal:
            self.say(refusal.words, trouble=True)
            if refusal.status == 404 and self._dishes:
                await self._read()
        except ClientTrouble as trouble:
            self.say(f"{trouble.words} Try again.", trouble=True)
        finally:
            self._busy = False

    async def _load(self) -> None:
        await self._read()
        sold_out = sum(not dish.available for dish in self._dishes)
        count = f"{len(self._dishes)} dishes" if len(self._dishes) != 1 else "1 dish"
        self.say(f"{count}, {sold_out or 'none'} sold out." if self._dishes else "No dish yet.")

    async def _read(self) -> None:
        restaurant = await self.tiffin.api.restaurant(self._restaurant_id)
        self.query_one(".box").border_title = Content(f"Menu of {plain(restaurant.name)}")
        self._dishes = restaurant.menu
        self._fill()

    async def _toggle(self, dish: MenuItem) -> None:
        change = MenuItemChange(available=not dish.available)
        changed = await self.tiffin.api.change_menu_item(self._restaurant_id, dish.id, change)
        self._saved(changed)
        self.say(f"{dish.name}: {'there again' if changed.available else 'sold out'}.")

    async def _remove(self, dish: MenuItem) -> None:
        await self.tiffin.api.remove_menu_item(self._restaurant_id, dish.id)
        self._dishes = [one for one in self._dishes if one.id != dish.id]
        self._fill()
        self.say(f"{dish.name} is off the menu.")

    def _saved(self, dish: MenuItem | None) -> None:
        if dish is None:
            return
        ids = [one.id for one in self._dishes]
        if dish.id in ids:
            self._dishes[ids.index(dish.id)] = dish
            self._fill()
        else:
            self._dishes.append(dish)
            self._fill(len(self._dishes) - 1)
        self.say(f"{dish.name} is saved.")

    def _fill(self, at: int | None = None) -> None:
        dishes = self.query_one(OptionList)
        at = dishes.highlighted if at is None else at
        width = max(20, dishes.scrollable_content_region.width - 2)
        dishes.clear_options()
        dishes.add_options([Option(dish_line(dish, width)) for dish in self._dishes])
        if self._dishes:
            dishes.highlighted = min(at or 0, len(self._dishes) - 1)


def dish_line(dish: MenuItem, width: int) -> Content:
    """Whether it is there, its name, its price at the right edge."""
    price = human_money(dish.price_cents).rjust(7)
    off = "" if dish.available else " sold out"
    name = fit(dish.name, width - 2 - len(off) - len(price))
    gap = " " * max(0, width - 2 - cell_len(name) - len(off) - len(price))
    return Content.assemble(
        ("● ", "$success") if dish.available else ("✕ ", "bold $error"),
        (name, "" if dish.available else "$wire-ink strike"),
        (off, "bold $error"),
        gap,
        (price, "$title"),
    )
