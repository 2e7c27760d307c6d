"""The photo of the dish in focus, beside the menu."""

import asyncio

from textual.content import Content

from server.features.restaurants.schemas import MenuItem
from tui.common.client.errors import ClientError
from tui.common.services import services_of
from tui.common.uploads.bitmap import NotDrawable
from tui.common.widgets.picture import PictureView

LONGEST = 240
"""Pixels; it is small."""
PASSING_SECONDS = 0.12
"""A dish that is only passed on the way to another is not fetched."""
NONE = Content.assemble(("no photo yet", "$wire-ink"))
AWAY = Content.assemble(("the photo cannot be had now", "$wire-ink"))
BROKEN = Content.assemble(("its photo cannot be shown", "$wire-ink"))


class DishPicture(PictureView, can_focus=False):
    """Fetched when it is looked at, and kept; the menu never waits for it."""

    DEFAULT_CSS = "DishPicture { height: 12; margin-bottom: 1; }"

    def __init__(self) -> None:
        super().__init__(id="dish-picture", chequered=False)
        self._dish: MenuItem | None = None
        self._looked_at: tuple[str, str | None] | None = None

    def look(self, dish: MenuItem | None) -> None:
        """Show the photo of this one."""
        self._dish = dish
        wanted = None if dish is None else (dish.id, dish.photo_url)
        if wanted == self._looked_at or not self.size.width or not self.can_draw:
            return
        self._looked_at = wanted
        self.workers.cancel_group(self, "dish-picture")
        url = dish.photo_url if dish is not None else None
        if url is None:
            self.show(None, None, Content("") if dish is None else NONE)
            return
        known = services_of(self).picture_cache.known(url, longest=LONGEST, trim=True)
        if known is not None:
            self.show(None, known)
        else:
            self.run_worker(self._fetch(url), group="dish-picture", exit_on_error=False)

    def on_resize(self) -> None:
        """There may be room for it now."""
        super().on_resize()
        self.look(self._dish)

    async def _fetch(self, url: str) -> None:
        await asyncio.sleep(PASSING_SECONDS)
        try:
            picture = await services_of(self).picture_cache.picture(url, longest=LONGEST, trim=True)
        except NotDrawable:
            self.show(None, None, BROKEN)
        except ClientError:
            self._looked_at = None  # the next look asks again
            self.show(None, None, AWAY)
        else:
            self.show(None, picture)
