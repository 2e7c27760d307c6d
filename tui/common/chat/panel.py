"""The base of both chat panels: chat sessions that run, one of them in view."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from textual import on

from server.features.chat.schemas import Chat, ChatMessage
from tui.common.alerts import AlertCollector
from tui.common.chat import format as chat_format
from tui.common.chat.message_view import MessageView
from tui.common.chat.session import ChatSession
from tui.common.chat.view import ChatView
from tui.common.client.errors import ClientError, SignedOut
from tui.common.client.meter import Pattern, State
from tui.common.client.outbox import Outbox
from tui.common.client.retry import retry
from tui.common.dialogs.confirm import ConfirmScreen
from tui.common.format import fit, message_for
from tui.common.language import _, ngettext
from tui.common.panel import Panel

if TYPE_CHECKING:
    from tui.common.client.outbox import OutboxStore

MAX_SESSIONS = 8
"""Rooms entered at once; beyond that, the one shown least recently is left."""
TYPING_SECONDS = 1.0
"""How often it is checked who has stopped typing."""
SESSION_GROUP = "chat-"
"""A session's worker group is this and the chat's id."""
TOAST_CELLS = 120


@dataclass(frozen=True, slots=True)
class ChatAlert:
    """A message that is not in view, or with `is_chat` a chat that was opened."""

    chat_id: str
    who: str
    words: str
    is_unread: Callable[[], bool]
    """Whether it is still unread, asked when the alert is shown."""
    is_chat: bool = False


class ConversationPanel(Panel):
    """One chat in view, others running. A new message rings unless it is in view."""

    PATTERN = Pattern.WEBSOCKET
    WHY = _(
        "Both sides write, and typing is worth sending only if it costs little: "
        "one connection carries both ways, without a request's head for each "
        "message."
    )
    SOURCES = (
        "server/features/chat/websocket.py",
        "server/transports/websocket.py",
        "tui/common/client/chat_room.py",
        "tui/common/client/websocket.py",
    )
    VERB = "msgs"

    chat_view: ChatView

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.chat_sessions: dict[str, ChatSession] = {}
        """By chat id; the one shown last is at the end."""
        self._store: OutboxStore | None = None
        self.alerts = AlertCollector(self, self._show_alerts)
        self._toast: tuple[list[str], str] = ([], "")
        """The names in the newest alert, and its title."""

    @property
    def current(self) -> ChatSession | None:
        """The chat in view."""
        return self.chat_view.chat_session

    @property
    def store(self) -> "OutboxStore":
        """Messages that the server does not have yet, also from earlier windows."""
        if self._store is None:
            self._store = self.services.outbox
        return self._store

    def unsaved(self) -> str | None:
        """What is neither sent nor on the disk: messages, and what is half written."""
        if self._store is None:
            return None
        self.chat_view.save_draft()
        count, parts = len(self._store.unkept), []
        if count:
            words = ngettext(
                "A chat message is not sent yet, and could not be saved to disk.",
                "{count} chat messages are not sent yet, and could not be saved to disk.",
                count,
            )
            parts.append(words.format(count=count))
        if self._store.unkept_drafts:
            parts.append(
                _("A half-written message is not sent yet, and could not be saved to disk.")
            )
        return " ".join(parts)

    def open_session(self, chat: Chat) -> ChatSession:
        """The running session of that chat."""
        chat_session = self.chat_sessions.pop(chat.id, None)
        if chat_session is None or chat_session.over:
            chat_session = ChatSession(
                self.session,
                self.api,
                chat,
                outbox=Outbox(self.store, chat.id),
                on_change=self.request_redraw,
                on_message=self.on_message_received,
            )
            self.run_worker(
                chat_session.run(),
                group=f"{SESSION_GROUP}{chat.id}",
                exclusive=True,
                exit_on_error=False,
            )
        self.chat_sessions[chat.id] = chat_session
        for other in list(self.chat_sessions.values())[:-1]:
            if (
                len(self.chat_sessions) > MAX_SESSIONS
                and not other.outbox
                and other is not self.current
            ):
                self.leave(other)
        return chat_session

    def show_chat(self, chat: Chat) -> None:
        """Show that chat."""
        self.show_session(self.open_session(chat))

    def go_to_chat(self, chat: Chat) -> None:
        """Show that chat in the panel in front."""
        self.services.go_to(self)
        self.show_chat(chat)

    async def resume_unsent(self) -> None:
        """Enter the rooms of messages that an earlier window did not send."""
        for chat_id in self.store.chats():
            try:
                chat = await retry(partial(self.api.chat, chat_id))
            except ClientError:
                continue
            if self.chat_view.composer.has_focus:
                self.open_session(chat)
            else:
                self.show_chat(chat)

    def leave(self, chat_session: ChatSession) -> None:
        """Leave that room."""
        del self.chat_sessions[chat_session.id]
        self.workers.cancel_group(self, f"{SESSION_GROUP}{chat_session.id}")

    def show_session(self, chat_session: ChatSession | None) -> None:
        """Show this chat; the wire line shows its connection."""
        self.chat_view.show(chat_session)
        if chat_session is not None:
            self.chat_sessions[chat_session.id] = self.chat_sessions.pop(
                chat_session.id, chat_session
            )
            self.meter = chat_session.meter
        self.request_redraw()
        self.refresh_bindings()

    def request_redraw(self) -> None:
        """Redraw soon."""
        self.needs_redraw = True

    def on_message_received(self, chat_session: ChatSession, message: ChatMessage) -> None:
        """Somebody else has written."""

    def _show_alerts(self, alerts: list[ChatAlert]) -> None:
        """One bell and one toast for all of them that nobody has seen yet."""
        alerts = [one for one in alerts if one.is_unread() and not self.is_seen(one.chat_id)]
        if not alerts:
            return
        opened = {one.chat_id for one in alerts if one.is_chat}
        # the message that a chat is opened with is not one more
        counted = [one for one in alerts if one.is_chat or one.chat_id not in opened]
        self.app.bell()
        names = list(dict.fromkeys(one.who for one in alerts))
        if self._toast[0] == names:
            self.services.remove_toast(self._toast[1])
        title = chat_format.alert_title(names, [one.is_chat for one in counted])
        self._toast = (names, title)
        self.notify(fit(alerts[-1].words, TOAST_CELLS), title=title, timeout=8)

    def is_seen(self, chat_id: str) -> bool:
        """Whether the newest message of that chat is in view, and the window in focus."""
        current = self.current
        return (
            self.in_view
            and current is not None
            and current.id == chat_id
            and self.chat_view.messages.at_end
        )

    def drop_connection(self) -> bool:
        """Cut the room in view; what was missed is replayed when it is back."""
        return self.current is not None and self.current.drop_connection()

    def enter(self) -> None:
        """To the messages, where single keys work; Enter or w starts writing."""
        self.screen.set_focus(self.chat_view.messages)

    def action_write(self) -> None:
        """To the field, if the chat takes messages."""
        self.chat_view.enter()

    def what_closes(self, chat_session: ChatSession) -> str:
        """The text under the question whether to close the chat."""
        raise NotImplementedError

    def action_close(self) -> None:
        """Close the chat in view, once asked."""
        current = self.current
        if current is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self.close_chat(current), group="step", exit_on_error=False)

        asked = ConfirmScreen(_("Close this chat?"), self.what_closes(current), yes=_("Close it"))
        self.app.push_screen(asked, answered)

    def action_reopen(self) -> None:
        """Reopen a closed chat; it waits in the support queue again."""
        if self.current is not None:
            self.run_worker(self.reopen_chat(self.current), group="step", exit_on_error=False)

    async def close_chat(self, chat_session: ChatSession) -> None:
        """Close its chat."""
        await self._update(chat_session, self.api.close_chat, _("Chat not closed"))

    async def reopen_chat(self, chat_session: ChatSession) -> None:
        """Reopen its chat."""
        if not await self._update(chat_session, self.api.reopen_chat, _("Chat not reopened")):
            return
        self.chat_view.redraw(in_view=self.in_view)
        self.refresh_bindings()
        if self.in_view:
            self.chat_view.enter()

    async def _update(
        self, chat_session: ChatSession, change: Callable[[str], Awaitable[Chat]], refusal: str
    ) -> bool:
        """Whether the chat was changed; a toast titled `refusal` says why it was not."""
        try:
            chat_session.update_chat(await change(chat_session.id))
        except SignedOut:
            return False
        except ClientError as error:
            self.notify(message_for(error), title=refusal, severity="warning")
            return False
        return True

    @on(MessageView.Moved)
    def _moved(self) -> None:
        """The newest message may be in view now, and so be read."""
        self.request_redraw()

    @on(ChatView.Refused)
    def _refused(self, event: ChatView.Refused) -> None:
        self.notify(event.words, title=self.TITLE, severity="warning")

    def worker_failed(self, group: str, message: str) -> None:
        """Show in the chat too that it has stopped."""
        super().worker_failed(group, message)
        chat_session = (
            self.chat_sessions.get(group.removeprefix(SESSION_GROUP))
            if group.startswith(SESSION_GROUP)
            else None
        )
        if chat_session is not None:
            chat_session.over = True
            chat_session.error = message
            chat_session.meter.set_state(State.DOWN, _("stopped by an error"))
            self.request_redraw()
