"""Textual's `OptionList` for rows that change: the highlight stays on its row; `/` filters them."""

from collections.abc import Hashable, Iterable, Sequence
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from textual import events
from textual.actions import SkipAction
from textual.cache import LRUCache
from textual.content import Content
from textual.css.styles import RulesMap
from textual.geometry import Offset, Size, Spacing
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from server.text import fold
from tui.common.format import centred
from tui.common.widgets.filter import Filterable, matcher

STRIPS_CACHED = 500
NO_PADDING = Spacing()


class _Shown(NamedTuple):
    """A row that is shown: its id, where it is in the data, and whether it is selectable."""

    id: str
    at: int
    selectable: bool


class RowList(OptionList, Filterable):
    """Rows of `ROW_LINES` lines, drawn when they come into view, for the width there is.

    A subclass says which rows there are (`row_ids`), draws one (`draw`), and calls `redraw()` when
    its data has changed. Rows that are not `selectable` are passed over by the keys. At either end
    the arrow keys are left to the screen; a click on the highlighted row selects it, as Enter does,
    but not the click that gives the list the focus. Rows can be filtered if the list has a
    `filter_key` and there is a `FilterField` beside it.
    """

    ROW_LINES: ClassVar[int] = 1
    ALLOW_MAXIMIZE = False

    DEFAULT_CSS = """
    RowList {
        height: 1fr; border: none; padding: 0; background: $surface; scrollbar-size-vertical: 1;
        &:focus { border: none; background-tint: transparent 0%; }
        & > .option-list--option-hover { background: $surface; }
        & > .option-list--option-disabled { color: $foreground; }
        & > .option-list--option-highlighted { background: $panel; text-style: none; }
        &:focus > .option-list--option-highlighted {
            background: $block-cursor-background; color: $block-cursor-foreground;
            text-style: none;
        }
        &:nocolor:focus > .option-list--option-highlighted { text-style: reverse; }
    }
    """

    class Scrolled(Message):
        """Posted when other rows have come into view."""

        def __init__(self, row_list: "RowList") -> None:
            super().__init__()
            self.row_list = row_list

        @property
        def control(self) -> "RowList":
            """The list, for `on`."""
            return self.row_list

    message: reactive[Content] = reactive(Content(""))
    """The message of an empty list."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._focused_before_click = False
        self._pressed_at = Offset()
        """Where on the screen the mouse went down last."""
        self._rows: list[_Shown] = []
        """The rows as the options have them."""
        self.strips: LRUCache[Hashable, list[Strip]] = LRUCache(STRIPS_CACHED)
        """Rows as they were drawn."""
        self._searched: list[str] | None = None
        """What a filter searches of each row; None where that is not known since a change."""

    def row_ids(self) -> Sequence[str]:
        """The id of each row, top to bottom."""
        raise NotImplementedError

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """The lines of a row, none wider than `width`; `focused` if it has highlight and focus."""
        raise NotImplementedError

    def row_key(self, index: int) -> Hashable:
        """What the drawing of a row depends on; one with an equal key is not drawn again."""
        return None

    def selectable(self, index: int) -> bool:
        """Whether the row can be highlighted."""
        return True

    def filter_key(self, index: int) -> str | None:
        """The text that a filter searches; None for a list that cannot be filtered."""
        return None

    @property
    def highlighted_index(self) -> int | None:
        """The index of the highlighted row in the data."""
        return None if self.highlighted is None else self._rows[self.highlighted].at

    @property
    def highlighted_id(self) -> str | None:
        """The id of the highlighted row."""
        option = self.highlighted_option
        return None if option is None else option.id

    @property
    def cursor_rows(self) -> range:
        """The lines of the highlighted row, counted from the list's first in view."""
        top = (self.highlighted or 0) * self.ROW_LINES - self.scroll_offset.y
        return range(top, top + self.ROW_LINES)

    def highlight(self, row_id: str) -> None:
        """Draw the rows as they are now, and highlight the one of that id, if there is one."""
        self.redraw()
        self._highlight(row_id)

    def _highlight(self, row_id: str | None) -> None:
        for at, row in enumerate(self._rows):
            if row.id == row_id and row.selectable:
                self.highlighted = at

    def redraw(self) -> None:
        """The data has changed: repaint the rows in view that look different."""
        self._searched = None
        self.refilter()

    def prepare_filter(self) -> None:
        """Fold what a filter searches: of a thousand rows, that takes longer than a key may."""
        if self._searched is None:
            keys = map(self.filter_key, range(len(self.row_ids())))
            self._searched = [fold(key or "") for key in keys]

    def refilter(self) -> None:
        """Show what the filter leaves of the rows."""
        ids = self.row_ids()
        found: Iterable[int] = range(len(ids))
        if self.filter_text:
            self.prepare_filter()
            found = matcher(self.filter_text).found_in(self._searched or ())
        rows = [_Shown(ids[at], at, self.selectable(at)) for at in found]
        known = len(self._rows)
        grown = known > 0 and rows[:known] == self._rows
        if grown:
            self.add_options(self._options_for(rows, known))
            self._rows = rows
        else:
            self._replace_rows(rows)
        if self.filter_text:
            self.filter_field.show_count()
        if not grown:
            return
        # Textual repaints the whole list when one row changes, some 10 kB for a terminal; here its
        # cache is emptied and only the changed lines are painted.
        self._option_render_cache.clear()
        for at in self._rows_in_view():
            row, key = self.options[at].prompt, self.row_key(rows[at].at)
            if isinstance(row, _Row) and (key is None or key != row.key):
                self.refresh_lines(at * self.ROW_LINES, self.ROW_LINES)

    def filter_counts(self) -> tuple[int, int, str]:
        """How many rows are shown, of how many, and which part of all those are."""
        return len(self._rows), len(self.row_ids()), self.filter_part()

    def filter_part(self) -> str:
        """Which part of its rows is known here, where that is not all: `in the newest`."""
        return ""

    def _options_for(self, rows: list[_Shown], first: int = 0) -> list[Option]:
        return [
            Option(_Row(self, row.at), id=row.id, disabled=not row.selectable)
            for row in rows[first:]
        ]

    def _replace_rows(self, rows: list[_Shown]) -> None:
        kept, at, offset = self.highlighted_id, self.highlighted or 0, self.scroll_offset.y
        if bool(rows) != bool(self._rows):
            self.refresh_bindings()  # only what has rows can be filtered
        self._rows = rows
        self.set_options(self._options_for(rows))
        if not rows:
            self.refresh(layout=self.styles.auto_dimensions)
            return
        if self.is_mounted:
            self.scroll_to(y=offset, animate=False, immediate=True)
        self._highlight(kept)
        if self.highlighted is None:
            at = min(at, len(rows) - 1)
            nearest = self._next_selectable(at, 1)
            self.highlighted = self._next_selectable(at, -1) if nearest is None else nearest

    def _update_lines(self) -> None:
        """Note which lines are which row's. Textual asks each row for its height, and here all have
        the same."""
        cache, count = self._line_cache, len(self._options)
        if len(cache.heights) == count and self.virtual_size.height == count * self.ROW_LINES:
            return
        if not (region := self.scrollable_content_region):
            return
        lines = range(self.ROW_LINES)
        cache.lines[:] = [(row, line) for row in range(count) for line in lines]
        cache.index_to_line = {row: row * self.ROW_LINES for row in range(count)}
        cache.heights = dict.fromkeys(range(count), self.ROW_LINES)
        self.virtual_size = Size(region.width, len(cache.lines))
        self._scroll_update(self.virtual_size)

    def _rows_in_view(self) -> range:
        top = self.scroll_offset.y
        end = -(-(top + self.size.height) // self.ROW_LINES)
        return range(top // self.ROW_LINES, min(len(self._rows), end))

    @property
    def rows_to_end(self) -> int:
        """How many rows there are below those in view, with those that are not drawn yet."""
        rows = len(self._rows) if self.filter_text else len(self.row_ids())
        return rows - (self.scroll_offset.y + self.size.height) // self.ROW_LINES

    def _get_option_render(self, option: Option, style: Style) -> list[Strip]:
        """The lines of a row. Textual would note in each cell's style which row it is of, for
        clicks: drawing a row would take twice as long, and where rows move up or down, no cell
        would be as it was, so that a terminal gets all of them anew."""
        cached = option, style, NO_PADDING
        strips = self._option_render_cache.get(cached)
        if strips is None:
            assert isinstance(option.prompt, _Row)
            width = self.scrollable_content_region.width
            options = RenderOptions(self._get_style, {})
            strips = option.prompt.render_strips(width, None, style, options)
            self._option_render_cache[cached] = strips
        return strips

    def render_line(self, y: int) -> Strip:
        """A line of a row, or of the message while there are none."""
        if self._rows:
            return super().render_line(y)
        width, style = self.scrollable_content_region.width, self.visual_style
        message = self.nothing_matches if self.filter_text else self.message
        line = centred(message, y, width, self.size.height)
        strips = Visual.to_strips(self, line, width, 1, style, pad=True)
        return strips[0] if strips else Strip.blank(width, style.rich_style)

    def notify_style_update(self) -> None:
        """The theme has changed."""
        self.strips.clear()
        super().notify_style_update()

    # -- keys and mouse

    def _next_selectable(self, index: int, direction: int) -> int | None:
        while 0 <= index < len(self._rows):
            if self._rows[index].selectable:
                return index
            index += direction
        return None

    def _step(self, direction: int) -> None:
        index = -1 if self.highlighted is None else self.highlighted
        following = self._next_selectable(index + direction, direction)
        if following is None:
            raise SkipAction
        self.highlighted = following

    def action_cursor_up(self) -> None:
        """Highlight the row above."""
        self._step(-1)

    def action_cursor_down(self) -> None:
        """Highlight the row below."""
        self._step(1)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Filter only what can be filtered."""
        if action == "filter":
            return len(self.row_ids()) > 0 and self.filter_key(0) is not None
        return super().check_action(action, parameters)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Note where, to tell a click from a drag."""
        self._pressed_at = event.screen_offset

    def on_click(self, event: events.Click) -> None:
        """Highlight a row, or select the one that is highlighted."""
        event.prevent_default()
        at = event.get_content_offset(self)
        index = -1 if at is None else (at.y + self.scroll_offset.y) // self.ROW_LINES
        if not 0 <= index < len(self._rows) or not self._rows[index].selectable:
            return
        if event.screen_offset != self._pressed_at:
            return  # the end of a drag
        again, self.highlighted = self.highlighted == index, index
        if not self.clicked(event.x) and again and self._focused_before_click:
            self.action_select()

    def clicked(self, x: int) -> bool:
        """Do what is drawn in that column of the highlighted row; False where there is nothing."""
        return False

    def focus_on_click(self) -> bool:
        """Asked when the mouse goes down, before the focus moves."""
        self._focused_before_click = self.has_focus
        return super().focus_on_click()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Report that other rows are in view."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(self.Scrolled(self))

    def on_resize(self) -> None:
        """Keep the highlight in view."""
        self.scroll_to_highlight()
        self.post_message(self.Scrolled(self))


class _Row(Visual):
    """A row whose lines are drawn when they are needed."""

    def __init__(self, rows: RowList, index: int) -> None:
        self._rows = rows
        self._index = index
        self.key: Hashable = None
        """The key of the last drawing."""

    def render_strips(
        self, width: int, height: int | None, style: Style, options: RenderOptions
    ) -> list[Strip]:
        """The row's lines; drawn once for each key, width and style."""
        rows, index = self._rows, self._index
        blank = Strip.blank(width, style.rich_style)
        if index >= len(rows.row_ids()):  # it was removed, and the list is not redrawn yet
            return [blank] * rows.ROW_LINES
        focused = index == rows.highlighted_index and rows.has_focus
        self.key = rows.row_key(index)
        cached = (self.key, width, style, focused)
        strips = rows.strips.get(cached) if self.key is not None else None
        if strips is None:
            strips = [
                Strip(
                    Segment(text, part.rich_style)
                    for text, part in line.render(style, "", options.get_style)
                ).adjust_cell_length(width, style.rich_style)
                for line in rows.draw(index, width, focused)
            ]
            gap = Strip.blank(width, rows.visual_style.rich_style)
            strips += [gap] * (rows.ROW_LINES - len(strips))
            if self.key is not None:
                rows.strips[cached] = strips
        return strips

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """All the width there is."""
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:
        """The same for every row."""
        return self._rows.ROW_LINES
