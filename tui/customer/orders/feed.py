"""Keeps the store current: reads pages of orders, polls for changes, reports new statuses.

One held request brings every change of any order, whichever window made it, and with each its new
arrival; one more for each open order brings its status.
"""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Protocol

from server.features.orders.schemas import Order, TrackedStatus
from tui.common.client.errors import ClientError, SignedOut
from tui.common.client.meter import Pattern
from tui.common.client.retry import retry, sync_loop
from tui.common.format import message_for
from tui.common.sanitize import plain
from tui.customer.orders.model import OrderStore

if TYPE_CHECKING:
    from tui.common.client.api import Api
    from tui.common.client.long_polling import OrdersPoll, StatusPoll
    from tui.common.client.meter import Meter
    from tui.common.client.session import Session


FEED = "orders"
"""The worker group that reads the orders and follows what changes."""


class FeedListener(Protocol):
    """What the feed reports to. Everything is called in the event loop."""

    def work(self, doing: Coroutine[object, object, None], group: str) -> None:
        """Run this; a new one of a group replaces the one before."""

    def request_redraw(self) -> None:
        """The store, or an error, has changed."""

    def on_loaded(self) -> None:
        """The first page has been read."""

    def on_status_changed(self, order: Order) -> None:
        """An order has a new status."""

    def on_refused(self, order: Order, reason: str) -> None:
        """The server refuses to report this order's status any more."""


class OrderFeed:
    """`error` and `older_error` are sentences, "" while all is well."""

    def __init__(
        self,
        store: OrderStore,
        api: "Api",
        session: "Session",
        meter: "Meter",
        listener: FeedListener,
    ) -> None:
        """`meter` is that of the request which brings every change."""
        self.meter = meter
        self.store = store
        self.tracker = OrderTracker(
            listener.work, session, meter, self._on_status, self._on_refused
        )
        self.error = ""
        """Why the newest orders cannot be read."""
        self.older_error = ""
        """Why the page after the oldest cannot be read."""
        self.loading_older = False
        self._api = api
        self._session = session
        self._changes: OrdersPoll | None = None
        self._listener = listener
        self._unreported: set[str] = set()
        """Ids of orders whose new status was not reported yet."""

    def reload(self) -> None:
        """Read the newest orders and follow every change from there."""
        self.tracker.retry_refused()
        self._listener.work(self._run(), FEED)

    def drop_connection(self) -> bool:
        """Drop all held requests, which are sent again; False if there is none."""
        tracked = self.tracker.drop_connections()
        if self._changes is not None:
            self._changes.drop_connection()
        return tracked or self._changes is not None

    def load_older(self) -> None:
        """Read one more page of older orders, unless one is being read."""
        if not self.loading_older and self.store.older is not None:
            self.loading_older = True
            self._listener.work(self._load_older(), "orders-older")

    def track_open(self) -> None:
        """Poll the open orders, the newest first, as many as `MAX_POLLS` allows."""
        for order in self.store.open():
            self.tracker.track(order)

    def put(self, order: Order) -> None:
        """Store what the server has answered the user, who is told of it by the caller."""
        self.store.put(order)
        self._listener.request_redraw()

    async def refresh(self, order_id: str) -> None:
        """Read one order whole. Where that fails, the known one stays."""
        try:
            self._take(await self._api.order(order_id))
        except ClientError:
            return

    async def _run(self) -> None:
        await sync_loop(self._read, self._follow, meter=self.meter, on_error=self._on_error)

    async def _read(self) -> str:
        # First: what is placed in between is on the page.
        still_open = await self._api.open_orders()
        page = await self._api.orders()
        first = not self.store.loaded
        self.error = self.older_error = ""
        for order in (*still_open, *page.items):
            self._note(order)
        self.store.put_first_page(page, still_open)
        self._listener.request_redraw()
        if first:
            self._listener.on_loaded()
        for order_id in list(self._unreported):
            self._report(order_id)
        return page.cursor

    async def _follow(self, cursor: str) -> None:
        from tui.common.client.long_polling import OrdersPoll

        async with OrdersPoll(self._session, self.meter, cursor) as self._changes:
            try:
                async for page in self._changes:
                    for order in page.items:
                        if self._changes.replayed:
                            self.store.replayed.add(order.id)
                        self._take(order)
            finally:
                self._changes = None

    def _take(self, order: Order) -> None:
        """Store an order, and report its status if that is new: whichever answer brings it first,
        the others bring nothing new."""
        self._note(order)
        self.put(order)
        self._report(order.id)

    def _note(self, order: Order) -> None:
        known = self.store.get(order.id)
        if known is not None and known.version < order.version and known.status != order.status:
            self._unreported.add(order.id)

    def _on_error(self, error: ClientError, _wait: float | None) -> None:
        if not isinstance(error, SignedOut):
            self.error = message_for(error)
            self._listener.request_redraw()

    async def _load_older(self) -> None:
        cursor = self.store.older
        self._listener.request_redraw()
        try:
            page = await self._api.orders(before=cursor)
        except ClientError as error:
            self.older_error = message_for(error)
        else:
            self.older_error = ""
            if cursor == self.store.older:  # else a reload has started over meanwhile
                self.store.put_older_page(page)
        finally:
            self.loading_older = False
            self._listener.request_redraw()

    def _on_status(self, tracked: TrackedStatus) -> None:
        order = self.store.get(tracked.order_id)
        moved = self.store.apply_status(tracked)
        self._listener.request_redraw()
        if moved:
            self._unreported.add(tracked.order_id)
        if moved or (order is not None and tracked.version > order.version):
            self._listener.work(self._refresh_moved(tracked.order_id), f"moved-{tracked.order_id}")

    async def _refresh_moved(self, order_id: str) -> None:
        """Read the whole order, then report it; report first where reading fails."""
        try:
            order = await retry(
                lambda: self._api.order(order_id),
                on_error=lambda _error, _wait: self._report(order_id),
            )
        except ClientError:
            return
        self._take(order)

    def _report(self, order_id: str) -> None:
        order = self.store.get(order_id)
        if order is not None and order_id in self._unreported:
            self._unreported.discard(order_id)
            self._listener.on_status_changed(order)

    def _on_refused(self, order_id: str, reason: str) -> None:
        order = self.store.get(order_id)
        if order is not None:
            self._listener.on_refused(order, reason)


