"""Orders, dishes and chats in whole sentences, as a voice reads them: no symbol carries meaning."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from server.features.announcements.schemas import ReadAnnouncement, Severity
from server.features.chat.schemas import Chat
from server.features.orders.schemas import Order, OrderStatus
from tui.common.format import beside_dishes, clock_time, money
from tui.common.language import _, ngettext
from tui.plain.errors import Failed

STATUS_WORDS = {
    OrderStatus.PLACED: _("is placed and waits for the restaurant"),
    OrderStatus.ACCEPTED: _("is accepted"),
    OrderStatus.PREPARING: _("is being prepared"),
    OrderStatus.READY: _("is ready and waits for its driver"),
    OrderStatus.OUT_FOR_DELIVERY: _("is on its way"),
    OrderStatus.DELIVERED: _("is delivered"),
    OrderStatus.CANCELLED: _("is cancelled"),
}
SEVERITIES = {
    Severity.INFO: _("Info"),
    Severity.WARNING: _("Warning"),
    Severity.CRITICAL: _("Critical"),
}
ChoiceT = TypeVar("ChoiceT")


def orders(count: int) -> str:
    """`1 order`, `2 orders`, `no orders`."""
    return (
        ngettext("{count} order", "{count} orders", count).format(count=count)
        if count
        else _("no orders")
    )


def people(count: int) -> str:
    """`1 person`, `2 people`, `no people`."""
    return (
        ngettext("{count} person", "{count} people", count).format(count=count)
        if count
        else _("no people")
    )


def status_of(order: Order) -> str:
    """What has become of an order: `is on its way with Ken, expected at 12:46`."""
    words = STATUS_WORDS[order.status]
    if order.status is OrderStatus.OUT_FOR_DELIVERY and order.driver is not None:
        words += _(" with {driver}").format(driver=order.driver.name)
    last = order.timeline[-1]
    if order.status is OrderStatus.CANCELLED:
        words += _(" by {name}").format(name=last.by.name) + (
            _(", because: {reason}").format(reason=last.reason) if last.reason else ""
        )
    elif order.status is OrderStatus.DELIVERED:
        words = _("was delivered at {at}").format(at=clock_time(last.at))
        if order.rating is not None:
            words += _(", rated {stars} of 5").format(stars=order.rating.stars)
    elif order.eta is not None:
        words += _(", expected at {eta}").format(eta=clock_time(order.eta))
    return words


def amounts(parts: Sequence[tuple[str, str]]) -> str:
    """` Delivery 1.90 euros. Tip 2.00 euros.`; "" for none."""
    return "".join(f" {name} {price}." for name, price in parts)


def contents(order: Order) -> str:
    """What was ordered, with its notes, fees, tip and total."""
    lines = [
        f"{item.quantity} {item.name}"
        + (_(" (note: {note})").format(note=item.note) if item.note else "")
        for item in order.items
    ]
    note = _(" Note: {note}.").format(note=order.note) if order.note else ""
    return _("{lines}.{note}{more} Total {total_cents}.").format(
        lines=", ".join(lines),
        note=note,
        more=amounts(beside_dishes(order, spoken=True)),
        total_cents=money(order.total_cents, order.currency, spoken=True),
    )


def for_customer(order: Order) -> str:
    """An order as the one who placed it hears of it."""
    return _("Order {number} from {restaurant} {order}. ").format(
        number=order.number, restaurant=order.restaurant.name, order=status_of(order)
    ) + contents(order)


def for_kitchen(order: Order) -> str:
    """An order as its restaurant hears of it."""
    driver = ""
    named = order.status is OrderStatus.OUT_FOR_DELIVERY  # by the status
    if order.driver is not None and not named and not order.status.terminal:
        driver = _(" Driver: {driver}.").format(driver=order.driver.name)
    return _("Order {number} for {customer} {order}. {order_2} Address: {text}.{driver}").format(
        number=order.number,
        customer=order.customer.name,
        order=status_of(order),
        order_2=contents(order),
        text=order.address.text,
        driver=driver,
    )


def of_announcement(announcement: ReadAnnouncement, now: datetime) -> str:
    """An announcement with its severity, author and time."""
    at = clock_time(announcement.published_at, now)
    return _("{severity} from {by}, {at}: {title}. {body}").format(
        severity=SEVERITIES[announcement.severity],
        by=announcement.by.name,
        at=at,
        title=announcement.title,
        body=announcement.body,
    )


def of_chat(chat: Chat) -> str:
    """A chat as the queue lists it."""
    who = _("waits for somebody to take it")
    if chat.employee is not None:
        who = _("taken by {employee}").format(employee=chat.employee.name)
    last = chat.last_message
    said = (
        _(" Last message, from {sender}: {text}").format(sender=last.sender.name, text=last.text)
        if last is not None
        else ""
    )
    return _("{customer}, about {subject}, {who}.{said}").format(
        customer=chat.customer.name, subject=chat.subject, who=who, said=said
    )


def choose(given: str, names: Sequence[str], choices: Sequence[ChoiceT], what: str) -> ChoiceT:
    """The choice whose number in the list, counted from 1, or whose name is given; a part of the
    name is enough where it fits one only. Raises `Failed`."""
    if given.isascii() and given.isdigit():
        if 1 <= int(given) <= len(choices):
            return choices[int(given) - 1]
        raise Failed(
            _("There is no {what} number {given}; there are {choices}.").format(
                what=what, given=given, choices=len(choices)
            )
        )
    folded = given.casefold()
    found = [at for at, name in enumerate(names) if name.casefold() == folded]
    found = found or [at for at, name in enumerate(names) if folded in name.casefold()]
    if len(found) == 1:
        return choices[found[0]]
    if not found:
        raise Failed(
            _("There is no {what} “{given}”. There are: {names}.").format(
                what=what, given=given, names=", ".join(names) or _("none")
            )
        )
    several = ", ".join(names[at] for at in found)
    raise Failed(
        _("“{given}” may be any {what} of these: {several}. Give its number or more of it.").format(
            given=given, what=what, several=several
        )
    )
