"""Reads and writes orders."""

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict, cast

from server.core import pages
from server.core.auth import Identity
from server.core.clock import from_text, to_text
from server.core.database import Transaction
from server.core.queries import Row, load_queries
from server.features.orders.privacy import as_json
from server.features.orders.schemas import (
    Delivery,
    Order,
    OrderStatus,
)
from server.features.restaurants.schemas import CarriedOrder
from server.features.shared.schemas import Wire, actor_json, json_string
from server.text import fold

_queries = load_queries(__file__)
_ACTORS = re.compile(r'"by":\{"id":"([^"]+)"')
"""In a timeline; a string in it has no quotation mark that is not escaped."""
SEARCHED, SEARCHED_AT_ONCE = 1_000, 200
"""Orders that a page of a search looks at: some 20 ms."""


class OrderRow(TypedDict):
    """An order as it is stored: lists and `assigned_by` as JSON, times as text.

    Orders are placed and changed in this form, as making models of it takes most of the time.
    """

    id: str
    number: int
    restaurant_id: str
    restaurant_name: str
    restaurant_lat: float
    restaurant_lng: float
    customer_id: str
    customer_name: str
    customer_phone: str | None
    items: str
    fees: str
    tip_cents: int
    total_cents: int
    currency: str
    status: str
    version: int
    timeline: str
    driver_id: str | None
    driver_name: str | None
    driver_vehicle: str | None
    assigned_by: str | None
    eta: str | None
    ready_by: str | None
    promised_at: str | None
    address: str
    lat: float
    lng: float
    note: str | None
    placed_at: str
    rating: str | None


def order_json(row: OrderRow) -> str:
    """The JSON of the Order."""
    text = json_string
    parts = [
        f'{{"id":"{row["id"]}","number":{row["number"]},"restaurant":{{"id":"{row["restaurant_id"]}"'
        f',"name":{text(row["restaurant_name"])},"lat":{row["restaurant_lat"]!r}'
        f',"lng":{row["restaurant_lng"]!r}}}'
        f',"customer":{{"id":"{row["customer_id"]}","name":{text(row["customer_name"])}'
    ]
    if (phone := row["customer_phone"]) is not None:
        parts.append(f',"phone":{text(phone)}')
    parts.append(
        f'}},"items":{row["items"]},"fees":{row["fees"]},"tip_cents":{row["tip_cents"]}'
        f',"total_cents":{row["total_cents"]},"currency":"{row["currency"]}"'
        f',"status":"{row["status"]}","version":{row["version"]},"timeline":{row["timeline"]}'
    )
    if (driver_id := row["driver_id"]) is not None:
        parts.append(
            f',"driver":{{"id":"{driver_id}","name":{text(row["driver_name"] or "")}'
            f',"vehicle":{text(row["driver_vehicle"] or "")}'
        )
        if assigned_by := row["assigned_by"]:
            parts.append(f',"assigned_by":{assigned_by}')
        parts.append("}")
    parts += [
        f',"{name}":"{row[name]}"' for name in ("eta", "ready_by", "promised_at") if row[name]
    ]
    parts.append(
        f',"address":{{"text":{text(row["address"])},"lat":{row["lat"]!r},"lng":{row["lng"]!r}}}'
    )
    if (note := row["note"]) is not None:
        parts.append(f',"note":{text(note)}')
    if (rating := row["rating"]) is not None:
        parts.append(f',"rating":{rating}')
    parts.append("}")
    return "".join(parts)


def item_json(item_id: str, name: str, price_cents: int, quantity: int, note: str | None) -> str:
    """The JSON of an OrderItem."""
    noted = f',"note":{json_string(note)}' if note is not None else ""
    return (
        f'{{"menu_item_id":"{item_id}","name":{json_string(name)},"price_cents":{price_cents}'
        f',"quantity":{quantity}{noted}}}'
    )


def entry_json(status: OrderStatus, at: str, by: Identity, reason: str | None = None) -> str:
    """The JSON of a TimelineEntry."""
    why = f',"reason":{json_string(reason)}' if reason is not None else ""
    actor = actor_json(by.account_id, by.name, by.role)
    return f'{{"status":"{status.value}","at":"{at}","by":{actor}{why}}}'


