"""Reads and writes chats, messages and read markers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from server.core import pages
from server.core.clock import from_text, to_text
from server.core.database import Transaction
from server.core.queries import Row, load_queries
from server.features.accounts.schemas import Role
from server.features.chat.schemas import Chat, ChatOrder, ChatStatus, LastMessage, Unread
from server.features.shared.schemas import Actor, actor_json, json_string

_queries = load_queries(__file__)

_TIMES = ("opened_at", "taken_at", "closed_at", "waiting_since")
_DOCUMENTS = ("closed_by", "last_message")
PREVIEW = 160
"""Characters of the last message that a list of chats shows."""
MOST_UNREAD = 1_000
"""Messages that are looked at to count the unread ones."""
NEWEST = 2**63 - 1
"""Above the `seq` of every message."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message; `seq` is that of its event in the chat's topic."""

    seq: int
    client_id: str
    sender: Actor
    text: str
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that is being sent. Its JSON is put together as text, here and in the chat's:
    making models of them takes as long as storing them."""

    client_id: str
    sender: Actor
    text: str
    sent_at: str

    @property
    def sender_json(self) -> str:
        """The sender's JSON."""
        return actor_json(self.sender.id, self.sender.name, self.sender.role)

    def data(self, chat_id: str) -> str:
        """The data of a `message` event; its cursor is the event's own."""
        return (
            f'{{"chat_id":"{chat_id}","client_id":{json_string(self.client_id)},'
            f'"sender":{self.sender_json},"text":{json_string(self.text)},"sent_at":"{self.sent_at}"}}'
        )


@dataclass(frozen=True, slots=True)
class StoredReadMarker:
    """How far an account has read, with the check of that event."""

    reader: Actor
    seq: int
    at: datetime
    check: str


def _actor(identifier: str | None, name: str | None, role: str) -> Actor | None:
    return Actor(id=identifier, name=name or "", role=role) if identifier else None


def _employee_role(row: Row) -> str:
    return row["employee_role"] or Role.EMPLOYEE.value


def _chat(row: Row) -> Chat:
    order = None
    if row["order_id"] is not None:
        order = ChatOrder(
            id=row["order_id"], number=row["order_number"], restaurant=row["order_restaurant"]
        )
    closed_by, last = row["closed_by"], row["last_message"]
    return Chat(
        id=row["id"],
        subject=row["subject"],
        status=ChatStatus(row["status"]),
        customer=Actor(id=row["customer_id"], name=row["customer_name"], role="customer"),
        employee=_actor(row["employee_id"], row["employee_name"], _employee_role(row)),
        order=order,
        opened_at=row["opened_at"],
        taken_at=row["taken_at"],
        closed_at=row["closed_at"],
        closed_by=Actor.model_validate_json(closed_by) if closed_by else None,
        waiting_since=row["waiting_since"],
        last_message=LastMessage.model_validate_json(last) if last else None,
        unread=Unread(customer=row["customer_unread"], support=row["support_unread"]),
    )


def _json(row: Row) -> str:
    """The JSON of the same chat."""
    parts = [
        f'"id":"{row["id"]}","subject":{json_string(row["subject"])},"status":"{row["status"]}"'
    ]
    customer = actor_json(row["customer_id"], row["customer_name"], Role.CUSTOMER.value)
    parts.append(f'"customer":{customer}')
    if row["employee_id"] is not None:
        employee = actor_json(row["employee_id"], row["employee_name"], _employee_role(row))
        parts.append(f'"employee":{employee}')
    if row["order_id"] is not None:
        parts.append(
            f'"order":{{"id":"{row["order_id"]}","number":{row["order_number"]},'
            f'"restaurant":{json_string(row["order_restaurant"])}}}'
        )
    parts += [f'"{name}":"{row[name]}"' for name in _TIMES if row[name] is not None]
    parts += [f'"{name}":{row[name]}' for name in _DOCUMENTS if row[name] is not None]
    unread = f'"customer":{row["customer_unread"]},"support":{row["support_unread"]}'
    return f'{{{",".join(parts)},"unread":{{{unread}}}}}'


