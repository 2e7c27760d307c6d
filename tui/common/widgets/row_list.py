"""A list of rows drawn on demand: only what is in view is ever built."""

from collections.abc import Hashable
from typing import ClassVar

from textual import events
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from tui.common.format import centred

STRIPS_KEPT = 500


class RowList(ScrollView, can_focus=True):
    """Rows of `ROW_LINES` lines under a header that stays, with one row in focus.

    A subclass says how many rows there are (`count`), draws one (`draw`), and calls `renew()` when
    its data has changed. Rows that are not `selectable` are passed over by the keys.
    """

    ROW_LINES: ClassVar[int] = 1
    HEADER: ClassVar[bool] = False
    ALLOW_MAXIMIZE = False

    COMPONENT_CLASSES: ClassVar[set[str]] = {"row-list--cursor", "row-list--header"}
    DEFAULT_CSS = """
    RowList {
        background: $surface; height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden;
        & > .row-list--header { color: $wire-ink; }
        & > .row-list--cursor { background: $panel; }
        &:focus > .row-list--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground;
        }
        &:nocolor:focus > .row-list--cursor { text-style: reverse; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(-1)", "Up", show=False),
        Binding("down", "step(1)", "Down", show=False),
        Binding("pageup", "leaf(-1)", "Page up", show=False),
        Binding("pagedown", "leaf(1)", "Page down", show=False),
        Binding("home", "end(-1)", "First", show=False),
        Binding("end", "end(1)", "Last", show=False),
    ]

    cursor: reactive[int] = reactive(0, repaint=False)
    """The row in focus."""

    class Moved(Message):
        """Another row is in focus."""

        def __init__(self, row_list: "RowList") -> None:
            super().__init__()
            self.row_list = row_list

        @property
        def control(self) -> "RowList":
            """The list, for `on`."""
            return self.row_list

    class Chosen(Moved):
        """A row was opened with enter, or by a second click."""

    class Scrolled(Moved):
        """Other rows came into view."""

    message: reactive[Content] = reactive(Content(""))
    """What to say while there are no rows."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._strips: dict[Hashable, Strip] = {}
        self._painted: tuple[tuple[int, str], list[Hashable]] = ((0, ""), [])

    @property
    def count(self) -> int:
        """How many rows there are."""
        raise NotImplementedError

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """The lines of a row, none wider than `width`; `focused` is whether it is the cursor's."""
        raise NotImplementedError

    def draw_header(self, width: int) -> Content:
        """The line above the rows."""
        return Content("")

    def row_key(self, index: int) -> Hashable:
        """What a row's looks depend on, to draw it once only; None draws it every time."""
        return None

    def selectable(self, index: int) -> bool:
        """Whether the cursor may rest there."""
        return True

    def renew(self) -> None:
        """The data has changed: measure and paint."""
        lines = self.count * self.ROW_LINES + self._head
        if self.virtual_size.height != lines or self.virtual_size.width != self.size.width:
            self.virtual_size = Size(self.size.width, lines)
        if self.count and not 0 <= self.cursor < self.count:
            self.cursor = max(0, min(self.cursor, self.count - 1))
        self._repaint()

    def _repaint(self) -> None:
        """Paint the rows that look different from the last time; all where rows have moved."""
        first = self.scroll_offset.y // self.ROW_LINES
        last = min(self.count, first + self.size.height // self.ROW_LINES + 2)
        keys = [self.row_key(at) for at in range(first, last)]
        header = self.draw_header(self.size.width).plain if self.HEADER else ""
        top = (first, header)
        before, self._painted = self._painted, (top, keys)
        if before[0] != top or len(before[1]) != len(keys) or None in keys or not keys:
            self.refresh()
            return
        for at, (was, now) in enumerate(zip(before[1], keys, strict=True), first):
            if was != now:
                self.refresh_lines(self._head + at * self.ROW_LINES, self.ROW_LINES)

    def rest_on_first(self) -> None:
        """Put the cursor on the first row that may have it."""
        self.cursor = next((at for at in range(self.count) if self.selectable(at)), 0)

    @property
    def rows_to_end(self) -> int:
        """How many rows there are below the window."""
        shown = (self.scroll_offset.y + self.size.height - self._head) // self.ROW_LINES
        return self.count - shown

    # -- moving

    def action_step(self, distance: int) -> None:
        """One row up or down; at either end the key is left to whoever else wants it."""
        if not self._go(self.cursor + distance, distance):
            raise SkipAction

    def action_leaf(self, direction: int) -> None:
        """A window's height up or down."""
        rows = max(1, (self.size.height - self._head) // self.ROW_LINES - 1)
        self._go(max(0, min(self.count - 1, self.cursor + direction * rows)), direction)

    def action_end(self, direction: int) -> None:
        """To the first or the last row."""
        self._go(0 if direction < 0 else self.count - 1, -direction)

    def _go(self, index: int, direction: int) -> bool:
        while 0 <= index < self.count and not self.selectable(index):
            index += direction
        there = 0 <= index < self.count
        if there:
            self.cursor = index
        return there

    def watch_cursor(self) -> None:
        """Keep the cursor in view and tell of it."""
        self._show_cursor()
        self.refresh()
        self.post_message(self.Moved(self))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Tell of rows that came into view."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(self.Scrolled(self))

    def on_resize(self) -> None:
        """Rows are drawn for the width there is."""
        self.renew()
        self._show_cursor()
        self.post_message(self.Scrolled(self))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there; open it if it is there already or clicked twice."""
        at = (event.y + self.scroll_offset.y - self._head) // self.ROW_LINES
        if event.y < self._head or not 0 <= at < self.count or not self.selectable(at):
            return
        if self.cursor == at and event.chain == 2:
            self.post_message(self.Chosen(self))
        self.cursor = at

    def action_choose(self) -> None:
        """Open the row in focus."""
        if 0 <= self.cursor < self.count and self.selectable(self.cursor):
            self.post_message(self.Chosen(self))

    def _show_cursor(self) -> None:
        height = self.size.height - self._head
        if height <= 0 or not self.count:
            return
        top = self.cursor * self.ROW_LINES
        region = Region(0, top, max(1, self.size.width), self.ROW_LINES)
        offset = self.scroll_offset.y
        if region.y < offset:
            self.scroll_to(y=region.y, animate=False)
        elif region.bottom > offset + height:
            self.scroll_to(y=region.bottom - height, animate=False)

    # -- painting

    @property
    def _head(self) -> int:
        return 1 if self.HEADER else 0

    def render_line(self, y: int) -> Strip:
        """The header, a line of a row, or nothing."""
        width = self.scrollable_content_region.width
        if not self.count:
            return self._strip(centred(self.message, y, width, self.size.height), width)
        if y < self._head:
            return self._strip(self.draw_header(width), width, "row-list--header")
        index, line = divmod(y - self._head + self.scroll_offset.y, self.ROW_LINES)
        if index >= self.count:
            return self._strip(Content(""), width)
        at_cursor = index == self.cursor
        key = self.row_key(index)
        known = (key, line, width, at_cursor, self.has_focus)
        strip = self._strips.get(known) if key is not None else None
        if strip is None:
            strip = self._row_line(index, line, width, at_cursor)
            if key is not None:
                if len(self._strips) >= STRIPS_KEPT:
                    self._strips.clear()
                self._strips[known] = strip
        return strip

    def notify_style_update(self) -> None:
        """Another theme, other inks."""
        super().notify_style_update()
        self._strips.clear()

    def _row_line(self, index: int, line: int, width: int, at_cursor: bool) -> Strip:
        lines = self.draw(index, width, at_cursor and self.has_focus)
        if line >= len(lines):
            return self._strip(Content(""), width)
        return self._strip(lines[line], width, "row-list--cursor" if at_cursor else None)

    def _strip(self, content: Content, width: int, component: str | None = None) -> Strip:
        style = self.get_visual_style(component) if component else self.visual_style
        strips = Visual.to_strips(self, content, width, 1, style, pad=True, apply_selection=False)
        base = self.rich_style if component is None else style.rich_style
        strip = strips[0] if strips else Strip.blank(width, base)
        return strip.adjust_cell_length(width, base)
