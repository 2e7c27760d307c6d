"""The autopilot's support assistant: answers a chat until a person claims it."""

import asyncio
import logging
import random
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from pydantic import ValidationError

from server.features.chat.frame_schemas import ClosedFrame, TakenFrame
from server.features.chat.schemas import Chat, ChatMessage, ChatStatus
from server.features.orders.schemas import CANCELLABLE, Order, OrderStatus
from tui.common.client.api import Api
from tui.common.client.chat_room import Room
from tui.common.client.errors import ApiError, ClientError, ResetStream
from tui.common.client.fallback import LogStream
from tui.common.client.meter import Pattern
from tui.common.client.retry import sync_loop
from tui.common.client.session import Session

WAIT_SECONDS = 6.0
"""From a customer's first message to the greeting, at pace 1: time for a person to answer."""
THINK_SECONDS = 2.0
"""From a customer's message to the answer, at pace 1."""
OTHER_RESTAURANT = 2.0
"""The assistant of another restaurant, which cannot see the order, waits that many times longer."""
MAX_ANSWERS = 30
"""In one chat: a longer one is no customer who wants to know something."""

log = logging.getLogger("autopilot")


class ChatClaims:
    """The chats that the assistants of one process answer: each has one assistant at most."""

    def __init__(self) -> None:
        self._claimed: set[str] = set()

    def claim(self, chat_id: str) -> bool:
        """Claim the chat; False where another assistant has it."""
        if chat_id in self._claimed:
            return False
        self._claimed.add(chat_id)
        return True

    def release(self, chat_id: str) -> None:
        """Leave the chat to the others."""
        self._claimed.discard(chat_id)


class Assistant:
    """Answers chats that no person has claimed, without claiming them on the server.

    So they stay in the queue. As soon as a person claims or writes in one, the assistant leaves.
    """

    def __init__(
        self,
        session: Session,
        api: Api,
        claims: ChatClaims,
        own_ids: Collection[str],
        pace: float,
    ) -> None:
        self._session = session
        self._api = api
        self._claims = claims
        self._own_ids = own_ids
        self._pace = pace
        self._restaurant = ""
        self._chats: dict[str, Chat] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self, restaurant_id: str) -> None:
        """Watch the queue until cancelled; returns where the server has no chats."""

        async def read() -> str | None:
            self._restaurant = (await self._api.restaurant(restaurant_id)).name
            return await self._read_queue()

        def on_error(error: ClientError, wait: float | None) -> None:
            if wait is None:
                log.info("no support assistant: %s", error.message)

        try:
            await sync_loop(read, self._watch_queue, on_error=on_error, cap=15)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read_queue(self) -> str | None:
        page = await self._api.open_chats()
        self._chats = {chat.id: chat for chat in page.items}
        for chat in page.items:
            self._start_if_needed(chat)
        return page.cursor

    async def _watch_queue(self, cursor: str | None) -> None:
        async with LogStream(
            self._session, "/chats/stream", "/chats/events", "support queue", cursor
        ) as stream:
            async for event in stream:
                try:
                    chat = Chat.model_validate_json(event.data)
                except ValidationError:
                    continue
                self._chats[chat.id] = chat
                self._start_if_needed(chat)

    def _start_if_needed(self, chat: Chat) -> None:
        if chat.id not in self._tasks and needs_answer(chat):
            task = asyncio.create_task(self._wait_and_answer(chat), name=f"chat {chat.id}")
            self._tasks[chat.id] = task
            task.add_done_callback(lambda task: self._done(chat.id, task))

    def _done(self, chat_id: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(chat_id, None)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, ClientError | ResetStream):
            log.info("left a chat: %s", error)
        else:
            log.error("left a chat", exc_info=error)

    async def _wait_and_answer(self, chat: Chat) -> None:
        # At random, so that not all assistants of a town try at the same moment.
        wait = WAIT_SECONDS * self._pace * random.uniform(1.0, 1.5)  # noqa: S311
        is_ours = chat.order is None or chat.order.restaurant == self._restaurant
        await asyncio.sleep(wait if is_ours else wait * OTHER_RESTAURANT)
        if not needs_answer(self._chats[chat.id]) or not self._claims.claim(chat.id):
            return
        try:
            await self._answer_chat(self._chats[chat.id])
        finally:
            self._claims.release(chat.id)

    async def _answer_chat(self, chat: Chat) -> None:
        """Answer until a person claims the chat, writes in it, or closes it."""
        page = await self._api.messages(chat.id)
        if touched_by_person(page.items, self._own_ids):
            return
        meter = self._session.wire.meter("support chat", Pattern.WEBSOCKET)
        async with Room(self._session, chat.id, meter, page.cursor) as room:
            replying: asyncio.Task[None] | None = None
            sent = sum(one.sender.id in self._own_ids for one in page.items)
            if not sent:
                replying = asyncio.create_task(self._reply(room, chat, None))
            elif page.items and page.items[0].sender.id == chat.customer.id:
                replying = asyncio.create_task(self._reply(room, chat, page.items[0].text))
            try:
                async for frame in room:
                    match frame:
                        case TakenFrame() | ClosedFrame():
                            return
                        case ChatMessage() if frame.sender.id == chat.customer.id:
                            if sent >= MAX_ANSWERS:
                                return
                            if replying is None or replying.done():
                                sent += 1
                                replying = asyncio.create_task(self._reply(room, chat, frame.text))
                        case ChatMessage() if frame.sender.id not in self._own_ids:
                            return
            finally:
                if replying is not None:
                    replying.cancel()
                    await asyncio.gather(replying, return_exceptions=True)

    async def _reply(self, room: Room, chat: Chat, text: str | None) -> None:
        """Send an answer to `text`; without it, the greeting."""
        seconds = THINK_SECONDS * self._pace
        await asyncio.sleep(seconds / 4)
        room.typing()
        order = await self._order_of(chat)
        await asyncio.sleep(seconds)
        now = datetime.now(UTC)
        room.send(greeting(chat, order, now) if text is None else answer(text, order, now))

    async def _order_of(self, chat: Chat) -> Order | None:
        """The order the chat is about, where this restaurant may see it."""
        if chat.order is None or chat.order.restaurant != self._restaurant:
            return None
        try:
            return await self._api.order(chat.order.id)
        except (ApiError, ClientError):
            return None