def _message(row: Row) -> StoredMessage:
    return StoredMessage(
        seq=row["seq"],
        client_id=row["client_id"],
        sender=Actor(id=row["sender_id"], name=row["sender_name"], role=row["sender_role"]),
        text=row["text"],
        sent_at=from_text(row["sent_at"]),
    )


def _text(moment: datetime | None) -> str | None:
    return to_text(moment) if moment else None


def _changing(chat: Chat) -> dict[str, Any]:
    return {
        "id": chat.id,
        "subject": chat.subject,
        "status": chat.status.value,
        "customer_name": chat.customer.name,
        "employee_id": chat.employee.id if chat.employee else None,
        "employee_name": chat.employee.name if chat.employee else None,
        "employee_role": chat.employee.role if chat.employee else None,
        "taken_at": _text(chat.taken_at),
        "closed_at": _text(chat.closed_at),
        "closed_by": chat.closed_by.model_dump_json() if chat.closed_by else None,
        "waiting_since": _text(chat.waiting_since),
        "last_message": chat.last_message.model_dump_json() if chat.last_message else None,
        "customer_unread": chat.unread.customer,
        "support_unread": chat.unread.support,
    }


async def chat(tx: Transaction, chat_id: str) -> Chat | None:
    """One chat."""
    row = await _queries.chat(tx, id=chat_id)
    return _chat(row) if row else None


async def chats(
    tx: Transaction,
    *,
    customer_id: str | None,
    status: ChatStatus | None,
    before: tuple[int, str],
    limit: int,
) -> tuple[list[Chat], str | None]:
    """One page, the one opened last first, of a customer's or of all of that status, and the next
    one's `before`."""
    place = {"place": before[0], "id": before[1], "limit": limit + 1, "status": status or ""}
    if customer_id is None:
        found = await _queries.chats(tx, **place)
    else:
        found = await _queries.chats_of_customer(tx, customer_id=customer_id, **place)
    rows, following = pages.numbered_page(found, limit, "arrival")
    return [_chat(row) for row in rows], following


async def customer_of(tx: Transaction, chat_id: str) -> str | None:
    """Whose chat it is; None where there is none."""
    found: str | None = await _queries.customer_of(tx, id=chat_id)
    return found


async def open_chats_of(tx: Transaction, customer_id: str, most: int) -> int:
    """How many chats of that customer are open, counted up to `most`."""
    return int(await _queries.open_chats_of(tx, customer_id=customer_id, most=most))


async def first_of_last(tx: Transaction, customer_id: str, many: int) -> datetime | None:
    """When that customer opened the first of their last `many` chats, if there are so many."""
    found: str | None = await _queries.opened_before_others(
        tx, customer_id=customer_id, others=many - 1
    )
    return from_text(found) if found else None


async def insert(tx: Transaction, chat: Chat) -> None:
    """A new chat."""
    await _queries.insert_chat(
        tx,
        customer_id=chat.customer.id,
        order_id=chat.order.id if chat.order else None,
        order_number=chat.order.number if chat.order else None,
        order_restaurant=chat.order.restaurant if chat.order else None,
        opened_at=to_text(chat.opened_at),
        **_changing(chat),
    )


async def locked(tx: Transaction, chat_id: str) -> Chat | None:
    """One chat, locked for the rest of the transaction."""
    row = await _queries.locked_chat(tx, id=chat_id)
    return _chat(row) if row else None


async def save(tx: Transaction, chat: Chat) -> None:
    """Store the chat's present fields."""
    await _queries.update_chat(tx, **_changing(chat))


async def set_last_message(tx: Transaction, chat_id: str, message: NewMessage) -> str | None:
    """The chat's JSON with this message as its last, unread by the other side; the customer waits
    from it on, or no longer.

    None, and nothing is changed, where its sender may not write in the chat, has sent that
    `client_id` before, or is gone.
    """
    text = json_string(message.text[:PREVIEW])
    row = await _queries.set_last_message(
        tx,
        id=chat_id,
        client_id=message.client_id,
        sender_id=message.sender.id,
        name=message.sender.name,
        is_staff=message.sender.role != Role.CUSTOMER,
        sent_at=message.sent_at,
        last_message=f'{{"sender":{message.sender_json},"text":{text},"sent_at":"{message.sent_at}"}}',
    )
    if row is None:
        return None
    if message.sender.id not in (row["customer_id"], row["employee_id"]):
        await add_staff(tx, chat_id, message.sender.id)
    return _json(row)


