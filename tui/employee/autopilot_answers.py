"""What the autopilot says to a customer: rules without a network."""

import re
from collections.abc import Collection, Sequence
from datetime import datetime

from server.features.chat.schemas import Chat, ChatMessage, ChatStatus
from server.features.orders.schemas import CANCELLABLE, Order, OrderStatus

EMPLOYEE = "employee"

_STANDING = {
    OrderStatus.PLACED: "is with {restaurant}, who have not accepted it yet",
    OrderStatus.ACCEPTED: "has been accepted by {restaurant}; they begin to cook soon",
    OrderStatus.PREPARING: "is being prepared by {restaurant}",
    OrderStatus.READY: "is ready at {restaurant} and waits for a driver",
    OrderStatus.OUT_FOR_DELIVERY: "is on its way",
    OrderStatus.DELIVERED: "has been delivered",
    OrderStatus.CANCELLED: "was cancelled",
}
_WORDS = {
    "person": r"\b(person|human|agent|somebody|someone|people|employee|manager|staff|real)\b",
    "driver": r"\b(driver|rider|courier|who brings|bike)\b",
    "cancel": r"\b(cancel|call (it )?off|refund|money back)\b",
    "order": r"\b(where|when|status|late|long|eta|arrive|order|food|meal|wait|soon|yet|cold)\w*\b",
    "thanks": r"\b(thank\w*|thx|great|perfect|cheers)\b",
    "hello": r"\b(hi|hello|hey|good (morning|evening|day|afternoon))\b",
}


def wants_an_answer(chat: Chat) -> bool:
    """Whether nobody has this chat, and its customer had the last word or nobody any."""
    if chat.status is not ChatStatus.OPEN or chat.employee is not None:
        return False
    last = chat.last_message
    return last is None or last.sender.id == chat.customer.id


def is_a_persons(history: Sequence[ChatMessage], own_ids: Collection[str]) -> bool:
    """Whether a person at the desk has written; the autopilot stays out of it then.

    `history` is the newest first.
    """
    return any(one.sender.role == EMPLOYEE and one.sender.id not in own_ids for one in history)


def greeting(chat: Chat, order: Order | None, now: datetime) -> str:
    """The first words: who this is and is not, what it can tell, and that a person will come."""
    first = chat.customer.name.split()[0] if chat.customer.name.split() else "there"
    words = [
        f"Hello {first}, I am the automatic assistant, not a person.",
        "A colleague takes over as soon as one is free; your chat keeps its place in the queue.",
    ]
    if order is not None:
        words.append(f"Until then: {standing(order, now)}")
    elif chat.order is not None:
        words.append("I cannot look into that order from here, but they can.")
    else:
        words.append("Until then, tell me what happened, so that they find it all here.")
    return " ".join(words)


def answer(text: str, order: Order | None, now: datetime) -> str:
    """What to say to that. It claims nothing but what the order says."""
    about = {name for name, words in _WORDS.items() if re.search(words, text, re.IGNORECASE)}
    if "person" in about:
        return (
            "Of course. Everybody at the desk sees that you are waiting, and a person takes over "
            "as soon as one is free. I am only the automatic assistant."
        )
    if order is None:
        if about == {"thanks"}:
            return "You are welcome."
        return "Thank you, I have kept that for my colleague, who will answer you here."
    if "cancel" in about:
        return _cancelling(order)
    if "driver" in about:
        return _driver(order, now)
    if about & {"order", "hello"}:
        return standing(order, now)
    if "thanks" in about:
        return "You are welcome."
    return (
        "I can only tell how your order stands, as I am an automatic assistant. I have kept your "
        f"message for my colleague. {standing(order, now)}"
    )


def standing(order: Order, now: datetime) -> str:
    """How the order stands, in a sentence."""
    words = _STANDING[order.status].format(restaurant=order.restaurant.name)
    sentence = f"Your order #{order.number:04d} {words}"
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
            sentence += ". It is later than was promised; I am sorry about that"
    return f"{sentence}."


def _cancelling(order: Order) -> str:
    number = f"#{order.number:04d}"
    if order.status in CANCELLABLE:
        return (
            f"You can still cancel order {number} yourself: press c on it in Orders. Nothing is "
            "charged then."
        )
    if order.status is OrderStatus.CANCELLED:
        return f"Order {number} is cancelled already; nothing is charged."
    return (
        f"Order {number} cannot be cancelled any more, as the kitchen has begun. What can be done "
        "about it my colleague will tell you here."
    )


def _driver(order: Order, now: datetime) -> str:
    if order.driver is None:
        return f"No driver has your order yet. {standing(order, now)}"
    return f"{order.driver.name} brings your order. {standing(order, now)}"