CUSTOMER = "customer"

_STATUS_TEXTS = {
    OrderStatus.PLACED: "is with {restaurant}, who have not accepted it yet",
    OrderStatus.ACCEPTED: "has been accepted by {restaurant}; they start cooking soon",
    OrderStatus.PREPARING: "is being prepared by {restaurant}",
    OrderStatus.READY: "is ready at {restaurant} and waits for a driver",
    OrderStatus.OUT_FOR_DELIVERY: "is on its way",
    OrderStatus.DELIVERED: "has been delivered",
    OrderStatus.CANCELLED: "was cancelled",
}
_TOPICS = {
    "person": r"\b(person|human|agent|somebody|someone|people|employee|manager|staff|real)\b",
    "driver": r"\b(driver|rider|courier|who brings|bike)\b",
    "cancel": r"\b(cancel|call (it )?off|refund|money back)\b",
    "order": r"\b(where|when|status|late|long|eta|arrive|order|food|meal|wait|soon|yet|cold)\w*\b",
    "thanks": r"\b(thank\w*|thx|great|perfect|cheers)\b",
    "hello": r"\b(hi|hello|hey|good (morning|evening|day|afternoon))\b",
}


def needs_answer(chat: Chat) -> bool:
    """Whether nobody has claimed this chat, and the last message, if any, is its customer's."""
    if chat.status is not ChatStatus.OPEN or chat.employee is not None:
        return False
    last = chat.last_message
    return last is None or last.sender.id == chat.customer.id


def touched_by_person(history: Sequence[ChatMessage], own_ids: Collection[str]) -> bool:
    """Whether somebody at the desk other than the autopilots has written."""
    return any(one.sender.role != CUSTOMER and one.sender.id not in own_ids for one in history)


def greeting(chat: Chat, order: Order | None, now: datetime) -> str:
    """The first message: that this is no person, what it knows, and that a person will come."""
    first = chat.customer.name.split()[0] if chat.customer.name.split() else "there"
    sentences = [
        f"Hello {first}, I am the automatic assistant, not a person.",
        "A colleague takes over as soon as one is free; your chat keeps its place in the queue.",
    ]
    if order is not None:
        sentences.append(f"Until then: {order_status(order, now)}")
    elif chat.order is not None:
        sentences.append("I cannot look into that order from here, but they can.")
    else:
        sentences.append("Until then, tell me what happened, so that they find it all here.")
    return " ".join(sentences)


def answer(text: str, order: Order | None, now: datetime) -> str:
    """The answer to a message. It says nothing that the order does not say."""
    topics = {name for name, found in _TOPICS.items() if re.search(found, text, re.IGNORECASE)}
    if "person" in topics:
        return (
            "Of course. Everybody in support sees that you are waiting, and a person takes over "
            "as soon as one is free. I am only the automatic assistant."
        )
    if order is None:
        if topics == {"thanks"}:
            return "You are welcome."
        return "Thank you. My colleague will see this and answer you here."
    if "cancel" in topics:
        return _cancel_answer(order)
    if "driver" in topics:
        return _driver_answer(order, now)
    if topics & {"order", "hello"}:
        return order_status(order, now)
    if "thanks" in topics:
        return "You are welcome."
    return (
        "I am an automatic assistant and can only tell you how your order stands; my colleague "
        f"will see your message. {order_status(order, now)}"
    )


def order_status(order: Order, now: datetime) -> str:
    """The order's status, as a sentence."""
    status = _STATUS_TEXTS[order.status].format(restaurant=order.restaurant.name)
    sentence = f"Your order #{order.number:04d} {status}"
    if order.status is OrderStatus.OUT_FOR_DELIVERY and order.driver is not None:
        sentence += f" with {order.driver.name}"
    if order.status is OrderStatus.CANCELLED and order.timeline and order.timeline[-1].reason:
        sentence += f" ({order.timeline[-1].reason.rstrip('.')})"
    if order.eta is not None and not order.status.terminal:
        minutes = round((order.eta - now).total_seconds() / 60)
        if minutes > 1:
            sentence += f", and should be with you in about {minutes} minutes"
        elif minutes >= -5:
            sentence += ", and should be with you any moment"
        else:
            sentence += ". It is later than promised; I am sorry about that"
    return f"{sentence}."


def _cancel_answer(order: Order) -> str:
    number = f"#{order.number:04d}"
    if order.status in CANCELLABLE:
        return (
            f"You can still cancel order {number} yourself: press c on it in Orders. Nothing is "
            "charged then."
        )
    if order.status is OrderStatus.CANCELLED:
        return f"Order {number} is cancelled already; nothing is charged."
    return (
        f"Order {number} cannot be cancelled any more, as the kitchen has started. My colleague "
        "will tell you here what can be done."
    )


def _driver_answer(order: Order, now: datetime) -> str:
    if order.driver is None:
        return f"No driver has your order yet. {order_status(order, now)}"
    return f"{order.driver.name} is bringing your order. {order_status(order, now)}"
