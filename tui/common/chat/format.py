"""A chat in words: who has it, what it is about, who types, how long somebody has waited."""

from collections.abc import Sequence
from datetime import datetime

from rich.cells import cell_len
from textual.content import Content

from server.features.chat.schemas import Chat, ChatStatus
from server.features.shared.schemas import Actor
from tui.common.chat.session import ChatSession
from tui.common.format import fit, human_age
from tui.common.language import _, listed, ngettext
from tui.common.sanitize import plain

DOT, RING = "●", "○"


def about(chat: Chat, width: int) -> Content:
    """The line above the messages: the subject, and the order it is about."""
    order = f"#{chat.order.number:04d} {plain(chat.order.restaurant)}" if chat.order else ""
    order = fit(order, max(0, width // 2))
    subject = fit(chat.subject, max(0, width - cell_len(order) - (2 if order else 0)))
    gap = max(0, width - cell_len(subject) - cell_len(order))
    return Content.assemble((subject, "bold $title"), " " * gap, (order, "$wire-ink"))


def typing(who: Sequence[Actor]) -> Content:
    """Who is typing."""
    if not who:
        return Content("")
    one, other = plain(who[0].name), plain(who[1].name) if len(who) > 1 else ""
    if len(who) == 1:
        words = _("{one} is typing •••")
    elif len(who) == 2:
        words = _("{one} and {other} are typing •••")
    else:
        words = _("{one} and {other} and {count} more are typing •••")
    words = words.format(one=one, other=other, count=len(who) - 2)
    return Content.assemble((words, "$secondary"))


def empty_text(chat_session: ChatSession) -> Content:
    """The text shown in place of messages."""
    if chat_session.error:
        return Content.assemble((plain(chat_session.error), "$warning"))
    if not chat_session.loaded:
        return Content.assemble((_("Loading messages…"), "$wire-ink"))
    return Content.assemble((_("No messages yet."), "$wire-ink"))


def closed_reason(chat_session: ChatSession, before: str = "") -> Content:
    """Why nothing can be written; `before` is what to press before the key that helps."""
    if chat_session.over:
        return Content.assemble((plain(chat_session.error), "$error"))
    if chat_session.chat.status is ChatStatus.CLOSED:
        by = chat_session.chat.closed_by
        words = _("Closed by {name}").format(name=plain(by.name)) if by else _("Closed")
        return Content.assemble(
            (f"{words.removesuffix('.')}. {before}", "$title"),
            ("o", "bold $primary"),
            (_(" reopens it"), "$wire-ink"),
        )
    return Content("")


def presence(chat_session: ChatSession, nobody: str) -> Content:
    """Who else is there, for the panel's lower edge."""
    others = chat_session.others
    if not others:
        return Content.assemble((f"{RING} ", "$wire-ink"), (plain(nobody), "$wire-ink"))
    names = listed(fit(who.name, 18) for who in others[:3])
    more = f" +{len(others) - 3}" if len(others) > 3 else ""
    return Content.assemble((f"{DOT} ", "$success"), (names + more, "$title"))


def alert_title(names: Sequence[str], are_chats: Sequence[bool]) -> str:
    """`Maya`; `5 new messages from Maya`; `3 new chats from Ana and 2 others`."""
    count = len(are_chats)
    who, others = names[0], len(names) - 1
    if others == 1:
        who = _("{one} and {other}").format(one=who, other=names[1])
    elif others:
        words = ngettext("{one} and {count} other", "{one} and {count} others", others)
        who = words.format(one=who, count=others)
    if count == 1:
        return who
    if not any(are_chats):
        words = ngettext("{count} new message from {who}", "{count} new messages from {who}", count)
    elif all(are_chats):
        words = ngettext("{count} new chat from {who}", "{count} new chats from {who}", count)
    else:
        words = _("{count} new chats and messages from {who}")
    return words.format(count=count, who=who)


def waiting_time(chat: Chat, now: datetime) -> str:
    """How long the customer has waited: `4m`; "" where it is not their turn to wait."""
    if chat.waiting_since is None:
        return ""
    seconds = max(0.0, (now - chat.waiting_since).total_seconds())
    return human_age(seconds) if seconds >= 10 else _("{count:.0f}s").format(count=seconds)


def last_message_line(chat_session: ChatSession, width: int) -> Content:
    """Who wrote last and what, in a line."""
    last = chat_session.last
    if last is None:
        return Content.assemble((fit(_("No messages yet."), width), "$wire-ink"))
    who, text = last
    own = who.id == chat_session.conversation.own_id
    name = _("you") if own else fit(who.name, 18)
    ink = "$primary" if own else "$secondary"
    room = max(0, width - cell_len(name) - 3)
    return Content.assemble(("▌", ink), (name, "bold"), " ", fit(text, room))
