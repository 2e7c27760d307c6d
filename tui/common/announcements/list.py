"""The list of announcements: two lines each, the whole text where it is unfolded."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from server.features.announcements.schemas import ReadAnnouncement
from tui.common.announcements import format as announcement_text
from tui.common.announcements.model import AnnouncementStore
from tui.common.format import centred

if TYPE_CHECKING:
    from textual.visual import VisualType

NEAR_THE_END = 30
"""Lines below the window at which the next page is worth asking for."""

Note = Callable[[ReadAnnouncement, int], Content | None]


class AnnouncementList(ScrollView, can_focus=True):
    """Draws the book. The announcement under the cursor is kept by its id, so that a new one does
    not move it; `update_lines()` when anything has changed."""

    ALLOW_MAXIMIZE = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {"announcement-list--cursor"}
    DEFAULT_CSS = """
    AnnouncementList {
        background: $surface; height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden;
        & > .announcement-list--cursor { background: $panel; }
        &:focus > .announcement-list--cursor { background: $block-cursor-background; }
        &:nocolor:focus > .announcement-list--cursor { text-style: reverse; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(-1)", "Up", show=False),
        Binding("down", "step(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "end(-1)", "First", show=False),
        Binding("end", "end(1)", "Last", show=False),
        Binding("space", "fold", "Whole text"),
        Binding("right", "fold(True)", "Unfold", show=False),
        Binding("left", "fold(False)", "Fold", show=False),
    ]

    class Moved(Message):
        """Another announcement is under the cursor, or other ones came into view."""

    message: reactive[Content] = reactive(Content(""))
    """What to say while there is nothing."""

    def __init__(self, store: AnnouncementStore, now: Callable[[], datetime]) -> None:
        super().__init__(id="announcement-list")
        self.store = store
        self.label_suffix: Callable[[ReadAnnouncement], str] = lambda _: ""
        """More behind an announcement's label."""
        self.footer: Note = lambda *_: None
        """A line more under the announcement that the cursor is on."""
        self._now = now
        self._id: str | None = None
        self._row = 0
        self._unfolded: set[str] = set()
        self._lines: list[tuple[int, Content | None]] = []
        """For each line of the list the announcement's place and what it says; None is a gap."""
        self._tops: list[int] = []

    @property
    def at_cursor(self) -> ReadAnnouncement | None:
        """The announcement under the cursor."""
        return self.store.get(self._id)

    @property
    def wants_more(self) -> bool:
        """Whether older ones should be asked for: the end is near and there are any."""
        below = len(self._lines) - self.scroll_offset.y - self.size.height
        return self.store.older is not None and below <= NEAR_THE_END

    def select(self, announcement_id: str) -> None:
        """Put the cursor on that one."""
        row = self.store.index(announcement_id)
        if row is not None:
            self._go(row)

    def update_lines(self) -> None:
        """Find the announcement under the cursor again, lay the lines out, paint."""
        if self._row == 0 and not self.has_focus:
            self._id = None  # nobody is reading: stay with the newest
        row = self.store.index(self._id)
        if row is None and len(self.store):  # it has gone: the next one takes its place
            row = min(self._row, len(self.store) - 1)
            self._id = self.store.at(row).id
        moved, self._row = row not in (None, self._row), row or 0
        self._format_lines()
        height = max(0, len(self._lines) - 1)
        if self.virtual_size != (self.size.width, height):
            self.virtual_size = Size(self.size.width, height)
        if moved:
            self._show_cursor()
        self.refresh()

    def _format_lines(self) -> None:
        width = self.scrollable_content_region.width
        now = self._now()
        self._lines.clear()
        self._tops.clear()
        for row, announcement in enumerate(self.store):
            self._tops.append(len(self._lines))
            unread, aside = self.store.is_unread(announcement), self.label_suffix(announcement)
            if announcement.id in self._unfolded:
                lines = announcement_text.whole_head(announcement, width, now, unread=unread)
                lines += announcement_text.whole_lines(announcement, width, now, aside)
            else:
                lines = [announcement_text.head_line(announcement, width, now, unread=unread)]
                lines.append(announcement_text.short_line(announcement, width, aside))
            foot = self.footer(announcement, width) if announcement.id == self._id else None
            if foot is not None:
                lines.append(foot)
            self._lines += [(row, line) for line in lines]
            self._lines.append((row, None))

    # -- moving

    def action_step(self, distance: int) -> None:
        """One announcement up or down; at either end the key is left to whoever else wants it.

        A text longer than the window is scrolled through first.
        """
        if not len(self.store):
            raise SkipAction
        top, bottom = self._extent(self._row)
        window = self.scroll_offset.y, self.scroll_offset.y + self.size.height
        if distance > 0 and bottom > window[1] and bottom - top > self.size.height:
            self.scroll_to(y=window[0] + 1, animate=False)
        elif distance < 0 and top < window[0] and bottom - top > self.size.height:
            self.scroll_to(y=window[0] - 1, animate=False)
        elif 0 <= self._row + distance < len(self.store):
            self._go(self._row + distance)
        else:
            raise SkipAction

    def action_page(self, direction: int) -> None:
        """A window's height up or down."""
        if not self._tops:
            return
        wanted = self._tops[self._row] + direction * max(1, self.size.height - 2)
        rows = [row for row, top in enumerate(self._tops) if top <= wanted]
        self._go(rows[-1] if rows else 0)

    def action_end(self, direction: int) -> None:
        """To the first or the last one."""
        if len(self.store):
            self._go(0 if direction < 0 else len(self.store) - 1)

    def action_fold(self, unfolded: bool | None = None) -> None:
        """Show the whole text of the one under the cursor, or its beginning only."""
        if self._id is None:
            return
        is_unfolded = self._id in self._unfolded
        if unfolded is None:
            unfolded = not is_unfolded
        if unfolded == is_unfolded:
            raise SkipAction
        if unfolded:
            self._unfolded.add(self._id)
        else:
            self._unfolded.discard(self._id)
        self.update_lines()
        self._show_cursor()

    def _go(self, row: int) -> None:
        if self._id != self.store.at(row).id:
            self._id, self._row = self.store.at(row).id, row
            self.update_lines()
            self.post_message(self.Moved())
        self._show_cursor()

    def _extent(self, row: int) -> tuple[int, int]:
        """The lines of an announcement, without the gap after it: first, and the one after."""
        bottom = self._tops[row + 1] if row + 1 < len(self._tops) else len(self._lines)
        return self._tops[row], bottom - 1

    def _show_cursor(self) -> None:
        if self.size.height <= 0 or self._row >= len(self._tops):
            return
        top, bottom = self._extent(self._row)
        offset = self.scroll_offset.y
        if top < offset or bottom - top > self.size.height:
            self.scroll_to(y=top, animate=False)
        elif bottom > offset + self.size.height:
            self.scroll_to(y=bottom - self.size.height, animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Tell of lines that came into view."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(self.Moved())

    def watch_show_vertical_scrollbar(self) -> None:
        """The bar takes a column of the lines."""
        if self.is_attached:
            self.call_after_refresh(self.update_lines)

    def on_resize(self) -> None:
        """Lines are laid out for the width there is."""
        self.update_lines()
        self._show_cursor()

    def on_focus(self) -> None:
        """The cursor looks otherwise."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor looks otherwise."""
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there; unfold or fold it if it is there already."""
        at = event.y + self.scroll_offset.y
        if not 0 <= at < len(self._lines):
            return
        row = self._lines[at][0]
        if row == self._row:
            self.action_fold()
        else:
            self._go(row)

    # -- painting

    def render_line(self, y: int) -> Strip:
        """A line of an announcement, a gap, or what is said while there is nothing."""
        width = self.scrollable_content_region.width
        if not self._lines:
            return self._strip(centred(self.message, y, width, self.size.height), width)
        at = y + self.scroll_offset.y
        row, line = self._lines[at] if at < len(self._lines) else (-1, None)
        if line is None:
            return self._strip(Content(""), width)
        return self._strip(line, width, at_cursor=row == self._row)

    def _strip(self, content: "VisualType", width: int, *, at_cursor: bool = False) -> Strip:
        style = self.visual_style
        if at_cursor:
            style = self.get_visual_style("announcement-list--cursor")
        assert isinstance(content, Content)
        strips = Visual.to_strips(self, content, width, 1, style, pad=True, apply_selection=False)
        base = style.rich_style
        strip = strips[0] if strips else Strip.blank(width, base)
        return strip.adjust_cell_length(width, base)
