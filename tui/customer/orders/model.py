"""The orders that the panel knows, newest first."""

from collections.abc import Iterator, Sequence

from server.features.orders.schemas import Order, OrderPage, TrackedStatus
from tui.common.client.log_feed import ReplayedRows


class OrderStore:
    """Orders by id, in the order of the table, without screen or network.

    An order with a lower `version` than the known one is dropped. `revision` grows with every
    change.
    """

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._rows: dict[str, int] = {}
        """The row of each order. The server's order counts, not times: clocks are set back."""
        self._ids: list[str] = []
        self.older: str | None = None
        """The `next` of the oldest page read; None when there is nothing older."""
        self.loaded = False
        """Whether the first page has been read."""
        self.revision = 0
        self.replayed = ReplayedRows()
        self._open: set[str] = set()
        self._older_open: list[str] = []
        """Open orders that are older than all pages read; the last rows until their page is."""

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

    @property
    def ids(self) -> Sequence[str]:
        """The id of each order, by row."""
        return self._ids

    def open(self) -> list[Order]:
        """The orders that are not over, newest first."""
        rows = sorted(self._rows[order_id] for order_id in self._open)
        return [self._orders[self._ids[row]] for row in rows]

    def __iter__(self) -> Iterator[Order]:
        return iter([self._orders[order_id] for order_id in self._ids])

    def put(self, order: Order) -> None:
        """Store an order; one that was not known has just been placed."""
        if order.id not in self._orders:
            self._set_order([order.id, *self._ids])
        self._update([order])

    def put_first_page(self, page: OrderPage, still_open: Sequence[Order] = ()) -> None:
        """Store the first page and all open orders, also when they are read again.

        Where it does not overlap with the known orders, those are dropped, so that none are missing
        in between.
        """
        known = [order.id for order in page.items if order.id in self._orders]
        if not self.loaded or (page.items and page.next is not None and not known):
            self._orders.clear()
            self._ids = []
            self._open.clear()
            self._older_open = []
            self.older = page.next
        self.loaded = True
        listed = [order.id for order in page.items]
        first = min((self._rows[one] for one in listed if one in self._orders), default=0)
        on_page = set(listed)
        others = [one for one in self._ids if one not in on_page]
        ahead = [one for one in others if self._rows[one] < first]  # placed while it was read
        stored = {*listed, *self._orders}
        kept = [one for one in self._older_open if one not in on_page]
        self._older_open = [*kept, *(one.id for one in still_open if one.id not in stored)]
        self._set_order([*ahead, *listed, *others[len(ahead) :]])
        self._update([*still_open, *page.items])

    def put_older_page(self, page: OrderPage) -> None:
        """Store the page that `older` led to."""
        self.older = page.next
        listed = [order.id for order in page.items]
        reached = set(self._older_open) & set(listed)
        self._older_open = [one for one in self._older_open if one not in reached]
        new = [one for one in listed if one not in self._orders or one in reached]
        self._set_order([*(one for one in self._ids if one not in reached), *new])
        self._update(page.items)

    def apply_status(self, tracked: TrackedStatus) -> bool:
        """Store an answer of a long poll; whether it changed the status."""
        order = self._orders.get(tracked.order_id)
        if order is None or tracked.version < order.version:
            return False
        moved = tracked.status is not order.status
        if moved or tracked.version != order.version or tracked.eta != order.eta:
            change = {"status": tracked.status, "version": tracked.version, "eta": tracked.eta}
            self._store_order(order.model_copy(update=change))
            self.revision += 1
        return moved

    def _update(self, orders: Sequence[Order]) -> None:
        for order in orders:
            known = self._orders.get(order.id)
            if known is None or known.version <= order.version:
                self._store_order(order)
        self.revision += 1

    def _set_order(self, ids: list[str]) -> None:
        last = set(self._older_open)
        self._ids = [*(one for one in ids if one not in last), *self._older_open]
        self._rows = {order_id: row for row, order_id in enumerate(self._ids)}

    def _store_order(self, order: Order) -> None:
        self._orders[order.id] = order
        if order.status.terminal:
            self._open.discard(order.id)
        else:
            self._open.add(order.id)
