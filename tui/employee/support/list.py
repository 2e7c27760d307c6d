"""The rows of the support queue: customer, subject, wait, unread messages, employee."""

from collections.abc import Hashable, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.content import Content

from server.features.chat.schemas import Chat
from tui.common.chat.format import waiting_time
from tui.common.format import fit
from tui.common.language import _
from tui.common.widgets.row_list import RowList
from tui.employee.support.queue import Queue, is_open

NAME_CELLS = 14
LONG_SECONDS = 120.0
"""A longer wait is shown in red."""


class QueueList(RowList):
    """The support queue, a row a chat."""

    DEFAULT_CSS = "QueueList { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", _("Claim"))]

    def __init__(self, queue: Queue) -> None:
        super().__init__(id="queue")
        self._queue = queue
        self._chats: list[Chat] = []
        self.in_view: str | None = None
        """The id of the chat shown beside the list."""
        self.now = datetime.fromtimestamp(0, UTC)

    def row_ids(self) -> Sequence[str]:
        """The ids of the chats, in the queue's order."""
        return [chat.id for chat in self._chats]

    @property
    def chat(self) -> Chat | None:
        """The highlighted chat."""
        at = self.highlighted_index
        return None if at is None else self._chats[at]

    def redraw(self) -> None:
        """Show the queue as it is now."""
        self._chats = list(self._queue)
        super().redraw()

    def filter_key(self, index: int) -> str:
        """Customer, subject, last message, who has it."""
        chat = self._chats[index]
        last = "" if chat.last_message is None else chat.last_message.text
        holder = "" if chat.employee is None else chat.employee.name
        return f"{chat.customer.name} {chat.subject} {holder} {last}"

    def row_key(self, index: int) -> Hashable:
        """Everything a row's text depends on."""
        chat = self._chats[index]
        return (
            chat.id,
            waiting_time(chat, self.now),
            chat.unread.support,
            chat.employee,
            chat.status,
            chat.id == self.in_view,
        )

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """State, customer, subject; unread messages, employee, wait."""
        chat = self._chats[index]
        mine = self._queue.is_mine(chat)
        opened = is_open(chat)
        glyph, ink = ("✓", "$wire-ink")
        if opened:
            glyph, ink = ("○", "$warning") if chat.employee is None else ("●", "$wire-ink")
            if mine:
                glyph, ink = "●", "$success"
        wait = waiting_time(chat, self.now)
        late = bool(wait) and chat.waiting_since is not None
        if chat.waiting_since is not None:
            late = (self.now - chat.waiting_since).total_seconds() > LONG_SECONDS
        unread = f" {chat.unread.support} " if chat.unread.support and opened else ""
        holder = ""
        if not opened:
            holder = _("closed")
        elif chat.employee is not None:
            holder = _("you") if mine else fit(chat.employee.name, 10)
        right = Content.assemble(
            (unread, "bold $badge-ink on $primary"),
            (" " if unread else "", ""),
            (holder, "$wire-ink"),
            (" " if holder and wait else "", ""),
            (wait.rjust(4) if wait else "", "bold $error" if late else "$warning"),
        )
        name = fit(chat.customer.name, NAME_CELLS)
        mark = "▸" if chat.id == self.in_view else " "
        room = width - cell_len(name) - right.cell_length - 7
        subject = fit(chat.subject, max(0, room))
        gap = max(1, width - cell_len(name) - cell_len(subject) - right.cell_length - 6)
        strong = "bold" if self._queue.needs(chat) else ""
        return [
            Content.assemble(
                (mark, "$primary"),
                (f"{glyph} ", ink),
                (name, strong),
                ("  ", ""),
                (subject, "" if strong else "$wire-ink"),
                " " * gap,
                right,
            )
        ]
