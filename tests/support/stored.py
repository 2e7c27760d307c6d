"""A database that has been in use for long, and the requests that should not feel it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from server.core.clock import now, to_text
from server.core.database import Database, Transaction
from server.core.pages import after
from support.news import announce
from support.rest import Rest
from support.room import open_chat
from support.town import Place

NUMBERS = (
    "WITH RECURSIVE n(i) AS (SELECT :start + 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
)
ROWS = """
INSERT INTO accounts (id, email, password_hash, role, name, created_at)
SELECT 'acc_stored' || i, 'stored' || i || '@example.org', '',
    CASE i % 10 WHEN 0 THEN 'employee' ELSE 'customer' END, 'Stored', :now FROM n;

INSERT INTO sessions (id, account_id, created_at, expires_at, last_used_at)
SELECT 'ses_stored' || i, 'acc_stored' || i, :now, '2999', :now FROM n;

INSERT INTO refresh_tokens (digest, session_id, expires_at)
SELECT 'stored' || i, 'ses_stored' || i, '2999' FROM n;

INSERT INTO orders (id, number, restaurant_id, customer_id, customer_name, items, total_cents,
    status, ended, version, timeline, driver_id, address, lat, lng, placed_at, arrival)
SELECT 'ord_stored' || i, number + i, restaurant_id, 'acc_stored' || (i % 1000), 'Stored', items,
    total_cents, status, ended, version, timeline, driver_id, address, lat, lng, placed_at, i
FROM n, (SELECT * FROM orders WHERE id = :order_id) AS example;

INSERT INTO menu_items (id, restaurant_id, position, name, description, price_cents, available,
    removed_at)
SELECT 'dish_stored' || i, :restaurant_id, i, 'Stored', '', 1, 1, :now FROM n;

INSERT INTO order_staff (account_id, order_id)
SELECT 'acc_stored' || (10 * (i % 100)), 'ord_stored' || i FROM n;

INSERT INTO idempotency
SELECT 'acc_stored' || i, 'POST /orders', 'key' || i, '', 201, '{}', '2999' FROM n;

INSERT INTO chats (id, subject, status, customer_id, customer_name, opened_at, closed_at,
    closed_by, customer_unread, support_unread, arrival)
SELECT 'cht_stored' || i, 'Stored', CASE i % 10 WHEN 0 THEN 'open' ELSE 'closed' END,
    'acc_stored' || (i % 1000), 'Stored', :now, :now, closed_by, 0, 0, arrival + i
FROM n, (SELECT * FROM chats WHERE id = :chat_id) AS example;

INSERT INTO chat_staff (account_id, chat_id)
SELECT 'acc_stored' || (10 * (i % 100)), 'cht_stored' || i FROM n;

INSERT INTO chat_messages (chat_id, seq, client_id, sender_id, sender_name, sender_role, text,
    sent_at)
SELECT 'cht_stored' || i, 1, '1', 'acc_stored' || (i % 1000), 'Stored', 'customer', 'Hello?', :now
FROM n;

INSERT INTO events (topic, seq, type, subject, data, at)
SELECT 'chat:cht_stored' || i, 1, 'message', 'cht_stored' || i, '{"text":"Hello?"}', :now FROM n;

INSERT INTO topics (name, seq, changed, oldest)
SELECT 'chat:cht_stored' || i, 1, (SELECT MAX(changed) FROM topics) + i - :start, :now FROM n;

INSERT INTO states (topic, seq, type, subject, data, at, changed)
SELECT 'state/customer:acc_stored' || i, 1, 'orders.changed', '', '{}', :now,
    (SELECT MAX(changed) FROM states) + i - :start FROM n;

INSERT INTO announcements (id, title, body, severity, audience, author_id, author_name,
    author_role, published_at, expires_at, arrival)
SELECT 'ann_stored' || i, 'Stored', 'Stored', 'info',
    CASE WHEN i <= 2000 THEN 'everyone' ELSE 'employees' END, 'acc_stored1', 'Stored', 'employee',
    :now, '2999', arrival + i
FROM n, (SELECT * FROM announcements WHERE id = :announcement_id) AS example;

INSERT INTO announcement_acks (announcement_id, account_id, at)
SELECT :announcement_id, 'acc_stored' || i, :now FROM n
"""
TOTALS = """
UPDATE orders SET status = 'cancelled', ended = 1 WHERE ended = 0;

UPDATE restaurants SET last_number = (
    SELECT MAX(number) FROM orders WHERE restaurant_id = restaurants.id
) WHERE id = :restaurant_id;

UPDATE account_counts SET number = (
    SELECT COUNT(*) FROM accounts WHERE accounts.role = account_counts.role
);

UPDATE announcements SET acknowledged = (
    SELECT COUNT(*) FROM announcement_acks WHERE announcement_id = :announcement_id
) WHERE id = :announcement_id
"""


@dataclass(frozen=True)
class Users:
    """Who sends the requests."""

    customer: Rest
    employee: Rest
    place: Place


class Stored:
    """Fills the database of a server with more and more rows, which are like its users' own."""

    def __init__(self, database: Database, users: Users) -> None:
        self._database = database
        self._users = users
        self._count = 0
        self._examples: dict[str, str] = {}

    async def fill(self, count: int) -> None:
        """Store more, until there are `count` of each kind."""
        examples = self._examples or await self._make_examples()
        given = examples | {"start": self._count, "count": count, "now": to_text(now())}

        async def fn(tx: Transaction) -> None:
            for statement in ROWS.split(";"):
                await _run(tx, f"{NUMBERS} {statement}", given)
            for statement in TOTALS.split(";"):
                await _run(tx, statement, given)

        await self._database.write(fn)
        self._count = count

    async def _make_examples(self) -> dict[str, str]:
        users = self._users
        order_id = await _order(users)
        way = ("accepted", "preparing", "ready", "out_for_delivery", "delivered")
        for status in way:
            step = {"status": status}
            if status == "out_for_delivery":
                step["driver_id"] = users.place.drivers[0]
            (await users.employee.post(f"/orders/{order_id}/status", step)).must(200)
        chat_id = await open_chat(users.customer)
        (await users.employee.post(f"/chats/{chat_id}/close")).must(200)
        self._examples = {
            "order_id": order_id,
            "chat_id": chat_id,
            "announcement_id": str((await announce(users.employee))["id"]),
            "restaurant_id": users.place.id,
        }
        return self._examples


