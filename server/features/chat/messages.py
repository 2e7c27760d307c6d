"""The messages of a chat, which are kept for ever, and how far they were read."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from server.core import pages
from server.core.auth import Identity
from server.core.clock import now, to_text
from server.core.database import Database, Transaction
from server.core.errors import Problem, invalid
from server.core.limits import RateLimit
from server.features.accounts.service import actor
from server.features.chat import store
from server.features.chat.frame_schemas import SendMessage
from server.features.chat.room_state import put_markers
from server.features.chat.schemas import (
    Chat,
    ChatMessage,
    ChatStatus,
    MessagePage,
    QueueEvent,
)
from server.features.chat.service import QUEUE, ChatService, refusal, topic_of
from server.features.chat.store import NewMessage, StoredMessage, StoredReadMarker
from server.realtime.event import Cursor, check_of, cursor_text
from server.realtime.log import EventLog
from server.realtime.state_topic import States

FRAME_COST = 256
"""Bytes that a frame counts for beyond its own: a message is stored with its sender and its times.
Constant typing and reading makes a hundred frames a minute."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A stored message; `again` where it had been stored before."""

    message: StoredMessage
    cursor: str
    again: bool


class MessageService:
    """Messages, each one event in its chat's topic."""

    def __init__(
        self,
        database: Database,
        log: EventLog,
        states: States,
        chats: ChatService,
        bytes_per_minute: int,
    ) -> None:
        self._database = database
        self._log = log
        self._states = states
        self._chats = chats
        self.sent = RateLimit(bytes_per_minute, "bytes of chat by this account")

    def count(self, identity: Identity, size: int) -> None:
        """Count so many bytes that an account sends into a chat. Callers do so before they parse
        them, as a refusal must be cheap.

        Raises Problem 429 where that is too much.
        """
        self.sent.consume(identity.limit_key, size + FRAME_COST)

    async def messages(
        self, identity: Identity, chat_id: str, before: str | None, limit: int
    ) -> MessagePage:
        """A page of history, newest first, with the room's cursor.

        Raises Problem 404, 422 for a `before` that no page gave.
        """
        start = pages.parse(before)
        if start is not None and not start[1].isdecimal():
            raise invalid(["before"], "Send the `next` of the previous page back, unchanged.")
        seq = min(int(start[1]), store.NEWEST) if start is not None else None

        async def fn(tx: Transaction) -> MessagePage:
            chat = await self._chats.visible(tx, identity, chat_id)
            customer = chat.customer.id == identity.account_id
            page, more = await store.messages(tx, chat_id, seq, limit)
            return MessagePage(
                items=[self._message(chat_id, one) for one in page],
                next=pages.following(page, more, lambda one: ("", str(one.seq))),
                cursor=await self._log.cursor(tx, topic_of(chat_id)),
                unread=chat.unread.customer if customer else chat.unread.support,
            )

        return await self._database.read(fn)

    async def export(self, identity: Identity) -> AsyncGenerator[Sequence[str]]:
        """The messages in the chats that the account has opened, and those it has written in
        others."""
        owner = identity.account_id
        for chat_id in await self._database.read(lambda tx: store.chats_naming(tx, owner)):
            customer = await self._database.look_up(
                lambda tx, chat_id=chat_id: store.customer_of(tx, chat_id)  # type: ignore[misc]
            )

            async def fetch(
                before: str | None, chat_id: str = chat_id, whole: bool = customer == owner
            ) -> tuple[Sequence[str], str | None]:
                seq = int(before) if before else None
                page, more = await self._database.read(
                    lambda tx: store.messages(tx, chat_id, seq, 200)
                )
                shown = [
                    self._message(chat_id, one).model_dump_json()
                    for one in page
                    if whole or one.sender.id == owner
                ]
                return shown, str(page[-1].seq) if more else None

            async with aclosing(pages.every_page(fetch)) as found:
                async for page in found:
                    yield page

    async def post(self, identity: Identity, chat_id: str, sent: SendMessage) -> Posted:
        """Store a message and publish it to the room; a repeated `client_id` gives the first one.

        Raises Problem 404, 409 where the chat is closed or another employee's.
        """

        sender = actor(identity)

        async def fn(tx: Transaction) -> Posted:
            moment = now()
            message = NewMessage(sent.client_id, sender, sent.text, to_text(moment))
            chat = await store.set_last_message(tx, chat_id, message)
            if chat is None:
                return await self._posted_before(tx, identity, chat_id, sent.client_id)
            event = await self._log.append(
                tx,
                topic_of(chat_id),
                "message",
                message.data(chat_id),
                subject=chat_id,
                at=message.sent_at,
            )
            await store.insert_message(tx, chat_id, event.seq, message)
            await self._log.append(tx, QUEUE, QueueEvent.UPDATED.value, chat, subject=chat_id)
            stored = StoredMessage(event.seq, sent.client_id, sender, sent.text, moment)
            return Posted(stored, self._log.cursor_of(event), again=False)

        return await self._database.write(fn)

    async def _posted_before(
        self, tx: Transaction, identity: Identity, chat_id: str, client_id: str
    ) -> Posted:
        """The message that was stored under that `client_id`. Raises Problem where there is none:
        then the caller may not write."""
        chat = await self._chats.locked(tx, identity, chat_id)
        known = await store.message_of(tx, chat_id, identity.account_id, client_id)
        if known is None:
            raise _why_not_written(chat)
        return Posted(known, self._cursor(chat_id, known), again=True)

    async def read(self, identity: Identity, chat_id: str, cursor: str) -> None:
        """Everything up to that cursor has been read; a read marker never goes back.

        Raises Problem 404, 422 for a cursor that is not this room's.
        """
        read_to = Cursor.parse(cursor)

        async def fn(tx: Transaction) -> None:
            chat = await self._chats.locked(tx, identity, chat_id)
            topic = topic_of(chat_id)
            check = None
            if read_to and (read_to.epoch, read_to.topic) == (self._log.epoch, topic):
                check = await self._log.check_at(tx, topic, read_to.seq)
            if read_to is None or check is None or not (check == "" or read_to.fits(check)):
                raise invalid(["cursor"], "This is not the cursor of a message in this chat.")
            marker = StoredReadMarker(actor(identity), read_to.seq, now(), check or read_to.check)
            if not await store.move_read_marker(tx, chat_id, marker):
                return
            await put_markers(tx, self._states, chat_id)
            counted = await self._chats.with_unread(tx, chat)
            if counted.unread != chat.unread:
                await store.save(tx, counted)
                if counted.unread.support != chat.unread.support:
                    await self._chats.publish_to_queue(tx, QueueEvent.UPDATED, counted)

        await self._database.write(fn)

    def shown(self, chat_id: str, posted: Posted) -> ChatMessage:
        """The message as its sender sees it."""
        message = self._message(chat_id, posted.message)
        return message.model_copy(update={"again": True}) if posted.again else message

    def _cursor(self, chat_id: str, stored: StoredMessage) -> str:
        check = check_of(to_text(stored.sent_at))
        return cursor_text(self._log.epoch, topic_of(chat_id), stored.seq, check)

    def _message(self, chat_id: str, stored: StoredMessage) -> ChatMessage:
        return ChatMessage(
            chat_id=chat_id,
            cursor=self._cursor(chat_id, stored),
            client_id=stored.client_id,
            sender=stored.sender,
            text=stored.text,
            sent_at=stored.sent_at,
        )


def _why_not_written(chat: Chat) -> Problem:
    if chat.status is ChatStatus.CLOSED:
        return refusal(chat, "The chat is closed. Reopen it to continue.", "chat-closed")
    assert chat.employee is not None
    detail = f"{chat.employee.name} has claimed this chat, and answers in it."
    return refusal(chat, detail, "chat-taken")
