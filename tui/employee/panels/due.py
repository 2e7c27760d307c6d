"""How much time an order has left: words, urgency, and a share for the glyph."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from server.features.orders.schemas import Order, OrderStatus

SOON_SHARE = 0.2
SOON_AT_MOST = timedelta(minutes=5)
SOON_AT_LEAST = timedelta(minutes=1)
"""Amber is the last fifth of the time promised, within these bounds."""
NEW_SOON = timedelta(minutes=2)
NEW_LATE = timedelta(minutes=5)
"""How long a new order may wait for an answer before it turns amber, then red."""

PIES = "○◔◑◕●"


class Urgency(IntEnum):
    """Calm, amber, red."""

    CALM = 0
    SOON = 1
    LATE = 2


@dataclass(frozen=True, slots=True)
class Due:
    """`words` are `12m`, `1:42` or, past zero, `+3m`; `glyph` tells the same without colour."""

    words: str
    glyph: str
    urgency: Urgency
    seconds: float
    """Left; negative when it is overdue. For a new order: since it came, negative."""

    def reads_like(self, other: "Due") -> bool:
        """Whether the two look the same."""
        mine = (self.words, self.glyph, self.urgency)
        return mine == (other.words, other.glyph, other.urgency)


def target(order: Order) -> datetime | None:
    """What the clock runs to: the kitchen's own time, and once it is done, the customer's."""
    if order.status in (OrderStatus.ACCEPTED, OrderStatus.PREPARING):
        return order.ready_by or order.eta
    return order.eta


def due(order: Order, now: datetime) -> Due:
    """The clock of an open order: the time left, or how long it has waited where none is set."""
    end = target(order)
    if end is None or order.status is OrderStatus.PLACED:
        return _waiting(order, now)
    left = end - now
    given = end - _begun(order)
    if left <= timedelta(0):
        return Due(f"+{short_span(-left)}", "!", Urgency.LATE, left.total_seconds())
    soon = max(SOON_AT_LEAST, min(given * SOON_SHARE, SOON_AT_MOST))
    share = 1 - left / given if given > timedelta(0) else 0.0
    glyph = PIES[min(len(PIES) - 1, max(0, int(share * len(PIES))))]
    urgency = Urgency.SOON if left <= soon else Urgency.CALM
    return Due(short_span(left), glyph, urgency, left.total_seconds())


def short_span(span: timedelta) -> str:
    """`0:42` up to two minutes, then `12m`, `3h05`."""
    seconds = int(span.total_seconds())
    if seconds < 120:
        return f"{seconds // 60}:{seconds % 60:02d}"
    minutes = seconds // 60
    return f"{minutes}m" if minutes < 120 else f"{minutes // 60}h{minutes % 60:02d}"


def _begun(order: Order) -> datetime:
    """When the present stretch began: cooking with the acceptance, the way with each step on it."""
    if order.status in (OrderStatus.ACCEPTED, OrderStatus.PREPARING):
        for entry in order.timeline:
            if entry.status is OrderStatus.ACCEPTED:
                return entry.at
    return order.timeline[-1].at


def _waiting(order: Order, now: datetime) -> Due:
    entry = order.timeline[0] if order.status is OrderStatus.PLACED else order.timeline[-1]
    waited = max(timedelta(0), now - entry.at)
    urgency = Urgency.CALM
    if order.status is OrderStatus.PLACED and waited >= NEW_SOON:
        urgency = Urgency.LATE if waited >= NEW_LATE else Urgency.SOON
    glyph = "!" if urgency is Urgency.LATE else "◆" if order.status is OrderStatus.PLACED else "○"
    return Due(short_span(waited), glyph, urgency, -waited.total_seconds())
