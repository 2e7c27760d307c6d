"""The `eta` of an order on its way, from where its driver is."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from server.features.drivers.eta import arrival
from server.features.drivers.schemas import DriverLocation
from server.features.orders.service import OrderService
from server.geo.route_finder import RouteFinder
from server.geo.sphere import DETOUR_FACTOR, LatLng, distance
from server.geo.street_network import Path as StreetPath
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
) -> datetime:
    """Report a position of `ago` seconds before then, or before now; returns when that was."""
    at = (before or datetime.now(UTC)) - timedelta(seconds=ago)
    path = f"/drivers/{cast.place.drivers[driver]}/location"
    (await cast.employee.put(path, {"lat": lat, "lng": lng, "at": at.isoformat()})).must(204)
    return at


async def eta(cast: Cast, order: dict[str, Any]) -> float:
    """When it is due, as a timestamp in seconds."""
    found = (await cast.customer.get(f"/orders/{order['id']}")).must(200).json
    return datetime.fromisoformat(found["eta"]).timestamp()


async def becomes(cast: Cast, order: dict[str, Any], minutes: float, at: datetime) -> None:
    """Wait until it is due so many minutes after the driver was seen, give or take a tenth."""
    due = at.timestamp() + 60 * minutes

    async def is_so() -> bool:
        return await eta(cast, order) == pytest.approx(due, abs=6)

    await wait_until(is_so, what=f"{minutes:.2f} minutes after {at}")


def straight(lat: float, lng: float, speed: float = 5) -> float:
    """Minutes to the door without a map."""
    return distance((lat, lng), DOOR) * DETOUR_FACTOR / speed / 60


async def test_the_eta_is_the_remaining_distance_at_the_recent_speed(cast: Cast) -> None:
    order = await cast.order_at("out_for_delivery")
    seen = await put(cast, *START, ago=120)
    await becomes(cast, order, straight(*START), seen)
    seen = await put(cast, 48.852, 2.352)
    pace = (await cast.employee.get("/drivers")).json["items"][0]["location"]["pace_mps"]
    assert pace != 5
    await becomes(cast, order, straight(48.852, 2.352, pace), seen)
    found = (await cast.customer.get(f"/orders/{order['id']}")).json
    assert (found["status"], found["version"]) == (order["status"], order["version"])


async def test_only_a_change_of_20_seconds_or_more_is_an_event(cast: Cast) -> None:
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
        assert (await events.next()).data["status"] == "delivered", "no event for less than 20 s"


async def test_each_order_of_a_driver_has_its_own_eta(cast: Cast) -> None:
    near = HOME | {"lat": 48.8595, "lng": 2.36}
    orders = [await cast.order(), await cast.order(address=near)]
    for order in orders:
        for status in ("accepted", "preparing", "ready", "out_for_delivery"):
            await cast.step(order["id"], status)
    ready = await cast.order_at("ready")
    planned = await eta(cast, ready)
    seen = await put(cast, *START)
    await becomes(cast, orders[0], straight(*START), seen)
    minutes = distance(START, (48.8595, 2.36)) * DETOUR_FACTOR / 5 / 60
    await becomes(cast, orders[1], minutes, seen)
    assert await eta(cast, ready) == planned


async def test_an_old_or_suspect_location_changes_nothing(cast: Cast) -> None:
    order = await cast.order_at("out_for_delivery")
    planned = await eta(cast, order)
    await put(cast, *START, ago=400)
    await asyncio.sleep(0.3)  # nothing to wait for: what must not come
    assert await eta(cast, order) == planned
    seen = await put(cast, *START)
    await becomes(cast, order, straight(*START), seen)
    planned = await eta(cast, order)
    await put(cast, 0.0, 0.0)
    assert (await cast.employee.get("/drivers")).json["items"][0]["location"]["suspect"]
    await asyncio.sleep(0.3)  # nothing to wait for: what must not come
    assert await eta(cast, order) == planned


async def test_an_eta_that_comes_too_late_changes_nothing(
    cast: Cast, live_server: LiveServer
) -> None:
    """An order may change between reading it and writing its eta."""
    orders = live_server.services[OrderService]
    order = await cast.order_at("out_for_delivery")
    driver, other = cast.place.drivers
    soon = datetime.now(UTC) + timedelta(minutes=1)
    await orders.revise_eta(order["id"], other, soon)
    await orders.revise_eta("ord_none", driver, soon)
    assert await eta(cast, order) > soon.timestamp() + 120
    await orders.revise_eta(order["id"], driver, soon)
    assert await eta(cast, order) == pytest.approx(soon.timestamp(), abs=1)
    await cast.step(order["id"], "delivered")
    await orders.revise_eta(order["id"], driver, soon)
    assert "eta" not in (await cast.customer.get(f"/orders/{order['id']}")).json


async def test_the_eta_follows_the_driver_who_has_the_order_now(cast: Cast) -> None:
    order = await cast.order_at("out_for_delivery")
    await cast.step(order["id"], "out_for_delivery", driver_id=cast.place.drivers[1])
    planned = await eta(cast, order)
    await put(cast, *START)
    seen = await put(cast, *CORNER, driver=1)
    await becomes(cast, order, straight(*CORNER), seen)
    assert planned != pytest.approx(await eta(cast, order), abs=20)


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


async def test_with_a_map_the_remaining_distance_is_along_its_streets(
    mapped: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = []
    find = RouteFinder.find

    async def counting(finder: RouteFinder, start: LatLng, end: LatLng) -> StreetPath:
        searches.append((start, end))
        return await find(finder, start, end)

    monkeypatch.setattr(RouteFinder, "find", counting)
    async with cast_of(mapped) as cast:
        order = await cast.order_at("out_for_delivery")
        seen = await put(cast, *START)
        metres = distance(START, CORNER) + distance(CORNER, DOOR)
        await becomes(cast, order, metres / 5 / 60, seen)
        # Too far away in too little time; the next one is near that.
        await put(cast, *CORNER, ago=-0.01, before=seen)
        assert (await cast.employee.get("/drivers")).json["items"][0]["location"]["suspect"]
        seen = await put(cast, 48.85001, 2.36, ago=-0.02, before=seen)
        await becomes(cast, order, distance(CORNER, DOOR) / 5 / 60, seen)
        assert len(searches) == 1, "a driver on the path needs no other"
        await put(cast, 48.85501, 2.355, driver=0)
        await put(cast, 48.855, 2.355, driver=0)
        await wait_until(lambda: len(searches) == 2, what="a second search")


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


def test_a_driver_who_stands_will_go_on_and_no_arrival_is_in_the_past() -> None:
    now = datetime.now(UTC)
    standing = arrival(at(pace_mps=0.0), 600)
    assert standing - now == pytest.approx(timedelta(minutes=10), abs=timedelta(seconds=2))
    assert arrival(at(at=now - timedelta(hours=1)), 600) >= now - timedelta(milliseconds=2)
    assert arrival(at(), 36e6) - now > timedelta(hours=1_999), "a long one is not cut off"
