"""An order as text: statuses, times, money, as the customer reads them."""

from datetime import UTC, datetime
from math import ceil

from textual.content import Content

from server.features.orders.schemas import STEPS, Order, OrderStatus, TimelineEntry
from tui.common.format import (
    STATUS_LOOKS,
    clock_time,
    hours_minutes,
    loading_message,
    money,
    sides,
    wrapped,
)
from tui.common.sanitize import plain
from tui.common.widgets.stepper import STEP_OF
from tui.common.widgets.stepper import STEPS as STEP_NAMES
from tui.customer.orders.model import OrderStore


def in_minutes(eta: datetime, now: datetime) -> str:
    """`6 min`, `3 h`, or `4 min late` once it has passed; minutes are rounded up."""
    seconds = (eta - now).total_seconds()
    if seconds <= -60:
        return f"{int(-seconds // 60)} min late"
    minutes = max(1, ceil(seconds / 60))
    return f"{minutes} min" if minutes <= 120 else f"{ceil(minutes / 60)} h"


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
        due = "was due" if is_late(order, now) else "arrives"
        return f"{due} {clock_time(order.eta, now)}"
    return "waiting for the kitchen" if order.status is OrderStatus.PLACED else ""


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
        return "you"
    return plain(step.by.name)


def status_message(order: Order, now: datetime) -> str:
    """The toast about an order's new status."""
    where = plain(order.restaurant.name)
    due = f" Arrives {clock_time(order.eta, now)}." if order.eta else ""
    driver = plain(order.driver.name) if order.driver else "The driver"
    if order.status is OrderStatus.CANCELLED:
        reason = plain(order.timeline[-1].reason or "") if order.timeline else ""
        return f"Your order was cancelled: {reason}" if reason else "Your order was cancelled."
    return {
        OrderStatus.PLACED: f"{where} has your order.",
        OrderStatus.ACCEPTED: f"{where} accepted your order.{due}",
        OrderStatus.PREPARING: f"{where} is cooking.{due}",
        OrderStatus.READY: f"Ready at {where}, waiting for the driver.",
        OrderStatus.OUT_FOR_DELIVERY: f"{driver} is on the way.{due}",
        OrderStatus.DELIVERED: "Delivered. Enjoy your meal.",
    }[order.status]


def why_not_cancellable(order: Order) -> str:
    """Why the customer cannot cancel this order any more, in a sentence."""
    where = plain(order.restaurant.name)
    if order.status is OrderStatus.CANCELLED:
        return "It is cancelled already."
    if order.status is OrderStatus.DELIVERED:
        return "It is delivered already."
    begun = (
        "has started cooking" if order.status is OrderStatus.PREPARING else "has finished cooking"
    )
    return f"Too late to cancel: {where} {begun}. Press a to ask support."


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
        return loading_message("Loading your orders…", error)
    return Content.assemble("No orders yet. Press ", ("n", "bold $primary"), " to order.")


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
    words = f"{open_count} open · {len(store) - open_count}{more} past"
    if loading:
        words += " · loading older ones"
    return Content.assemble((words, "$wire-ink"))


RECEIPT_CELLS = 48


def beside_dishes(order: Order) -> list[tuple[str, str]]:
    """The fees and the tip of an order: a name, and how much."""
    parts = [(plain(fee.kind).capitalize(), fee.cents) for fee in order.fees]
    parts += [("Tip", order.tip_cents)] if order.tip_cents else []
    return [(name, money(cents, order.currency)) for name, cents in parts]


def promise_kept(order: Order, now: datetime) -> str:
    """The promised time, and what became of it: `18:40, came 4 min late`."""
    assert order.promised_at is not None
    told = clock_time(order.promised_at, now)
    if order.status is not OrderStatus.DELIVERED:
        return told
    late = round((order.timeline[-1].at - order.promised_at).total_seconds() / 60)
    return f"{told}, came {late} min late" if late > 0 else f"{told}, came in time"


def payment(order: Order) -> str:
    """How the order is paid, or was: never in this app."""
    if order.status is OrderStatus.CANCELLED:
        return "Cancelled: nothing is charged."
    return "Paid at the door." if order.status.terminal else "To be paid at the door."


def receipt(order: Order, now: datetime) -> str:
    """The order as a text of lines, none wider than `RECEIPT_CELLS`."""
    width, rule = RECEIPT_CELLS, "-" * RECEIPT_CELLS
    day = placed_at(order).astimezone()
    lines = [
        *wrapped(order.restaurant.name, width),
        sides(f"Order #{order.number:04d}", f"{day:%Y-%m-%d}", width),
        rule,
    ]
    for item in order.items:
        price = money(item.quantity * item.price_cents, order.currency)
        room = width - len(price) - 1
        first, *more = wrapped(f"{item.quantity} x {item.name}", room) or ("",)
        lines += [sides(first, price, width), *more]
        lines += [f"    {line}" for line in wrapped(item.note or "", width - 4)]
    lines += [rule, *(sides(name, price, width) for name, price in beside_dishes(order))]
    lines += [sides("Total", money(order.total_cents, order.currency), width), payment(order), rule]
    for step in order.timeline:
        lines.append(sides(STATUS_LOOKS[step.status][1], hours_minutes(step.at), width))
        lines += [f"    {line}" for line in wrapped(step.reason or "", width - 4)]
    if order.promised_at is not None:
        lines.append(sides("Promised", promise_kept(order, now), width))
    lines += [rule, *wrapped(order.customer.name, width), *wrapped(order.address.text, width)]
    lines += wrapped(order.note or "", width)
    return "\n".join(lines) + "\n"
