"""Orders over REST: placing, reading, changing, and what is refused."""

import asyncio
import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from server.__main__ import main
from server.core.database import Transaction
from server.features.orders import store
from server.features.orders.schemas import OrderPage
from support.cast import HOME, Cast, cast_of
from support.live_server import LiveServer, running_server, settings_for, sqlite_only
from support.rest import Rest
from support.town import PASSWORD, database_in, open_restaurant
from support.waiting import PATIENCE, wait_until


async def test_an_order_is_placed_at_todays_prices(cast: Cast) -> None:
    dish, other = cast.place.dishes
    items = [
        {"menu_item_id": dish, "quantity": 2, "note": "no onions\r\nreally\tnone"},
        {"menu_item_id": other, "quantity": 1},
    ]
    body = cast.place.basket() | {"items": items, "note": "ring twice"}
    answer = (await cast.customer.post("/orders", body)).must(201)
    order = answer.json
    assert answer.headers["Location"] == f"/api/v1/orders/{order['id']}"
    assert order["total_cents"] == 2 * 901 + 902
    assert order["status"] == "placed"
    assert order["version"] == 1
    assert [item["name"] for item in order["items"]] == ["Dish 1", "Dish 2"]
    assert order["items"][0]["note"] == "no onions\nreally\tnone"
    assert "note" not in order["items"][1]
    assert order["customer"]["name"] == "Ana"
    assert "driver" not in order
    assert order["timeline"][0]["by"]["name"] == "Ana"

    price = {"price_cents": 5000}
    await cast.employee.patch(f"/restaurants/{cast.place.id}/menu/{dish}", price)
    again = (await cast.customer.get(f"/orders/{order['id']}")).must(200).json
    assert again == order


async def test_orders_of_an_account_are_limited_by_day(data_dir: Path) -> None:
    settings = settings_for(data_dir, max_orders_per_day=2)
    async with running_server(settings) as server, cast_of(server) as cast:
        key = {"Idempotency-Key": "one"}
        first = (await cast.customer.post("/orders", cast.place.basket(), headers=key)).json
        (await cast.customer.post(f"/orders/{first['id']}/cancel", {})).must(200)
        await cast.order()
        refused = (await cast.customer.post("/orders", cast.place.basket())).must(429)
        assert 86_000 < int(refused.headers["Retry-After"]) <= 86_400
        again = await cast.customer.post("/orders", cast.place.basket(), headers=key)
        assert again.must(201).json["id"] == first["id"]
        (await cast.stranger.post("/orders", cast.place.basket())).must(201)

        async def a_day_passes(tx: Transaction) -> None:
            await tx.execute("UPDATE orders SET placed_at = '2026-01-31T12:00:00.000Z'", {})

        async with database_in(data_dir) as database:
            await database.write(a_day_passes)
        await cast.order()


async def test_invalid_orders_are_refused(cast: Cast) -> None:
    dish, other = cast.place.dishes

    async def refused(status: int, **changes: Any) -> Any:
        return (await cast.customer.post("/orders", cast.place.basket() | changes)).must(status)

    await refused(422, restaurant_id="rst_nowhere")
    await refused(422, items=[])
    await refused(422, items=[{"menu_item_id": dish, "quantity": 0}])
    await refused(422, items=[{"menu_item_id": dish, "quantity": 100}])
    await refused(422, items=[{"menu_item_id": dish, "quantity": 1.5}])
    await refused(422, items=[{"menu_item_id": dish, "quantity": 1}] * 51)
    await refused(422, address=HOME | {"lat": 91})
    await refused(422, address=HOME | {"text": "  "})
    await refused(422, address=HOME | {"text": "a\u001b[2J"})
    await refused(422, note="x" * 501)
    wrong = await refused(422, items=[{"menu_item_id": cast.elsewhere.dishes[0], "quantity": 1}])
    assert wrong.json["errors"][0]["loc"] == ["items", 0, "menu_item_id"]

    sold_out = {"available": False}
    await cast.employee.patch(f"/restaurants/{cast.place.id}/menu/{other}", sold_out)
    gone = await refused(409, items=[{"menu_item_id": other, "quantity": 1}])
    assert "Dish 2 is sold out" in gone.json["detail"]
    await cast.employee.delete(f"/restaurants/{cast.place.id}/menu/{dish}")
    await refused(422)
    assert (await cast.customer.get("/orders")).json["items"] == []


