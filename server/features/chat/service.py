"""The rules of support chat: who may see, claim, write in, close and reopen one."""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence

from server.core import pages
from server.core.auth import Identity
from server.core.clock import now, to_text
from server.core.database import Database, Transaction
from server.core.errors import Problem, conflict, invalid, not_found
from server.core.idempotency import KeyedRequest, once
from server.core.ids import new_id
from server.core.limits import check_day
from server.features.accounts.schemas import Role
from server.features.accounts.service import AccountService, actor
from server.features.chat import store
from server.features.chat.schemas import (
    Chat,
    ChatOrder,
    ChatPage,
    ChatStatus,
    NewChat,
    QueueEvent,
    Unread,
)
from server.features.orders.service import OrderService
from server.features.shared.schemas import Actor, Wire
from server.realtime.log import EventLog

QUEUE = "chats"
"""The topic of the support queue."""
OPEN_ROUTE = "POST /chats"
CUSTOMERS = 50_000
"""Chats whose customer is kept in memory; a chat's customer never changes."""


def topic_of(chat_id: str) -> str:
    """The topic of a chat's events."""
    return f"chat:{chat_id}"


class StepData(Wire):
    """The data of `taken`, `closed` and `reopened`."""

    chat_id: str
    by: Actor
    at: str


