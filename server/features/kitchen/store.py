"""Reads the orders of the kitchen's summary."""

from collections.abc import Sequence
from datetime import datetime

from server.core.clock import to_text
from server.core.database import Transaction
from server.core.queries import Row, load_queries

_queries = load_queries(__file__)


async def are_more_than(
    tx: Transaction, most: int, restaurant_id: str, since: datetime, until: datetime
) -> bool:
    """Whether more than `most` orders were placed from `since` on and before `until`."""
    beyond = await _queries.placed_beyond(
        tx, restaurant_id=restaurant_id, since=to_text(since), until=to_text(until), most=most
    )
    return beyond is not None


async def placed(
    tx: Transaction, restaurant_id: str, since: str, until: datetime, after_id: str, limit: int
) -> Sequence[Row]:
    """A page of the orders placed from `since` on and before `until`, the oldest first; of those
    at `since` itself only what follows `after_id`."""
    rows: Sequence[Row] = await _queries.placed(
        tx,
        restaurant_id=restaurant_id,
        since=since,
        until=to_text(until),
        id=after_id,
        limit=limit,
    )
    return rows
