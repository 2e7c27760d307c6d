"""The panel against a live server: the ride on the map, its end, what breaks on the way."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from customer_window import NARROW, WIDE, Kitchen, customer_window, orders_of
from textual.pilot import Pilot

from support.live_server import LiveServer
from support.proxy import proxy_to
from support.rest import Rest
from support.screen import sees
from support.waiting import wait_until
from tui.common.client.meter import Pattern, State
from tui.common.map.geometry import Marker
from tui.common.map.widget import TownMap
from tui.customer.app import CustomerApp
from tui.customer.driver import DriverPanel

MEDIUM = (100, 30)


@dataclass
class Trip:
    """An order on its way, and the one who brings it."""

    kitchen: Kitchen
    order_id: str
    driver: dict[str, Any]
    restaurant: dict[str, Any]

    async def put(self, lat: float, lng: float, **more: object) -> None:
        """Where the driver is."""
        path = f"/drivers/{self.driver['id']}/location"
        (await self.kitchen.rest.put(path, {"lat": lat, "lng": lng} | more)).must(204)


async def ride_of(guest: Rest, kitchen: Kitchen, status: str = "out_for_delivery") -> Trip:
    """An order of `guest` that has come to that status."""
    order_id: str = (await guest.post("/orders", await kitchen.basket())).must(201).json["id"]
    way = ("accepted", "preparing", "ready", "out_for_delivery")
    for step in way[: way.index(status) + 1]:
        await kitchen.step(order_id, step)
    driver = (await kitchen.rest.get("/drivers")).must(200).json["items"][0]
    return Trip(kitchen, order_id, driver, await kitchen.restaurant())


def panel_of(app: CustomerApp) -> DriverPanel:
    """The panel under test."""
    panel = app.panels[1]
    assert isinstance(panel, DriverPanel)
    return panel


def map_of(app: CustomerApp) -> TownMap:
    """Its map."""
    return panel_of(app).query_one(TownMap)


def driver_on(app: CustomerApp) -> Marker | None:
    """The driver's marker."""
    return map_of(app).overlay.watched


@asynccontextmanager
async def driver_window(
    url: str, store: Path, size: tuple[int, int] = WIDE
) -> AsyncIterator[tuple[CustomerApp, Pilot[None]]]:
    """A window with this panel in front and the ground on its map."""
    async with customer_window(url, store, size) as (app, pilot):
        await pilot.press("2")
        await wait_until(lambda: map_of(app).basemap is not None, what="the map")
        yield app, pilot


