"""The kitchen's board: the open orders by status, as the newest news has them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from server.features.orders.schemas import STEPS, Order, OrderStatus

COLUMNS: tuple[OrderStatus, ...] = STEPS[:-1]
"""The statuses that have a column, from left to right."""

NAMES: dict[OrderStatus, str] = {
    OrderStatus.PLACED: "New",
    OrderStatus.ACCEPTED: "Accepted",
    OrderStatus.PREPARING: "Preparing",
    OrderStatus.READY: "Ready",
    OrderStatus.OUT_FOR_DELIVERY: "On its way",
    OrderStatus.DELIVERED: "Delivered",
    OrderStatus.CANCELLED: "Cancelled",
}
"""What people call a status."""


class Board:
    """Orders of one restaurant. Nothing here waits or paints; `revision` grows with every change.

    An order that somebody else called off stays, struck out, in the column it was in, until
    `dismiss`: whoever is cooking it must not miss that.
    """

    def __init__(self, own_id: str = "") -> None:
        """`own_id` is the account at this screen: what it did itself is no news to it."""
        self.own_id = own_id
        self.revision = 0
        self._orders: dict[str, Order] = {}
        self._struck: dict[str, OrderStatus] = {}
        self._over: set[str] = set()
        self._delivered: dict[str, datetime] = {}
        self._unseen: set[str] = set()
        self._columns: dict[OrderStatus, list[Order]] = {}
        self._columns_of = -1

    def replace(self, orders: Iterable[Order]) -> None:
        """A snapshot, history included. New orders that had been looked at stay looked at."""
        seen = {key for key, order in self._orders.items() if _is_new(order)} - self._unseen
        struck = {key: (self._orders[key], column) for key, column in self._struck.items()}
        self._orders = {}
        self._over = set()
        self._delivered = {}
        for order in orders:
            if order.status.terminal:
                self._end(order)
            else:
                self._orders[order.id] = order
        self._struck = {key: column for key, (_, column) in struck.items() if key in self._over}
        self._orders |= {key: struck[key][0] for key in self._struck}
        self._unseen = {key for key, order in self._orders.items() if _is_new(order)} - seen
        self.revision += 1

    def apply(self, order: Order) -> bool:
        """News of an order; False where it is older than what is known.

        The same version counts as news: a new time of arrival alone does not raise it.
        """
        known = self._orders.get(order.id)
        if order.id in self._over or (known is not None and order.version < known.version):
            return False
        if order.status.terminal:
            self._orders.pop(order.id, None)
            self._end(order)
            if known is not None and order.status is OrderStatus.CANCELLED:
                self._strike(order, known.status)
        else:
            self._orders[order.id] = order
            if known is None and _is_new(order):
                self._unseen.add(order.id)
        if not _is_new(order):
            self._unseen.discard(order.id)
        self.revision += 1
        return True

    def order(self, order_id: str) -> Order | None:
        """What is known of an order on the board."""
        return self._orders.get(order_id)

    def place_of(self, order_id: str) -> OrderStatus | None:
        """The column an order stands in."""
        order = self._orders.get(order_id)
        return None if order is None else self._struck.get(order_id, order.status)

    def column(self, status: OrderStatus) -> Sequence[Order]:
        """The orders of a column, the most urgent first."""
        if self._columns_of != self.revision:
            columns: dict[OrderStatus, list[Order]] = {status: [] for status in COLUMNS}
            for key, order in self._orders.items():
                columns[self._struck.get(key, order.status)].append(order)
            for orders in columns.values():
                orders.sort(key=_urgency)
            self._columns, self._columns_of = columns, self.revision
        return self._columns[status]

    def count(self, status: OrderStatus) -> int:
        """Open orders in a column; those struck out are none."""
        return sum(not order.status.terminal for order in self.column(status))

    @property
    def open_count(self) -> int:
        """Orders that still want something done."""
        return len(self._orders) - len(self._struck)

    @property
    def struck(self) -> frozenset[str]:
        """Ids of the orders that were called off and wait to be dismissed."""
        return frozenset(self._struck)

    def dismiss(self, order_id: str) -> None:
        """Take an order that was called off from the board."""
        if self._struck.pop(order_id, None) is not None:
            del self._orders[order_id]
            self.revision += 1

    @property
    def unseen(self) -> frozenset[str]:
        """Ids of new orders that nobody has taken up or looked at."""
        return frozenset(self._unseen)

    def look_at(self, order_id: str) -> bool:
        """Somebody has looked at an order; whether that was needed."""
        if order_id not in self._unseen:
            return False
        self._unseen.discard(order_id)
        self.revision += 1
        return True

    def done_today(self, now: datetime) -> int:
        """Orders delivered on `now`'s day, in `now`'s time zone."""
        today = now.date()
        return sum(at.astimezone(now.tzinfo).date() == today for at in self._delivered.values())

    def _end(self, order: Order) -> None:
        self._over.add(order.id)
        if order.status is OrderStatus.DELIVERED:
            self._delivered[order.id] = order.timeline[-1].at

    def _strike(self, order: Order, column: OrderStatus) -> None:
        if order.timeline[-1].by.id != self.own_id:
            self._orders[order.id] = order
            self._struck[order.id] = column


def _is_new(order: Order) -> bool:
    return order.status is OrderStatus.PLACED


def _urgency(order: Order) -> tuple[datetime, int]:
    return (target(order) or order.timeline[0].at, order.number)


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
