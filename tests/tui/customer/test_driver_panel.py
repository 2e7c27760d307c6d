"""The panel against a live server: the trip on the map, its end, and outages."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from customer_window import MEDIUM, NARROW, WIDE, Kitchen, customer_window, orders_of
from textual.pilot import Pilot

from support.live_server import LiveServer
from support.proxy import proxy_to
from support.rest import Rest
from support.screen import sees
from support.waiting import wait_until
from tui.common.client.meter import Pattern, State
from tui.common.map.geometry import Marker
from tui.common.map.widget import TownMap
from tui.common.panel import Panel
from tui.customer.app import CustomerApp
from tui.customer.chat.panel import ChatPanel
from tui.customer.driver import DriverPanel
from tui.customer.orders.format import empty_message
from tui.customer.orders.panel import OrdersPanel


@dataclass
class Delivery:
    """An order and its driver."""

    kitchen: Kitchen
    order_id: str
    driver: dict[str, Any]
    restaurant: dict[str, Any]

    async def put(self, lat: float, lng: float, **more: object) -> None:
        """Where the driver is."""
        path = f"/drivers/{self.driver['id']}/location"
        (await self.kitchen.rest.put(path, {"lat": lat, "lng": lng} | more)).must(204)


async def delivery_of(guest: Rest, kitchen: Kitchen, status: str = "out_for_delivery") -> Delivery:
    """An order of `guest` that has come to that status."""
    order_id: str = (await guest.post("/orders", await kitchen.basket())).must(201).json["id"]
    way = ("accepted", "preparing", "ready", "out_for_delivery")
    for step in way[: way.index(status) + 1]:
        await kitchen.step(order_id, step)
    driver = (await kitchen.rest.get("/drivers")).must(200).json["items"][0]
    return Delivery(kitchen, order_id, driver, await kitchen.restaurant())


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
    url: str,
    store: Path,
    size: tuple[int, int] = WIDE,
    panels: Sequence[type[Panel]] = (OrdersPanel, DriverPanel),
) -> AsyncIterator[tuple[CustomerApp, Pilot[None]]]:
    """A window with this panel in front and the ground on its map."""
    async with customer_window(url, store, size, panels=panels) as (app, pilot):
        await pilot.press("2")
        await wait_until(lambda: map_of(app).basemap is not None, what="the map")
        yield app, pilot


@pytest.mark.parametrize("size", [WIDE, MEDIUM, NARROW])
async def test_the_trip_is_shown_from_the_restaurant_to_the_door(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path, size: tuple[int, int]
) -> None:
    delivery = await delivery_of(guest, kitchen, "ready")
    start = delivery.restaurant
    async with driver_window(demo_server.url, tmp_path, size) as (app, _):
        await sees(app, "ready, waiting for the driver")
        assert driver_on(app) is None
        assert [one.label for one in map_of(app).overlay.markers] == [
            start["name"],
            "1 Quay Street",
        ]
        await delivery.kitchen.step(delivery.order_id, "out_for_delivery")
        a_minute_ago = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
        await delivery.put(start["lat"], start["lng"], at=a_minute_ago)
        await wait_until(lambda: driver_on(app) is not None, what="the driver on the map")
        await sees(app, delivery.driver["name"], " min · ", "SSE")
        await wait_until(lambda: map_of(app).overlay.route, what="the way ahead")
        left = panel_of(app).tracker.track.metres_left  # type: ignore[union-attr]
        assert left is not None
        midway = map_of(app).overlay.route[len(map_of(app).overlay.route) // 2]
        await delivery.put(*midway, speed_mps=6)
        await wait_until(lambda: driver_on(app).at == midway, what="moved on")  # type: ignore[union-attr]
        await sees(app, "22 km/h")
        now_left = panel_of(app).tracker.track.metres_left  # type: ignore[union-attr]
        assert now_left is not None
        assert now_left < left
        assert len(map_of(app).overlay.trail) > 2, "the trail does not follow the streets"
        await delivery.kitchen.step(delivery.order_id, "delivered")
        await sees(app, "✓ delivered")
        # The order's stream and the driver's tell of it, each in its time.
        await wait_until(
            lambda: panel_of(app).tracker.ended == "delivered",  # type: ignore[union-attr]
            what="the trip has ended",
        )
        await wait_until(lambda: panel_of(app).meter.state is State.IDLE, what="nothing is held")
        await wait_until(lambda: not map_of(app).overlay.route, what="no way ahead")


async def test_a_location_is_stale_once_the_next_is_overdue(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    delivery = await delivery_of(guest, kitchen)
    start = delivery.restaurant
    earlier = (datetime.now(UTC) - timedelta(seconds=100)).isoformat()
    await delivery.put(start["lat"], start["lng"], at=earlier)
    async with driver_window(demo_server.url, tmp_path) as (app, _):
        await sees(app, "last seen ")
        marker = driver_on(app)
        assert marker is not None
        assert marker.stale
        await delivery.put(start["lat"] + 0.0002, start["lng"])
        await sees(app, "s ago")
        await wait_until(lambda: not driver_on(app).stale, what="fresh again")  # type: ignore[union-attr]


async def test_a_cut_stream_reconnects(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    delivery = await delivery_of(guest, kitchen)
    start = delivery.restaurant
    await delivery.put(start["lat"], start["lng"])
    async with driver_window(demo_server.url, tmp_path) as (app, pilot):
        await wait_until(lambda: driver_on(app) is not None, what="the driver")
        stream = panel_of(app).meter
        await pilot.press("X")
        await wait_until(lambda: stream.state is State.RETRY, what="cut")
        await pilot.press("X")
        await wait_until(lambda: stream.reconnects == 1, what="back again")
        await delivery.put(start["lat"] + 0.001, start["lng"])
        await wait_until(
            lambda: driver_on(app).at.lat == start["lat"] + 0.001,  # type: ignore[union-attr]
            what="it goes on",
        )


async def test_the_wire_line_names_the_fallback_transport(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    delivery = await delivery_of(guest, kitchen)
    start = delivery.restaurant
    await delivery.put(start["lat"], start["lng"])
    async with proxy_to(demo_server.url) as proxy:
        proxy.buffering()
        async with driver_window(proxy.url, tmp_path) as (app, _):
            await wait_until(lambda: driver_on(app) is not None, what="the driver")
            await wait_until(
                lambda: panel_of(app).meter.pattern is Pattern.LONG_POLL, what="the poll carries"
            )
            await sees(app, "long poll")
            await delivery.put(start["lat"] + 0.001, start["lng"])
            await wait_until(
                lambda: driver_on(app).at.lat == start["lat"] + 0.001,  # type: ignore[union-attr]
                what="moved on",
            )


async def test_a_replaced_driver_is_shown(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    delivery = await delivery_of(guest, kitchen)
    start = delivery.restaurant
    other = (await kitchen.rest.get("/drivers")).must(200).json["items"][1]
    await delivery.put(start["lat"], start["lng"])
    async with driver_window(demo_server.url, tmp_path) as (app, _):
        await sees(app, delivery.driver["name"])
        change = {"status": "out_for_delivery", "driver_id": other["id"]}
        (await kitchen.rest.post(f"/orders/{delivery.order_id}/status", change)).must(200)
        delivery.driver = other
        await delivery.put(start["lat"] + 0.001, start["lng"])
        await sees(app, f"{other['name']} · {other['vehicle']}")
        await wait_until(
            lambda: (found := driver_on(app)) is not None and found.label == other["name"],
            what="the other one on the map",
        )


async def test_the_driver_of_the_selected_order_is_shown(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    first = await delivery_of(guest, kitchen)
    second = await delivery_of(guest, kitchen)
    async with driver_window(demo_server.url, tmp_path) as (app, pilot):
        await wait_until(lambda: panel_of(app).order is not None, what="a delivery")
        assert panel_of(app).order.id == second.order_id  # type: ignore[union-attr]
        await pilot.press("1", "down")
        await wait_until(
            lambda: panel_of(app).order.id == first.order_id,  # type: ignore[union-attr]
            what="the one below",
        )


async def test_keys_move_the_map_and_there_is_nothing_to_cut_without_a_driver(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    async with driver_window(demo_server.url, tmp_path) as (app, pilot):
        await sees(app, "no order on its way")
        await pilot.press("x")
        await sees(app, "No driver on the way")
        before = map_of(app).basemap_draws
        await pilot.press("plus", "left", "0")
        await wait_until(lambda: map_of(app).basemap_draws > before, what="moved")
        delivery = await delivery_of(guest, kitchen)
        await delivery.put(delivery.restaurant["lat"], delivery.restaurant["lng"])
        orders_of(app).feed.reload()
        await wait_until(lambda: driver_on(app) is not None, what="the driver")
        await pilot.press("f")
        assert map_of(app).following
        for size in (NARROW, MEDIUM, (56, 16), WIDE):
            await pilot.resize_terminal(*size)
            await pilot.pause()
        assert map_of(app).following


async def test_an_error_of_our_own_is_shown_where_the_news_would_be(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    delivery = await delivery_of(guest, kitchen)
    await delivery.put(delivery.restaurant["lat"], delivery.restaurant["lng"])

    def broken(*_: object, **__: object) -> Any:
        raise RuntimeError("broken")

    async with driver_window(demo_server.url, tmp_path, panels=()) as (app, _):
        await wait_until(lambda: driver_on(app) is not None, what="the driver")
        tracker = panel_of(app).tracker
        assert tracker is not None
        tracker.track.add = broken  # type: ignore[method-assign]
        await delivery.put(delivery.restaurant["lat"] + 0.001, delivery.restaurant["lng"])
        await wait_until(lambda: "Stopped by an error" in map_of(app).overlay.hud, what="the map")
        store, feed = orders_of(app).store, orders_of(app).feed
        store.loaded = False
        feed._read = broken  # type: ignore[method-assign]
        feed.reload()
        await wait_until(
            lambda: "broken" in empty_message(store, feed.error).plain, what="the orders"
        )
        chats = app.find_panel(ChatPanel)
        assert chats is not None
        chats.loaded = False
        app.api.chats = broken  # type: ignore[method-assign]
        chats.start()
        await wait_until(lambda: "broken" in str(chats.chat_view.empty_text), what="the chats")
