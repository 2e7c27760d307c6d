"""What an order costs: quotes, fees, tips, what is refused; and what becomes of it, its rating."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from server.core.clock import now, to_text
from server.core.database import Database, Transaction
from server.features.orders.placing import delivery_cents
from server.features.restaurants.schemas import DeliveryFee
from server.geo.sphere import METRES_PER_DEGREE
from support.cast import HOME, Cast, cast_of
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Rest
from support.server_process import ON_POSTGRES
from support.waiting import PATIENCE

CENTS = st.integers(0, 10_000_000)


class Shop:
    """A cast whose requests a test without a loop can send."""

    def __init__(self, folder: Path) -> None:
        self.runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.cast = self.runner.run(self._open(folder))

    async def _open(self, folder: Path) -> Cast:
        limits = {"max_orders_per_day": 0, "rate_per_minute": 0}
        server = await self._stack.enter_async_context(
            running_server(settings_for(folder, **limits))
        )
        return await self._stack.enter_async_context(cast_of(server))

    def close(self) -> None:
        """End the server."""
        self.runner.run(self._stack.aclose())
        self.runner.close()


@pytest.fixture
def shop(data_dir: Path) -> Iterator[Shop]:
    opened = Shop(data_dir)
    yield opened
    opened.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    prices=st.tuples(CENTS, CENTS),
    quantities=st.tuples(st.integers(1, 99), st.integers(1, 99)),
    base=CENTS,
    per_km=st.integers(0, 100_000),
    metres=st.integers(0, 4_900),
    tip=st.none() | CENTS,
)
def test_quote_order_and_the_sum_of_the_parts_are_the_same(
    shop: Shop,
    prices: tuple[int, int],
    quantities: tuple[int, int],
    base: int,
    per_km: int,
    metres: int,
    tip: int | None,
) -> None:
    cast, place = shop.cast, shop.cast.place
    dishes = list(zip(place.dishes, quantities, strict=True))
    body: dict[str, Any] = {
        "restaurant_id": place.id,
        "items": [{"menu_item_id": dish, "quantity": number} for dish, number in dishes],
        "address": HOME | {"lat": 48.86 + metres / METRES_PER_DEGREE, "lng": 2.36},
    }
    if tip is not None:
        body["tip_cents"] = tip

    async def both() -> tuple[Any, Any]:
        path = f"/restaurants/{place.id}"
        for dish, price in zip(place.dishes, prices, strict=True):
            (await cast.employee.patch(f"{path}/menu/{dish}", {"price_cents": price})).must(200)
        fee = {"base_cents": base, "per_km_cents": per_km}
        (await cast.employee.patch(path, {"delivery_fee": fee})).must(200)
        quote = (await cast.customer.post("/orders/quote", body)).must(200).json
        agreed = body | {"expected_total_cents": quote["total_cents"]}
        return quote, (await cast.customer.post("/orders", agreed)).must(201).json

    quote, order = shop.runner.run(both())
    parts = [item["price_cents"] * item["quantity"] for item in order["items"]]
    parts += [fee["cents"] for fee in order["fees"]] + [order["tip_cents"]]
    assert quote["total_cents"] == order["total_cents"] == sum(parts)
    for part in ("items", "fees", "tip_cents", "currency"):
        assert quote[part] == order[part]
    assert order["tip_cents"] == (tip or 0)


@example(base=0, per_km=1, metres=499)
@example(base=0, per_km=1, metres=500)
@given(CENTS, st.integers(0, 100_000), st.integers(0, 20_015_000))
def test_a_fee_is_rounded_once_half_a_cent_up(base: int, per_km: int, metres: int) -> None:
    cents = delivery_cents(DeliveryFee(base_cents=base, per_km_cents=per_km), metres)
    exact = base * 1000 + per_km * metres
    assert -500 < cents * 1000 - exact <= 500


async def test_a_quote_changes_nothing_and_an_order_at_other_fees_is_refused(cast: Cast) -> None:
    path = f"/restaurants/{cast.place.id}"
    body = cast.place.basket() | {"tip_cents": 200, "expected_total_cents": 1}
    quote = (await cast.customer.post("/orders/quote", body)).must(200).json
    assert (quote["fees"], quote["total_cents"], quote["currency"]) == ([], 1101, "EUR")
    assert (await cast.customer.get("/orders")).json["items"] == []
    terms = {"delivery_fee": {"base_cents": 250}, "extra_minutes": 15, "currency": "CHF"}
    (await cast.employee.patch(path, terms)).must(200)
    body["expected_total_cents"] = 1101
    refused = (await cast.customer.post("/orders", body)).must(409).json
    assert refused["type"] == "urn:tiffin:problem:total-changed"
    assert refused["total_cents"] == 1351
    later = (await cast.customer.post("/orders/quote", body)).must(200).json
    assert later["eta_minutes"] == quote["eta_minutes"] + 15
    order = await cast.order(**(body | {"expected_total_cents": 1351}))
    assert order["fees"] == [{"kind": "delivery", "cents": 250}]
    assert (order["tip_cents"], order["currency"]) == (200, "CHF")
    promised = datetime.fromisoformat(str(order["promised_at"]))
    minutes = (promised - now()) / timedelta(minutes=1)
    assert later["eta_minutes"] - 1 < minutes <= later["eta_minutes"]

    dish = (await cast.customer.get(path)).must(200).json["menu"][0]
    seen = {"menu_item_id": dish["id"], "quantity": 1, "expected_version": dish["version"]}
    # What was agreed stays, whatever the restaurant changes.
    (await cast.employee.patch(path, {"currency": "EUR", "delivery_fee": {}})).must(200)
    stale = cast.place.basket() | {"items": [seen], "expected_total_cents": 901}
    refused = (await cast.customer.post("/orders", stale)).must(409).json
    assert refused["type"] == "urn:tiffin:problem:dish-changed", "the same number of other coins"
    accepted = await cast.step(order["id"], "accepted")
    for field in ("fees", "tip_cents", "total_cents", "currency", "promised_at"):
        assert accepted[field] == order[field]
    other = await cast.order()
    accepted = await cast.step(other["id"], "accepted", eta_minutes=120)
    assert accepted["promised_at"] == accepted["eta"] != other["promised_at"]
    on = await cast.step(other["id"], "preparing", eta_minutes=150)
    assert on["eta"] > accepted["eta"] == on["promised_at"]


async def test_what_the_restaurant_does_not_deliver_is_refused(cast: Cast) -> None:
    path, until = f"/restaurants/{cast.place.id}", to_text(now() + timedelta(hours=1))
    tomorrow = f"{now() + timedelta(days=1):%a}".lower()

    async def refused(kind: str, terms: dict[str, object]) -> Any:
        (await cast.employee.patch(path, terms)).must(200)
        found = None
        for route in ("/orders/quote", "/orders"):
            found = (await cast.customer.post(route, cast.place.basket())).must(422).json
            assert found["type"] == f"urn:tiffin:problem:{kind}"
        return found

    paused = await refused("closed", {"paused_until": until})
    assert paused["opens_at"] == until
    assert "takes no orders until" in paused["detail"]
    weeks = await refused("closed", {"paused_until": "2099-01-04T12:00:00Z"})
    assert "takes no orders. Choose another restaurant." in weeks["detail"], (
        "nobody knows until when"
    )
    week = now() + timedelta(days=7)
    paused = await refused("closed", {"paused_until": to_text(week)})
    assert f"until {week:%A} {week.day} {week:%b %H:%M}. Choose" in paused["detail"]
    hours = {tomorrow: [["12:00", "12:01"]]}
    closed = await refused("closed", {"paused_until": None, "opening_hours": hours})
    assert "Saffron is closed until" in closed["detail"]
    small = await refused("below-minimum", {"opening_hours": {}, "minimum_cents": 902})
    assert (small["minimum_cents"], small["items_cents"]) == (902, 901)
    await refused("out-of-reach", {"minimum_cents": 901, "delivery_radius_m": 100})
    (await cast.employee.patch(path, {"delivery_radius_m": 0})).must(200)
    await cast.order()


@pytest.mark.skipif(not ON_POSTGRES, reason="SQLite has one writer at a time")
async def test_no_order_comes_after_the_kitchen_was_told_of_a_pause(
    cast: Cast, live_server: LiveServer
) -> None:
    database, waiting = live_server.services[Database], []
    waits = "SELECT 1 FROM pg_locks, pg_sleep(0.01) WHERE NOT granted"
    pause = "UPDATE restaurants SET paused_until = '2999-01-01T00:00:00.000Z' WHERE id = :id"

    async def wait(tx: Transaction) -> None:
        await tx.execute(pause, {"id": cast.place.id})
        waiting.append(asyncio.create_task(cast.customer.post("/orders", cast.place.basket())))
        async with asyncio.timeout(PATIENCE):
            while not await tx.fetch(waits, {}):
                pass

    await database.write(wait)
    refused = (await waiting[0]).must(422).json
    assert refused["type"] == "urn:tiffin:problem:closed"


async def test_what_has_come_is_rated_by_its_customer(cast: Cast) -> None:
    order = await cast.order_at("out_for_delivery")
    path = f"/orders/{order['id']}/rating"

    async def rated(by: Rest, status: int, stars: object, **more: object) -> None:
        (await by.post(path, {"stars": stars} | more)).must(status)

    await rated(cast.customer, 409, 5)
    await cast.step(order["id"], "delivered")
    for stars in (0, 6, 4.5, True, None):
        await rated(cast.customer, 422, stars)
    await rated(cast.stranger, 404, 1)
    await rated(cast.employee, 403, 5)
    cursor = (await cast.customer.get("/orders")).must(200).json["cursor"]
    await rated(cast.customer, 204, 2, text="Cold,\nand late")
    seen = (await cast.employee.get(f"/orders/{order['id']}")).must(200).json
    assert seen["rating"] == {"stars": 2, "text": "Cold,\nand late"}
    changed = await cast.customer.get("/orders", params={"after": cursor, "timeout": "5"})
    assert changed.must(200).json["items"] == [seen], "other windows see it"
    await rated(cast.customer, 204, 4)
    await rated(cast.customer, 204, 4)
    seen = (await cast.customer.get(f"/orders/{order['id']}")).must(200).json
    assert (seen["rating"], seen["version"]) == ({"stars": 4}, 6)

    second = await cast.order_at("delivered")
    (await cast.customer.post(f"/orders/{second['id']}/rating", {"stars": 5})).must(204)
    place = (await cast.customer.get(f"/restaurants/{cast.place.id}")).must(200).json
    assert place["rating"] == {"average": 4.5, "count": 2}

    await rated(cast.customer, 204, 4, text="I live at 1 Quay Street")
    (await cast.customer.delete("/me", {"password": cast.customer.password})).must(204)
    seen = (await cast.employee.get(f"/orders/{order['id']}")).must(200).json
    assert seen["rating"] == {"stars": 4}, "what was said is gone with who said it"
