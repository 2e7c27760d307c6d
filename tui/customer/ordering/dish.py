"""One dish of the menu: its photo, all that is said of it, and the note for the kitchen."""

import asyncio
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Label, Static

from server.features.restaurants.schemas import MenuItem
from tui.common.client.errors import ClientError
from tui.common.format import fit
from tui.common.language import _
from tui.common.sanitize import in_one_line, plain
from tui.common.services import services_of
from tui.common.uploads.bitmap import NotDrawable
from tui.common.widgets.picture import PictureView
from tui.customer.ordering.format import tags_in_words

NAME_CELLS = 28


class DishDetails(Static):
    """All that is said of the selected dish: its description, its tags, what it contains."""

    SCOPED_CSS: ClassVar[bool] = False  # else rules by breakpoint would not hold
    DEFAULT_CSS = """
    DishDetails { height: auto; min-height: 2; max-height: 8; padding: 0 1; margin-top: 1; }
    .-short DishDetails { margin-top: 0; max-height: 7; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)

    def show_dish(self, dish: MenuItem | None) -> None:
        """Describe this dish."""
        lines = []
        if dish is not None:
            lines = [(plain(dish.description, newlines=True), "$foreground")]
            lines.append((tags_in_words(dish.tags).capitalize(), "$success"))
        shown = [Content.assemble(line) for line in lines if line[0]]
        self.update(Content("\n").join(shown))


class DishNote(Horizontal):
    """A field for a dish's note; hidden until `ask`. Enter posts `Written` and hides it."""

    DEFAULT_CSS = """
    DishNote {
        height: 1; display: none;
        & > Label { width: auto; max-width: 50%; color: $title; margin-right: 1; }
        & > Input { width: 1fr; }
    }
    """

    class Written(Message):
        """A note was written; "" removes it."""

        def __init__(self, dish: MenuItem, note: str) -> None:
            super().__init__()
            self.dish, self.note = dish, note

    def __init__(self) -> None:
        super().__init__()
        self._dish: MenuItem | None = None

    def compose(self) -> ComposeResult:
        """Whose note, and the field."""
        yield Label("", markup=False)
        yield Input(compact=True, max_length=500, placeholder=_("e.g. no nuts; enter saves it"))

    def ask(self, dish: MenuItem, note: str) -> None:
        """Ask for a note for `dish`; `note` is the current one."""
        self._dish = dish
        self.query_one(Label).update(
            Content(_("Note for {dish}").format(dish=fit(dish.name, NAME_CELLS)))
        )
        field = self.query_one(Input)
        field.value = in_one_line(note)
        self.display = True
        # styles now, not with the next frame: a hidden widget takes no focus
        self.app.stylesheet.update(self)
        field.focus()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.display = False
        if self._dish is not None:
            self.post_message(self.Written(self._dish, event.value.strip()))


MAX_PIXELS = 240
"""Pixels."""
DELAY_SECONDS = 0.12
"""Photos of dishes that the cursor only passes are not fetched."""
NO_PHOTO = Content.assemble((_("no photo yet"), "$wire-ink"))
UNAVAILABLE = Content.assemble((_("the photo cannot be loaded now"), "$wire-ink"))
BROKEN = Content.assemble((_("its photo cannot be shown"), "$wire-ink"))


class DishPhoto(PictureView, can_focus=False):
    """The photo of the selected dish, fetched in the background and cached."""

    DEFAULT_CSS = "DishPhoto { height: 12; margin-bottom: 1; }"

    def __init__(self) -> None:
        super().__init__(id="dish-photo", chequered=False)
        self._dish: MenuItem | None = None
        self._requested: tuple[str, str | None] | None = None

    def show_dish(self, dish: MenuItem | None) -> None:
        """Show the photo of this dish."""
        self._dish = dish
        wanted = None if dish is None else (dish.id, dish.photo_url)
        if wanted == self._requested or not self.size.width or not self.can_draw:
            return
        self._requested = wanted
        self.workers.cancel_group(self, "dish-photo")
        url = dish.photo_url if dish is not None else None
        if url is None:
            self.show(None, None, Content("") if dish is None else NO_PHOTO)
            return
        known = services_of(self).picture_cache.known(url, longest=MAX_PIXELS, trim=True)
        if known is not None:
            self.show(None, known)
        else:
            self.run_worker(self._fetch(url), group="dish-photo", exit_on_error=False)

    def on_resize(self) -> None:
        """There may be room for it now."""
        super().on_resize()
        self.show_dish(self._dish)

    async def _fetch(self, url: str) -> None:
        await asyncio.sleep(DELAY_SECONDS)
        try:
            picture_cache = services_of(self).picture_cache
            picture = await picture_cache.picture(url, longest=MAX_PIXELS, trim=True)
        except NotDrawable:
            self.show(None, None, BROKEN)
        except ClientError:
            self._requested = None  # the next time it is fetched again
            self.show(None, None, UNAVAILABLE)
        else:
            self.show(None, picture)
