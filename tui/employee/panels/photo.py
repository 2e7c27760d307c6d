"""The employee's panel "Photo": photos of the restaurant's dishes, and one's own avatar."""

from collections.abc import Callable

from server.features.restaurants.schemas import MenuItem
from server.features.uploads.schemas import NewUpload, Upload, UploadPurpose
from tui.common.photo.desk import Row
from tui.common.photo.panel import PhotoPanel
from tui.common.photo.parcel import Parcel
from tui.common.text import plain
from tui.employee.screens.photo_subject import AVATAR, PhotoSubjectScreen

NO_DISH = "A dish no longer on the menu"


class DishPhotoPanel(PhotoPanel):
    """Photos are for a dish of the menu, or the avatar."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._names: dict[str, str] = {}
        self._menu_read = False

    def start(self) -> None:
        """Read the list, and the menu for its names."""
        super().start()
        self.run_told("photo-menu", self._read_menu())

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
        self.offer(new, f"A photo of {name}", name, then)

    def about(self, row: Row) -> str:
        """The dish's name."""
        if isinstance(row, Parcel):
            return row.about
        if row.purpose is UploadPurpose.AVATAR:
            return "Avatar"
        return self._names.get(row.menu_item_id or "") or (NO_DISH if self._menu_read else "Dish")

    def _subject_chosen(self, subject: MenuItem | str | None) -> None:
        if subject == AVATAR:
            self.offer_avatar()
        elif isinstance(subject, MenuItem):
            self.offer_for(subject)

    def ready(self, upload: Upload) -> None:
        """The menu has another photo; its names may be other ones as well."""
        self.run_told("photo-menu", self._read_menu())

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
