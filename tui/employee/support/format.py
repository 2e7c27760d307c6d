"""The texts of the support panel: its card, an empty queue, a chat one cannot write in."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from server.features.chat.schemas import Chat
from tui.common.chat import format as chat_format
from tui.common.format import fit
from tui.common.language import _
from tui.common.sanitize import plain

if TYPE_CHECKING:
    from tui.employee.support.queue import QueueFeed

NO_CHATS = Content.assemble((_("Nobody is waiting for support."), "$wire-ink"))
READING = Content.assemble((_("Loading the queue…"), "$wire-ink"))
CHOOSE = Content.assemble(
    ("enter", "bold $primary"),
    _(" claims a chat,\n"),
    ("space", "bold $primary"),
    _(" peeks at it."),
)


def empty_text(feed: "QueueFeed | None") -> Content:
    """The text in place of an empty queue."""
    if feed is not None and feed.error:
        return Content.assemble((plain(feed.error), "$warning"))
    return NO_CHATS if feed is not None and feed.loaded else READING


def why_not(chat: Chat) -> Content:
    """Why one cannot write in an open chat."""
    if chat.employee is None:
        words = _(" claims it; then you can write")
        return Content.assemble(("t", "bold $primary"), (words, "$wire-ink"))
    return Content.assemble(
        (_("{employee} answers here.").format(employee=plain(chat.employee.name)), "$wire-ink")
    )


def summary(needing: Sequence[Chat], mine: int, now: datetime, width: int) -> Content:
    """The two lines of the card: the most urgent of the chats that need an answer, and its last
    message. `mine` is the number of the employee's open chats."""
    if not needing:
        words = (
            _("{mine} of yours open").format(mine=mine)
            if mine
            else _("Nobody is waiting for support.")
        )
        return Content.assemble((words, "$wire-ink"))
    lead = needing[0]
    wait = chat_format.waiting_time(lead, now)
    first = Content.assemble(
        (fit(lead.customer.name, 16), "bold"),
        (f"  {wait}" if wait else "", "$warning"),
        (f"  {fit(lead.subject, max(8, width - 26))}", ""),
    )
    last = lead.last_message
    words = f"{last.sender.name}: {last.text}" if last else _("has not written yet")
    more = f"+{len(needing) - 1} " if len(needing) > 1 else ""
    second = Content.assemble((more, "bold $primary"), (fit(words, width - 4), "$wire-ink"))
    return Content("\n").join([first, second])