MAX_POLLS = 16
"""Fewer than the streams that the server allows an account: other panels need some too."""


Work = Callable[[Coroutine[object, object, None], str], None]
"""Runs a coroutine in the background, in the group named."""


class OrderTracker:
    """The long poll and meter of each open order. `on_status` is called with every answer.

    A poll ends with a terminal status. When the server refuses it for good it ends too, and
    `on_refused` is called with the order's id and the reason. All polls are cut with `line`.
    """

    def __init__(
        self,
        work: Work,
        session: "Session",
        line: "Meter",
        on_status: Callable[[TrackedStatus], None],
        on_refused: Callable[[str, str], None],
    ) -> None:
        self._work = work
        self._session = session
        self._line = line
        self._on_status = on_status
        self._on_refused = on_refused
        self._polls: dict[str, StatusPoll] = {}
        self._meters: dict[str, Meter] = {}
        self._refused: set[str] = set()

    def track(self, order: Order) -> None:
        """Poll this order from now on, unless it is finished or polled already."""
        if order.status.terminal or order.id in self._polls or order.id in self._refused:
            return
        if len(self._polls) >= MAX_POLLS:
            return  # the next call may find a free one
        from tui.common.client.long_polling import StatusPoll

        # Every restaurant counts its own orders, so a number alone is ambiguous.
        name = plain(f"#{order.number:04d} {order.restaurant.name}")
        meter = self._session.wire.meter(name, Pattern.LONG_POLL)
        meter.line = self._line
        self._meters[order.id] = meter
        # Sent without the known status, the first poll is answered at once: the order may have
        # changed since it was read, and it gives a round trip to measure.
        self._polls[order.id] = StatusPoll(self._session, order.id, meter)
        self._work(self._run(order.id), f"track-{order.id}")

    def retry_refused(self) -> None:
        """Allow polls again that the server has refused."""
        self._refused.clear()

    def meter_of(self, order_id: str) -> "Meter | None":
        """The meter of an order that is or was polled."""
        return self._meters.get(order_id)

    def is_tracked(self, order_id: str) -> bool:
        """Whether that order is being polled."""
        return order_id in self._polls

    def drop_connections(self) -> bool:
        """Drop all held requests; False if there is none."""
        for poll in self._polls.values():
            poll.drop_connection()
        return bool(self._polls)

    async def _run(self, order_id: str) -> None:
        poll = self._polls[order_id]
        try:
            async with poll:
                async for tracked in poll:
                    self._on_status(tracked)
        except SignedOut:
            return  # the app shows the log-in screen and says why
        except ClientError as error:
            self._refused.add(order_id)
            self._on_refused(order_id, error.message)
        finally:
            self._polls.pop(order_id, None)