@pytest.mark.parametrize("size", [WIDE, MEDIUM, NARROW])
async def test_the_ride_is_seen_from_the_counter_to_the_door(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path, size: tuple[int, int]
) -> None:
    trip = await ride_of(guest, kitchen, "ready")
    start = trip.restaurant
    async with driver_window(demo_server.url, tmp_path, size) as (app, _):
        await sees(app, "ready, waiting for the driver")
        assert driver_on(app) is None
        await trip.kitchen.step(trip.order_id, "out_for_delivery")
        a_minute_ago = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
        await trip.put(start["lat"], start["lng"], at=a_minute_ago)
        await wait_until(lambda: driver_on(app) is not None, what="the driver on the map")
        await sees(app, trip.driver["name"], " min · ", "SSE")
        await wait_until(lambda: map_of(app).overlay.route, what="the way ahead")
        left = panel_of(app).tracker.track.metres_left  # type: ignore[union-attr]
        assert left is not None
        midway = map_of(app).overlay.route[len(map_of(app).overlay.route) // 2]
        await trip.put(*midway, speed_mps=6)
        await wait_until(lambda: driver_on(app).at == midway, what="moved on")  # type: ignore[union-attr]
        await sees(app, "22 km/h")
        now_left = panel_of(app).tracker.track.metres_left  # type: ignore[union-attr]
        assert now_left is not None
        assert now_left < left
        assert len(map_of(app).overlay.trail) > 2, "the trail does not follow the streets"
        await trip.kitchen.step(trip.order_id, "delivered")
        await sees(app, "✓ delivered")
        # The order's stream and the driver's tell of it, each in its time.
        await wait_until(
            lambda: panel_of(app).tracker.ended == "delivered",  # type: ignore[union-attr]
            what="the ride has ended",
        )
        await wait_until(lambda: panel_of(app).meter.state is State.IDLE, what="nothing is held")
        await wait_until(lambda: not map_of(app).overlay.route, what="no way ahead")


async def test_past_fifteen_seconds_without_news_it_is_stale(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    trip = await ride_of(guest, kitchen)
    start = trip.restaurant
    earlier = (datetime.now(UTC) - timedelta(seconds=40)).isoformat()
    await trip.put(start["lat"], start["lng"], at=earlier)
    async with driver_window(demo_server.url, tmp_path) as (app, _):
        await sees(app, "last seen ")
        marker = driver_on(app)
        assert marker is not None
        assert marker.stale
        await trip.put(start["lat"] + 0.0002, start["lng"])
        await sees(app, "s ago")
        await wait_until(lambda: not driver_on(app).stale, what="fresh again")  # type: ignore[union-attr]


async def test_a_cut_stream_comes_back(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    trip = await ride_of(guest, kitchen)
    start = trip.restaurant
    await trip.put(start["lat"], start["lng"])
    async with driver_window(demo_server.url, tmp_path) as (app, pilot):
        await wait_until(lambda: driver_on(app) is not None, what="the driver")
        stream = panel_of(app).meter
        await pilot.press("x")
        await wait_until(lambda: stream.reconnects == 1, what="cut, and back again")
        await trip.put(start["lat"] + 0.001, start["lng"])
        await wait_until(
            lambda: driver_on(app).at.lat == start["lat"] + 0.001,  # type: ignore[union-attr]
            what="it goes on",
        )


async def test_where_no_stream_comes_through_the_wire_says_what_carries(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    trip = await ride_of(guest, kitchen)
    start = trip.restaurant
    await trip.put(start["lat"], start["lng"])
    async with proxy_to(demo_server.url) as proxy:
        proxy.buffering()
        async with driver_window(proxy.url, tmp_path) as (app, _):
            await wait_until(lambda: driver_on(app) is not None, what="the driver")
            await wait_until(
                lambda: panel_of(app).meter.pattern is Pattern.LONG_POLL, what="the poll carries"
            )
            await sees(app, "long poll")
            await trip.put(start["lat"] + 0.001, start["lng"])
            await wait_until(
                lambda: driver_on(app).at.lat == start["lat"] + 0.001,  # type: ignore[union-attr]
                what="moved on",
            )


async def test_another_driver_takes_over(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    trip = await ride_of(guest, kitchen)
    start = trip.restaurant
    other = (await kitchen.rest.get("/drivers")).must(200).json["items"][1]
    await trip.put(start["lat"], start["lng"])
    async with driver_window(demo_server.url, tmp_path) as (app, _):
        await sees(app, trip.driver["name"])
        change = {"status": "out_for_delivery", "driver_id": other["id"]}
        (await kitchen.rest.post(f"/orders/{trip.order_id}/status", change)).must(200)
        trip.driver = other
        await trip.put(start["lat"] + 0.001, start["lng"])
        await sees(app, f"{other['name']} · {other['vehicle']}")
        await wait_until(
            lambda: (found := driver_on(app)) is not None and found.label == other["name"],
            what="the other one on the map",
        )


async def test_the_order_in_view_is_the_one_watched(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    first = await ride_of(guest, kitchen)
    second = await ride_of(guest, kitchen)
    async with driver_window(demo_server.url, tmp_path) as (app, pilot):
        await wait_until(lambda: panel_of(app).order is not None, what="a delivery")
        assert panel_of(app).order.id == second.order_id  # type: ignore[union-attr]
        await pilot.press("1", "down")
        await wait_until(
            lambda: panel_of(app).order.id == first.order_id,  # type: ignore[union-attr]
            what="the one below",
        )


async def test_the_keys_move_the_map_and_nothing_is_cut_where_nothing_rides(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    async with driver_window(demo_server.url, tmp_path) as (app, pilot):
        await sees(app, "nothing on its way")
        await pilot.press("x")
        await sees(app, "No driver on the way")
        before = map_of(app).basemap_draws
        await pilot.press("plus", "left", "0")
        await wait_until(lambda: map_of(app).basemap_draws > before, what="moved")
        trip = await ride_of(guest, kitchen)
        await trip.put(trip.restaurant["lat"], trip.restaurant["lng"])
        orders_of(app).feed.reload()
        await wait_until(lambda: driver_on(app) is not None, what="the driver")
        await pilot.press("f")
        assert map_of(app).following
        for size in (NARROW, MEDIUM, (56, 16), WIDE):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert map_of(app).following
