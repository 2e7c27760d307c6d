"""What the kitchen knows: the open orders by status, how urgent each is, which one is selected."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from server.features.orders.schemas import STEPS, Order, OrderStatus
from tui.common.client.log_feed import ReplayedRows
from tui.common.language import _

COLUMNS: tuple[OrderStatus, ...] = STEPS[:-1]
"""The statuses that have a column, from left to right."""


class OrderBoard:
    """The orders of one restaurant, without screen or network. `revision` grows with every change.

    An order that somebody else cancelled stays in the column it was in until `dismiss`, struck
    out: the cook must not miss that.
    """

    def __init__(self, account_id: str = "") -> None:
        """`account_id` is the employee at this screen, who needs no notice of their own changes."""
        self.account_id = account_id
        self.revision = 0
        self.replayed = ReplayedRows()
        self._orders: dict[str, Order] = {}
        self._cancelled: dict[str, OrderStatus] = {}
        self._finished: set[str] = set()
        self._delivered: dict[str, datetime] = {}
        self._unseen: set[str] = set()
        self._columns: dict[OrderStatus, list[Order]] = {}
        self._columns_revision = -1

    def replace(self, orders: Iterable[Order]) -> None:
        """Start over from a snapshot, history included. Orders that were seen stay seen."""
        seen = {key for key, order in self._orders.items() if _is_new(order)} - self._unseen
        cancelled = {key: (self._orders[key], column) for key, column in self._cancelled.items()}
        self._orders = {}
        self._finished = set()
        self._delivered = {}
        for order in orders:
            if order.status.terminal:
                self._finish(order)
            else:
                self._orders[order.id] = order
        self._cancelled = {
            key: column for key, (_, column) in cancelled.items() if key in self._finished
        }
        self._orders |= {key: cancelled[key][0] for key in self._cancelled}
        self._unseen = {key for key, order in self._orders.items() if _is_new(order)} - seen
        self.revision += 1

    def apply(self, order: Order) -> bool:
        """Store a newer state of an order; False if it is older than what is known.

        The same version is stored too: a new time of arrival alone does not raise it.
        """
        known = self._orders.get(order.id)
        if order.id in self._finished or (known is not None and order.version < known.version):
            return False
        if order.status.terminal:
            self._orders.pop(order.id, None)
            self._finish(order)
            if known is not None and order.status is OrderStatus.CANCELLED:
                self._keep_cancelled(order, known.status)
        else:
            self._orders[order.id] = order
            if known is None and _is_new(order):
                self._unseen.add(order.id)
        if not _is_new(order):
            self._unseen.discard(order.id)
        self.revision += 1
        return True

    def order(self, order_id: str) -> Order | None:
        """The order of that id, if it is on the board."""
        return self._orders.get(order_id)

    def column_of(self, order_id: str) -> OrderStatus | None:
        """The column that an order is in."""
        order = self._orders.get(order_id)
        return None if order is None else self._cancelled.get(order_id, order.status)

    def column(self, status: OrderStatus) -> Sequence[Order]:
        """The orders of a column, the most urgent first."""
        if self._columns_revision != self.revision:
            columns: dict[OrderStatus, list[Order]] = {status: [] for status in COLUMNS}
            for key, order in self._orders.items():
                columns[self._cancelled.get(key, order.status)].append(order)
            for orders in columns.values():
                orders.sort(key=_sort_key)
            self._columns, self._columns_revision = columns, self.revision
        return self._columns[status]

    def count(self, status: OrderStatus) -> int:
        """Open orders in a column, without the cancelled ones."""
        return sum(not order.status.terminal for order in self.column(status))

    @property
    def open_count(self) -> int:
        """Open orders on the board."""
        return len(self._orders) - len(self._cancelled)

    @property
    def cancelled(self) -> frozenset[str]:
        """Ids of the cancelled orders that wait to be dismissed."""
        return frozenset(self._cancelled)

    def dismiss(self, order_id: str) -> None:
        """Remove a cancelled order from the board."""
        if self._cancelled.pop(order_id, None) is not None:
            del self._orders[order_id]
            self.revision += 1

    @property
    def unseen(self) -> frozenset[str]:
        """Ids of new orders that nobody has accepted or looked at."""
        return frozenset(self._unseen)

    def mark_seen(self, order_id: str) -> bool:
        """Somebody has looked at an order; whether it was unseen."""
        if order_id not in self._unseen:
            return False
        self._unseen.discard(order_id)
        self.revision += 1
        return True

    def delivered_today(self, now: datetime) -> int:
        """Orders delivered on `now`'s day, in `now`'s time zone."""
        today = now.date()
        return sum(at.astimezone(now.tzinfo).date() == today for at in self._delivered.values())

    def _finish(self, order: Order) -> None:
        self._finished.add(order.id)
        if order.status is OrderStatus.DELIVERED:
            self._delivered[order.id] = order.timeline[-1].at

    def _keep_cancelled(self, order: Order, column: OrderStatus) -> None:
        if order.timeline[-1].by.id != self.account_id:
            self._orders[order.id] = order
            self._cancelled[order.id] = column


def _is_new(order: Order) -> bool:
    return order.status is OrderStatus.PLACED


def _sort_key(order: Order) -> tuple[datetime, int]:
    return (deadline(order) or order.timeline[0].at, order.number)


SOON_SHARE = 0.2
SOON_AT_MOST = timedelta(minutes=5)
SOON_AT_LEAST = timedelta(minutes=1)
"""Amber is the last fifth of the time promised, within these bounds."""
NEW_SOON = timedelta(minutes=2)
NEW_LATE = timedelta(minutes=5)
"""How long a new order may wait for an answer before it turns amber, then red."""

PIE_GLYPHS = "○◔◑◕●"


class Urgency(IntEnum):
    """Calm, amber, red."""

    CALM = 0
    SOON = 1
    LATE = 2


@dataclass(frozen=True, slots=True)
class Due:
    """An order's clock: `text` is `12m`, `1:42` or, past zero, `+3m`; `glyph` needs no colour."""

    text: str
    glyph: str
    urgency: Urgency
    seconds: float
    """The time left; negative when overdue. For a new order, minus the time it has waited."""

    def looks_like(self, other: "Due") -> bool:
        """Whether the two look the same."""
        mine = (self.text, self.glyph, self.urgency)
        return mine == (other.text, other.glyph, other.urgency)


