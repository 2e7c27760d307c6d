"""An order as text: statuses, times, money, as the customer reads them."""

from datetime import UTC, datetime
from math import ceil

from textual.content import Content

from server.features.orders.schemas import STEPS, Order, OrderStatus, TimelineEntry
from tui.common.format import (
    STATUS_LOOKS,
    beside_dishes,
    clock_time,
    hours_minutes,
    loading_message,
    money,
    sides,
    wrapped,
)
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.widgets.stepper import STEP_OF
from tui.common.widgets.stepper import STEPS as STEP_NAMES
from tui.customer.orders.model import OrderStore


def in_minutes(eta: datetime, now: datetime) -> str:
    """`6 min`, `3 h`, or `4 min late` once it has passed; minutes are rounded up."""
    seconds = (eta - now).total_seconds()
    if seconds <= -60:
        return _("{minutes} min late").format(minutes=int(-seconds // 60))
    minutes = max(1, ceil(seconds / 60))
    if minutes <= 120:
        return _("{count} min").format(count=minutes)
    return _("{count} h").format(count=ceil(minutes / 60))


def is_late(order: Order, now: datetime) -> bool:
    """Whether an open order is late by a minute or more."""
    return (
        order.eta is not None
        and not order.status.terminal
        and (now - order.eta).total_seconds() >= 60
    )


def arrival(order: Order, now: datetime) -> str:
    """When the order arrives, or how it ended."""
    if order.status.terminal:
        at = clock_time(order.timeline[-1].at, now) if order.timeline else ""
        return f"{STATUS_LOOKS[order.status][1].lower()} {at}".strip()
    if order.eta is not None:
        due = _("was due {time}") if is_late(order, now) else _("arrives {time}")
        return due.format(time=clock_time(order.eta, now))
    return _("waiting for the kitchen") if order.status is OrderStatus.PLACED else ""


def placed_at(order: Order) -> datetime:
    """When it was placed; 1970 for an order without a timeline."""
    return order.timeline[0].at if order.timeline else datetime.fromtimestamp(0, UTC)


def status_before_end(order: Order) -> OrderStatus:
    """The status; for a cancelled order, the one it had before."""
    if order.status is not OrderStatus.CANCELLED:
        return order.status
    reached = [step.status for step in order.timeline if step.status is not OrderStatus.CANCELLED]
    return reached[-1] if reached else OrderStatus.PLACED


def actor_name(step: TimelineEntry, order: Order) -> str:
    """Who took a step: the customer is `you`."""
    if step.by.id == order.customer.id:
        return _("you")
    return plain(step.by.name)


def status_message(order: Order, now: datetime) -> str:
    """The toast about an order's new status."""
    where = plain(order.restaurant.name)
    due = _(" Arrives {time}.").format(time=clock_time(order.eta, now)) if order.eta else ""
    driver = plain(order.driver.name) if order.driver else _("The driver")
    if order.status is OrderStatus.CANCELLED:
        reason = plain(order.timeline[-1].reason or "") if order.timeline else ""
        words = (
            _("Your order was cancelled: {reason}") if reason else _("Your order was cancelled.")
        )
        return words.format(reason=reason)
    return {
        OrderStatus.PLACED: _("{restaurant} has your order."),
        OrderStatus.ACCEPTED: _("{restaurant} accepted your order.{arrives}"),
        OrderStatus.PREPARING: _("{restaurant} is cooking.{arrives}"),
        OrderStatus.READY: _("Ready at {restaurant}, waiting for the driver."),
        OrderStatus.OUT_FOR_DELIVERY: _("{driver} is on the way.{arrives}"),
        OrderStatus.DELIVERED: _("Delivered. Enjoy your meal. Rate it in its details."),
    }[order.status].format(restaurant=where, driver=driver, arrives=due)


def why_not_cancellable(order: Order) -> str:
    """Why the customer cannot cancel this order any more, in a sentence."""
    where = plain(order.restaurant.name)
    if order.status is OrderStatus.CANCELLED:
        return _("It is cancelled already.")
    if order.status is OrderStatus.DELIVERED:
        return _("It is delivered already.")
    words = _("Too late to cancel: {restaurant} has finished cooking. Press a to ask support.")
    if order.status is OrderStatus.PREPARING:
        words = _("Too late to cancel: {restaurant} has started cooking. Press a to ask support.")
    return words.format(restaurant=where)


_FAR = datetime.max.replace(tzinfo=UTC)


def most_urgent(open_orders: list[Order]) -> Order | None:
    """The open order that is furthest along; among equals, the one that arrives first."""
    return max(
        open_orders,
        key=lambda order: (STEPS.index(order.status), -(order.eta or _FAR).timestamp()),
        default=None,
    )


def empty_message(store: OrderStore, error: str) -> Content:
    """What an empty table says."""
    if not store.loaded:
        return loading_message(_("Loading your orders…"), error)
    return Content.assemble(_("No orders yet. Press "), ("n", "bold $primary"), _(" to order."))


def headline(order: Order | None, now: datetime) -> Content:
    """`#1042 Thai Basil on its way, 6 min`; nothing without an open order."""
    if order is None:
        return Content("")
    parts: list[tuple[str, str]] = [
        (f"#{order.number:04d} ", "$wire-ink"),
        (plain(order.restaurant.name), "bold"),
        (f" {STATUS_LOOKS[order.status][1].lower()}", "$wire-ink"),
    ]
    if order.eta is not None:
        ink = "bold $warning" if is_late(order, now) else "bold $primary"
        parts += [(", ", "$wire-ink"), (in_minutes(order.eta, now), ink)]
    return Content.assemble(*parts)


def summary(order: Order | None, store: OrderStore, error: str, now: datetime) -> Content:
    """The panel's summary as a card: the most urgent order, and its progress."""
    if order is None:
        return empty_message(store, error)
    ink = "$warning" if is_late(order, now) else "$success"
    first = Content.assemble(
        (f"#{order.number:04d} ", "$wire-ink"),
        (plain(order.restaurant.name), "bold"),
        ("  " + arrival(order, now), "$wire-ink" if order.status.terminal else ink),
    )
    glyph, word, hue = STATUS_LOOKS[order.status]
    if order.status.terminal:
        return Content("\n").join([first, Content.assemble((f"{glyph} {word}", hue))])
    at = STEP_OF[order.status]
    ahead = len(STEP_NAMES) - at - 1
    second = Content.assemble(
        ("●━━" * at, "$success"),
        ("◉", "bold $primary"),
        ("╌╌○" * ahead, "$wire-ink"),
        (f"  {word}", hue),
    )
    return Content("\n").join([first, second])


def footer(store: OrderStore, loading: bool, error: str) -> Content:
    """The note at the panel's lower edge: `3 open · 5 past`, `5+` while there are older ones."""
    if error:
        return Content.assemble(("◌ ", "$warning"), (plain(error), "$wire-ink"))
    if not store.loaded:
        return Content("")
    open_count = len(store.open())
    more = "+" if store.older is not None else ""
    words = _("{open} open · {past}{more} past").format(
        open=open_count, past=len(store) - open_count, more=more
    )
    if loading:
        words += _(" · loading older ones")
    return Content.assemble((words, "$wire-ink"))


RECEIPT_CELLS = 48


def promise_kept(order: Order, now: datetime) -> str:
    """The promised time, and what became of it: `18:40, came 4 min late`."""
    assert order.promised_at is not None
    told = clock_time(order.promised_at, now)
    if order.status is not OrderStatus.DELIVERED:
        return told
    late = round((order.timeline[-1].at - order.promised_at).total_seconds() / 60)
    words = _("{time}, came {minutes} min late") if late > 0 else _("{time}, came on time")
    return words.format(time=told, minutes=late)


def payment(order: Order) -> str:
    """How the order is paid, or was: never in this app."""
    if order.status is OrderStatus.CANCELLED:
        return _("Cancelled: nothing is charged.")
    return _("Paid at the door.") if order.status.terminal else _("To be paid at the door.")


def receipt(order: Order, now: datetime) -> str:
    """The order as a text of lines, none wider than `RECEIPT_CELLS`."""
    width, rule = RECEIPT_CELLS, "-" * RECEIPT_CELLS
    day = placed_at(order).astimezone()
    lines = [
        *wrapped(order.restaurant.name, width),
        sides(_("Order #{number:04d}").format(number=order.number), f"{day:%Y-%m-%d}", width),
        rule,
    ]
    for item in order.items:
        price = money(item.quantity * item.price_cents, order.currency)
        room = width - len(price) - 1
        first, *more = wrapped(f"{item.quantity} x {item.name}", room) or ("",)
        lines += [sides(first, price, width), *more]
        lines += [f"    {line}" for line in wrapped(item.note or "", width - 4)]
    lines += [rule, *(sides(name, price, width) for name, price in beside_dishes(order))]
    lines += [
        sides(_("Total"), money(order.total_cents, order.currency), width),
        payment(order),
        rule,
    ]
    for step in order.timeline:
        lines.append(sides(STATUS_LOOKS[step.status][1], hours_minutes(step.at), width))
        lines += [f"    {line}" for line in wrapped(step.reason or "", width - 4)]
    if order.promised_at is not None:
        lines.append(sides(_("Promised"), promise_kept(order, now), width))
    lines += [rule, *wrapped(order.customer.name, width), *wrapped(order.address.text, width)]
    lines += wrapped(order.note or "", width)
    return "\n".join(lines) + "\n"


def order_title(order: Order) -> str:
    """The title of a toast about an order."""
    return plain(f"#{order.number:04d} {order.restaurant.name}")


def progress_of(order: Order | None) -> float | None:
    """How far an open order has come, from 0 to 1."""
    if order is None or order.status.terminal:
        return None
    return STEPS.index(order.status) / (len(STEPS) - 1)
