"""Support chats and their messages, as REST and the support queue's stream send them."""

from enum import StrEnum
from typing import Literal

from server.features.shared.schemas import Actor, Id, Name, Page, Timestamp, Whole, Wire, absent

LONGEST_TEXT = 4000
"""Characters of a message, at most."""


class ChatStatus(StrEnum):
    """Whether a chat goes on."""

    OPEN = "open"
    CLOSED = "closed"


class NewChat(Wire):
    """A question to support; `order_id` names one of the caller's orders that it is about."""

    subject: Name
    order_id: Id | None = None


class ChatOrder(Wire):
    """The order a chat is about."""

    id: str
    number: Whole
    restaurant: str


class LastMessage(Wire):
    """The newest message, cut short, for a list of chats."""

    sender: Actor
    text: str
    sent_at: Timestamp


class Unread(Wire):
    """How many messages of the other side each side has not read.

    Support has read what any employee has read. Whenever somebody reads, those among the newest
    1,000 messages are counted.
    """

    customer: Whole
    support: Whole


class Chat(Wire):
    """A chat as a list shows it.

    `employee` is who has claimed it. `waiting_since` is since when the customer has waited for an
    answer; absent while it is the customer's turn, or it is closed.
    """

    id: str
    subject: str
    status: ChatStatus
    customer: Actor
    employee: Actor | None = absent()
    order: ChatOrder | None = absent()
    opened_at: Timestamp
    taken_at: Timestamp | None = absent()
    closed_at: Timestamp | None = absent()
    closed_by: Actor | None = absent()
    waiting_since: Timestamp | None = absent()
    last_message: LastMessage | None = absent()
    unread: Unread


class ChatPage(Page[Chat]):
    """Chats, the one opened last first. An employee's `cursor` goes on in `GET /chats/stream`."""

    cursor: str | None = absent()


class ChatMessage(Wire):
    """A message, as the history and the socket send it.

    `again` is true where it answers a repeated `client_id` whose message was sent before: it is
    not new, and a reader's cursor stays where it is.
    """

    type: Literal["message"] = "message"
    chat_id: str
    cursor: str
    client_id: str
    sender: Actor
    text: str
    sent_at: Timestamp
    again: bool | None = absent()


class MessagePage(Page[ChatMessage]):
    """History, newest first; `cursor` goes on in the room. `unread` counts the other side's
    messages that the caller's side has not read, on this page or not."""

    cursor: str
    unread: Whole | None = absent()


class QueueEvent(StrEnum):
    """The events of `GET /chats/stream`; the data of each is a `Chat`.

    A reopened chat is `OPENED` once more.
    """

    OPENED = "chat.opened"
    UPDATED = "chat.updated"
    CLOSED = "chat.closed"