async def test_an_order_is_refused_where_the_menu_has_changed(cast: Cast) -> None:
    dish = cast.place.dishes[0]
    path = f"/restaurants/{cast.place.id}"

    async def as_seen(quantity: int = 2) -> dict[str, Any]:
        (seen, _) = (await cast.customer.get(path)).must(200).json["menu"]
        item = {"menu_item_id": dish, "quantity": quantity, "expected_version": seen["version"]}
        total = quantity * seen["price_cents"]
        return cast.place.basket() | {"items": [item], "expected_total_cents": total}

    placed = 0
    for change, kind, total in (
        ({"price_cents": 1850}, "total-changed", 3700),
        ({"price_cents": 500}, "total-changed", 1000),
        ({"name": "Another dish"}, "dish-changed", 1000),
        ({"description": "With peanuts"}, "dish-changed", 1000),
    ):
        before = await as_seen()
        (await cast.employee.patch(f"{path}/menu/{dish}", change)).must(200)
        refused = (await cast.customer.post("/orders", before)).must(409).json
        assert refused["type"] == f"urn:tiffin:problem:{kind}"
        assert refused["total_cents"] == total
        assert refused["restaurant"] == (await cast.customer.get(path)).json
        order = (await cast.customer.post("/orders", await as_seen())).must(201).json
        assert order["total_cents"] == total
        placed += 1
    before = await as_seen()
    for change in ({"available": False}, {"available": True}, {"price_cents": 500}):
        (await cast.employee.patch(f"{path}/menu/{dish}", change)).must(200)
    (await cast.customer.post("/orders", before)).must(201)
    (await cast.customer.post("/orders", cast.place.basket())).must(201)  # who expects nothing
    assert len((await cast.customer.get("/orders")).json["items"]) == placed + 2


async def test_no_price_rises_while_an_order_is_written(cast: Cast) -> None:
    path = f"/restaurants/{cast.place.id}/menu/{cast.place.dishes[0]}"
    body = cast.place.basket() | {"expected_total_cents": 901}
    answers = await asyncio.gather(
        *(cast.customer.post("/orders", body) for _ in range(5)),
        cast.employee.patch(path, {"price_cents": 1000}),
        *(cast.customer.post("/orders", body) for _ in range(5)),
    )
    placed = [answer.json for answer in answers if answer.status == 201]
    assert {order["total_cents"] for order in placed} <= {901}
    assert (await cast.customer.post("/orders", body)).status == 409


async def test_a_lost_answer_is_repeated_after_the_price_has_risen(cast: Cast) -> None:
    key = {"Idempotency-Key": "lost"}
    body = cast.place.basket() | {"expected_total_cents": 901}
    first = (await cast.customer.post("/orders", body, headers=key)).must(201)
    path = f"/restaurants/{cast.place.id}/menu/{cast.place.dishes[0]}"
    (await cast.employee.patch(path, {"price_cents": 1000, "available": False})).must(200)
    assert (await cast.customer.post("/orders", body, headers=key)).must(201).body == first.body


