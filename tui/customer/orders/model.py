"""All orders known to this window, newest first: the model of the panel."""

from collections.abc import Iterator

from server.features.orders.schemas import Order, OrderPage, TrackedStatus


class OrderBook:
    """Orders by id, in the order of the table. No screen, no network.

    What arrives late never undoes what is known: an order of a lower `version` is dropped.
    `revision` grows with every change.
    """

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._rows: dict[str, int] = {}
        """Where each stands in the list as the server has it: newest first by its own count, as a
        clock may have been put back."""
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
        return None if order_id is None else self._rows.get(order_id)

    def open(self) -> list[Order]:
        """The orders that are not over, newest first."""
        rows = sorted(self._rows[order_id] for order_id in self._open)
        return [self._orders[self._ids[row]] for row in rows]

    def __iter__(self) -> Iterator[Order]:
        return iter([self._orders[order_id] for order_id in self._ids])

    def put(self, order: Order) -> None:
        """Take up an order, whole; one that was not known has just been placed."""
        if order.id not in self._orders:
            self._arrange([order.id, *self._ids])
        self._take([order])

    def put_newest(self, page: OrderPage) -> None:
        """Take up the first page, also when asked for again.

        Where it no longer meets what is known, what is known is dropped: there would be a hole.
        """
        known = [order.id for order in page.items if order.id in self._orders]
        if not self.loaded or (page.items and page.next is not None and not known):
            self._orders.clear()
            self._ids = []
            self._open.clear()
            self.older = page.next
        self.loaded = True
        listed = [order.id for order in page.items]
        first = min((self._rows[one] for one in listed if one in self._orders), default=0)
        there = set(listed)
        others = [one for one in self._ids if one not in there]
        ahead = [one for one in others if self._rows[one] < first]  # placed while the page came
        self._arrange([*ahead, *listed, *others[len(ahead) :]])
        self._take(page.items)

    def put_older(self, page: OrderPage) -> None:
        """Take up the page that `older` led to."""
        self.older = page.next
        new = [order.id for order in page.items if order.id not in self._orders]
        self._arrange([*self._ids, *new])
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
        for order in orders:
            known = self._orders.get(order.id)
            if known is None or known.version <= order.version:
                self._know(order)
        self.revision += 1

    def _arrange(self, ids: list[str]) -> None:
        self._ids = ids
        self._rows = {order_id: row for row, order_id in enumerate(ids)}

    def _know(self, order: Order) -> None:
        self._orders[order.id] = order
        if order.status.terminal:
            self._open.discard(order.id)
        else:
            self._open.add(order.id)