class ChatService:
    """Chats of customers with support.

    Everybody at the desk, support and employees who share it, may read any chat. Once one of them
    has claimed it, only that one may write in it. Until then any of them may answer, which does not
    end the customer's wait.
    """

    def __init__(
        self,
        database: Database,
        log: EventLog,
        accounts: AccountService,
        orders: OrderService,
        *,
        most_open: int,
        most_a_day: int,
    ) -> None:
        """`most_open` and `most_a_day` are an account's; 0 is no limit."""
        self._database = database
        self._log = log
        self._accounts = accounts
        self._orders = orders
        self._most_open = most_open
        self._most_a_day = most_a_day
        self._customers: OrderedDict[str, str] = OrderedDict()

    async def open(self, identity: Identity, new: NewChat, key: str | None) -> Chat:
        """Open a chat; a repeated Idempotency-Key gives the first one.

        Raises Problem 409 where the account has as many chats open as it may, 422 where the
        order is not the customer's, 429 where it has opened as many as it may within a day.
        """
        request = KeyedRequest.of(identity.account_id, OPEN_ROUTE, key, new)

        async def open_chat(tx: Transaction) -> Chat:
            moment = now()
            await self._accounts.account_of(tx, identity.account_id)
            await self._check_open_chats(tx, identity.account_id)
            if most := self._most_a_day:
                first = await store.first_of_last(tx, identity.account_id, most)
                advice = " Reopen one of them instead."
                check_day(first, f"opened {most} chats", advice)
            chat = Chat(
                id=new_id("cht"),
                subject=new.subject,
                status=ChatStatus.OPEN,
                customer=actor(identity),
                order=await self._order(tx, identity, new.order_id),
                opened_at=moment,
                waiting_since=moment,
                unread=Unread(customer=0, support=0),
            )
            await store.insert(tx, chat)
            await self.publish_to_queue(tx, QueueEvent.OPENED, chat)
            return chat

        return await self._database.write(lambda tx: once(tx, request, lambda: open_chat(tx), Chat))

    async def chats(
        self, identity: Identity, status: ChatStatus | None, before: str | None, limit: int
    ) -> ChatPage:
        """A page of the customer's own, or of all for the desk, with the queue's cursor.

        Without a status the desk gets the open ones, a customer all.
        Raises Problem 422 for a `before` that no page gave.
        """
        start = pages.numbered(before)
        customer = identity.role == Role.CUSTOMER
        if status is None and not customer:
            status = ChatStatus.OPEN

        async def fn(tx: Transaction) -> ChatPage:
            page, following = await store.chats(
                tx,
                customer_id=identity.account_id if customer else None,
                status=status,
                before=start,
                limit=limit,
            )
            cursor = None if customer else await self._log.cursor(tx, QUEUE)
            return ChatPage(items=page, next=following, cursor=cursor)

        return await self._database.read(fn)

    def export(self, identity: Identity) -> AsyncGenerator[Sequence[str]]:
        """Every chat that the account has opened, whatever its role is now."""

        async def fetch(before: str | None) -> tuple[Sequence[str], str | None]:
            owner, start = identity.account_id, pages.numbered(before)
            page, following = await self._database.read(
                lambda tx: store.chats(tx, customer_id=owner, status=None, before=start, limit=200)
            )
            return [one.model_dump_json() for one in page], following

        return pages.every_page(fetch)

    async def chat(self, identity: Identity, chat_id: str) -> Chat:
        """One chat. Raises Problem 404."""
        return await self._database.look_up(lambda tx: self.visible(tx, identity, chat_id))

    async def admit(self, identity: Identity, chat_id: str) -> None:
        """Raises Problem 404 where that is no chat, or another customer's."""
        customer = self._customers.get(chat_id)
        if customer is None:
            customer = await self._database.look_up(lambda tx: store.customer_of(tx, chat_id))
            if customer is None:
                raise not_found("chat")
            self._customers[chat_id] = customer
            if len(self._customers) > CUSTOMERS:
                self._customers.popitem(last=False)
        if identity.role == Role.CUSTOMER and identity.account_id != customer:
            raise not_found("chat")

    async def take(self, identity: Identity, chat_id: str) -> Chat:
        """Claim the chat for the caller.

        Raises Problem 404, 409 with the chat where somebody else has claimed it, or it is closed.
        """

        async def fn(tx: Transaction) -> Chat:
            chat = await self.locked(tx, identity, chat_id)
            if chat.employee is not None and chat.employee.id == identity.account_id:
                return chat
            if chat.employee is not None:
                raise refusal(chat, f"{chat.employee.name} has claimed this chat.", "chat-taken")
            if chat.status is ChatStatus.CLOSED:
                raise refusal(chat, "The chat is closed. Reopen it first.", "chat-closed")
            moment, who = now(), actor(identity)
            taken = chat.model_copy(update={"employee": who, "taken_at": moment})
            taken = await self.with_unread(tx, taken)
            return await self._step(tx, taken, "taken", who, QueueEvent.UPDATED)

        return await self._database.write(fn)

    async def close(self, identity: Identity, chat_id: str) -> Chat:
        """Close the chat: it accepts no more messages. Raises Problem 404."""

        async def fn(tx: Transaction) -> Chat:
            chat = await self.locked(tx, identity, chat_id)
            if chat.status is ChatStatus.CLOSED:
                return chat
            return await self.end(tx, chat, actor(identity))

        return await self._database.write(fn)

    async def reopen(self, identity: Identity, chat_id: str) -> Chat:
        """Put the chat back into the queue, unclaimed.

        Raises Problem 404, 409 where its customer has as many chats open as they may.
        """

        async def fn(tx: Transaction) -> Chat:
            chat = await self.locked(tx, identity, chat_id)
            if chat.status is ChatStatus.OPEN:
                return chat
            await self._check_open_chats(tx, chat.customer.id)
            changes = {
                "status": ChatStatus.OPEN,
                "employee": None,
                "taken_at": None,
                "closed_at": None,
                "closed_by": None,
                "waiting_since": now(),
            }
            opened = chat.model_copy(update=changes)
            return await self._step(tx, opened, "reopened", actor(identity), QueueEvent.OPENED)

        return await self._database.write(fn)

    async def release(self, tx: Transaction, account_id: str, role: Role) -> None:
        """Before an account has another role: put the open chats that it has claimed back into the
        queue."""
        for chat_id in await store.claimed_by(tx, account_id):
            chat = await store.locked(tx, chat_id)
            if chat is not None and chat.employee and chat.employee.id == account_id:
                changes = {"employee": None, "taken_at": None, "waiting_since": now()}
                chat = chat.model_copy(update=changes)
                await store.save(tx, chat)
                await self.publish_to_queue(tx, QueueEvent.UPDATED, chat)

    async def end(self, tx: Transaction, chat: Chat, by: Actor) -> Chat:
        """Close the chat on behalf of that account."""
        changes = {
            "status": ChatStatus.CLOSED,
            "closed_at": now(),
            "closed_by": by,
            "waiting_since": None,
        }
        closed = chat.model_copy(update=changes)
        return await self._step(tx, closed, "closed", by, QueueEvent.CLOSED)

    async def _check_open_chats(self, tx: Transaction, customer_id: str) -> None:
        """Raises Problem 409."""
        if (
            self._most_open
            and await store.open_chats_of(tx, customer_id, self._most_open) >= self._most_open
        ):
            raise conflict(
                f"{self._most_open} chats of this customer are open, the most there may be."
                " Close one, or continue in one of them.",
                "too-many-chats",
            )

    async def _step(
        self, tx: Transaction, chat: Chat, kind: str, by: Actor, event: QueueEvent
    ) -> Chat:
        """Store the chat, and publish the step to its room and to the queue."""
        await store.save(tx, chat)
        if by.id != chat.customer.id:
            await store.add_staff(tx, chat.id, by.id)
        data = StepData(chat_id=chat.id, by=by, at=to_text(now())).model_dump_json()
        await self._log.append(tx, topic_of(chat.id), kind, data, subject=chat.id)
        await self.publish_to_queue(tx, event, chat)
        return chat

    async def publish_to_queue(self, tx: Transaction, event: QueueEvent, chat: Chat) -> None:
        """Publish the chat to the support queue."""
        await self._log.append(tx, QUEUE, event.value, chat.model_dump_json(), subject=chat.id)

    async def with_unread(self, tx: Transaction, chat: Chat) -> Chat:
        """The chat with its unread counts: support has read what its employee has, or, before a
        chat is claimed, what any employee has."""
        seqs = {"customer": 0, "support": 0}
        for marker in await store.read_markers(tx, chat.id):
            if marker.reader.id == chat.customer.id:
                seqs["customer"] = marker.seq
            elif chat.employee is None or marker.reader.id == chat.employee.id:
                seqs["support"] = max(seqs["support"], marker.seq)
        unread = Unread(
            customer=await store.unread_by_customer(tx, chat.id, seqs["customer"]),
            support=await store.unread_by_support(tx, chat.id, seqs["support"]),
        )
        return chat.model_copy(update={"unread": unread})

    async def _order(
        self, tx: Transaction, identity: Identity, order_id: str | None
    ) -> ChatOrder | None:
        if order_id is None:
            return None
        try:
            order = await self._orders.order_in(tx, identity, order_id)
        except Problem:
            raise invalid(["order_id"], "There is no such order of yours.") from None
        return ChatOrder(
            id=order["id"], number=order["number"], restaurant=order["restaurant_name"]
        )

    async def locked(self, tx: Transaction, identity: Identity, chat_id: str) -> Chat:
        """The chat, locked for the rest of the transaction, as is the caller's account, with the
        caller's current name in it. Raises Problem 404, 401 where the account is gone."""
        await self._accounts.account_of(tx, identity.account_id)
        chat, who = _seen_by(identity, await store.locked(tx, chat_id)), actor(identity)
        known = {"customer": chat.customer, "employee": chat.employee}
        renamed = {side: who for side, one in known.items() if one and one.id == who.id}
        return chat.model_copy(update=renamed)

    async def visible(self, tx: Transaction, identity: Identity, chat_id: str) -> Chat:
        """The chat. Raises Problem 404 where there is none, or it is another customer's."""
        return _seen_by(identity, await store.chat(tx, chat_id))


def _seen_by(identity: Identity, chat: Chat | None) -> Chat:
    customer = identity.role == Role.CUSTOMER
    if chat is None or (customer and chat.customer.id != identity.account_id):
        raise not_found("chat")
    return chat


def refusal(chat: Chat, detail: str, kind: str | None = None) -> Problem:
    """A Problem 409 that carries the chat."""
    return conflict(detail, kind, chat=chat.model_dump(mode="json"))