async def insert_message(tx: Transaction, chat_id: str, seq: int, message: NewMessage) -> None:
    """A new message."""
    await _queries.insert_message(
        tx,
        chat_id=chat_id,
        seq=seq,
        client_id=message.client_id,
        sender_id=message.sender.id,
        sender_name=message.sender.name,
        sender_role=message.sender.role,
        text=message.text,
        sent_at=message.sent_at,
    )


async def message_of(
    tx: Transaction, chat_id: str, sender_id: str, client_id: str
) -> StoredMessage | None:
    """That sender's message with that `client_id`."""
    row = await _queries.message_by_client_id(
        tx, chat_id=chat_id, sender_id=sender_id, client_id=client_id
    )
    return _message(row) if row else None


async def messages(
    tx: Transaction, chat_id: str, before: int | None, limit: int
) -> tuple[list[StoredMessage], bool]:
    """One page of history before that `seq`, newest first, and whether there is more."""
    found = await _queries.messages_before(
        tx, chat_id=chat_id, before=NEWEST if before is None else before, limit=limit + 1
    )
    rows, more = pages.page_of(found, limit)
    return [_message(row) for row in rows], more


async def unread_by_customer(tx: Transaction, chat_id: str, seq: int) -> int:
    """Messages of support after that `seq`, among the newest MOST_UNREAD."""
    return int(await _queries.unread_by_customer(tx, chat_id=chat_id, seq=seq, most=MOST_UNREAD))


async def unread_by_support(tx: Transaction, chat_id: str, seq: int) -> int:
    """The customer's messages after that `seq`, among the newest MOST_UNREAD."""
    return int(await _queries.unread_by_support(tx, chat_id=chat_id, seq=seq, most=MOST_UNREAD))


async def move_read_marker(tx: Transaction, chat_id: str, marker: StoredReadMarker) -> bool:
    """Whether the reader's marker has moved; it never goes back."""
    moved = await _queries.move_read_marker(
        tx,
        chat_id=chat_id,
        account_id=marker.reader.id,
        name=marker.reader.name,
        role=marker.reader.role,
        seq=marker.seq,
        seq_check=marker.check,
        at=to_text(marker.at),
    )
    return bool(moved)


async def read_markers(tx: Transaction, chat_id: str) -> list[StoredReadMarker]:
    """Everybody's read markers."""
    return [
        StoredReadMarker(
            Actor(id=row["account_id"], name=row["name"], role=row["role"]),
            row["seq"],
            from_text(row["at"]),
            row["seq_check"],
        )
        for row in await _queries.read_markers(tx, chat_id=chat_id)
    ]


async def chats_naming(tx: Transaction, account_id: str) -> list[str]:
    """The ids of all chats that name this account, or have named it in their events."""
    return [row["id"] for row in await _queries.chats_naming(tx, account_id=account_id)]


async def claimed_by(tx: Transaction, account_id: str) -> list[str]:
    """The ids of the open chats that this account has claimed."""
    return [row["id"] for row in await _queries.claimed_by(tx, account_id=account_id)]


async def add_staff(tx: Transaction, chat_id: str, account_id: str) -> None:
    """The chat names that employee, who has claimed, closed or reopened it, or written in it."""
    await _queries.add_staff(tx, chat_id=chat_id, account_id=account_id)


async def drop_staff(tx: Transaction, account_id: str) -> None:
    """No chat names this account any more."""
    await _queries.drop_staff(tx, account_id=account_id)


async def remove_texts(
    tx: Transaction, chat_id: str, account_id: str, name: str, removed: str, *, all_of_them: bool
) -> None:
    """Replace that sender's name, and the text of their messages, or of all messages."""
    await _queries.remove_texts_of(
        tx, chat_id=chat_id, account_id=account_id, name=name, removed=removed
    )
    if all_of_them:
        await _queries.remove_texts(tx, chat_id=chat_id, removed=removed)


async def drop_read_marker(tx: Transaction, chat_id: str, account_id: str) -> None:
    """Forget how far that account has read."""
    await _queries.drop_read_marker(tx, chat_id=chat_id, account_id=account_id)
