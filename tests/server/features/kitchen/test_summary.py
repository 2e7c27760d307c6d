"""What a kitchen looks back on: its summary, and its history found by number, customer and dish."""

from pathlib import Path
from typing import Any

import pytest

from server.core import pages
from server.features.kitchen import service
from server.features.orders import store
from support.cast import Cast
from support.live_server import LiveServer
from support.town import database_in


async def _placed_at(cast: Cast, data_dir: Path, order: dict[str, Any], at: str) -> None:
    async with database_in(data_dir) as database:
        await database.write(
            lambda tx: tx.execute(
                "UPDATE orders SET placed_at = :at WHERE id = :id", {"at": at, "id": order["id"]}
            )
        )


async def test_a_summary_counts_the_orders_of_its_span(
    cast: Cast, live_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "PAGE", 1)  # every order is a page of its own
    path = f"/restaurants/{cast.place.id}/summary"
    folder = live_server.settings.data_dir
    ready, also = await cast.order_at("ready"), await cast.order()
    gone, later = await cast.order_at("cancelled"), await cast.order()
    for order, at in ((ready, "18:00"), (also, "18:00"), (gone, "19:30"), (later, "20:00")):
        await _placed_at(cast, folder, order, f"2026-03-01T{at}:00.000Z")
    span = "?from=2026-03-01T18:00&to=2026-03-01T20:00"
    found = (await cast.employee.get(path + span)).must(200).json
    assert found["from"] == "2026-03-01T18:00:00.000Z"
    assert (found["orders"], found["cancelled"]) == (2, 1)
    assert found["revenue_cents"] == ready["total_cents"] + also["total_cents"]
    assert (found["finished"], found["late"], found["busiest_hour"]) == (1, 0, 18)
    assert found["preparation_minutes"]["p50"] < 1
    assert [hour["orders"] for hour in found["hours"]][17:21] == [0, 2, 0, 0]
    assert [dish["count"] for dish in found["dishes"]] == [2]
    whole = (await cast.employee.get(f"{path}?from=2026-03-01")).must(200).json
    assert (whole["orders"], whole["to"]) == (3, "2026-03-02T00:00:00.000Z")
    for wrong in ("?from=noon", "?from=2026-03-02&to=2026-03-01", "?to=0001-01-01"):
        assert (await cast.employee.get(path + wrong)).status == 422
    monkeypatch.setattr(service, "MOST_ORDERS", 1)
    assert (await cast.employee.get(path + span)).status == 422


async def test_a_day_is_the_restaurants_own_and_money_is_in_its_currency(
    cast: Cast, live_server: LiveServer
) -> None:
    terms = {"time_zone": "America/New_York", "currency": "USD"}
    euros = await cast.order()
    (await cast.employee.patch(f"/restaurants/{cast.place.id}", terms)).must(200)
    dollars, next_day = await cast.order(), await cast.order()
    for order, at in ((euros, "01T17"), (dollars, "02T03"), (next_day, "02T05")):
        await _placed_at(cast, live_server.settings.data_dir, order, f"2026-03-{at}:00:00.000Z")
    path = f"/restaurants/{cast.place.id}/summary?from=2026-03-01"
    found = (await cast.employee.get(path)).must(200).json
    assert (found["from"], found["to"]) == ("2026-03-01T05:00:00.000Z", "2026-03-02T05:00:00.000Z")
    assert (found["time_zone"], found["currency"]) == ("America/New_York", "USD")
    assert [at["hour"] for at in found["hours"] if at["orders"]] == [12, 22]
    assert (found["orders"], found["revenue_cents"]) == (2, dollars["total_cents"])
    assert [dish["count"] for dish in found["dishes"]] == [2]
    assert found["dishes"][0]["revenue_cents"] == dollars["total_cents"]

    async def placed(query: str) -> list[object]:
        page = (await cast.employee.get(f"/orders?{query}")).must(200).json
        more = await placed(f"{query}&before={page['next']}") if page["next"] else []
        return [*(order["id"] for order in page["items"]), *more]

    day = "from=2026-03-01&to=2026-03-02&limit=1"
    assert await placed(day) == [dollars["id"], euros["id"]], "newest first, a page each"
    assert await placed("from=2026-03-01T22:00") == [next_day["id"], dollars["id"]]
    assert (await cast.employee.get("/orders?from=noon")).status == 422
    foreign = pages.after("z", "z")  # would begin after the span
    assert (await cast.employee.get(f"/orders?{day}&before={foreign}")).status == 422
    last = f"/restaurants/{cast.place.id}/summary?from=8999-12-31"
    assert (await cast.employee.get(last)).status == 422, "no time is a day later"
    assert (await cast.employee.get("/orders?from=2026-03-01&find=x")).status == 422
    assert (await cast.customer.get("/orders?from=2026-03-01")).status == 403


async def test_history_is_found_by_number_customer_and_dish_a_page_at_a_time(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "SEARCHED", 2)
    monkeypatch.setattr(store, "SEARCHED_AT_ONCE", 2)
    second = [{"menu_item_id": cast.place.dishes[1], "quantity": 1}]
    old = await cast.order(items=second)
    for _ in range(3):
        await cast.order()

    async def find(**query: str) -> list[list[object]]:
        found, more = [], ""
        while True:
            params = "&".join(f"{key}={value}" for key, value in query.items())
            page = (await cast.employee.get(f"/orders?{params}{more}")).must(200).json
            found.append([order["id"] for order in page["items"]])
            if page["next"] is None:
                return found
            more = f"&before={page['next']}"

    assert await find(find="D%C3%8FSH%202") == [[], [old["id"]]], "two orders looked at a page"
    assert await find(find=f"%23{old['number']}") == [[old["id"]]]
    assert await find(find="999999999") == [[]]
    name = str(old["customer"]["name"])  # type: ignore[index]
    assert sum(map(len, await find(find=name.upper(), limit="1"))) == 4
    assert (await cast.customer.get("/orders?find=x")).status == 403
