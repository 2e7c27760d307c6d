"""A conversation on the screen: bubbles that scroll, however many there are.

Drawn by hand: a widget per message is too slow for a conversation of 10,000 messages.
"""

from datetime import datetime
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Offset, Size
from textual.message import Message
from textual.reactive import reactive
from textual.selection import Selection
from textual.strip import Strip
from textual.visual import Visual

from server.text import clean
from tui.common.chat.layout import LinePosition, MessageLayout, whole_characters
from tui.common.chat.model import Conversation
from tui.common.chat.render import MessageRenderer
from tui.common.dialogs.copy import copy_one
from tui.common.format import centred
from tui.common.language import _
from tui.common.widgets.scroll_bar import ThinBarView

NEAR = 2
"""Older messages are loaded within this many window heights of the top."""
DECORATION = " ▌▐"


class MessageView(ThinBarView, can_focus=True):
    """Shows a conversation; `redraw()` when that has changed. Only lines in view are ever built.

    It stays at the end while it is there, and where it is otherwise, also when older messages come
    in above or the window gets another width.
    """

    ALLOW_MAXIMIZE = False
    DEFAULT_CSS = """
    MessageView {
        background: $surface; height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden;
        overflow-y: scroll;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "select(-1)", _("Message before"), show=False),
        Binding("down,j", "select(1)", _("Message after"), show=False),
        Binding("pageup", "page(-1)", _("Page up"), show=False),
        Binding("pagedown", "page(1)", _("Page down"), show=False),
        Binding("home", "start", _("Oldest"), show=False),
        Binding("end,G", "latest", _("Newest"), show=False),
        Binding("y", "copy", _("Copy"), show=False),
        Binding("ctrl+c,super+c", "copy", show=False),
    ]

    class Moved(Message):
        """The view has scrolled."""

    class NearTop(Message):
        """The top is near: older messages should be loaded."""

    message: reactive[Content] = reactive(Content(""))
    """The text shown while there are no messages."""

    def __init__(self) -> None:
        super().__init__()
        self.conversation: Conversation | None = None
        self.selected: int | None = None
        """The number of the message selected with the keys."""
        self.at_end = True
        """Whether it shows the newest, and goes on doing so."""
        self.message_layout = MessageLayout()
        self._cached_renderer: MessageRenderer | None = None
        self._revision = -1
        self._seen_end = 0
        """The number after the last message that has been in view at the end."""
        self._anchor: tuple[int, int] | None = None
        """Number and line of the message in the first line, while the end is not in view."""
        self._today = 0

    def show(self, conversation: Conversation | None) -> None:
        """Show this conversation, from its end."""
        if conversation is self.conversation:
            return
        self.conversation = conversation
        self.message_layout = MessageLayout()
        self._cached_renderer = None
        self.selected = None
        self.at_end = True
        self._anchor = None
        self._seen_end = 0 if conversation is None else conversation.end
        self._revision = -1
        self.redraw()

    def redraw(self) -> None:
        """The conversation has changed, or the width: measure and paint."""
        conversation, width = self.conversation, self.scrollable_content_region.width
        if conversation is None or width <= 0:
            self._set_height(0)
            self.refresh()
            return
        same_width = width == self.message_layout.width
        if same_width and self._revision == conversation.revision:
            return
        self._revision = conversation.revision
        layout = self.message_layout
        added = layout.update(conversation, width)
        self._set_height(layout.lines)
        if self.at_end:
            self._scroll_to_line(layout.lines)
        elif not same_width:
            self._restore_position()
        elif added:
            self._scroll_to_line(self.scroll_offset.y + added)
        self._remember_position()
        self.refresh()

    @property
    def new_below(self) -> int:
        """How many messages of others have come since the end was last in view."""
        if self.conversation is None or self.at_end:
            return 0
        messages = self.conversation.messages
        new = messages[max(0, self._seen_end - self.conversation.first) :]
        return sum(one.sender.id != self.conversation.own_id for one in new)

    # -- moving

    def action_select(self, step: int) -> None:
        """Select the message before or after; none beyond the last."""
        count = self.message_layout.count
        if self.conversation is None or not count:
            return
        first = self.message_layout.first
        at = count if self.selected is None else self.selected - first
        at += step
        if at >= count:
            self.selected = None
            self.action_latest()
            return
        at = max(0, at)
        self.selected = first + at
        top, bottom = self.message_layout.top_of(at), self.message_layout.bottom_of(at)
        height = self.size.height
        if top < self.scroll_offset.y:
            self._scroll_to_line(top)
        elif bottom > self.scroll_offset.y + height:
            self._scroll_to_line(min(top, bottom - height))
        self.refresh()

    def action_page(self, direction: int) -> None:
        """Scroll by a window's height."""
        self._scroll_to_line(self.scroll_offset.y + direction * max(1, self.size.height - 2))

    def action_start(self) -> None:
        """Scroll to the oldest message loaded."""
        self._scroll_to_line(0)

    def action_latest(self) -> None:
        """Scroll to the newest message."""
        self.selected = None
        self._scroll_to_line(self.message_layout.lines)
        self.refresh()

    def action_copy(self) -> None:
        """Copy what the mouse has marked, else the selected message, else the newest."""
        copy_one(self, [("message", self._text_to_copy())])

    def _text_to_copy(self) -> str:
        conversation = self.conversation
        if conversation is None:
            return ""
        messages, pending = conversation.messages, conversation.pending
        last = len(messages) + len(pending) - 1
        at = last if self.selected is None else self.selected - conversation.first
        if not 0 <= at <= last:
            return ""
        inside = at < len(messages)
        return clean(messages[at].text if inside else pending[at - len(messages)].message.text)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Remember the position, and load older messages near the top."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self._remember_position()
            self.post_message(self.Moved())

    def on_resize(self) -> None:
        """Wrap the lines to the new width."""
        self._revision = -1
        self.redraw()

    def on_click(self, event: events.Click) -> None:
        """Select the message under the mouse."""
        position = self.message_layout.position_at(event.y + self.scroll_offset.y)
        if position is not None and self.conversation is not None:
            self.selected = self.message_layout.first + position.index
            self.refresh()

    def _scroll_to_line(self, line: int) -> None:
        self.scroll_to(y=max(0, min(line, self.max_scroll_y)), animate=False, immediate=True)
        self._remember_position()

    def _set_height(self, lines: int) -> None:
        size = Size(self.size.width, lines)
        if self.virtual_size != size:
            self.virtual_size = size

    def _remember_position(self) -> None:
        conversation = self.conversation
        if conversation is None or not self.size.height:
            return
        y = self.scroll_offset.y
        self.at_end = y >= self.max_scroll_y
        if self.at_end:
            self._seen_end = conversation.end
        position = self.message_layout.position_at(y)
        self._anchor = None
        if position is not None and not self.at_end:
            self._anchor = (self.message_layout.first + position.index, position.line)
        if conversation.before is not None and y < NEAR * self.size.height:
            self.post_message(self.NearTop())

    def _restore_position(self) -> None:
        """Scroll so that the same message is in the first line as before."""
        if self._anchor is None or self.conversation is None:
            return
        number, line = self._anchor
        index = number - self.message_layout.first
        if 0 <= index < self.message_layout.count:
            top, bottom = self.message_layout.top_of(index), self.message_layout.bottom_of(index)
            self._scroll_to_line(min(top + line, bottom - 1))

    # -- painting

    def render_line(self, y: int) -> Strip:
        """A line of a message, or nothing."""
        width = self.scrollable_content_region.width
        bubbles = self._renderer()
        conversation, line = self.conversation, y + self.scroll_offset.y
        position = self.message_layout.position_at(line) if conversation is not None else None
        if conversation is None or (position is None and not self.message_layout.count):
            return self._message_line(y, width)
        if position is None or width != self.message_layout.width:
            return bubbles.blank(width)
        strip = bubbles.strip(conversation, position, self._is_selected(position))
        selection = self.text_selection
        span = None if selection is None else selection.get_span(line)
        if span is not None:
            strip = self._highlight(strip, *span)
        return strip.apply_offsets(0, line)

    def notify_style_update(self) -> None:
        """Draw again with the new theme's colours."""
        super().notify_style_update()
        self._cached_renderer = None

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw what the mouse has marked."""
        self.refresh()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text that the mouse has marked, without the bubbles around it: of a message as it
        was written, without the line breaks that only the width makes."""
        if self.conversation is None:
            return None
        layout, renderer = self.message_layout, self._renderer()
        start = selection.start or Offset(0, 0)
        end = selection.end or Offset(-1, layout.lines - 1)
        texts = []
        line, after = max(0, start.y), min(layout.lines, end.y + 1)
        while line < after:
            position = layout.position_at(line)
            assert position is not None
            row = layout.text_row(position)
            rows = 1 if row is None else len(layout.text_of(position.index)) - row
            rows = min(rows, after - line)
            left = start.x if line == start.y else 0
            right = end.x if line + rows - 1 == end.y and end.x >= 0 else None
            if row is None:
                strip = renderer.strip(self.conversation, position, False)
                texts.append(strip.text[left:right].strip(DECORATION))
            else:
                column = renderer.text_column(self.conversation, position.index)
                right = None if right is None else max(0, right - column)
                first, last = (row, max(0, left - column)), (row + rows - 1, right)
                texts.append(layout.text_between(position.index, first, last))
            line += rows
        return "\n".join(texts), "\n"

    def _renderer(self) -> MessageRenderer:
        today = datetime.now().astimezone().toordinal()
        if self._cached_renderer is None or self._today != today:
            self._cached_renderer = MessageRenderer(self.message_layout, self.app.theme_variables)
            self._today = today
        return self._cached_renderer

    def _is_selected(self, position: LinePosition) -> bool:
        return (
            self.selected is not None
            and self.has_focus
            and position.index == self.selected - self.message_layout.first
        )

    def _highlight(self, strip: Strip, start: int, end: int) -> Strip:
        """Textual counts a selection in characters, and divides a strip by cells."""
        background = self.screen.get_component_rich_style("screen--selection").bgcolor
        text = strip.text
        places = whole_characters(text, start, None if end == -1 else end)
        start, until = (cell_len(text[:position]) for position in places)
        parts = list(strip.divide([start, until, strip.cell_length]))
        marked = Segment.apply_style(parts[1], post_style=Style(bgcolor=background))
        return Strip.join([parts[0], Strip(marked, parts[1].cell_length), *parts[2:]])

    def _message_line(self, y: int, width: int) -> Strip:
        line = centred(self.message, y, width, self.size.height)
        if not line:
            return self._renderer().blank(width)
        strips = Visual.to_strips(self, line, width, 1, self.visual_style, pad=True)
        return strips[0].adjust_cell_length(width, self.rich_style)
