"""The `eta` of an order on its way, from where its driver is."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from server.features.drivers.eta import arrival
from server.features.drivers.schemas import DriverLocation, Route
from server.features.drivers.ways import Ways
from server.features.orders.service import OrderService
from server.features.shared.geo import DETOUR, metres
from support.cast import HOME, Cast, cast_of
from support.event_stream import event_stream
from support.live_server import LiveServer, running_server, settings_for
from support.waiting import wait_until

DOOR = (float(str(HOME["lat"])), float(str(HOME["lng"])))
START = (48.86, 2.36)
"""The restaurant's door."""
CORNER = (48.85, 2.36)


async def put(
    cast: Cast,
    lat: float,
    lng: float,
    ago: float = 0,
    driver: int = 0,
    before: datetime | None = None,
) -> None:
    """A position of `ago` seconds before then, or before now."""
    at = ((before or datetime.now(UTC)) - timedelta(seconds=ago)).isoformat()
    path = f"/drivers/{cast.place.drivers[driver]}/location"
    (await cast.employee.put(path, {"lat": lat, "lng": lng, "at": at})).must(204)


async def minutes_left(cast: Cast, order: dict[str, Any]) -> float:
    found = (await cast.customer.get(f"/orders/{order['id']}")).must(200).json
    left = datetime.fromisoformat(found["eta"]) - datetime.now(UTC)
    return left.total_seconds() / 60


async def becomes(cast: Cast, order: dict[str, Any], minutes: float) -> None:
    """Wait until so many minutes are left, give or take a tenth."""

    async def is_so() -> bool:
        return await minutes_left(cast, order) == pytest.approx(minutes, abs=0.1)

    await wait_until(is_so, 5, what=f"{minutes:.2f} minutes left")


def straight(lat: float, lng: float, pace: float = 5) -> float:
    return metres(lat, lng, *DOOR) * DETOUR / pace / 60


async def test_it_is_the_way_still_to_go_at_the_pace(cast: Cast) -> None:
    order = await cast.order_at("out_for_delivery")
    await put(cast, *START, ago=120)
    await becomes(cast, order, straight(*START) - 2)
    await put(cast, 48.852, 2.352)
    pace = (await cast.employee.get("/drivers")).json["items"][0]["location"]["pace_mps"]
    assert pace != 5
    await becomes(cast, order, straight(48.852, 2.352, pace))
    found = (await cast.customer.get(f"/orders/{order['id']}")).json
    assert (found["status"], found["version"]) == (order["status"], order["version"])


async def test_a_change_is_told_in_the_kitchen_and_a_small_one_is_not(cast: Cast) -> None:
    order = await cast.order_at("out_for_delivery")
    cursor = (await cast.employee.get("/orders")).json["cursor"]
    path = f"/restaurants/{cast.place.id}/orders/stream"
    async with event_stream(cast.employee, path, cursor) as events:
        now = datetime.now(UTC)  # at 5 m/s, however long each request takes
        await put(cast, *START, ago=20, before=now)
        event = await events.next()
        assert (event.type, event.data["id"]) == ("order.updated", order["id"])
        assert event.data["version"] == order["version"]
        for seconds in range(2, 20, 2):
            lat = START[0] - seconds * 5 / 111_195
            await put(cast, lat, START[1], ago=20 - seconds, before=now)
        await asyncio.sleep(0.3)  # nothing to wait for: what must not come
        await cast.step(order["id"], "delivered")
        assert (await events.next()).data["status"] == "delivered", "only news of 20 s or more"


async def test_each_order_a_driver_carries_has_its_own(cast: Cast) -> None:
    near = HOME | {"lat": 48.8595, "lng": 2.36}
    orders = [await cast.order(), await cast.order(address=near)]
    for order in orders:
        for status in ("accepted", "preparing", "ready", "out_for_delivery"):
            await cast.step(order["id"], status)
    ready = await cast.order_at("ready")
    before = await minutes_left(cast, ready)
    await put(cast, *START)
    await becomes(cast, orders[0], straight(*START))
    await becomes(cast, orders[1], metres(*START, 48.8595, 2.36) * DETOUR / 5 / 60)
    assert await minutes_left(cast, ready) == pytest.approx(before, abs=0.1)


