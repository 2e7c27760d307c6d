"""Orders, dishes and chats in whole sentences, as a voice reads them: no symbol carries meaning."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from server.features.announcements.schemas import ReadAnnouncement
from server.features.chat.schemas import Chat
from server.features.orders.schemas import Order, OrderStatus
from tui.common.format import clock_time, money
from tui.plain.errors import Failed

STATUS_WORDS = {
    OrderStatus.PLACED: "is placed and waits for the restaurant",
    OrderStatus.ACCEPTED: "is accepted",
    OrderStatus.PREPARING: "is being prepared",
    OrderStatus.READY: "is ready and waits for its driver",
    OrderStatus.OUT_FOR_DELIVERY: "is on its way",
    OrderStatus.DELIVERED: "is delivered",
    OrderStatus.CANCELLED: "is cancelled",
}
ChoiceT = TypeVar("ChoiceT")


def counted(count: int, one: str, many: str) -> str:
    """`1 dish`, `2 dishes`, `no dishes`."""
    return f"{count or 'no'} {one if count == 1 else many}"


def status_of(order: Order) -> str:
    """What has become of an order: `is on its way with Ken, expected at 12:46`."""
    words = STATUS_WORDS[order.status]
    if order.status is OrderStatus.OUT_FOR_DELIVERY and order.driver is not None:
        words += f" with {order.driver.name}"
    last = order.timeline[-1]
    if order.status is OrderStatus.CANCELLED:
        words += f" by {last.by.name}" + (f", because: {last.reason}" if last.reason else "")
    elif order.status is OrderStatus.DELIVERED:
        words = f"was delivered at {clock_time(last.at)}"
    elif order.eta is not None:
        words += f", expected at {clock_time(order.eta)}"
    return words


def contents(order: Order) -> str:
    """What was ordered, with its notes, and the total."""
    lines = [
        f"{item.quantity} {item.name}" + (f" (note: {item.note})" if item.note else "")
        for item in order.items
    ]
    note = f" Note: {order.note}." if order.note else ""
    total = money(order.total_cents, order.currency, spoken=True)
    return f"{', '.join(lines)}.{note} Total {total}."


def for_customer(order: Order) -> str:
    """An order as the one who placed it hears of it."""
    return f"Order {order.number} from {order.restaurant.name} {status_of(order)}. " + contents(
        order
    )


def for_kitchen(order: Order) -> str:
    """An order as its restaurant hears of it."""
    driver = ""
    named = order.status is OrderStatus.OUT_FOR_DELIVERY  # by the status
    if order.driver is not None and not named and not order.status.terminal:
        driver = f" Driver: {order.driver.name}."
    return (
        f"Order {order.number} for {order.customer.name} {status_of(order)}. {contents(order)} "
        f"Address: {order.address.text}.{driver}"
    )


def of_announcement(announcement: ReadAnnouncement, now: datetime) -> str:
    """An announcement with its severity, author and time."""
    at = clock_time(announcement.published_at, now)
    return (
        f"{announcement.severity.value.capitalize()} from {announcement.by.name}, {at}: "
        f"{announcement.title}. {announcement.body}"
    )


def of_chat(chat: Chat) -> str:
    """A chat as the queue lists it."""
    who = "waits for somebody to take it"
    if chat.employee is not None:
        who = f"taken by {chat.employee.name}"
    last = chat.last_message
    said = f" Last message, from {last.sender.name}: {last.text}" if last is not None else ""
    return f"{chat.customer.name}, about {chat.subject}, {who}.{said}"


def choose(given: str, names: Sequence[str], choices: Sequence[ChoiceT], what: str) -> ChoiceT:
    """The choice whose number in the list, counted from 1, or whose name is given; a part of the
    name is enough where it fits one only. Raises `Failed`."""
    if given.isascii() and given.isdigit():
        if 1 <= int(given) <= len(choices):
            return choices[int(given) - 1]
        raise Failed(f"There is no {what} number {given}; there are {len(choices)}.")
    folded = given.casefold()
    found = [at for at, name in enumerate(names) if name.casefold() == folded]
    found = found or [at for at, name in enumerate(names) if folded in name.casefold()]
    if len(found) == 1:
        return choices[found[0]]
    if not found:
        raise Failed(f"There is no {what} “{given}”. There are: {', '.join(names) or 'none'}.")
    several = ", ".join(names[at] for at in found)
    raise Failed(f"“{given}” may be any {what} of these: {several}. Give its number or more of it.")