def row_of(order: Order) -> OrderRow:
    """The order as it is stored."""
    driver, address = order.driver, order.address
    assigned_by = driver.assigned_by if driver else None
    return OrderRow(
        id=order.id,
        number=order.number,
        restaurant_id=order.restaurant.id,
        restaurant_name=order.restaurant.name,
        restaurant_lat=order.restaurant.lat,
        restaurant_lng=order.restaurant.lng,
        customer_id=order.customer.id,
        customer_name=order.customer.name,
        customer_phone=order.customer.phone,
        items=_json(order.items),
        fees=_json(order.fees),
        tip_cents=order.tip_cents,
        total_cents=order.total_cents,
        currency=order.currency,
        status=order.status.value,
        version=order.version,
        timeline=_json(order.timeline),
        driver_id=driver.id if driver else None,
        driver_name=driver.name if driver else None,
        driver_vehicle=driver.vehicle if driver else None,
        assigned_by=assigned_by.model_dump_json() if assigned_by else None,
        eta=to_text(order.eta) if order.eta else None,
        ready_by=to_text(order.ready_by) if order.ready_by else None,
        promised_at=to_text(order.promised_at) if order.promised_at else None,
        address=address.text,
        lat=address.lat,
        lng=address.lng,
        note=order.note,
        placed_at=to_text(order.timeline[0].at),
        rating=order.rating.model_dump_json() if order.rating else None,
    )


def _json(models: Sequence[Wire]) -> str:
    return "[" + ",".join(model.model_dump_json() for model in models) + "]"


def _order(row: Row) -> Order:
    return Order.model_validate_json(order_json(cast(OrderRow, row)))


async def order(tx: Transaction, order_id: str) -> OrderRow | None:
    """One order."""
    return cast(OrderRow | None, await _queries.order(tx, id=order_id))


async def tracked(tx: Transaction, order_id: str) -> Row | None:
    """Where an order stands."""
    return cast(Row | None, await _queries.tracked(tx, id=order_id))


async def parties(tx: Transaction, order_id: str) -> tuple[str, str] | None:
    """The restaurant and the customer of an order."""
    row = await _queries.parties(tx, id=order_id)
    return (row["restaurant_id"], row["customer_id"]) if row else None


async def orders(
    tx: Transaction,
    *,
    customer_id: str | None = None,
    restaurant_id: str | None = None,
    open_only: bool = False,
    before: tuple[int, str],
    limit: int,
) -> tuple[Sequence[OrderRow], str | None]:
    """One page, newest first, of a customer's or a restaurant's, and the next one's `before`."""
    query = _queries.orders_of_customer if customer_id else _queries.orders_of_restaurant
    number = "arrival" if customer_id else "number"
    of = {"owner": customer_id or restaurant_id, "before": before[0], "id": before[1]}
    found = list(await query(tx, **of, ended=0, least=0, limit=limit + 1))
    if not open_only:
        least = found[-1][number] if len(found) > limit else 0
        found += await query(tx, **of, ended=1, least=least, limit=limit + 1)
        found.sort(key=lambda row: (row[number], row["id"]), reverse=True)
    return pages.numbered_page(found, limit, number)


async def placed(
    tx: Transaction, restaurant_id: str, since: str, before: tuple[str, str], limit: int
) -> tuple[Sequence[OrderRow], str | None]:
    """One page of a restaurant's orders placed from `since` on and before that moment and id, and
    the next one's `before`."""
    rows = await _queries.orders_placed(
        tx, owner=restaurant_id, since=since, before=before[0], id=before[1], limit=limit + 1
    )
    page, more = pages.page_of(rows, limit)
    return page, pages.following(page, more, lambda row: (row["placed_at"], row["id"]))


