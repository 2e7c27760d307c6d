"""The kitchen's board: the open orders by status, as the newest news has them."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from server.features.orders.schemas import STEPS, Order, OrderStatus
from tui.employee.panels.due import target

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
