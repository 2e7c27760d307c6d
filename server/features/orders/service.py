"""The rules of orders: placing, changing the status, cancelling, following."""

import json
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple, TypeVar

from server.core import pages
from server.core.auth import Identity
from server.core.clock import to_text
from server.core.database import Database, Transaction
from server.core.errors import Problem, conflict, not_found, reset
from server.core.idempotency import KeyedRequest, once_as_json
from server.core.limits import check_day
from server.core.queries import Row
from server.features.accounts.schemas import Role
from server.features.accounts.service import AccountService
from server.features.orders import store
from server.features.orders.placing import new_order, quote_of
from server.features.orders.privacy import rewritten, without
from server.features.orders.schemas import (
    Delivery,
    NewRating,
    Order,
    OrderStatus,
    PlaceOrder,
    Quote,
    StatusChange,
)
from server.features.orders.steps import Change, adjusted, advanced, check_step, rated
from server.features.orders.store import OrderRow, order_json
from server.features.restaurants.schemas import Driver
from server.features.restaurants.service import RestaurantService
from server.realtime.event import Cursor, Event, cursor_text
from server.realtime.log import EventLog
from server.realtime.state_topic import STATE, Changes, States

RowT = TypeVar("RowT", bound=Row)

PLACE_ROUTE = "POST /orders"
CACHED_PARTIES = 50_000
"""Orders whose restaurant and customer are kept in memory: neither ever changes."""


def topic_of(restaurant_id: str) -> str:
    """The topic of a restaurant's orders."""
    return f"restaurant:{restaurant_id}"


def topic_of_customer(account_id: str) -> str:
    """The state topic of a customer's orders.

    Its `seq` counts their changes. Each order stores the `seq` of its last change, so the orders
    that changed after a cursor are found without a history.
    """
    return f"{STATE}customer:{account_id}"


class Tracked(NamedTuple):
    """Where an order stands, and the same as the JSON of a TrackedStatus."""

    status: OrderStatus
    json: str

    @classmethod
    def of(cls, order: Row) -> "Tracked":
        """From the order's row or its JSON."""
        status, eta = OrderStatus(order["status"]), order.get("eta")
        until = f',"eta":"{eta}"' if eta else ""
        timeline = order["timeline"]
        steps = json.loads(timeline) if isinstance(timeline, str) else timeline
        return cls(
            status,
            f'{{"order_id":"{order["id"]}","status":"{status.value}","version":{order["version"]}'
            f',"terminal":{"true" if status.terminal else "false"}{until}'
            f',"logged_at":"{steps[-1]["at"]}"}}',
        )


