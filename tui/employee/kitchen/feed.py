"""Keeps a board as the server has it: a snapshot, then every event after it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError

from server.features.orders.schemas import Order, OrderPage
from server.features.restaurants.schemas import Restaurant
from tui.common.client.errors import ClientError
from tui.common.client.retry import is_permanent, sync_loop
from tui.employee.kitchen.board import Board

if TYPE_CHECKING:
    from tui.common.client.api import Api
    from tui.common.client.fallback import LogStream
    from tui.common.client.meter import Meter
    from tui.common.client.session import Session

PAGE = 200
LOOK_BACK = timedelta(hours=36)
"""A page of the history without an open order ends the reading once it is older than this."""
EVENTS = frozenset({"order.placed", "order.updated", "order.cancelled", "driver.assigned"})


class Feed:
    """Runs until cancelled or refused for good.

    `changed` is called with each piece of news; `settle` puts what has come onto the board.
    """

    def __init__(
        self,
        session: "Session",
        api: "Api",
        board: Board,
        meter: "Meter",
        changed: Callable[[], None],
    ) -> None:
        self.loaded = False
        """Whether the board has been read at least once."""
        self.error = ""
        """Why there is nothing to see, in words, while the snapshot cannot be had."""
        self.restaurant: Restaurant | None = None
        """As it was when the board was first read."""
        self.over = False
        """Whether the server has refused for good."""
        self._session = session
        self._api = api
        self._board = board
        self._meter = meter
        self._changed = changed
        self._stream: LogStream | None = None
        self._news: dict[str, str] = {}
        """The last event's data by order, not read yet."""

    @property
    def meter(self) -> "Meter":
        """The meter of what brings the events now."""
        return self._meter if self._stream is None else self._stream.meter

    def drop_connection(self) -> bool:
        """Drop the connection; it comes back by itself. False where there is none to drop."""
        if self._stream is None:
            return False
        self._stream.drop_connection()
        return True

    async def run(self, restaurant_id: str) -> None:
        """Read the board and follow the restaurant's stream from there, again after each reset."""

        async def read() -> str:
            cursor = await self._read()
            if self.restaurant is None:
                self.restaurant = await self._api.restaurant(restaurant_id)
            return cursor

        async def follow(cursor: str) -> None:
            await self._follow(restaurant_id, cursor)

        await sync_loop(read, follow, self._meter, self._note)

    def settle(self) -> None:
        """Bring the board up to date with what has come.

        Of several events of one order only the last is read: each carries the whole order.
        """
        news, self._news = self._news, {}
        for data in news.values():
            try:
                self._board.apply(Order.model_validate_json(data))
            except ValidationError:  # of a newer server: no reason to lose the others
                continue

    def _note(self, error: ClientError) -> None:
        self.error = error.message
        self.over = is_permanent(error)
        self._changed()

    async def _read(self) -> str:
        horizon = datetime.now(UTC) - LOOK_BACK
        page = await self._api.orders(limit=PAGE)
        # The first page's cursor is the oldest: what the later pages know already comes once more
        # with the stream, and the versions tell.
        cursor = page.cursor
        found = list(page.items)
        while page.next is not None and not _is_past(page, horizon):
            page = await self._api.orders(before=page.next, limit=PAGE)
            found += page.items
        self.settle()
        self._board.replace(found)
        self.loaded = True
        self.error = ""
        self._changed()
        return cursor

    async def _follow(self, restaurant_id: str, cursor: str) -> None:
        from tui.common.client.fallback import LogStream

        path = f"/restaurants/{restaurant_id}/orders"
        async with LogStream(
            self._session,
            f"{path}/stream",
            f"{path}/events",
            self._meter.name,
            cursor,
            on_carrier=self._changed,
        ) as stream:
            self._stream = stream
            try:
                async for event in stream:
                    if event.type not in EVENTS:
                        continue
                    self._news[_key(event.data)] = event.data
                    self._changed()
            finally:
                self._stream = None


def _key(data: str) -> str:
    """What tells one order's events from another's, without reading them: the id leads."""
    start = '{"id":"'
    return data[: data.find('"', len(start))] if data.startswith(start) else data


def _is_past(page: OrderPage, horizon: datetime) -> bool:
    if any(not order.status.terminal for order in page.items):
        return False
    return not page.items or page.items[-1].timeline[0].at < horizon