async def test_an_old_fix_and_a_suspect_one_change_nothing(cast: Cast) -> None:
    order = await cast.order_at("out_for_delivery")
    planned = await minutes_left(cast, order)
    await put(cast, *START, ago=400)
    await asyncio.sleep(0.3)  # nothing to wait for: what must not come
    assert await minutes_left(cast, order) == pytest.approx(planned, abs=0.1)
    await put(cast, *START)
    await becomes(cast, order, straight(*START))
    await put(cast, 0.0, 0.0)
    assert (await cast.employee.get("/drivers")).json["items"][0]["location"]["suspect"]
    await asyncio.sleep(0.3)  # nothing to wait for: what must not come
    assert await minutes_left(cast, order) == pytest.approx(straight(*START), abs=0.1)


async def test_what_comes_too_late_for_an_order_changes_nothing(
    cast: Cast, live_server: LiveServer
) -> None:
    """Between reading what a driver carries and writing its eta anything may happen."""
    orders = live_server.services[OrderService]
    order = await cast.order_at("out_for_delivery")
    driver, other = cast.place.drivers
    soon = datetime.now(UTC) + timedelta(minutes=1)
    await orders.revise_eta(order["id"], other, soon)
    await orders.revise_eta("ord_none", driver, soon)
    assert await minutes_left(cast, order) > 3
    await orders.revise_eta(order["id"], driver, soon)
    assert await minutes_left(cast, order) == pytest.approx(1, abs=0.1)
    await cast.step(order["id"], "delivered")
    await orders.revise_eta(order["id"], driver, soon)
    assert "eta" not in (await cast.customer.get(f"/orders/{order['id']}")).json


async def test_it_belongs_to_who_brings_it_now(cast: Cast) -> None:
    order = await cast.order_at("out_for_delivery")
    await cast.step(order["id"], "out_for_delivery", driver_id=cast.place.drivers[1])
    planned = await minutes_left(cast, order)
    await put(cast, *START)
    await put(cast, *CORNER, driver=1)
    await becomes(cast, order, straight(*CORNER))
    assert planned != pytest.approx(straight(*CORNER), abs=0.3)


@pytest.fixture
async def mapped(tmp_path: Path, data_dir: Path) -> AsyncIterator[LiveServer]:
    """A town of one street, with one corner between the restaurant and the customer's door."""
    street = [[lng, lat] for lat, lng in (START, CORNER, DOOR)]
    feature = {
        "type": "Feature",
        "properties": {"kind": "street"},
        "geometry": {"type": "LineString", "coordinates": street},
    }
    path = tmp_path / "map.geojson"
    text = json.dumps({"type": "FeatureCollection", "features": [feature]})
    await asyncio.to_thread(path.write_text, text)
    async with running_server(settings_for(data_dir, map=path)) as server:
        yield server


async def test_where_there_is_a_map_the_way_is_along_its_streets(
    mapped: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    between = Ways.between

    async def counting(ways: Ways, *ends: tuple[float, float]) -> Route:
        asked.append(ends)
        return await between(ways, *ends)

    monkeypatch.setattr(Ways, "between", counting)
    async with cast_of(mapped) as cast:
        order = await cast.order_at("out_for_delivery")
        await put(cast, *START)
        way = metres(*START, *CORNER) + metres(*CORNER, *DOOR)
        await becomes(cast, order, way / 5 / 60)
        await put(cast, *CORNER, ago=0)  # too far in no time
        assert (await cast.employee.get("/drivers")).json["items"][0]["location"]["suspect"]
        await put(cast, 48.85001, 2.36)
        await becomes(cast, order, metres(*CORNER, *DOOR) / 5 / 60)
        assert len(asked) == 1, "on the way that was found it is only followed"
        await put(cast, 48.85501, 2.355, driver=0)
        await put(cast, 48.855, 2.355, driver=0)
        await wait_until(lambda: len(asked) == 2, 5, what="a new way from off the old one")


def at(**changes: Any) -> DriverLocation:
    values = {
        "driver_id": "drv_1",
        "lat": 0,
        "lng": 0,
        "heading": None,
        "speed_mps": None,
        "seq": 1,
        "at": datetime.now(UTC),
        "pace_mps": 5,
    }
    return DriverLocation(**(values | changes))


def test_who_stands_will_ride_on_and_nobody_comes_before_now() -> None:
    now = datetime.now(UTC)
    standing = arrival(at(pace_mps=0.0), 600)
    assert standing - now == pytest.approx(timedelta(minutes=10), abs=timedelta(seconds=2))
    assert arrival(at(at=now - timedelta(hours=1)), 600) >= now - timedelta(milliseconds=2)
    assert arrival(at(), 36e6) - now > timedelta(hours=1_999), "no figure is cut to a promise"
