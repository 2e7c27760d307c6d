"""The customer's panel "Chat": support, one conversation in view."""

import time
import uuid
from collections.abc import Iterable
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.content import Content

from server.features.chat.schemas import Chat, ChatMessage, ChatStatus, NewChat
from server.features.orders.schemas import Order
from tui.common.chat import format as chat_format
from tui.common.chat.composer import HINT
from tui.common.chat.panel import TYPING_SECONDS, ChatAlert, ConversationPanel
from tui.common.chat.session import ChatSession
from tui.common.chat.view import ChatView
from tui.common.client.errors import ClientError, SignedOut
from tui.common.client.meter import State
from tui.common.client.retry import retry
from tui.common.commands import chat_found
from tui.common.format import message_for
from tui.common.language import _
from tui.common.sanitize import plain
from tui.customer.chat.dialogs import ChatsScreen, NewChatDraft, NewChatScreen, subject_of
from tui.customer.orders.panel import OrdersPanel

NO_CHAT = Content.assemble(
    _("No chat yet.\n\nPress "),
    ("n", "bold $primary"),
    _(" to ask support a question,\nabout an order or anything else."),
)
READING = Content.assemble((_("Loading your chats…"), "$wire-ink"))

LISTED = 20
"""Chats whose unread messages are counted, also where they are not entered."""
SESSIONS_AT_START = 4
"""Open chats that are entered by themselves."""


LIST = "chats"
"""The worker group that reads which chats there are."""


