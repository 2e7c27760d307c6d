"""The list of announcements: two lines each, the whole text where it is unfolded.

Hand-drawn: with 2,000 in an `OptionList`, a new one on top took 580 ms instead of 16.
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable
from datetime import datetime
from itertools import accumulate
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from server.features.announcements.schemas import ReadAnnouncement
from tui.common.announcements import format as announcement_text
from tui.common.announcements.model import AnnouncementStore, FoundAnnouncements
from tui.common.client.log_feed import MARK
from tui.common.format import age, centred
from tui.common.language import _
from tui.common.right_to_left import laid_out
from tui.common.widgets.filter import Filterable, matcher
from tui.common.widgets.scroll_bar import ThinBarView

ROW_LINES = 3
"""Of one that is folded, with the gap below it."""
ROWS_CACHED = 200
NEAR_THE_END = 30
"""Lines below the window at which the next page is worth asking for."""

Note = Callable[[ReadAnnouncement, int], Content | None]


class AnnouncementList(ThinBarView, Filterable, can_focus=True):
    """Draws the store. The announcement under the cursor is kept by its id, so that a new one does
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
        Binding("up", "step(-1)", _("Up"), show=False),
        Binding("down", "step(1)", _("Down"), show=False),
        Binding("pageup", "page(-1)", _("Page up"), show=False),
        Binding("pagedown", "page(1)", _("Page down"), show=False),
        Binding("home", "end(-1)", _("First"), show=False),
        Binding("end", "end(1)", _("Last"), show=False),
        Binding("space", "fold", _("Whole text")),
        Binding("right", "fold(True)", _("Unfold"), show=False),
        Binding("left", "fold(False)", _("Fold"), show=False),
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
        self._listed: AnnouncementStore | FoundAnnouncements = store
        """The announcements that the filter leaves."""
        self._listed_for: tuple[str, int] = "", -1
        self._now = now
        self._id: str | None = None
        self._row = 0
        self._unfolded: set[str] = set()
        self._width = 0
        """Of the lines. Kept, since Textual looks up a widget's region for each that asks."""
        self._tops: list[int] = [0]
        """The first line of each announcement, and the one after the last."""
        self._measured: tuple[int, dict[int, int]] = 0, {}
        """What they were found from: how many there are, and the lines of each that has others."""
        self._cache: LRUCache[Hashable, list[Content]] = LRUCache(ROWS_CACHED)
        self._strips: LRUCache[Hashable, list[Strip]] = LRUCache(ROWS_CACHED)
        self._gap: Strip | None = None
        self._painted: dict[int, Hashable] = {}
        """By line of the window, what was painted of the announcement that begins there."""

    @property
    def at_cursor(self) -> ReadAnnouncement | None:
        """The announcement under the cursor."""
        return self.store.get(self._id) if len(self._listed) else None

    @property
    def cursor_rows(self) -> range:
        """The lines of the one under the cursor, counted from the first in view."""
        first, end = self._extent(self._row) if len(self._tops) > 1 else (0, 0)
        return range(first - self.scroll_offset.y, end - self.scroll_offset.y)

    @property
    def wants_more(self) -> bool:
        """Whether older ones should be asked for: the end is near and there are any."""
        below = self._tops[-1] - self.scroll_offset.y - self.size.height
        laid_out = len(self._tops) > len(self._listed)
        return self.store.older is not None and laid_out and below <= NEAR_THE_END

    def select(self, announcement_id: str) -> None:
        """Put the cursor on that one."""
        row = self._listed.index(announcement_id)
        if row is not None:
            self._move_to(row)

    def update_lines(self) -> None:
        """Find the announcement under the cursor again, lay the lines out, paint."""
        self._apply_filter()
        if self._row == 0 and not self.has_focus and not self.filter_text:
            self._id = None  # nobody is reading: stay with the newest
        row = self._listed.index(self._id)
        if row is None and len(self._listed):  # it has gone: the next one takes its place
            row = min(self._row, len(self._listed) - 1)
            self._id = self._listed.at(row).id
        moved, self._row = row not in (None, self._row), row or 0
        self._width = self.scrollable_content_region.width
        self._measure()
        height = max(0, self._tops[-1] - 1)
        if self.virtual_size != (self.size.width, height):
            self.virtual_size = Size(self.size.width, height)
        if moved:
            self._show_cursor()
        self._refresh_changed()

    def redraw(self) -> None:
        """Show what the filter leaves."""
        self.update_lines()
        self.refresh()
        self.post_message(self.Moved())

    def filter_counts(self) -> tuple[int, int, str]:
        """How many are shown, of how many that are read until now."""
        part = "" if self.store.older is None else _("of the newest")
        return len(self._listed), len(self.store), part

    def _apply_filter(self) -> None:
        if not self.filter_text:
            self._listed = self.store
            return
        wanted = self.filter_text, self.store.revision
        if self._listed is self.store or wanted != self._listed_for:
            self._listed, self._listed_for = self.store.found(matcher(self.filter_text)), wanted
            self.filter_field.show_count()

    def _measure(self) -> None:
        """Find the first line of each; only those that are unfolded have to be wrapped for that."""
        rows = {self._listed.index(one) for one in (*self._unfolded, self._id)} - {None}
        others = {row: len(self.row_lines(row)) + 1 for row in rows if row is not None}
        others = {row: lines for row, lines in others.items() if lines != ROW_LINES}
        if (len(self._listed), others) == self._measured:
            return
        self._measured = len(self._listed), others
        heights = [ROW_LINES] * len(self._listed)
        for row, lines in others.items():
            heights[row] = lines
        self._tops = [0, *accumulate(heights)]

    def row_lines(self, row: int) -> list[Content]:
        """The lines of an announcement, formatted when they come into view."""
        return self._formatted(row)[1]

    def _formatted(self, row: int) -> tuple[Hashable, list[Content]]:
        """What the lines depend on, and the lines."""
        announcement, now = self._listed.at(row), self._now()
        width = self._width
        unread, suffix = self.store.is_unread(announcement), self.label_suffix(announcement)
        footer = self.footer(announcement, width) if announcement.id == self._id else None
        unfolded = announcement.id in self._unfolded
        aged = age(announcement.published_at, now)
        today = now.astimezone().date() if unfolded else None
        words = None if footer is None else footer.plain
        if announcement.id in self.store.replayed:
            suffix = f"{MARK} {suffix}".rstrip()
        key = (announcement.id, unread, suffix, words, unfolded, aged, today, width)
        lines = self._cache.get(key)
        if lines is None:
            if unfolded:
                lines = announcement_text.whole_head(announcement, width, now, unread=unread)
                lines += announcement_text.whole_lines(announcement, width, now, suffix)
            else:
                lines = [announcement_text.head_line(announcement, width, now, unread=unread)]
                lines.append(announcement_text.short_line(announcement, width, suffix))
            lines += [footer] if footer is not None else []
            self._cache[key] = lines
        return key, lines

    def _refresh_changed(self) -> None:
        """Repaint the announcements in view that look different."""
        if not len(self._listed):
            self._painted.clear()
            self.refresh()
            return
        first, end = self.scroll_offset.y, self.scroll_offset.y + self.size.height
        painted: dict[int, Hashable] = {}
        row = self._row_at(first)
        while row < len(self._listed) and self._tops[row] < end:
            cursor = row == self._row and (self.has_focus or "blurred")
            painted[self._tops[row] - first] = self._formatted(row)[0], cursor
            row += 1
        before, self._painted = self._painted, painted
        if before.keys() != painted.keys():
            self.refresh()
            return
        for y, key in painted.items():
            if key != before[y]:
                row = self._row_at(first + y)
                height = self._tops[row + 1] - self._tops[row]
                self.refresh(Region(0, y, self.size.width, height).intersection(self.size.region))

    def _row_at(self, line: int) -> int:
        return bisect_right(self._tops, line) - 1

    # -- moving

    def action_step(self, distance: int) -> None:
        """One announcement up or down; at either end the key is left to the screen.

        A text longer than the window is scrolled through first.
        """
        if self._row + 1 >= len(self._tops):
            raise SkipAction
        top, bottom = self._extent(self._row)
        window = self.scroll_offset.y, self.scroll_offset.y + self.size.height
        if distance > 0 and bottom > window[1] and bottom - top > self.size.height:
            self.scroll_to(y=window[0] + 1, animate=False)
        elif distance < 0 and top < window[0] and bottom - top > self.size.height:
            self.scroll_to(y=window[0] - 1, animate=False)
        elif 0 <= self._row + distance < len(self._listed):
            self._move_to(self._row + distance)
        else:
            raise SkipAction

    def action_page(self, direction: int) -> None:
        """A window's height up or down."""
        if not len(self._listed):
            return
        wanted = self._tops[self._row] + direction * max(1, self.size.height - 2)
        self._move_to(min(max(0, self._row_at(wanted)), len(self._listed) - 1))

    def action_end(self, direction: int) -> None:
        """To the first or the last one."""
        if len(self._listed):
            self._move_to(0 if direction < 0 else len(self._listed) - 1)

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

    def _move_to(self, row: int) -> None:
        if self._id != self._listed.at(row).id:
            self._id, self._row = self._listed.at(row).id, row
            self.update_lines()
            self.post_message(self.Moved())
        self._show_cursor()

    def _extent(self, row: int) -> tuple[int, int]:
        """The lines of an announcement, without the gap after it: first, and the one after."""
        return self._tops[row], self._tops[row + 1] - 1

    def _show_cursor(self) -> None:
        if self.size.height <= 0 or self._row + 1 >= len(self._tops):
            return
        top, bottom = self._extent(self._row)
        offset = self.scroll_offset.y
        if top < offset or bottom - top > self.size.height:
            self.scroll_to(y=top, animate=False)
        elif bottom > offset + self.size.height:
            self.scroll_to(y=bottom - self.size.height, animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Report that other lines are in view."""
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
        """The cursor is drawn in another colour."""
        self._refresh_changed()

    def on_blur(self) -> None:
        """The cursor is drawn in another colour."""
        self._refresh_changed()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there; unfold or fold it if it is there already."""
        at = event.y + self.scroll_offset.y
        if not 0 <= at < self._tops[-1]:
            return
        row = self._row_at(at)
        if row == self._row:
            self.action_fold()
        else:
            self._move_to(row)

    # -- painting

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines in view. Textual's own makes each anew where they scroll, which takes twice as
        long."""
        strips = self._strips_in(crop)
        background = self.background_colors[1]
        for line_filter in self.get_line_filters():
            strips = [strip.apply_filter(line_filter, background) for strip in strips]
        return [strip.crop(*crop.column_span) for strip in strips]

    def _strips_in(self, crop: Region) -> list[Strip]:
        """Announcements with the gaps between them, or what is said while there is nothing."""
        width, top = self._width, self.scroll_offset.y
        if not len(self._listed):
            message = self.nothing_matches if self.filter_text else self.message
            lines = (centred(message, y, width, self.size.height) for y in crop.line_range)
            return [self._strip(line) for line in lines]
        strips: list[Strip] = []
        row = self._row_at(crop.y + top)
        above = crop.y + top - self._tops[row]
        wanted = above + crop.height
        rows = min(len(self._listed), len(self._tops) - 1)
        if self._gap is None or self._gap.cell_length != width:
            self._gap = self._strip(Content(""))
        while len(strips) < wanted and row < rows:
            strips += [*self._row_strips(row), self._gap]
            row += 1
        strips += [self._gap] * (wanted - len(strips))
        return strips[above:wanted]

    def _row_strips(self, row: int) -> list[Strip]:
        """An announcement's lines."""
        at_cursor = row == self._row
        key, lines = self._formatted(row)
        cached = key, at_cursor, at_cursor and self.has_focus
        strips = self._strips.get(cached)
        if strips is None:
            strips = [self._strip(line, at_cursor=at_cursor) for line in lines]
            self._strips[cached] = strips
        return strips

    def notify_style_update(self) -> None:
        """The theme has changed."""
        super().notify_style_update()
        self._strips.clear()
        self._gap = None

    def _strip(self, content: Content, *, at_cursor: bool = False) -> Strip:
        style = self.visual_style
        if at_cursor:
            style = self.get_visual_style("announcement-list--cursor")
        room = self._width - content.cell_length
        if room < 0:
            strip = Strip(content.render_segments(style), content.cell_length)
            return laid_out(strip.adjust_cell_length(self._width))
        parts = [*content.render_segments(style), Segment(" " * room, style.rich_style)]
        return laid_out(Strip(parts))
