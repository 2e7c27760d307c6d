"""One chat as an account has it: its conversation, kept up by the stream of its room."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from server.features.chat.frame_schemas import (
    ClosedFrame,
    ErrorFrame,
    ReopenedFrame,
    ServerFrame,
    TakenFrame,
)
from server.features.chat.schemas import Chat, ChatMessage, ChatStatus
from server.features.shared.schemas import Actor
from tui.common.chat.model import Conversation
from tui.common.client.errors import ClientError, refused_message
from tui.common.client.meter import Meter, Pattern
from tui.common.client.outbox import Outbox, UnsentMessage
from tui.common.client.retry import Backoff, short_message, sync_loop

if TYPE_CHECKING:
    from tui.common.client.api import Api
    from tui.common.client.chat_stream import ChatStream
    from tui.common.client.monitored import Timeouts
    from tui.common.client.session import Session

PAGE = 50
OLDER = 200


class ChatSession:
    """Runs until cancelled or refused for good. What is written is sent as soon as it can be.

    `on_change` is called with each piece of news, `on_message` with each message of somebody
    else's that comes while it runs.
    """

    def __init__(
        self,
        session: Session,
        api: Api,
        chat: Chat,
        *,
        outbox: Outbox | None = None,
        on_change: Callable[[], None] = lambda: None,
        on_message: Callable[[ChatSession, ChatMessage], None] = lambda _session, _message: None,
        backoff: Backoff | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.chat = chat
        """As last known; `update_chat` replaces it."""
        self.outbox = Outbox() if outbox is None else outbox
        self.loaded = False
        """Whether the history has been read at least once."""
        self.error = ""
        """Why the history cannot be read; "" while it can."""
        self.older_error = ""
        """Why older messages cannot be read; "" while they can."""
        self.reading_older = False
        self.over = False
        """Whether the server has refused for good."""
        account = session.account
        self.conversation = Conversation("" if account is None else account.id)
        for unsent in self.outbox:
            self.conversation.add_pending(unsent)
        self._is_customer = self.conversation.own_id == chat.customer.id
        self._meter = session.wire.meter(_meter_name(chat), Pattern.WEBSOCKET)
        self._session = session
        self._api = api
        self._on_change = on_change
        self._on_message = on_message
        self._backoff = backoff
        self._timeouts = timeouts
        self._room: ChatStream | None = None

    @property
    def meter(self) -> Meter:
        """The meter of what carries it now."""
        return self._meter if self._room is None else self._room.meter

    @property
    def id(self) -> str:
        """The chat's id."""
        return self.chat.id

    @property
    def draft(self) -> str:
        """The text that is half written."""
        return self.outbox.draft

    @draft.setter
    def draft(self, text: str) -> None:
        self.outbox.draft = text

    @property
    def open(self) -> bool:
        """Whether it accepts messages."""
        return self.chat.status is ChatStatus.OPEN

    @property
    def others(self) -> list[Actor]:
        """Who else is in the room now."""
        return [who for who in self.conversation.present if who.id != self.conversation.own_id]

    @property
    def refused(self) -> bool:
        """Whether the server has refused a message."""
        return any(draft.refusal for draft in self.conversation.pending)

    @property
    def unread(self) -> int:
        """How many messages of others this account has not read."""
        if self.conversation.unread_known:
            return self.conversation.unread
        return self.chat.unread.customer if self._is_customer else self.chat.unread.support

    @property
    def last(self) -> tuple[Actor, str] | None:
        """Who wrote last, and what."""
        if self.conversation.messages:
            message = self.conversation.messages[-1]
            return message.sender, message.text
        if self.chat.last_message is not None:
            return self.chat.last_message.sender, self.chat.last_message.text
        return None

    async def run(self) -> None:
        """Read the history and stay in the room, again after each reset."""
        await sync_loop(self._read, self._follow, meter=self._meter, on_error=self._on_error)

    async def read_older(self) -> None:
        """Fetch the page above, where there is one and it is not being fetched already."""
        before = self.conversation.before
        if before is None or self.reading_older:
            return
        self.reading_older = True
        generation = self.conversation.generation
        try:
            page = await self._api.messages(self.id, before, OLDER)
        except ClientError as error:
            self.older_error = short_message(error)
        else:
            self.older_error = ""
            if generation == self.conversation.generation and before == self.conversation.before:
                self.conversation.prepend_page(page)
        finally:
            self.reading_older = False
            self._on_change()

    def send(self, text: str) -> None:
        """Send a message; it waits here while there is no connection."""
        message = UnsentMessage(text)
        self.conversation.add_pending(message)
        self.outbox.put(message)
        self._on_change()

    def pop_refused(self) -> str:
        """The texts that were refused, to be written again; they are no drafts any more."""
        refused = [draft for draft in self.conversation.pending if draft.refusal]
        for draft in refused:
            self.conversation.discard(draft.message.client_id)
        if refused:
            self._on_change()
        return "\n".join(draft.message.text for draft in refused)

    def send_typing(self) -> None:
        """Report that the user is typing."""
        if self._room is not None and self.open:
            self._room.typing()

    def mark_read(self) -> None:
        """Report that the newest message has been read: it is in view."""
        message = self.conversation.last_unread
        if message is not None and self._room is not None:
            self._room.read(message.cursor)

    def drop_connection(self) -> bool:
        """Drop the connection; it comes back by itself. False where there is none."""
        if self._room is None:
            return False
        self._room.drop_connection()
        return True

    def update_chat(self, chat: Chat) -> None:
        """Replace what is known of the chat."""
        self.chat = chat
        self._on_change()

    def _on_error(self, error: ClientError, wait: float | None) -> None:
        self.error = error.message
        self.over = wait is None
        self._on_change()

    async def _read(self) -> str:
        page = await self._api.messages(self.id, limit=PAGE)
        self.conversation.apply_newest_page(page)
        for unsent in self.outbox:
            if self.conversation.has_own(unsent.client_id):
                self.outbox.remove(unsent.client_id)
        if self.loaded:
            self.chat = await self._api.chat(self.id)
        self.loaded = True
        self.error = ""
        self._on_change()
        return page.cursor

    async def _follow(self, cursor: str) -> None:
        from tui.common.client.chat_stream import ChatStream

        async with ChatStream(
            self._session,
            self.id,
            self._meter.name,
            cursor,
            outbox=self.outbox,
            backoff=self._backoff,
            on_carrier=self._on_change,
            timeouts=self._timeouts,
        ) as self._room:
            try:
                async for frame in self._room:
                    self._apply(frame)
            finally:
                self._room = None

    def _apply(self, frame: ServerFrame) -> None:
        if isinstance(frame, ErrorFrame):
            if frame.client_id is not None:
                words = refused_message(frame.code, frame.detail)
                self.conversation.mark_refused(frame.client_id, words)
        else:
            known = self.conversation.end
            self.conversation.apply(frame, time.monotonic())
            self._apply_to_chat(frame)
            if (
                isinstance(frame, ChatMessage)
                and self.conversation.end > known
                and frame.sender.id != self.conversation.own_id
            ):
                self._on_message(self, frame)
        self._on_change()

    def _apply_to_chat(self, frame: ServerFrame) -> None:
        """Apply what the room says of the chat: who has it, and whether it is open."""
        match frame:
            case TakenFrame():
                change: dict[str, object] = {"employee": frame.by, "taken_at": frame.at}
            case ClosedFrame():
                change = {
                    "status": ChatStatus.CLOSED,
                    "closed_at": frame.at,
                    "closed_by": frame.by,
                    "waiting_since": None,
                }
            case ReopenedFrame():
                change = {
                    "status": ChatStatus.OPEN,
                    "employee": None,
                    "taken_at": None,
                    "closed_at": None,
                    "closed_by": None,
                }
            case _:
                return
        self.chat = self.chat.model_copy(update=change)


def _meter_name(chat: Chat) -> str:
    return f"chat {chat.id[-6:]}"