async def _run(tx: Transaction, sql: str, given: dict[str, Any]) -> None:
    await tx.execute(sql, {name: value for name, value in given.items() if f":{name}" in sql})


Prepared = Callable[[], Awaitable[object]]
Prepare = Callable[[Users], Awaitable[Prepared]]
"""Makes what a request needs; returns the request itself, which is to be measured."""


def _get(who: str, path: str, status: int = 200) -> Prepare:
    async def prepare(users: Users) -> Prepared:
        caller, where = getattr(users, who), path.replace("{place}", users.place.id)

        async def send() -> None:
            (await caller.get(where)).must(status)

        return send

    return prepare


def _post(who: str, path: str, body: object, make: Callable[[Users], Awaitable[str]]) -> Prepare:
    async def prepare(users: Users) -> Prepared:
        caller, where = getattr(users, who), path.replace("{id}", await make(users))

        async def send() -> None:
            answer = await caller.post(where, body(users) if callable(body) else body)
            assert answer.status < 300, answer.body

        return send

    return prepare


async def _nothing(users: Users) -> str:
    return ""


async def _order(users: Users) -> str:
    basket = users.place.basket()
    return str((await users.customer.post("/orders", basket)).must(201).json["id"])


async def _chat(users: Users) -> str:
    return await open_chat(users.customer)


async def _announcement(users: Users) -> str:
    return str((await announce(users.employee))["id"])


async def _read_order(users: Users) -> Prepared:
    return await _get("customer", f"/orders/{await _order(users)}")(users)


_accounts = iter(range(10**9))


async def _delete_account(users: Users) -> Prepared:
    """Of somebody who has ordered, chatted and acknowledged."""
    who = await users.customer.another().register(f"leaving{next(_accounts)}@example.org")
    leaving = Users(who, users.employee, users.place)
    order_id, chat_id = await _order(leaving), await _chat(leaving)
    (await who.post(f"/orders/{order_id}/cancel", {})).must(200)
    message = {"client_id": "1", "text": "Hello?"}
    (await who.post(f"/chats/{chat_id}/messages", message)).must(201)
    (await who.post(f"/announcements/{await _announcement(users)}/ack")).must(204)

    async def send() -> None:
        (await who.delete_account()).must(204)

    return send


OLDEST = after("20", "~")
REQUESTS: dict[str, Prepare] = {
    "place an order": _post("customer", "/orders", lambda users: users.place.basket(), _nothing),
    "accept an order": _post("employee", "/orders/{id}/status", {"status": "accepted"}, _order),
    "read an order": _read_order,
    "a customer's orders": _get("customer", "/orders?limit=5"),
    "a customer's open orders": _get("customer", "/orders?limit=5&open=true"),
    "a kitchen's orders": _get("employee", "/orders?limit=5"),
    "a kitchen's open orders": _get("employee", "/orders?limit=5&open=true"),
    "a kitchen's first orders": _get("employee", f"/orders?before={after('1100', '~')}"),
    "a kitchen's order by number": _get("employee", "/orders?find=1100"),
    "a kitchen's orders by name": _get("employee", "/orders?find=nobody&limit=5"),
    "a kitchen's summary": _get(
        "employee", "/restaurants/{place}/summary?from=2000-01-01&to=2000-02-01"
    ),
    "a kitchen's summary of too many orders": _get(
        "employee", "/restaurants/{place}/summary?from=2000-01-01&to=2999-01-01", 422
    ),
    "a kitchen's orders of a span": _get(
        "employee", "/orders?from=2000-01-01&to=2999-01-01&limit=5"
    ),
    "a menu": _get("customer", "/restaurants/{place}"),
    "a kitchen's drivers": _get("employee", "/drivers"),
    "open a chat": _post("customer", "/chats", {"subject": "Where is it?"}, _nothing),
    "claim a chat": _post("employee", "/chats/{id}/take", None, _chat),
    "write in a chat": _post(
        "customer", "/chats/{id}/messages", {"client_id": "1", "text": "Hello?"}, _chat
    ),
    "the support queue": _get("employee", "/chats?limit=10"),
    "the end of the queue": _get("employee", f"/chats?status=closed&limit=10&before={OLDEST}"),
    "publish an announcement": _post(
        "employee",
        "/announcements",
        {"title": "Rain", "body": "Slow down.", "severity": "info", "audience": "everyone"},
        _nothing,
    ),
    "its readers, before it": _get("employee", "/announcements/audiences"),
    "acknowledge it": _post("customer", "/announcements/{id}/ack", None, _announcement),
    "the announcements": _get("customer", "/announcements"),
    "one's own account": _get("customer", "/me"),
    "delete an account": _delete_account,
}
"""What must cost the same however much is stored."""