async def test_an_order_is_refused_out_of_reach(
    cast: Cast, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = {"lat": 48.86 + 4_900 / 111_195, "lng": 2.36}
    far = {"lat": -48.86, "lng": -177.64}
    for place, words in (
        ({"lat": 48.86 + 5_100 / 111_195, "lng": 2.36}, "5.1 km"),
        (far, "20,015 km"),
        ({"lat": 0, "lng": 0}, "5,4"),
        ({"lat": 2.36, "lng": 48.86}, "6,"),
    ):
        body = cast.place.basket() | {"address": HOME | place}
        refused = (await cast.customer.post("/orders", body)).must(422).json
        assert refused["type"] == "urn:tiffin:problem:out-of-reach"
        assert refused["errors"][0]["loc"] == ["address"]
        assert "delivers within 5.0 km" in refused["detail"]
        assert words in refused["detail"]
    await cast.order(address=HOME | near)
    (one,) = (await cast.customer.get("/restaurants", params={"limit": "1"})).json["items"]
    assert one["delivery_radius_m"] == 5_000

    monkeypatch.setenv("TIFFIN_DATA_DIR", str(live_server.settings.data_dir))
    monkeypatch.setenv("TIFFIN_DATABASE_URL", live_server.settings.database_url)
    command = ["set-radius", "--restaurant", "saffron", "--metres"]
    assert await asyncio.to_thread(main, [*command, "-1"]) == 2
    assert await asyncio.to_thread(main, [*command, "0"]) == 0
    order = await cast.order(address=HOME | far)
    order = await cast.step(order["id"], "accepted")
    left = datetime.fromisoformat(str(order["eta"])) - datetime.now(UTC)
    assert left.total_seconds() / 3600 > 1_400, "what a bicycle can keep"


async def test_the_same_key_is_the_same_order(cast: Cast) -> None:
    key = {"Idempotency-Key": "basket-1"}
    body = cast.place.basket()
    answers = await asyncio.gather(
        *(cast.customer.post("/orders", body, headers=key) for _ in range(20))
    )
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert len((await cast.customer.get("/orders")).json["items"]) == 1

    other = cast.place.basket(quantity=2)
    refused = (await cast.customer.post("/orders", other, headers=key)).must(422)
    assert "was used for a different request" in refused.json["detail"]
    (await cast.stranger.post("/orders", body, headers=key)).must(201)
    (await cast.customer.post("/orders", body, headers={"Idempotency-Key": "2"})).must(201)
    (await cast.customer.post("/orders", body, headers={"Idempotency-Key": ""})).must(422)
    assert len((await cast.customer.get("/orders")).json["items"]) == 2


async def test_a_total_may_exceed_four_bytes(cast: Cast) -> None:
    dish = f"/restaurants/{cast.place.id}/menu/{cast.place.dishes[0]}"
    (await cast.employee.patch(dish, {"price_cents": 10_000_000})).must(200)
    line = {"menu_item_id": cast.place.dishes[0], "quantity": 99}
    body = cast.place.basket() | {"items": [line] * 3}
    order = (await cast.customer.post("/orders", body)).must(201).json
    assert order["total_cents"] == 10_000_000 * 99 * 3 > 2**31
    assert (await cast.customer.get(f"/orders/{order['id']}")).must(200).json == order


async def test_a_before_with_a_nul_is_refused_or_finds_nothing(cast: Cast) -> None:
    for position in (["1", "ord_\0"], ["\0", "ord_1"]):
        before = base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")
        for path in ("/orders", "/chats", "/announcements"):
            answer = await cast.customer.get(path, params={"before": before})
            assert answer.status == 422 or answer.json["items"] == []


async def test_pages_contain_every_order_once(cast: Cast) -> None:
    placed = [(await cast.order())["id"] for _ in range(7)]
    for caller in (cast.customer, cast.employee):
        found: list[str] = []
        before: dict[str, str] = {}
        while True:
            answer = (await caller.get("/orders", params={"limit": "3"} | before)).must(200)
            same = OrderPage.model_validate_json(answer.body).model_dump_json(by_alias=True)
            assert answer.body.decode() == same, "it is joined from what is stored"
            page = answer.json
            found += [order["id"] for order in page["items"]]
            assert page["cursor"]
            if page["next"] is None:
                break
            before = {"before": page["next"]}
        assert sorted(found) == sorted(placed)
    assert (await cast.stranger.get("/orders")).json["items"] == []
    assert (await cast.outsider.get("/orders")).json["items"] == []
    (await cast.customer.get("/orders", params={"before": "garbage"})).must(422)
    (await cast.customer.get("/orders", params={"limit": "0"})).must(422)


async def test_open_orders_are_listed_without_those_that_are_over(cast: Cast) -> None:
    first = (await cast.order())["id"]
    for _ in range(3):
        over = (await cast.order())["id"]
        (await cast.customer.post(f"/orders/{over}/cancel", {})).must(200)
    last = (await cast.order())["id"]
    for caller in (cast.customer, cast.employee):
        page = (await caller.get("/orders", params={"open": "true", "limit": "1"})).must(200).json
        assert [order["id"] for order in page["items"]] == [last]
        before = {"open": "true", "before": page["next"]}
        page = (await caller.get("/orders", params=before)).must(200).json
        assert [order["id"] for order in page["items"]] == [first]
        assert page["next"] is None
        assert len((await caller.get("/orders")).must(200).json["items"]) == 5


@sqlite_only
async def test_open_orders_are_found_by_an_index(data_dir: Path) -> None:
    async with database_in(data_dir) as database:
        given = {"owner": "x", "ended": 0, "least": 0, "before": 1, "id": "x", "limit": 1}
        for owner in ("customer", "restaurant"):
            (sql,) = getattr(store._queries, f"orders_of_{owner}").args
            rows = await database.read(
                lambda tx, sql=sql: tx.fetch(f"EXPLAIN QUERY PLAN {sql}", given)
            )
            steps = [row["detail"] for row in rows]
            assert any(f"orders_of_{owner}" in step for step in steps), steps
            assert not [step for step in steps if "TEMP B-TREE" in step], steps
        (sql,) = store._queries.deliveries.args  # type: ignore[attr-defined]
        plan = await database.read(
            lambda tx: tx.fetch(f"EXPLAIN QUERY PLAN {sql}", {"driver_id": "x"})
        )
        assert "orders_on_the_way" in plan[0]["detail"]


async def test_an_old_version_is_refused_and_shown_the_order(cast: Cast) -> None:
    order = await cast.order()
    await cast.step(order["id"], "accepted", expected_version=1)
    answer = await cast.employee.post(
        f"/orders/{order['id']}/status", {"status": "preparing", "expected_version": 1}
    )
    assert answer.must(409).json["order"]["version"] == 2
    assert "version 2" in answer.json["detail"]


async def test_ten_employees_accept_at_once(cast: Cast, live_server: LiveServer) -> None:
    busy = await open_restaurant(
        live_server.settings.data_dir, live_server.url, "Busy", employees=10
    )
    order = (await cast.customer.post("/orders", busy.basket())).must(201).json
    hands: list[Rest] = [
        await cast.nobody.another().log_in(email, PASSWORD) for email in busy.employees
    ]
    body = {"status": "accepted", "expected_version": 1}
    answers = await asyncio.gather(
        *(hand.post(f"/orders/{order['id']}/status", body) for hand in hands)
    )
    assert sorted(answer.status for answer in answers) == [200] + [409] * 9
    assert {a.json["order"]["status"] for a in answers if a.status == 409} == {"accepted"}


async def test_a_driver_is_needed_and_may_change(cast: Cast) -> None:
    order = await cast.order_at("ready")
    path = f"/orders/{order['id']}/status"
    answer = await cast.employee.post(path, {"status": "out_for_delivery"})
    assert answer.must(422).json["errors"][0]["loc"] == ["driver_id"]
    other = {"status": "out_for_delivery", "driver_id": cast.elsewhere.drivers[0]}
    (await cast.employee.post(path, other)).must(422)

    first, second = cast.place.drivers
    order = await cast.step(order["id"], "ready", driver_id=first)
    assert order["driver"]["id"] == first  # type: ignore[index]
    assert order["version"] == 5
    same = await cast.step(order["id"], "ready", driver_id=first)
    assert same["version"] == 5
    order = await cast.step(order["id"], "out_for_delivery", driver_id=second)
    assert order["driver"]["assigned_by"]["name"]  # type: ignore[index]
    roster = (await cast.employee.get("/drivers")).must(200).json["items"]
    carrying = {driver["id"]: [one["id"] for one in driver["carrying"]] for driver in roster}
    assert carrying == {first: [], second: [order["id"]]}
    await cast.step(order["id"], "delivered")
    roster = (await cast.employee.get("/drivers")).must(200).json["items"]
    assert not any(driver["carrying"] for driver in roster)


async def test_minutes_alone_change_neither_version_nor_status(cast: Cast) -> None:
    order = await cast.order()
    order = await cast.step(order["id"], "accepted", eta_minutes=30)
    eta = datetime.fromisoformat(str(order["eta"]))
    at = datetime.fromisoformat(order["timeline"][-1]["at"])  # type: ignore[index]
    assert abs((eta - at).total_seconds() - 1800) < 2
    later = await cast.step(order["id"], "accepted", eta_minutes=50)
    assert later["version"] == order["version"]
    assert datetime.fromisoformat(str(later["eta"])) > eta
    (await cast.employee.post(f"/orders/{order['id']}/status", {"status": "accepted"})).must(409)
    done = await cast.step(order["id"], "cancelled")
    assert "eta" not in done


async def test_the_restaurant_says_why_it_cancels(cast: Cast) -> None:
    order = await cast.order()
    path = f"/orders/{order['id']}/status"
    (await cast.employee.post(path, {"status": "cancelled"})).must(422)
    (await cast.employee.post(path, {"status": "cancelled", "reason": " "})).must(422)
    done = (await cast.employee.post(path, {"status": "cancelled", "reason": "No gas"})).must(200)
    assert done.json["timeline"][-1]["reason"] == "No gas"
    seen = (await cast.customer.get(f"/orders/{order['id']}")).must(200).json
    assert seen["timeline"][-1]["reason"] == "No gas"


async def test_a_deleted_account_leaves_no_trace_but_the_accounts(
    cast: Cast, live_server: LiveServer
) -> None:
    body = cast.place.basket() | {"note": "the blue door"}
    answer = await cast.customer.post("/orders", body, headers={"Idempotency-Key": "kept"})
    order = answer.must(201).json
    (await cast.customer.delete_account()).must(409)
    (await cast.customer.post(f"/orders/{order['id']}/cancel", {"reason": "moving away"})).must(200)
    cursor = (await cast.employee.get("/orders")).json["cursor"]
    (await cast.customer.delete_account()).must(204)
    seen = (await cast.employee.get(f"/orders/{order['id']}")).must(200)
    assert seen.json["customer"]["name"] == "Deleted account"
    assert seen.json["total_cents"] == order["total_cents"]
    for trace in (b"Ana", b"blue door", b"Quay", b"moving away"):
        assert trace not in seen.body
    events = await events_of(cast.employee, cast.place.id, cursor_at_the_beginning(cursor))
    assert events.count(b"data:") == 2
    async with database_in(live_server.settings.data_dir) as database:
        sql = "SELECT COUNT(*) AS kept FROM idempotency"
        assert (await database.read(lambda tx: tx.fetch(sql, {})))[0]["kept"] == 0
    for trace in (b"Ana", b"blue door", b"Quay", b"moving away"):
        assert trace not in events


async def test_a_deleted_employee_leaves_no_trace_in_orders_they_touched(
    cast: Cast, live_server: LiveServer
) -> None:
    """Nor in one where somebody else has assigned another driver since."""
    other = await cast.employee.another().log_in(cast.place.employees[1], PASSWORD)
    order = await cast.order_at("accepted")
    assigned = await cast.order()
    for who, driver in zip((cast.employee, other), cast.place.drivers, strict=True):
        change = {"status": "placed", "driver_id": driver}
        (await who.post(f"/orders/{assigned['id']}/status", change)).must(200)
    (await cast.employee.delete_account()).must(204)
    for one, name in ((order, "Deleted account"), (assigned, "saffron2")):
        seen = (await other.get(f"/orders/{one['id']}")).must(200)
        assert name.encode() in seen.body
        assert b"saffron1" not in seen.body
    async with database_in(live_server.settings.data_dir) as database:
        sql = "SELECT data FROM events WHERE subject = :id"
        for one in (order, assigned):
            events = await database.read(lambda tx, one=one: tx.fetch(sql, {"id": one["id"]}))
            assert len(events) > 1
            assert not [event for event in events if "saffron1" in event["data"]]


async def test_another_process_forgets_a_deleted_account_too(
    cast: Cast, live_server: LiveServer
) -> None:
    order = await cast.order(note="the blue door")
    (await cast.customer.post(f"/orders/{order['id']}/cancel", {})).must(200)
    page = (await cast.employee.get("/orders")).json
    beginning = cursor_at_the_beginning(page["cursor"])
    settings = settings_for(live_server.settings.data_dir)
    async with running_server(settings) as second, Rest(second.url) as there:
        there.token = cast.employee.token
        assert b"blue door" in await events_of(there, cast.place.id, beginning)
        (await cast.customer.delete_account()).must(204)

        async def forgotten() -> bool:
            events = await events_of(there, cast.place.id, beginning)
            return not any(trace in events for trace in (b"Ana", b"blue door", b"Quay"))

        await wait_until(forgotten, every=0.1)


async def events_of(rest: Rest, place: str, after: str) -> bytes:
    """The first two events of a restaurant's stream."""
    stream = rest.url(f"/restaurants/{place}/orders/stream")
    async with rest.http.get(stream, params={"after": after}, headers=rest.headers) as answer:
        events = b""
        while events.count(b"data:") < 2 or not events.endswith(b"\n\n"):
            events += await asyncio.wait_for(answer.content.readany(), PATIENCE)
    return events


def cursor_at_the_beginning(cursor: str) -> str:
    """The same topic's cursor before its first event."""
    from server.realtime.event import Cursor

    found = Cursor.parse(cursor)
    assert found is not None
    return str(Cursor(found.epoch, found.topic, 0))
