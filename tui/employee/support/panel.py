"""The panel "Support": the queue of chats, and one conversation in view."""

import time
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from itertools import chain
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content

from server.features.chat.schemas import Chat
from tui.common.chat import format as chat_format
from tui.common.chat.panel import TYPING_SECONDS, ChatAlert, ConversationPanel
from tui.common.chat.session import ChatSession
from tui.common.chat.view import ChatView
from tui.common.client.errors import ApiError, ClientError, SignedOut
from tui.common.client.meter import Pattern, State
from tui.common.commands import chat_found
from tui.common.format import message_for
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.widgets.filter import FilterField
from tui.common.widgets.row_list import RowList
from tui.employee.staleness import GRACE_SECONDS, Banner, Staleness
from tui.employee.support import format as support_text
from tui.employee.support.list import QueueList
from tui.employee.support.queue import Queue, QueueFeed, is_open

FEED = "queue"
"""The worker group of the queue's stream."""
BESIDE_FROM_COLUMNS = 84
LEAST_ROWS, MOST_ROWS = 2, 9
"""Of the queue, where it stands above the chat."""
QUEUE_METER = _("support queue")
HINT = _("Write to the customer…")


class SupportPanel(ConversationPanel):
    """Enter claims the chat under the cursor; several may be open, one is in view."""

    TITLE = _("Support")
    CARD_BODY = (44, 14)
    KEYS = (
        ("↑ ↓", _("choose a chat, or a message")),
        ("enter t", _("claim the chat, or go to it")),
        ("space", _("peek at it without claiming it")),
        ("/", _("filter the queue")),
        ("w", "write"),
        ("tab", _("from the queue to the messages and on")),
        ("ctrl+j", _("a new line within a message")),
        ("y", _("copy a message")),
        ("c", _("close the chat; o reopens it")),
        ("e", _("edit and resend what was refused")),
        ("b", _("back to the queue")),
    )
    DEFAULT_CSS = """
    SupportPanel {
        & #support { height: 1fr; layout: vertical; }
        & QueueList { height: 3; }
        & ChatView { border-top: solid $edge; }
        &.-beside #support { layout: horizontal; }
        &.-beside QueueList { width: 38%; max-width: 56; height: 1fr; }
        &.-beside ChatView { border-top: none; border-left: solid $edge; padding-left: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "claim", _("Claim")),
        Binding("space", "peek", _("Peek")),
        Binding("w", "write", _("Write")),
        Binding("c", "close", _("Close")),
        Binding("o", "reopen", _("Reopen")),
        Binding("e", "edit_refused", _("Edit")),
        Binding("b", "queue", _("Queue"), show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.queue = Queue()
        self.rows = QueueList(self.queue)
        self.feed: QueueFeed | None = None
        self._keys: tuple[object, ...] = ()
        self._has_selected = False
        self._staleness = Staleness()

    def body(self) -> ComposeResult:
        """The queue, and the chat in view."""
        self.chat_view = ChatView(HINT, support_text.CHOOSE)
        yield Banner()
        with Container(id="support"):
            yield self.rows
            yield self.chat_view
        yield FilterField()

    def start(self) -> None:
        """Follow the queue."""
        account = self.session.account
        self.queue.mine = "" if account is None else account.id
        self.meter = meter = self.wire.meter(QUEUE_METER, Pattern.SSE)
        self.feed = QueueFeed(
            self.session, self.api, self.queue, meter, self._on_queue_change, self.request_redraw
        )
        self.run_worker(self.feed.run(), group=FEED, exit_on_error=False)
        self.run_worker(self.resume_unsent(), group="unsent", exit_on_error=False)
        self.request_redraw()

    # -- painting

    def drop_connection(self) -> bool:
        """Cut the room in view, or without one the queue's stream."""
        if self.current is not None or self.feed is None:
            return super().drop_connection()
        return self.feed.drop_connection()

    def redraw(self) -> None:
        """Paint what has changed."""
        now = self.session.server_now()
        self._show_first()
        self.rows.in_view = None if self.current is None else self.current.id
        self.rows.message = support_text.empty_text(self.feed)
        self.rows.now = now
        self.rows.redraw()
        if not self.has_class("-beside"):
            self.rows.styles.height = min(max(LEAST_ROWS, self.rows.option_count), self._most_rows)
        current = self.current
        source = current or self.feed
        self.show_meter(source.meter if source is not None else None)
        if current is not None:
            self.chat_view.writable = self.queue.is_mine(current.chat)
            self.chat_view.note = support_text.why_not(current.chat)
        self.chat_view.redraw(in_view=self.in_view)
        needing = [chat for chat in self.queue if self.queue.needs(chat)]
        note = Content("")
        if current is not None:
            note = chat_format.presence(
                current, _("{name}, offline").format(name=current.chat.customer.name)
            )
        self.set_badge(len(needing), note)
        mine = sum(self.queue.is_mine(chat) and is_open(chat) for chat in self.queue)
        width = max(20, self.size.width - 4)
        self.set_summary(support_text.summary(needing, mine, now, width))
        self._show_banner()
        self._redraw_with_time(now)
        keys = (
            current and (current.id, current.open, current.refused, self.chat_view.writable),
            self.rows.chat,
        )
        if keys != self._keys:
            self._keys = keys
            self.refresh_bindings()

    def _show_first(self) -> None:
        """Once the queue is loaded, show a chat with something unsent or half written, else one of
        the user's."""
        if self._has_selected or self.feed is None or not self.feed.loaded:
            return
        self._has_selected = True
        unsent = [self.queue.get(chat_id) for chat_id in self.store.chats()]
        drafts = self.store.drafts()
        mine = [chat for chat in self.queue if self.queue.is_mine(chat)]
        half_written = (chat for chat in mine if chat.id in drafts)
        first = next(chain(filter(None, unsent), half_written, mine), None)
        if first is not None and self.current is None:
            self.show_chat(first)

    def _show_banner(self) -> None:
        """Words above the queue while it may be old: the wire line shows the room in view."""
        loaded = self.feed is not None and self.feed.loaded
        words = ""
        if self.feed is not None and loaded:
            words = self._staleness.warning(self.feed.meter, self.session.server_now())
        self.query_one(Banner).show(words)

    def _redraw_with_time(self, now: datetime) -> None:
        """Be redrawn when somebody may have stopped typing, or a time of waiting is another."""
        current = self.current
        if current is not None and current.conversation.typing(time.monotonic()):
            self.redraw_in(TYPING_SECONDS)
        waiting = [chat.waiting_since for chat in self.queue if chat.waiting_since is not None]
        for since in waiting:
            self.redraw_with_age((now - since).total_seconds())
        if self.feed is not None and self.feed.loaded and self._staleness.away(self.feed.meter):
            self.redraw_in(GRACE_SECONDS)

    @property
    def _most_rows(self) -> int:
        return max(LEAST_ROWS, min(MOST_ROWS, self.content_size.height // 4))

    def on_resize(self, event: events.Resize) -> None:
        """Put the queue beside the chat if there is room."""
        beside = self.content_size.width >= BESIDE_FROM_COLUMNS
        self.set_class(beside, "-beside")
        if beside:
            self.rows.styles.clear_rule("height")
        self.request_redraw()

    # -- what the queue reports

    def _on_queue_change(self, before: Chat | None, chat: Chat) -> None:
        """Ring for a customer who waits, and for news in the user's chats that are not in view."""
        chat_session = self.chat_sessions.get(chat.id)
        if chat_session is not None:
            chat_session.update_chat(chat)
        if not self.queue.is_news(before, chat) or self.is_seen(chat.id):
            return
        last = chat.last_message
        new = before is None or not is_open(before)
        if new and self.in_view:
            return  # it has just appeared in the queue, which is in view
        words = chat.subject if last is None or new else last.text
        unread = partial(self._needs, chat.id)
        self.alerts.add(ChatAlert(chat.id, plain(chat.customer.name), words, unread, is_chat=new))

    def _needs(self, chat_id: str) -> bool:
        chat = self.queue.get(chat_id)
        return chat is not None and self.queue.needs(chat)

    # -- what can be done

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what makes sense with the chat in view or under the cursor."""
        current, chat = self.current, self.rows.chat
        if action == "claim":
            return self._takeable() is not None
        if action == "peek":
            return chat is not None
        if action == "write":
            return current is not None and current.open and self.queue.is_mine(current.chat)
        if action == "close":
            return current is not None and current.open
        if action == "reopen":
            return current is not None and not current.open
        if action == "edit_refused":
            return current is not None and current.refused
        return True

    def commands(self) -> Iterable[SystemCommand]:
        """What the palette offers of it."""
        yield SystemCommand(_("Support queue"), _("Who is waiting for support"), self.action_queue)

    def finds(self) -> Iterable[SystemCommand]:
        """The chats of the queue, by customer and subject."""
        for chat in self.queue:
            who = f"{chat.customer.name}: {chat.subject}"
            yield chat_found(chat, who, partial(self.go_to_chat, chat))

    def enter(self) -> None:
        """To the messages, if one of the user's chats is in view; else to the queue."""
        if self.chat_view.has_class("-open"):
            super().enter()
        else:
            self.screen.set_focus(self.rows)

    def action_queue(self) -> None:
        """To the queue."""
        self.rows.focus()

    def action_edit_refused(self) -> None:
        """Put what was refused back into the composer."""
        self.chat_view.edit_refused()

    def action_peek(self) -> None:
        """Have the chat under the cursor in view."""
        if (chat := self.rows.chat) is not None:
            self.show_chat(chat)

    @on(RowList.OptionSelected)
    def _chosen(self, event: RowList.OptionSelected) -> None:
        chat = self.queue.get(event.option_id or "")
        if chat is None:
            return
        if chat.employee is None and is_open(chat):
            self._claim(chat)
        else:
            self.show_chat(chat)
            self._write_or_choose()

    def action_claim(self) -> None:
        """Claim the chat in view, or else the one under the cursor."""
        if (chat := self._takeable()) is not None:
            self._claim(chat)

    def what_closes(self, chat_session: ChatSession) -> str:
        """The words under the question whether to close it."""
        return f"{plain(chat_session.chat.customer.name)}: {plain(chat_session.chat.subject)}"

    def leave(self, chat_session: ChatSession) -> None:
        """Leave that room; the queue drops the chat once it is closed."""
        super().leave(chat_session)
        self.queue.release(chat_session.id)

    def _takeable(self) -> Chat | None:
        in_view = (
            self.current.chat if self.current is not None and not self.rows.has_focus else None
        )
        for chat in (in_view, self.rows.chat):
            if chat is not None and chat.employee is None and is_open(chat):
                return chat
        return None

    def show_chat(self, chat: Chat) -> None:
        """Have it in view, and in the queue also once it is closed."""
        self.queue.kept.add(chat.id)
        self.queue.put(chat)
        self.rows.highlight(chat.id)
        chat_session = self.open_session(chat)
        chat_session.chat = chat
        self.show_session(chat_session)
        self.redraw()

    def _claim(self, chat: Chat) -> None:
        claim = self._send_claim(chat, self._on)
        self.run_worker(claim, group=f"claim-{chat.id}", exit_on_error=False)

    @property
    def _on(self) -> tuple[str | None, str | None]:
        """The ids of the chats under the cursor and in view."""
        return self.rows.highlighted_id, None if self.current is None else self.current.id

    async def _send_claim(self, chat: Chat, on: tuple[str | None, str | None]) -> None:
        try:
            chat = await self.api.take_chat(chat.id)
        except SignedOut:
            return
        except ClientError as error:
            self.notify(message_for(error), title=_("Chat not claimed"), severity="warning")
            if not isinstance(error, ApiError) or error.status != 409:
                return
            try:  # somebody was quicker: show who
                chat = await self.api.chat(chat.id)
            except ClientError:
                return
        if on != self._on or chat.id not in on:  # the user has gone on to another one
            self.queue.put(chat)
            self.request_redraw()
            return
        self.show_chat(chat)
        if self.in_view:
            self._write_or_choose()

    def _write_or_choose(self) -> None:
        """To the field, if one of the user's chats is in view; else to the queue."""
        self.enter()
        if self.chat_view.has_class("-open"):
            self.chat_view.enter()

    def worker_failed(self, group: str, message: str) -> None:
        """Show in the queue too that it has stopped."""
        super().worker_failed(group, message)
        if group == FEED and self.feed:
            self.feed.over = True
            self.feed.error = _("{message} Log out and in again.").format(message=message)
            self.wire.meter(QUEUE_METER, Pattern.SSE).set_state(State.DOWN, "stopped")
            self.request_redraw()
