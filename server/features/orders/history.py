"""A restaurant's past orders: of a span, or with a number, a customer or a dish."""

from server.core import pages
from server.core.auth import Identity
from server.core.clock import to_text
from server.core.database import Database, Transaction
from server.features.orders import store
from server.features.orders.service import topic_of
from server.features.restaurants.service import RestaurantService
from server.realtime.log import EventLog


class OrderHistory:
    """Pages of an employee's restaurant's orders, newest first, as the JSON of an OrderPage."""

    def __init__(self, database: Database, log: EventLog, restaurants: RestaurantService) -> None:
        self._database = database
        self._log = log
        self._restaurants = restaurants

    async def found(
        self, identity: Identity, text: str, before: str | None, limit: int, *, open_only: bool
    ) -> str:
        """Those with that number, customer or dish; with `open_only` only those that are not over.
        Raises Problem 422 for a `before` that no page gave."""
        owner, start = identity.restaurant_id or "", pages.numbered(before)

        async def fn(tx: Transaction) -> str:
            page, following = await store.found(
                tx, owner, text, open_only=open_only, before=start, limit=limit
            )
            return store.page_json(page, following, await self._log.cursor(tx, topic_of(owner)))

        return await self._database.read(fn)

    async def placed(
        self,
        identity: Identity,
        since: str | None,
        until: str | None,
        before: str | None,
        limit: int,
    ) -> str:
        """Those placed in a span, which `RestaurantService.span` reads. Raises Problem 404, and 422
        also for a `before` that no page of that span gave."""
        owner, position = identity.restaurant_id or "", pages.parse(before)
        _, start, end = await self._restaurants.span(owner, since, until)
        first, last = to_text(start), to_text(end)
        if position is not None and not first <= position[0] <= last:
            raise pages.unknown()

        async def fn(tx: Transaction) -> str:
            page, following = await store.placed(tx, owner, first, position or (last, ""), limit)
            return store.page_json(page, following, await self._log.cursor(tx, topic_of(owner)))

        return await self._database.read(fn)
