"""Keeps the board current: a snapshot of the open orders, then every event after it."""

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from pydantic import ValidationError

from server.features.orders.schemas import Order
from server.features.restaurants.schemas import MenuItem, RestaurantSummary
from tui.common.client.errors import ClientError
from tui.common.client.log_feed import LogFeed
from tui.common.client.retry import sync_loop
from tui.employee.kitchen.model import OrderBoard

if TYPE_CHECKING:
    from tui.common.client.api import Api
    from tui.common.client.meter import Meter
    from tui.common.client.session import Session

PAGE = 200
LOOK_BACK = timedelta(hours=36)
"""How much of the history is read, for what was done today."""
EVENTS = frozenset({"order.placed", "order.updated", "order.cancelled", "driver.assigned"})
TERMS = "restaurant.updated"


ID = '{"id":"'


class KitchenFeed(LogFeed):
    """Runs until cancelled, or until the server refuses for good.

    `changed` is called with every event; `apply_events` puts what has come onto the board.
    """

    def __init__(
        self,
        session: "Session",
        api: "Api",
        restaurant_id: str,
        board: OrderBoard,
        meter: "Meter",
        changed: Callable[[], None],
    ) -> None:
        super().__init__(session, meter, changed)
        self.loaded = False
        """Whether the board has been read at least once."""
        self.error = ""
        """Why the snapshot could not be read; "" once it was."""
        self.menu: list[MenuItem] = []
        """Its dishes, as they were when the board was last read."""
        self.restaurant: RestaurantSummary | None = None
        """Its terms as they are now."""
        self.stopped = False
        """Whether the server has refused for good."""
        self._api = api
        self._restaurant_id = restaurant_id
        self._board = board
        self._pending: dict[str, str] = {}
        """The last event's data by order, not parsed yet."""

    async def run(self) -> None:
        """Read the board and follow the restaurant's stream from there, again after each reset."""
        self.stopped = False

        async def read() -> str:
            cursor = await self._read()
            restaurant = await self._api.restaurant(self._restaurant_id)
            self.restaurant, self.menu = restaurant, restaurant.menu
            self._changed()
            return cursor

        await sync_loop(read, self._follow, meter=self._meter, on_error=self._on_error)

    def apply_events(self) -> None:
        """Bring the board up to date with what has come.

        Of several events of one order only the last is parsed: each carries the whole order.
        """
        pending, self._pending = self._pending, {}
        for data in pending.values():
            try:
                self._board.apply(Order.model_validate_json(data))
            except ValidationError:  # from a newer server; the others still count
                continue

    def _on_error(self, error: ClientError, wait: float | None) -> None:
        self.error = error.message
        self.stopped = wait is None
        self._changed()

    async def _read(self) -> str:
        horizon = self._session.server_now() - LOOK_BACK
        page = await self._api.orders(limit=PAGE)
        # The first page's cursor is the oldest: the stream repeats what the later pages have, and
        # the board drops what it has already.
        cursor = page.cursor
        found = list(page.items)
        if page.next is not None:
            found += await self._api.open_orders()
        while page.next is not None and page.items and page.items[-1].timeline[0].at >= horizon:
            page = await self._api.orders(before=page.next, limit=PAGE)
            found += page.items
        newest: dict[str, Order] = {}
        for order in found:
            if order.id not in newest or newest[order.id].version < order.version:
                newest[order.id] = order
        self.apply_events()
        self._board.replace(newest.values())
        self.loaded = True
        self.error = ""
        self._changed()
        return cursor

    async def _follow(self, cursor: str) -> None:
        path = f"/restaurants/{self._restaurant_id}/orders"
        await self._follow_log(path, cursor, self._on_event)

    def _on_event(self, kind: str, data: str) -> None:
        if kind == TERMS:
            with contextlib.suppress(ValidationError):  # from a newer server
                self.restaurant = RestaurantSummary.model_validate_json(data)
            self._changed()
        if kind in EVENTS:
            key = _key(data)
            self._pending[key] = data
            if self._replaying:
                self._board.replayed.add(key.removeprefix(ID))
            self._changed()


def _key(data: str) -> str:
    """The order that an event is about, without parsing it: the id comes first."""
    return data[: data.find('"', len(ID))] if data.startswith(ID) else data
