"""The employee's panel "Photo": photos of the restaurant's dishes, and the user's avatar."""

from collections.abc import Callable
from typing import Literal

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from server.features.restaurants.schemas import MenuItem
from server.features.uploads.schemas import NewUpload, Upload, UploadPurpose
from tui.common.client.errors import ClientError, SignedOut
from tui.common.client.retry import Backoff, retry
from tui.common.dialogs.base import Dialog
from tui.common.format import fit, message_for
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.uploads.jobs import UploadJob
from tui.common.uploads.manager import Row
from tui.common.uploads.panel import PhotoPanel
from tui.common.widgets.status_line import StatusLine

NO_DISH = _("A dish no longer on the menu")


class DishPhotoPanel(PhotoPanel):
    """Photos are for a dish of the menu, or the avatar."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._names: dict[str, str] = {}
        self._menu_read = False

    def start(self) -> None:
        """Read the list, and the menu for its names."""
        super().start()
        self.run_with_toast("photo-menu", self._read_menu())

    def ask_for_new(self) -> None:
        """Which dish is it of?"""
        restaurant_id = self._restaurant_id
        if restaurant_id is None:
            self.offer_avatar()
            return
        self.app.push_screen(PhotoSubjectScreen(restaurant_id), self._subject_chosen)

    def offer_for(self, dish: MenuItem, then: Callable[[], None] | None = None) -> None:
        """Have a picture chosen for that dish."""
        name = plain(dish.name)
        self._names[dish.id] = name
        new = NewUpload(purpose=UploadPurpose.MENU_ITEM, menu_item_id=dish.id)
        self.offer(new, _("A photo of {name}").format(name=name), name, then)

    def about(self, row: Row) -> str:
        """The dish's name."""
        if isinstance(row, UploadJob):
            return row.about
        if row.purpose is UploadPurpose.AVATAR:
            return _("Avatar")
        return self._names.get(row.menu_item_id or "") or (
            NO_DISH if self._menu_read else _("Dish")
        )

    def _subject_chosen(self, subject: MenuItem | str | None) -> None:
        if subject == AVATAR:
            self.offer_avatar()
        elif isinstance(subject, MenuItem):
            self.offer_for(subject)

    def ready(self, upload: Upload) -> None:
        """The menu has another photo; its names may be other ones as well."""
        self.run_with_toast("photo-menu", self._read_menu())

    @property
    def _restaurant_id(self) -> str | None:
        account = self.session.account
        return account.restaurant_id if account is not None else None

    async def _read_menu(self) -> None:
        if self._restaurant_id is not None:
            restaurant = await self.api.restaurant(self._restaurant_id)
            self._names |= {dish.id: plain(dish.name) for dish in restaurant.menu}
            self._menu_read = True
            self._changed()


AVATAR: Literal["avatar"] = "avatar"


class PhotoSubjectScreen(Dialog["MenuItem | Literal['avatar']"]):
    """Answers with a dish, or `AVATAR`; tells which dishes have no photo yet."""

    DEFAULT_CSS = """
    PhotoSubjectScreen {
        & > .box { width: 60; height: 70%; }
        & OptionList { height: 1fr; }
        & StatusLine { max-height: 3; }
    }
    """
    AUTO_FOCUS = "OptionList"

    def __init__(self, restaurant_id: str) -> None:
        super().__init__()
        self._restaurant_id = restaurant_id
        self._dishes: list[MenuItem] = []

    def body(self) -> ComposeResult:
        """The dishes, and a line for what is wrong."""
        with Vertical(classes="box") as box:
            box.border_title = _("A photo of what?")
            box.border_subtitle = _("enter chooses · esc closes")
            yield OptionList(id="dishes")
            yield StatusLine(_("Loading the menu…"))

    def on_mount(self) -> None:
        """Read the menu."""
        self.run_worker(self._read(), group="photo-subject", exit_on_error=False)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        at = event.option_index
        self.dismiss(self._dishes[at] if at < len(self._dishes) else AVATAR)

    async def _read(self) -> None:
        def show(error: ClientError, _wait: float | None) -> None:
            if not isinstance(error, SignedOut):
                self.show_status(message_for(error))

        try:
            restaurant = await retry(
                lambda: self.services.api.restaurant(self._restaurant_id),
                backoff=Backoff(cap=4.0),
                on_error=show,
            )
        except ClientError:
            return
        self._show(restaurant.menu)

    def _show(self, dishes: list[MenuItem]) -> None:
        self._dishes = dishes
        options = self.query_one(OptionList)
        width = max(20, options.scrollable_content_region.width - 2)
        options.add_options([Option(subject_line(dish, width)) for dish in dishes])
        options.add_option(Option(Content.assemble(("  ", ""), _("Yourself: your avatar"))))
        missing = sum(dish.photo_url is None for dish in dishes)
        first = next((at for at, dish in enumerate(dishes) if dish.photo_url is None), 0)
        options.highlighted = first
        words = (
            _("{missing} without a photo.").format(missing=missing)
            if missing
            else _("Every dish has a photo.")
        )
        self.show_status(words, "info")


def subject_line(dish: MenuItem, width: int) -> Content:
    """Its name, and whether it has a photo."""
    told = _("has a photo") if dish.photo_url else _("no photo yet")
    name = fit(dish.name, width - len(told) - 3)
    gap = " " * max(1, width - 2 - cell_len(name) - len(told))
    return Content.assemble(
        ("● ", "$success") if dish.photo_url else ("○ ", "$wire-ink"),
        name,
        gap,
        (told, "$wire-ink" if dish.photo_url else "$warning"),
    )
