"""The JSON of an order as it is stored, and of its parts, is that of the models."""

import json
from typing import Any, cast

from hypothesis import example, given
from hypothesis import strategies as st

from server.core.auth import Identity
from server.core.clock import from_text
from server.features.accounts.service import actor
from server.features.orders import store
from server.features.orders.schemas import (
    Fee,
    OrderItem,
    OrderRating,
    OrderStatus,
    TimelineEntry,
)
from server.features.orders.store import OrderRow, entry_json, item_json, order_json
from server.features.shared.schemas import Actor

AT = "2026-01-31T12:00:00.000Z"
WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
ACTORS = st.builds(Actor, id=WORDS, name=WORDS, role=WORDS)
MONEY = st.integers(0, 10_000_000)
RATINGS = st.builds(OrderRating, stars=st.integers(1, 5), text=st.none() | WORDS)
ITEMS = st.builds(
    OrderItem,
    menu_item_id=WORDS,
    name=WORDS,
    price_cents=MONEY,
    quantity=st.integers(1, 99),
    note=st.none() | WORDS,
)
STEPS = st.builds(
    TimelineEntry,
    status=st.sampled_from(OrderStatus),
    at=st.just(AT),
    by=ACTORS,
    reason=st.none() | WORDS,
)
DRIVERS = st.fixed_dictionaries(
    {
        "driver_id": st.just("drv_1"),
        "driver_name": WORDS,
        "driver_vehicle": WORDS,
        "assigned_by": st.none() | ACTORS.map(lambda actor: actor.model_dump_json()),
    }
)
NOBODY = dict.fromkeys(("driver_id", "driver_name", "driver_vehicle", "assigned_by"))
ROWS = st.fixed_dictionaries(
    {
        "id": st.just("ord_1"),
        "number": st.integers(1, 10**9),
        "restaurant_id": st.just("rst_1"),
        "restaurant_name": WORDS,
        "restaurant_lat": st.floats(-90, 90),
        "restaurant_lng": st.floats(-180, 180),
        "customer_id": st.just("acc_1"),
        "customer_name": WORDS,
        "customer_phone": st.none() | WORDS,
        "items": st.lists(ITEMS, max_size=3).map(store._json),
        "fees": st.lists(st.builds(Fee, kind=WORDS, cents=MONEY), max_size=2).map(store._json),
        "tip_cents": MONEY,
        "total_cents": st.integers(0, 10**9),
        "currency": st.sampled_from(["EUR", "JPY"]),
        "status": st.sampled_from([status.value for status in OrderStatus]),
        "version": st.integers(1, 99),
        "timeline": st.lists(STEPS, min_size=1, max_size=3).map(store._json),
        "eta": st.none() | st.just(AT),
        "ready_by": st.none() | st.just(AT),
        "promised_at": st.none() | st.just(AT),
        "address": st.text('a"\\é日 ', max_size=20).map(lambda words: f"1{words}1"),
        "lat": st.floats(-90, 90),
        "lng": st.floats(-180, 180),
        "note": st.none() | WORDS,
        "placed_at": st.just(AT),
        "rating": st.none() | RATINGS.map(lambda rating: rating.model_dump_json()),
    }
)


@given(ROWS, st.just(NOBODY) | DRIVERS)
def test_the_stored_json_is_that_of_the_model(row: dict[str, Any], driver: dict[str, Any]) -> None:
    row |= driver
    order = store._order(row)
    assert json.loads(order_json(cast(OrderRow, row))) == json.loads(order.model_dump_json())
    assert (order.restaurant.name, order.customer.phone) == (
        row["restaurant_name"],
        row["customer_phone"],
    )
    assert store.row_of(order) == row


@given(ITEMS)
def test_the_json_of_an_item_is_that_of_the_model(item: OrderItem) -> None:
    # Ids are checked before they are stored: they need no escaping.
    item = item.model_copy(update={"menu_item_id": "dish_1"})
    made = item_json(item.menu_item_id, item.name, item.price_cents, item.quantity, item.note)
    assert OrderItem.model_validate_json(made) == item


@example('"by":{"id":"acc_9"', OrderStatus.PLACED, '"by":{"id":"acc_9"')
@given(WORDS, st.sampled_from(OrderStatus), st.none() | WORDS)
def test_the_json_of_a_step_is_that_of_the_model_and_names_who_took_it(
    name: str, status: OrderStatus, reason: str | None
) -> None:
    identity = Identity(
        account_id="acc_2",
        session_id="ses_1",
        expires=0,
        name=name,
        role="employee",
        restaurant_id="rst_1",
    )
    entry = TimelineEntry(status=status, at=from_text(AT), by=actor(identity), reason=reason)
    made = entry_json(status, AT, identity, reason)
    assert TimelineEntry.model_validate_json(made) == entry
    named = {"timeline": f"[{made}]", "assigned_by": None, "customer_id": "acc_1"}
    assert store._staff(cast(OrderRow, named)) == {"acc_2"}
