"""The kitchen's summary of a day or any span of hours, and news of the restaurant's terms."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from math import ceil

from server.core.auth import Identity
from server.core.clock import from_text, to_text
from server.core.database import Database, Transaction
from server.core.errors import invalid
from server.core.queries import Row
from server.features.kitchen import store
from server.features.kitchen.schemas import DishFigures, HourFigures, KitchenSummary, Preparation
from server.features.orders.schemas import OrderStatus
from server.features.orders.service import topic_of
from server.features.restaurants.schemas import RestaurantSummary
from server.features.restaurants.service import RestaurantService, own_restaurant
from server.realtime.log import EventLog

PAGE = 500
"""Orders read at once: each page is a read of its own, so that none holds a connection for long."""
MOST_ORDERS = 20_000
"""In one summary; a longer span is refused."""


class KitchenService:
    """Figures about a restaurant's orders, and news of its terms."""

    def __init__(self, database: Database, log: EventLog, restaurants: RestaurantService) -> None:
        self._database = database
        self._log = log
        self._restaurants = restaurants
        self._turn = asyncio.Lock()
        """Only one page at a time is added up: several summaries take turns."""

    async def tell(self, tx: Transaction, restaurant: RestaurantSummary) -> None:
        """Tell the restaurant's kitchens that its terms have changed, such as a pause."""
        terms = RestaurantSummary.model_validate(restaurant.model_dump())
        data = terms.model_dump_json()
        topic = topic_of(restaurant.id)
        await self._log.append(tx, topic, "restaurant.updated", data, subject=restaurant.id)

    async def summary(
        self, identity: Identity, restaurant_id: str, since: str | None, until: str | None
    ) -> KitchenSummary:
        """The figures from `since` on and before `until`, as `RestaurantService.span` reads them.

        Raises Problem 404, 422.
        """
        own_restaurant(identity, restaurant_id)
        found, start, end = await self._restaurants.span(restaurant_id, since, until)
        if await self._database.read(
            lambda tx: store.are_more_than(tx, MOST_ORDERS, restaurant_id, start, end)
        ):
            raise invalid(
                ["from"], f"There are more than {MOST_ORDERS} orders. Ask for a shorter span."
            )
        tally = _Tally(found)
        at, after_id = to_text(start), ""
        while rows := await self._page(restaurant_id, at, end, after_id):
            # off the loop: what waits for the answer to a key must not wait for 500 orders
            async with self._turn:
                await asyncio.to_thread(tally.add, rows)
            at, after_id = rows[-1]["placed_at"], rows[-1]["id"]
            if len(rows) < PAGE:
                break
        return tally.summary(start, end)

    async def _page(
        self, restaurant_id: str, since: str, until: datetime, after_id: str
    ) -> Sequence[Row]:
        return await self._database.read(
            lambda tx: store.placed(tx, restaurant_id, since, until, after_id, PAGE)
        )


class _Tally:
    """Adds orders up, page by page."""

    def __init__(self, restaurant: RestaurantSummary) -> None:
        self._restaurant = restaurant
        self._orders = self._cancelled = self._revenue = self._finished = self._late = 0
        self._minutes: list[float] = []
        self._hours = [(0, 0)] * 24
        self._dishes: dict[str, tuple[str, int, int]] = {}

    def add(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if row["status"] == OrderStatus.CANCELLED:
                self._cancelled += 1
                continue
            self._orders += 1
            ours = row["currency"] == self._restaurant.currency
            total = row["total_cents"] if ours else 0
            self._revenue += total
            hour = self._restaurant.there(from_text(row["placed_at"])).hour
            count, cents = self._hours[hour]
            self._hours[hour] = (count + 1, cents + total)
            for item in json.loads(row["items"]):
                _, sold, taken = self._dishes.get(item["menu_item_id"], ("", 0, 0))
                cents = item["price_cents"] * item["quantity"] if ours else 0
                entry = (item["name"], sold + item["quantity"], taken + cents)
                self._dishes[item["menu_item_id"]] = entry
            self._add_steps(row)

    def _add_steps(self, row: Row) -> None:
        at = {step["status"]: step["at"] for step in json.loads(row["timeline"])}
        accepted, ready = at.get(OrderStatus.ACCEPTED), at.get(OrderStatus.READY)
        if accepted is None or ready is None:
            return
        self._finished += 1
        took = from_text(ready) - from_text(accepted)
        self._minutes.append(max(0.0, took.total_seconds() / 60))
        if row["ready_by"] and ready > row["ready_by"]:
            self._late += 1

    def summary(self, since: datetime, until: datetime) -> KitchenSummary:
        minutes = sorted(self._minutes)
        busiest = max(range(24), key=lambda hour: self._hours[hour])
        dishes = [
            DishFigures(menu_item_id=key, name=name, count=count, revenue_cents=cents)
            for key, (name, count, cents) in self._dishes.items()
        ]
        return KitchenSummary.model_validate(
            {
                "from": since,
                "to": until,
                "time_zone": self._restaurant.time_zone,
                "currency": self._restaurant.currency,
                "orders": self._orders,
                "cancelled": self._cancelled,
                "revenue_cents": self._revenue,
                "finished": self._finished,
                "late": self._late,
                "preparation_minutes": Preparation(p50=_rank(minutes, 0.5), p90=_rank(minutes, 0.9))
                if minutes
                else None,
                "busiest_hour": busiest if self._orders else None,
                "hours": [
                    HourFigures(hour=hour, orders=count, revenue_cents=cents)
                    for hour, (count, cents) in enumerate(self._hours)
                ],
                "dishes": sorted(dishes, key=lambda dish: (-dish.count, dish.name)),
            }
        )


def _rank(ordered: Sequence[float], share: float) -> float:
    """The smallest value that `share` of them do not exceed."""
    return round(ordered[max(0, ceil(share * len(ordered)) - 1)], 1)