async def found(
    tx: Transaction,
    restaurant_id: str,
    text: str,
    *,
    open_only: bool,
    before: tuple[int, str],
    limit: int,
) -> tuple[Sequence[OrderRow], str | None]:
    """The same of a restaurant's orders of the number `text` (`1234`, `#1234`), else with `text` in
    the customer's or a dish's name, which are searched SEARCHED a page."""
    number = text.strip().removeprefix("#")
    if number.isascii() and number.isdecimal() and len(number) < 19:
        start = min(before, (int(number), "~"))
        rows, _ = await orders(
            tx, restaurant_id=restaurant_id, open_only=open_only, before=start, limit=1
        )
        return [row for row in rows if row["number"] == int(number)], None
    wanted = fold(text.strip())
    result: list[OrderRow] = []
    for _ in range(SEARCHED // SEARCHED_AT_ONCE):
        rows, following = await orders(
            tx,
            restaurant_id=restaurant_id,
            open_only=open_only,
            before=before,
            limit=SEARCHED_AT_ONCE,
        )
        for row in rows:
            before = (row["number"], row["id"])
            if _names(row, wanted):
                result.append(row)
                if len(result) == limit:
                    more = row is not rows[-1] or following is not None
                    return result, pages.after(str(before[0]), before[1]) if more else None
        if following is None:
            return result, None
    return result, pages.after(str(before[0]), before[1])


def _names(row: OrderRow, wanted: str) -> bool:
    """Whether customer or dishes have that text, as `fold`, in their names."""
    names = [row["customer_name"], *(item["name"] for item in json.loads(row["items"]))]
    return any(wanted in fold(name) for name in names)


async def changed(
    tx: Transaction, customer_id: str, after: int, limit: int
) -> tuple[Sequence[OrderRow], int]:
    """That customer's orders that changed after that `seq` of theirs, the longest unchanged first,
    and the `seq` of the last of them."""
    found = await _queries.changed_orders(tx, customer_id=customer_id, after=after, limit=limit + 1)
    rows, _ = pages.page_of(found, limit)
    return rows, rows[-1]["changed_seq"] if rows else after


async def first_of_last(tx: Transaction, customer_id: str, many: int) -> datetime | None:
    """When that customer placed the first of their last `many` orders, if there are so many."""
    found: str | None = await _queries.placed_before_others(
        tx, customer_id=customer_id, others=many - 1
    )
    return from_text(found) if found else None


async def insert(tx: Transaction, order: OrderRow, changed_seq: int = 0) -> None:
    """Insert a new order, or one of the past; for `changed_seq` see `changed`."""
    ended = int(_ended(order))
    await _queries.insert_order(tx, changed_seq=changed_seq, ended=ended, **order)


async def save(tx: Transaction, order: OrderRow, before: OrderRow, changed_seq: int) -> None:
    """Store the order as it is now, and whom it names that it did not name `before`; for
    `changed_seq` see `changed`."""
    await _queries.update_order(tx, changed_seq=changed_seq, **order)
    if _ended(order):
        await _queries.end_order(tx, id=order["id"])
    for account_id in sorted(_staff(order) - _staff(before)):
        await _queries.add_staff(tx, account_id=account_id, order_id=order["id"])


async def rate(tx: Transaction, order: OrderRow, changed_seq: int) -> None:
    """Store the order's rating; for `changed_seq` see `changed`."""
    await _queries.rate_order(tx, id=order["id"], rating=order["rating"], changed_seq=changed_seq)


def _ended(order: OrderRow) -> bool:
    return OrderStatus(order["status"]).terminal


def _staff(order: OrderRow) -> set[str]:
    """The employees that the order names."""
    named = set(_ACTORS.findall(order["timeline"]))
    if order["assigned_by"]:
        named.add(json.loads(order["assigned_by"])["id"])
    return named - {order["customer_id"]}


async def carried(tx: Transaction, restaurant_id: str) -> dict[str, list[CarriedOrder]]:
    """The restaurant's open orders that have a driver, by driver."""
    found: dict[str, list[CarriedOrder]] = {}
    for row in await _queries.carried(tx, restaurant_id=restaurant_id):
        one = CarriedOrder(id=row["id"], number=row["number"], status=row["status"])
        found.setdefault(row["driver_id"], []).append(one)
    return found


async def on_the_way(tx: Transaction, driver_id: str) -> list[Order]:
    """The orders that driver is delivering now, the oldest first."""
    return [_order(row) for row in await _queries.on_the_way(tx, driver_id=driver_id)]


async def deliveries(tx: Transaction, driver_id: str) -> list[Delivery]:
    """The same with only their restaurant and customer."""
    rows = await _queries.deliveries(tx, driver_id=driver_id)
    return [Delivery(row["id"], row["restaurant_id"], row["customer_id"]) for row in rows]


async def open_orders_of(tx: Transaction, customer_id: str) -> int:
    """How many of the customer's orders are still under way."""
    return int(await _queries.open_orders_of(tx, customer_id=customer_id))


async def orders_naming(tx: Transaction, account_id: str) -> Sequence[OrderRow]:
    """Every order that names this account, or has named it in its events: as customer, in its
    timeline, or as who assigned a driver."""
    return cast(Sequence[OrderRow], await _queries.orders_naming(tx, account_id=account_id))


async def drop_staff(tx: Transaction, account_id: str) -> None:
    """No order names this account any more."""
    await _queries.drop_staff(tx, account_id=account_id)


async def rewrite(tx: Transaction, order: dict[str, Any]) -> None:
    """Store the personal data in the JSON of an Order."""
    customer, address, rating = order["customer"], order["address"], order.get("rating")
    assigned_by = order.get("driver", {}).get("assigned_by")
    await _queries.rewrite_order(
        tx,
        id=order["id"],
        customer_name=customer["name"],
        customer_phone=customer.get("phone"),
        items=as_json(order["items"]),
        timeline=as_json(order["timeline"]),
        assigned_by=as_json(assigned_by) if assigned_by else None,
        address=address["text"],
        lat=address["lat"],
        lng=address["lng"],
        note=order.get("note"),
        rating=as_json(rating) if rating else None,
    )


def page_json(
    rows: Sequence[OrderRow], following: str | None, cursor: str, logged_at: str = ""
) -> str:
    """The JSON of an OrderPage, which takes a fifth of the time of making its models."""
    items = ",".join(map(order_json, rows))
    logged = f',"logged_at":"{logged_at}"' if logged_at else ""
    following, cursor = json.dumps(following), json.dumps(cursor)
    return f'{{"items":[{items}],"next":{following},"cursor":{cursor}{logged}}}'
