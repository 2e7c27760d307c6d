"""Keeps the book true: reads pages of orders, follows the open ones, tells what has changed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Protocol

from server.features.orders.schemas import Order, TrackedStatus
from tui.common.client.errors import ClientError, SignedOut
from tui.common.client.meter import Pattern
from tui.common.client.retry import Backoff, is_permanent
from tui.common.format import message_for
from tui.common.sanitize import plain
from tui.customer.orders.model import OrderBook

if TYPE_CHECKING:
    from server.features.orders.schemas import Order, TrackedStatus
    from tui.common.client.api import Api
    from tui.common.client.long_polling import StatusPoll
    from tui.common.client.meter import Meter, Wire
    from tui.common.client.session import Session


class Reader(Protocol):
    """Who reads the feed. Everything is called in the loop."""

    def work(self, doing: Coroutine[object, object, None], group: str) -> None:
        """Run this; a new one of a group replaces the one before."""

    def changed(self) -> None:
        """The book or the trouble is another."""

    def opened(self) -> None:
        """The first page has come."""

    def moved(self, order: Order) -> None:
        """An order has come to another status."""

    def lost(self, order: Order, words: str) -> None:
        """The server refuses to tell of this order."""


class OrderFeed:
    """`error` and `older_error` are plain words, "" while all is well."""

    def __init__(
        self, book: OrderBook, api: "Api", session: "Session", wire: "Wire", reader: Reader
    ) -> None:
        self.book = book
        self.tracker = OrderTracker(reader.work, session, wire, self._status_came, self._refused)
        self.error = ""
        """Why the newest orders cannot be read."""
        self.older_error = ""
        """Why the page after the oldest cannot be read."""
        self.reading_older = False
        self._api = api
        self._reader = reader
        self._untold: set[str] = set()
        """Orders that have moved, of which nobody was told yet."""

    def reload(self) -> None:
        """Read the newest orders, again and again until there is an answer."""
        self.tracker.forgive()
        self._reader.work(self._load(), "orders-load")

    def look(self) -> None:
        """Read them if there is one that is not known, as another window may place it."""
        self._reader.work(self._look(), "orders-look")

    def more(self) -> None:
        """Read one page more, unless that is being done. Where it fails, ask again."""
        if not self.reading_older and self.book.older is not None:
            self.reading_older = True
            self._reader.work(self._load_older(), "orders-older")

    def follow_open(self) -> None:
        """Follow every open order there is a place for, the newest first."""
        for order in self.book.open():
            self.tracker.follow(order)

    def take(self, order: Order) -> None:
        """Take up an order as it stands on the server."""
        self.book.put(order)
        self._reader.changed()

    async def read(self, order_id: str) -> None:
        """Read one order whole. Where that fails, what is known stays."""
        try:
            self.take(await self._api.order(order_id))
        except ClientError:
            return

    async def _load(self) -> None:
        backoff = Backoff()
        while True:
            try:
                page = await self._api.orders()
            except SignedOut:
                return
            except ClientError as error:
                self.error = message_for(error)
                self._reader.changed()
                if is_permanent(error):
                    return
                await asyncio.sleep(backoff.lost(getattr(error, "retry_after", None)))
                continue
            break
        first = not self.book.loaded
        self.error = self.older_error = ""
        self.book.put_newest(page)
        self._reader.changed()
        if first:
            self._reader.opened()

    async def _look(self) -> None:
        try:
            page = await self._api.orders(limit=1)
        except ClientError:
            return  # there is another time
        if self.book.loaded and any(self.book.get(order.id) is None for order in page.items):
            self.reload()

    async def _load_older(self) -> None:
        cursor = self.book.older
        self._reader.changed()
        try:
            page = await self._api.orders(before=cursor)
        except ClientError as error:
            self.older_error = message_for(error)
        else:
            self.older_error = ""
            if cursor == self.book.older:  # a reload meanwhile may have begun anew
                self.book.put_older(page)
        finally:
            self.reading_older = False
            self._reader.changed()

    def _status_came(self, tracked: TrackedStatus) -> None:
        order = self.book.get(tracked.order_id)
        moved = self.book.track(tracked)
        self._reader.changed()
        if moved:
            self._untold.add(tracked.order_id)
        if moved or (order is not None and tracked.version > order.version):
            self._reader.work(self._read_moved(tracked.order_id), f"moved-{tracked.order_id}")

    async def _read_moved(self, order_id: str) -> None:
        """Read the whole order and tell of it; tell first where reading does not work at once."""
        backoff = Backoff()
        while True:
            try:
                order = await self._api.order(order_id)
            except ClientError as error:
                self._tell(order_id)
                if is_permanent(error):
                    return
                await asyncio.sleep(backoff.lost())
                continue
            self.take(order)
            self._tell(order_id)
            return

    def _tell(self, order_id: str) -> None:
        order = self.book.get(order_id)
        if order is not None and order_id in self._untold:
            self._untold.discard(order_id)
            self._reader.moved(order)

    def _refused(self, order_id: str, words: str) -> None:
        order = self.book.get(order_id)
        if order is not None:
            self._reader.lost(order, words)


MOST_POLLS = 16
"""Fewer than the streams that the server allows an account, whose other panels stream too."""


Work = Callable[[Coroutine[object, object, None], str], None]
"""Runs a coroutine in the background, in the group named."""


class OrderTracker:
    """Each open order's poll and meter. `on_status` is called with every answer, in the loop.

    A poll ends by itself with a terminal status. One that the server refuses for good ends, and
    `on_refused` is called with the order's id and the reason in words.
    """

    def __init__(
        self,
        work: Work,
        session: "Session",
        wire: "Wire",
        on_status: Callable[["TrackedStatus"], None],
        on_refused: Callable[[str, str], None],
    ) -> None:
        self._work = work
        self._session = session
        self._wire = wire
        self._on_status = on_status
        self._on_refused = on_refused
        self._polls: dict[str, StatusPoll] = {}
        self._meters: dict[str, Meter] = {}
        self._refused: set[str] = set()

    def follow(self, order: "Order") -> None:
        """Poll this order from now on, unless it is over or polled already."""
        if order.status.terminal or order.id in self._polls or order.id in self._refused:
            return
        if len(self._polls) >= MOST_POLLS:
            return  # it is asked for again with every change, and gets the next place
        from tui.common.client.long_polling import StatusPoll

        # Every restaurant counts its own orders: the number alone is no name.
        name = plain(f"#{order.number:04d} {order.restaurant.name}")
        meter = self._wire.meter(name, Pattern.LONG_POLL)
        self._meters[order.id] = meter
        # Without the status we know, the first answer comes at once: it is news if the order has
        # moved since it was read, and a round trip to measure in any case.
        self._polls[order.id] = StatusPoll(self._session, order.id, meter)
        self._work(self._run(order.id), f"track-{order.id}")

    def forgive(self) -> None:
        """Follow again, when asked to, what the server has refused to tell of."""
        self._refused.clear()

    def meter_of(self, order_id: str) -> "Meter | None":
        """The meter of an order that is or was followed here."""
        return self._meters.get(order_id)

    def follows(self, order_id: str) -> bool:
        """Whether that order is polled now."""
        return order_id in self._polls

    def drop_connection(self, order_id: str) -> bool:
        """Drop the held request of that order; whether there is a poll to drop it from."""
        poll = self._polls.get(order_id)
        if poll is not None:
            poll.drop_connection()
        return poll is not None

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