class OrderService:
    """Orders, from `placed` to `delivered` or `cancelled`."""

    def __init__(
        self,
        database: Database,
        log: EventLog,
        states: States,
        accounts: AccountService,
        restaurants: RestaurantService,
        most_a_day: int,
    ) -> None:
        """A customer may place `most_a_day` orders; 0 is no limit."""
        self._database = database
        self._log = log
        self._states = states
        self._accounts = accounts
        self._restaurants = restaurants
        self._most_a_day = most_a_day
        self._parties: OrderedDict[str, tuple[str, str]] = OrderedDict()

    async def place(self, identity: Identity, basket: PlaceOrder, key: str | None) -> str:
        """A new order, as the JSON of an Order; with an Idempotency-Key, the same one however often
        it is sent.

        Raises Problem 409 where a dish is sold out, or dishes or total are not as expected, 422
        where there is no such thing, the restaurant is closed, the basket below its minimum or the
        address out of reach, 429 where the account has placed as many as it may within a day.
        """
        request = KeyedRequest.of(identity.account_id, PLACE_ROUTE, key, basket)

        async def place(tx: Transaction) -> str:
            if most := self._most_a_day:
                first = await store.first_of_last(tx, identity.account_id, most)
                check_day(first, f"placed {most} orders")
            order = await new_order(tx, identity, basket, self._accounts, self._restaurants)
            await store.insert(tx, order, await self._count(tx, order))
            return await self._append(tx, "order.placed", order)

        return await self._database.write(lambda tx: once_as_json(tx, request, lambda: place(tx)))

    async def quote(self, basket: PlaceOrder) -> Quote:
        """What the basket would cost now. Raises Problem 409, 422 as `place`, whatever total is
        expected."""
        return await self._database.read(lambda tx: quote_of(tx, basket, self._restaurants))

    async def rate(self, identity: Identity, order_id: str, new: NewRating) -> None:
        """Rate an order that was delivered; another rating of it takes the first one's place.

        Raises Problem 404, 409 with the present order where it has not come.
        """

        async def fn(tx: Transaction) -> None:
            await self._accounts.account_of(tx, identity.account_id)
            order = await self._own(tx, identity, order_id)
            with _showing(order):
                done = rated(order, new)
            if done == order:
                return
            more = new.stars - json.loads(order["rating"] or '{"stars":0}')["stars"]
            restaurant_id, number = order["restaurant_id"], 0 if order["rating"] else 1
            await self._restaurants.add_rating(tx, restaurant_id, more, number)
            await store.rate(tx, done, await self._count(tx, done))
            await self._append(tx, "order.updated", done)

        await self._database.write(fn)

    async def order(self, identity: Identity, order_id: str) -> str:
        """One order, as the JSON of an Order. Raises Problem 404."""
        found = await self._database.look_up(lambda tx: store.order(tx, order_id))
        return order_json(_visible(identity, found))

    async def orders(
        self, identity: Identity, before: str | None, limit: int, *, open_only: bool = False
    ) -> str:
        """A page of the customer's, or of the employee's restaurant's, with the cursor that
        belongs to it, as the JSON of an OrderPage; with `open_only` of those that are not over.
        Raises Problem 422 for a `before` that no page gave."""
        start = pages.numbered(before)
        customer = identity.role == Role.CUSTOMER
        if customer:
            owner = {"customer_id": identity.account_id}
        else:
            owner = {"restaurant_id": identity.restaurant_id or ""}

        async def fn(tx: Transaction) -> str:
            page, following = await store.orders(
                tx, **owner, open_only=open_only, before=start, limit=limit
            )
            if customer:
                topic = topic_of_customer(identity.account_id)
                changes = await self._states.changes(tx, topic)
                cursor = self._cursor(topic, changes, changes.seq)
            else:
                cursor = await self._log.cursor(tx, topic_of(owner["restaurant_id"]))
            return store.page_json(page, following, cursor)

        return await self._database.read(fn)

    def export(self, identity: Identity) -> AsyncGenerator[Sequence[str]]:
        """Every order that the account has placed, whatever its role is now."""

        async def fetch(before: str | None) -> tuple[Sequence[str], str | None]:
            owner, start = identity.account_id, pages.numbered(before)
            page, following = await self._database.read(
                lambda tx: store.orders(tx, customer_id=owner, before=start, limit=200)
            )
            return [order_json(row) for row in page], following

        return pages.every_page(fetch)

    async def changed(self, identity: Identity, after: str, limit: int) -> str | None:
        """The customer's orders that were placed or changed after that cursor, the longest
        unchanged first, each as it is now, as the JSON of an OrderPage; None where there are none.

        Raises Problem 410 for a cursor that is not of this topic.
        """
        cursor = Cursor.parse(after)

        async def fn(tx: Transaction) -> str | None:
            topic = topic_of_customer(identity.account_id)
            if cursor is None or (cursor.epoch, cursor.topic) != (self._log.epoch, topic):
                raise reset()
            changes = await self._states.changes(tx, topic)
            if not cursor.fits(changes.check_at(cursor.seq)):
                raise reset()
            found, seq = await store.changed(tx, identity.account_id, cursor.seq, limit)
            if not found:
                return None
            logged_at = changes.at if seq == changes.seq else ""
            return store.page_json(found, None, self._cursor(topic, changes, seq), logged_at)

        return await self._database.read(fn)

    def _cursor(self, topic: str, changes: Changes, seq: int) -> str:
        return cursor_text(self._log.epoch, topic, seq, changes.check_at(seq) or "")

    async def _count(self, tx: Transaction, order: OrderRow) -> int:
        """Count a change of the customer's orders, and wake the requests that wait for one."""
        topic = topic_of_customer(order["customer_id"])
        return (await self._states.put(tx, topic, "orders.changed", "{}")).seq

    async def step(self, identity: Identity, order_id: str, change: StatusChange) -> str:
        """The order after that change of status, or of driver or minutes alone, as the JSON of an
        Order.

        Raises Problem 404, 409 with the present order, 422.
        """

        async def fn(tx: Transaction) -> str:
            await self._accounts.account_of(tx, identity.account_id)
            order = await self._own(tx, identity, order_id)
            status, version = OrderStatus(order["status"]), order["version"]
            with _showing(order):
                if change.expected_version not in (None, version):
                    raise conflict(
                        f"The order has changed since: it is at version {version}, not"
                        f" {change.expected_version}. Look at it and decide again.",
                        "order-changed",
                    )
                if change.status is status and not status.terminal:
                    done = await adjusted(tx, identity, order, change, self._restaurants)
                else:
                    check_step(Role(identity.role), status, change.status)
                    done = await advanced(tx, identity, order, change, self._restaurants)
            return await self._save(tx, done, order)

        return await self._database.write(fn)

    async def cancel(self, identity: Identity, order_id: str, reason: str | None) -> str:
        """The order, cancelled by its customer, as the JSON of an Order.

        Raises Problem 404, 409 with the present order.
        """
        change = StatusChange(status=OrderStatus.CANCELLED, reason=reason)

        async def fn(tx: Transaction) -> str:
            await self._accounts.account_of(tx, identity.account_id)
            order = await self._own(tx, identity, order_id)
            with _showing(order):
                status = OrderStatus(order["status"])
                check_step(Role(identity.role), status, OrderStatus.CANCELLED)
            done = await advanced(tx, identity, order, change, self._restaurants)
            return await self._save(tx, done, order)

        return await self._database.write(fn)

    async def _save(self, tx: Transaction, change: Change | None, order: OrderRow) -> str:
        """Store the change and its event; without a change, the order stays as it is."""
        if change is None:
            return order_json(order)
        await store.save(tx, change.order, order, await self._count(tx, order))
        return await self._append(tx, change.event, change.order)

    async def order_in(self, tx: Transaction, identity: Identity, order_id: str) -> OrderRow:
        """In another feature's transaction: one order. Raises Problem 404."""
        return await self._own(tx, identity, order_id)

    async def drivers_of(self, tx: Transaction, restaurant_id: str) -> list[Driver]:
        """In another feature's transaction: the restaurant's drivers, and what each carries."""
        carried = await store.carried(tx, restaurant_id)
        return [
            driver.model_copy(update={"carrying": carried.get(driver.id, [])})
            for driver in await self._restaurants.drivers_of(tx, restaurant_id)
        ]

    async def on_the_way(self, driver_id: str) -> list[Order]:
        """The orders that driver is delivering now, the oldest first."""
        return await self._database.read(lambda tx: store.on_the_way(tx, driver_id))

    async def deliveries(self, tx: Transaction, driver_id: str) -> list[Delivery]:
        """In another feature's transaction: the orders that driver is delivering now, the oldest
        first, with only their restaurant and customer."""
        return await store.deliveries(tx, driver_id)

    async def revise_eta(self, order_id: str, driver_id: str, eta: datetime) -> None:
        """Set a new `eta` while that driver delivers the order; status and version stay."""

        async def fn(tx: Transaction) -> None:
            order = await store.order(tx, order_id)
            if (
                order is not None
                and order["status"] == OrderStatus.OUT_FOR_DELIVERY
                and order["driver_id"] == driver_id
            ):
                revised = order.copy()
                revised["eta"] = to_text(eta)
                await self._save(tx, Change("order.updated", revised), order)

        await self._database.write(fn)

    async def topic_for(self, identity: Identity, order_id: str) -> str:
        """The topic an order's changes are on. Raises Problem 404."""
        parties = self._parties.get(order_id)
        if parties is None:
            parties = await self._database.look_up(lambda tx: store.parties(tx, order_id))
            if parties is None:
                raise not_found("order")
            self._parties[order_id] = parties
            if len(self._parties) > CACHED_PARTIES:
                self._parties.popitem(last=False)
        restaurant_id, customer_id = parties
        if not _may_see(identity, restaurant_id, customer_id):
            raise not_found("order")
        return topic_of(restaurant_id)

    async def tracked(self, identity: Identity, order_id: str) -> Tracked:
        """Where the order stands, from the database. Raises Problem 404."""
        found = await self._database.look_up(lambda tx: store.tracked(tx, order_id))
        return Tracked.of(_visible(identity, found))

    async def scrub(self, tx: Transaction, account_id: str) -> None:
        """Before an account is deleted: remove its personal data from orders and their events.

        Raises Problem 409 while the customer has orders under way.
        """
        if await store.open_orders_of(tx, account_id):
            raise conflict(
                "An order is still under way. Cancel it, or wait until it has come.",
                "order-under-way",
            )
        await self._states.drop(tx, topic_of_customer(account_id))
        for row in await store.orders_naming(tx, account_id):
            await store.rewrite(tx, without(json.loads(order_json(row)), account_id))
            await self._log.rewrite(tx, row["id"], lambda data: rewritten(data, account_id))
        await store.drop_staff(tx, account_id)

    async def _own(self, tx: Transaction, identity: Identity, order_id: str) -> OrderRow:
        return _visible(identity, await store.order(tx, order_id))

    async def _append(self, tx: Transaction, kind: str, order: OrderRow) -> str:
        """Append an event with the order; returns its JSON."""
        data, topic = order_json(order), topic_of(order["restaurant_id"])
        await self._log.append(tx, topic, kind, data, subject=order["id"])
        return data


def tracked_in(event: Event) -> Tracked:
    """The same from the order's event; made once for all requests that wait for it."""
    found: Tracked | None = event.encoded.get("tracked")
    if found is None:
        found = event.encoded["tracked"] = Tracked.of(json.loads(event.data))
    return found


def _may_see(identity: Identity, restaurant_id: str, customer_id: str) -> bool:
    if identity.role == Role.CUSTOMER:
        return identity.account_id == customer_id
    return identity.restaurant_id == restaurant_id


def _visible(identity: Identity, found: RowT | None) -> RowT:
    """What was found of an order. Raises Problem 404."""
    if found is None or not _may_see(identity, found["restaurant_id"], found["customer_id"]):
        raise not_found("order")
    return found


@contextmanager
def _showing(order: OrderRow) -> Iterator[None]:
    """Add the present order to a 409 that is raised inside."""
    try:
        yield
    except Problem as problem:
        if problem.status == 409:
            problem.extra["order"] = json.loads(order_json(order))
        raise
