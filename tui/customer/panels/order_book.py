"""All orders known to this window, newest first: the model of the panel."""

from collections.abc import Iterator
from datetime import datetime

from server.features.orders.schemas import Order, OrderPage, TrackedStatus
from tui.customer.panels.wording import placed_at


class OrderBook:
    """Orders by id, in the order of the table. No screen, no network.

    What arrives late never undoes what is known: an order of a lower `version` is dropped.
    `revision` grows with every change.
    """

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._ids: list[str] = []
        self.older: str | None = None
        """The `next` of the oldest page there is; None when there is nothing older."""
        self.loaded = False
        """Whether the first page has come."""
        self.revision = 0
        self._open: set[str] = set()

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, order_id: str) -> bool:
        return order_id in self._orders

    def at(self, index: int) -> Order:
        """The order in that row."""
        return self._orders[self._ids[index]]

    def get(self, order_id: str | None) -> Order | None:
        """The order of that id, if it is known."""
        return None if order_id is None else self._orders.get(order_id)

    def index(self, order_id: str | None) -> int | None:
        """The row of that order, if it is known."""
        if order_id is None or order_id not in self._orders:
            return None
        return self._ids.index(order_id)

    def open(self) -> list[Order]:
        """The orders that are not over, newest first."""
        return [self._orders[order_id] for order_id in sorted(self._open, key=self._place)[::-1]]

    def __iter__(self) -> Iterator[Order]:
        return iter([self._orders[order_id] for order_id in self._ids])

    def put(self, order: Order) -> None:
        """Take up an order, whole."""
        self._take([order])

    def put_newest(self, page: OrderPage) -> None:
        """Take up the first page, also when asked for again.

        Where it no longer meets what is known, what is known is dropped: there would be a hole.
        """
        known = [order.id for order in page.items if order.id in self._orders]
        if not self.loaded or (page.items and page.next is not None and not known):
            self._orders.clear()
            self._ids.clear()
            self._open.clear()
            self.older = page.next
        self.loaded = True
        self._take(page.items)

    def put_older(self, page: OrderPage) -> None:
        """Take up the page that `older` led to."""
        self.older = page.next
        self._take(page.items)

    def track(self, tracked: TrackedStatus) -> bool:
        """Take up an answer of a long poll; whether it changed the status."""
        order = self._orders.get(tracked.order_id)
        if order is None or tracked.version < order.version:
            return False
        moved = tracked.status is not order.status
        if moved or tracked.version != order.version or tracked.eta != order.eta:
            change = {"status": tracked.status, "version": tracked.version, "eta": tracked.eta}
            self._know(order.model_copy(update=change))
            self.revision += 1
        return moved

    def _take(self, orders: list[Order]) -> None:
        new = False
        for order in orders:
            known = self._orders.get(order.id)
            if known is not None and known.version > order.version:
                continue
            new = new or known is None
            self._know(order)
        self.revision += 1
        if new:
            self._ids = sorted(self._orders, key=self._place, reverse=True)

    def _know(self, order: Order) -> None:
        self._orders[order.id] = order
        if order.status.terminal:
            self._open.discard(order.id)
        else:
            self._open.add(order.id)

    def _place(self, order_id: str) -> tuple[datetime, int]:
        order = self._orders[order_id]
        return placed_at(order), order.number