def deadline(order: Order) -> datetime | None:
    """What the clock counts down to: ready for the kitchen, then arrival at the customer's door."""
    if order.status in (OrderStatus.ACCEPTED, OrderStatus.PREPARING):
        return order.ready_by or order.eta
    return order.eta


def due(order: Order, now: datetime) -> Due:
    """The clock of an open order: the time left, or the time waited while no deadline is set."""
    end = deadline(order)
    if end is None or order.status is OrderStatus.PLACED:
        return _waiting(order, now)
    left = end - now
    given = end - _started_at(order)
    if left <= timedelta(0):
        return Due(f"+{short_span(-left)}", "!", Urgency.LATE, left.total_seconds())
    soon = max(SOON_AT_LEAST, min(given * SOON_SHARE, SOON_AT_MOST))
    share = 1 - left / given if given > timedelta(0) else 0.0
    glyph = PIE_GLYPHS[min(len(PIE_GLYPHS) - 1, max(0, int(share * len(PIE_GLYPHS))))]
    urgency = Urgency.SOON if left <= soon else Urgency.CALM
    return Due(short_span(left), glyph, urgency, left.total_seconds())


def short_span(span: timedelta) -> str:
    """`0:42` up to two minutes, then `12m`, `3h05`."""
    seconds = int(span.total_seconds())
    if seconds < 120:
        return f"{seconds // 60}:{seconds % 60:02d}"
    minutes = seconds // 60
    if minutes < 120:
        return _("{count:.0f}m").format(count=minutes)
    return _("{hours}h{minutes:02d}").format(hours=minutes // 60, minutes=minutes % 60)


def _started_at(order: Order) -> datetime:
    """When the current countdown started: at the acceptance for cooking, else at the last step."""
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


class Cursor:
    """Selects an order, not a position: it follows the order wherever others move it.

    After the employee's own step it stays in its column, on the next order there. In an empty
    column it remembers the column.
    """

    def __init__(self, board: OrderBoard) -> None:
        self._board = board
        self.status: OrderStatus = OrderStatus.PLACED
        """The column it is in."""
        self.order_id: str | None = None
        self._row = 0
        self._in_empty_column = False
        """The employee has moved it there; it stays."""

    @property
    def order(self) -> Order | None:
        """The selected order, as it is now."""
        return None if self.order_id is None else self._board.order(self.order_id)

    @property
    def column(self) -> int:
        """Its column, counted from 0."""
        return COLUMNS.index(self.status)

    @property
    def row(self) -> int:
        """Its row in the column, counted from 0."""
        return self._row

    def refresh(self) -> None:
        """Find the selected order again after a change, or the one that took its place."""
        column = None if self.order_id is None else self._board.column_of(self.order_id)
        if column is not None:
            self.status = column
            self._in_empty_column = False
            ids = [order.id for order in self._board.column(column)]
            self._row = ids.index(str(self.order_id))
            return
        if not self._in_empty_column and not self._board.column(self.status):
            self._go_to_nearest_column()
        self._select_row(self._row)

    def advance(self) -> None:
        """The employee moves the order on: select the next one of this column, if any."""
        orders = self._board.column(self.status)
        if len(orders) > 1:
            following = self._row + 1 if self._row + 1 < len(orders) else self._row - 1
            self.order_id = orders[following].id

    def select(self, order_id: str) -> None:
        """Select that order, if it is on the board."""
        if self._board.column_of(order_id) is not None:
            self.order_id = order_id
            self.refresh()

    def move(self, across: int, down: int) -> None:
        """Move by columns, empty ones included, and by orders within a column."""
        if across:
            at = min(max(self.column + across, 0), len(COLUMNS) - 1)
            if at == self.column:
                return
            self.status = COLUMNS[at]
            self._select_row(self._row)
            self._in_empty_column = self.order_id is None
        if down:
            self._select_row(self._row + down)

    def _select_row(self, row: int) -> None:
        orders = self._board.column(self.status)
        self._row = min(max(row, 0), max(len(orders) - 1, 0))
        self.order_id = orders[self._row].id if orders else None

    def _go_to_nearest_column(self) -> None:
        """To the nearest column that has orders; stay if there is none."""
        near = sorted(COLUMNS, key=lambda status: abs(COLUMNS.index(status) - self.column))
        self.status = next((s for s in near if self._board.column(s)), self.status)
