"""Removes an account's name and words from chats and their events."""

import json
from functools import partial
from typing import Any

from server.core.clock import now
from server.core.database import Transaction
from server.features.chat import presence_store, store
from server.features.chat.room_state import put_markers
from server.features.chat.schemas import Chat, ChatStatus, QueueEvent
from server.features.chat.service import ChatService
from server.realtime.log import EventLog
from server.realtime.state_topic import States

DELETED = "Deleted account"
REMOVED = "(deleted)"


async def scrub(
    chats: ChatService, log: EventLog, states: States, tx: Transaction, account_id: str
) -> None:
    """Remove an account that is being deleted from the chats and their events.

    A customer's own chats are closed, and the words of both sides removed.
    """
    for chat_id in await store.chats_naming(tx, account_id):
        chat = await store.locked(tx, chat_id)
        assert chat is not None, "chats are never deleted"
        whole = chat.customer.id == account_id
        await store.remove_texts(tx, chat_id, account_id, DELETED, REMOVED, all_of_them=whole)
        await store.drop_read_marker(tx, chat_id, account_id)
        await presence_store.drop_presence(tx, chat_id, account_id)
        await put_markers(tx, states, chat_id)
        chat = without(chat, account_id)
        if whole and chat.status is ChatStatus.OPEN:
            await chats.end(tx, chat, chat.customer)
        elif chat.employee is not None and chat.employee.id == account_id:
            changes: dict[str, object] = {"employee": None, "taken_at": None}
            if chat.status is ChatStatus.OPEN:
                changes["waiting_since"] = now()
            chat = chat.model_copy(update=changes)
            await store.save(tx, chat)
            await chats.publish_to_queue(tx, QueueEvent.UPDATED, chat)
        else:
            await store.save(tx, chat)
        await log.rewrite(tx, chat_id, partial(rewritten, account_id=account_id, whole=whole))
    await store.drop_staff(tx, account_id)


def without(chat: Chat, account_id: str) -> Chat:
    """The chat without that account's name and words; without all words, if it was theirs."""
    whole = chat.customer.id == account_id
    return Chat.model_validate_json(rewritten(chat.model_dump_json(), account_id, whole))


def rewritten(data: str, account_id: str, whole: bool) -> str:
    """The same of an event's data; `whole` takes out the words of everybody else as well."""
    members = json.loads(data)
    _hide(members, account_id, whole)
    return json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def _hide(members: dict[str, Any], account_id: str, whole: bool) -> None:
    if members.get("id") == account_id and "name" in members:
        members["name"] = DELETED
    sender = members.get("sender")
    if "text" in members and (whole or (sender and sender["id"] == account_id)):
        members["text"] = REMOVED
    if whole and "subject" in members:
        members["subject"] = REMOVED
    for value in members.values():
        if isinstance(value, dict):
            _hide(value, account_id, whole)