class ChatPanel(ConversationPanel):
    """Every open chat has a room of its own; the wire line shows the one in view."""

    TITLE = _("Chat")
    CARD_BODY = (36, 12)
    KEYS = (
        ("n", _("start a new chat")),
        ("enter w", _("write; enter sends what is written")),
        ("ctrl+j", _("a new line within a message")),
        ("esc", _("leave the field, so that single keys work")),
        ("↑ ↓", _("choose a message; y copies it")),
        ("pgup pgdn", _("scroll, back to the first message")),
        ("l", _("your other chats")),
        ("c", _("close the chat; o reopens it")),
        ("e", _("edit and resend what was refused")),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new_chat", _("New chat")),
        Binding("enter,w", "write", _("Write")),
        Binding("l", "chats", _("Chats")),
        Binding("o", "reopen", _("Reopen")),
        Binding("c", "close", _("Close")),
        Binding("e", "edit_refused", _("Edit")),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.loaded = False
        """Whether it is known which chats there are."""
        self._keys: tuple[object, ...] = ()
        self._listed: dict[str, Chat] = {}
        """The newest chats as they were read last."""
        self._asked: tuple[NewChat, str] | None = None
        """The last question and its idempotency key: sent again, it opens no second chat."""
        self.draft = NewChatDraft()
        """The question that is being asked, until the chat is open."""

    def body(self) -> ComposeResult:
        """The chat in view."""
        self.chat_view = ChatView(HINT, READING)
        yield self.chat_view

    def start(self) -> None:
        """See which chats there are, and enter those that are open."""
        self.run_worker(self._load(), group=LIST, exclusive=True, exit_on_error=False)
        self.run_worker(self.resume_unsent(), group="unsent", exit_on_error=False)
        self.request_redraw()

    def worker_failed(self, group: str, message: str) -> None:
        """Show in place of the chat too that the list could not be read."""
        super().worker_failed(group, message)
        if group == LIST and not self.loaded:
            self.chat_view.empty_text = Content.assemble((plain(message), "$warning"))
            self.request_redraw()

    async def _load(self) -> None:
        def failed(error: ClientError, wait: float | None) -> None:
            self.chat_view.empty_text = Content.assemble((plain(error.message), "$warning"))
            self.request_redraw()
            if wait is None:
                self.meter.set_state(State.DOWN, _("no chats"))

        try:
            page = await retry(lambda: self.api.chats(limit=LISTED), on_error=failed)
        except ClientError:
            return
        self.loaded = True
        self.chat_view.empty_text = NO_CHAT
        self._set_listed(page.items)
        newest = [chat for chat in page.items if is_open(chat)][:SESSIONS_AT_START]
        # The newest last, so that it is the one in view.
        chat_sessions = [self.open_session(chat) for chat in reversed(newest)]
        if self.current is None:
            self.show_session(self._to_begin_with(page.items, chat_sessions))
        self.request_redraw()

    def _to_begin_with(
        self, chats: list[Chat], chat_sessions: list[ChatSession]
    ) -> ChatSession | None:
        """Where something is unsent or half written; else the newest that is open, else the
        newest."""
        unsent, drafts = self.store.chats(), self.store.drafts()
        found = (
            chat for chat in chats if chat.id in unsent or (is_open(chat) and chat.id in drafts)
        )
        waiting = next(found, None)
        if waiting is None and chat_sessions:
            return chat_sessions[-1]
        chat = waiting or next(iter(chats), None)
        return None if chat is None else self.open_session(chat)

    def refresh_remote(self) -> None:
        """See whether another window has opened a chat, and enter that too."""
        self.run_worker(
            self._refresh_remote(), group="refresh", exclusive=True, exit_on_error=False
        )

    async def _refresh_remote(self) -> None:
        try:
            page = await self.api.chats(limit=LISTED)
        except ClientError:
            return  # the next call tries again
        self._set_listed(page.items)
        for chat in page.items[:1]:
            if self.loaded and is_open(chat) and chat.id not in self.chat_sessions:
                chat_session = self.open_session(chat)
                if self.current is None:
                    self.show_session(chat_session)

    def _set_listed(self, chats: list[Chat]) -> None:
        self._listed = {chat.id: chat for chat in chats}
        self.request_redraw()

    @property
    def _unread(self) -> int:
        """The unread messages of the newest chats, and of all that are entered."""
        entered = self.chat_sessions
        others = (chat for key, chat in self._listed.items() if key not in entered)
        return sum(one.unread for one in entered.values()) + sum(
            chat.unread.customer for chat in others
        )

    # -- painting

    def redraw(self) -> None:
        """Paint what has changed."""
        self.chat_view.redraw(in_view=self.in_view)
        current = self.current
        self.show_meter(current.meter if current is not None else None)
        unread = self._unread
        if current is None:
            self.set_badge(unread)
            self.set_summary(Content.assemble((_("n asks support a question"), "$wire-ink")))
            return
        employee = current.chat.employee
        nobody = (
            _("{name}, offline").format(name=employee.name) if employee else _("not assigned yet")
        )
        if not current.open:
            nobody = _("closed")
        self.set_badge(unread, chat_format.presence(current, nobody))
        width = max(20, self.size.width - 4)
        who = chat_format.typing(current.conversation.typing(time.monotonic()))
        second = who if who else chat_format.about(current.chat, width)
        self.set_summary(
            Content("\n").join([chat_format.last_message_line(current, width), second])
        )
        if who:
            self.redraw_in(TYPING_SECONDS)
        keys = (current.id, current.open, bool(current.refused))
        if keys != self._keys:
            self._keys = keys
            self.refresh_bindings()

    def on_message_received(self, chat_session: ChatSession, message: ChatMessage) -> None:
        """Ring unless it is in view."""
        if not self.is_seen(chat_session.id):
            unread = partial(chat_session.conversation.is_unread, message)
            name = plain(message.sender.name)
            self.alerts.add(ChatAlert(chat_session.id, name, message.text, unread))

    # -- what can be done

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what makes sense with the chat in view."""
        current = self.current
        if action in ("write", "close"):
            return current is not None and current.open
        if action == "reopen":
            return current is not None and not current.open
        if action == "edit_refused":
            return current is not None and bool(current.refused)
        if action == "chats":
            return current is not None
        return True

    def commands(self) -> Iterable[SystemCommand]:
        """What the palette offers of it."""
        yield SystemCommand(
            _("Ask support"), _("A new chat, also about an order"), self.action_new_chat
        )
        if self.current is not None:
            yield SystemCommand(_("Your chats"), _("Older ones too"), self.action_chats)

    def finds(self) -> Iterable[SystemCommand]:
        """The newest chats, and those that are entered."""
        entered = {one.id: one.chat for one in self.chat_sessions.values()}
        for chat in (self._listed | entered).values():
            yield chat_found(chat, chat.subject, partial(self.go_to_chat, chat))

    def action_edit_refused(self) -> None:
        """Put what was refused back into the composer."""
        self.chat_view.edit_refused()

    def action_chats(self) -> None:
        """Choose another chat."""

        def chosen(chat: Chat | None) -> None:
            if chat is not None:
                self.show_session(self.open_session(chat))
                self.chat_view.redraw(in_view=True)
                self.chat_view.enter()

        self.app.push_screen(ChatsScreen(self.chat_sessions), chosen)

    def action_new_chat(self) -> None:
        """Ask for a subject and an order, then open the chat."""

        def answered(new: NewChat | None) -> None:
            if new is not None:
                self.run_worker(self._open(new), group="open-chat", exit_on_error=False)
            elif self.draft.subject.strip():
                self.notify(_("Not sent. Press n to continue it."), title=_("Question kept"))

        self.app.push_screen(NewChatScreen(self._order_in_view(), self.draft), answered)

    def ask_about(self, order: Order) -> None:
        """Go to the open chat about that order, or open one."""
        self.services.go_to(self)
        self.run_worker(self._ask_about(order), group="open-chat", exit_on_error=False)

    async def _ask_about(self, order: Order) -> None:
        try:
            chats = (await self.api.chats(ChatStatus.OPEN, limit=LISTED)).items
        except ClientError as error:
            self.notify(message_for(error), title=_("Chat not opened"), severity="warning")
            return
        about = next((chat for chat in chats if chat.order and chat.order.id == order.id), None)
        if about is None:
            await self._open(NewChat(subject=subject_of(order), order_id=order.id))
        else:
            self._enter(about)

    def _enter(self, chat: Chat) -> None:
        self.show_session(self.open_session(chat))
        self.chat_view.redraw(in_view=True)
        if self.in_view:
            self.chat_view.enter()

    async def _open(self, new: NewChat) -> None:
        if self._asked is None or self._asked[0] != new:
            self._asked = (new, str(uuid.uuid4()))
        try:
            chat = await self.api.open_chat(new, self._asked[1])
        except SignedOut:
            return
        except ClientError as error:
            words = _("{error} Press n to try again; your text is kept.").format(
                error=message_for(error)
            )
            self.notify(words, title=_("Chat not opened"), severity="warning")
            return
        self._asked = None
        if (self.draft.subject.strip(), self.draft.order_id) == (new.subject, new.order_id):
            self.draft = NewChatDraft()
        self._enter(chat)

    def unsaved(self) -> str | None:
        """What is not on the disk, and a question that was begun: that is in this window alone."""
        begun = _("A question to support is not sent yet.") if self.draft.subject.strip() else ""
        return " ".join(filter(None, [begun, super().unsaved()]))

    def what_closes(self, chat_session: ChatSession) -> str:
        """The words under the question whether to close it."""
        return _("{subject}\n\nYou can reopen it at any time.").format(
            subject=plain(chat_session.chat.subject)
        )

    def _order_in_view(self) -> str | None:
        panel = self.services.find_panel(OrdersPanel)
        order = None if panel is None else panel.order
        return order.id if order is not None and not order.status.terminal else None


def is_open(chat: Chat) -> bool:
    """Whether it takes messages."""
    return chat.closed_at is None
