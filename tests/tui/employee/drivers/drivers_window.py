"""The employee's window with the drivers panel in front, at a server with a map of two streets."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kitchen_orders import Town
from kitchen_window import KitchenWindow, kitchen_window

from server.features.drivers.schemas import Point
from server.features.orders.schemas import Order, OrderStatus
from support.live_server import LiveServer, running_server, settings_for
from support.waiting import wait_until
from tui.employee.drivers.controller import DriversController
from tui.employee.drivers.model import DriverState
from tui.employee.drivers.panel import DriversPanel
from tui.employee.kitchen.panel import KitchenPanel

BASE = Point(lat=47.07307, lng=15.4521)
"""Where the demo's employee works."""
INTERVAL = 0.2
METRE = 1 / 111_195
"""Degrees of latitude."""
CORNER = Point(lat=BASE.lat + 200 * METRE, lng=BASE.lng)
FAR_END = Point(lat=CORNER.lat, lng=BASE.lng + 0.004)


def north(metres: float) -> Point:
    """So far up the street."""
    return Point(lat=BASE.lat + metres * METRE, lng=BASE.lng)


@asynccontextmanager
async def town_with_streets(data_dir: Path, **changes: Any) -> AsyncIterator[LiveServer]:
    """The demo's town on a map of its own: a street north from the restaurant, then one east."""
    lines = [[[one.lng, one.lat] for one in line] for line in ((BASE, CORNER), (CORNER, FAR_END))]
    features = [
        {
            "type": "Feature",
            "properties": {"kind": "street"},
            "geometry": {"type": "LineString", "coordinates": line},
        }
        for line in lines
    ]
    path = data_dir / "map.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    values = {"demo": True, "map": path, "driver_interval_seconds": INTERVAL} | changes
    async with running_server(settings_for(data_dir, **values)) as server:
        yield server


async def seen_at(town: Town, driver_id: str, where: Point, *, ago: float = 0) -> None:
    """The driver's own device reports where they were, so many seconds ago."""
    at = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    body = {"lat": where.lat, "lng": where.lng, "at": at}
    (await town.employee.put(f"/drivers/{driver_id}/location", body)).must(204)


async def order_to(town: Town, where: Point, status: OrderStatus, driver: int = 0) -> Order:
    """An order to that door, taken along to that status."""
    address = {"text": "9 North Street", "lat": where.lat, "lng": where.lng}
    body = {
        "restaurant_id": town.restaurant_id,
        "items": [{"menu_item_id": town.menu[0]["id"], "quantity": 1}],
        "address": address,
    }
    answer = (await town.customer.post("/orders", body)).must(201)
    order = Order.model_validate_json(answer.body)
    if status is OrderStatus.OUT_FOR_DELIVERY:
        order = await town.bring(order, OrderStatus.READY)
        return await town.step(order, status, driver_id=town.drivers[driver]["id"])
    return await town.bring(order, status)


class DriversWindow(KitchenWindow):
    """A running window."""

    @property
    def drivers(self) -> DriversPanel:
        """The panel."""
        panel = self.app.panels[1]
        assert isinstance(panel, DriversPanel)
        return panel

    @property
    def controller(self) -> DriversController:
        """The panel's controller."""
        assert self.drivers.controller is not None
        return self.drivers.controller

    def state(self, driver: dict[str, Any]) -> DriverState:
        """That driver, as the panel knows them."""
        state = self.drivers.driver_list.get(driver["id"])
        assert state is not None
        return state

    def lines_of(self, name: str) -> str:
        """The two lines of that driver in the list."""
        lines = self.text.split("\n")
        at = next(at for at, line in enumerate(lines) if f" {name} " in line)
        return "\n".join(lines[at : at + 2])

    async def choose(self, driver: dict[str, Any]) -> None:
        """Put the cursor on that driver, by keys."""
        await self.press("home")
        for _ in self.drivers.driver_list.states:
            if self.drivers.view.driver_id == driver["id"]:
                return
            await self.press("down")
        raise AssertionError(f"{driver['name']} is not in the list")

    async def knows(self, driver: dict[str, Any], count: int) -> None:
        """Wait until the panel knows that the driver has so many orders."""
        await wait_until(
            lambda: len(self.state(driver).orders) == count, what=f"{driver['name']} has {count}"
        )


@asynccontextmanager
async def drivers_window(
    url: str, folder: Path, size: tuple[int, int] = (160, 48)
) -> AsyncIterator[DriversWindow]:
    """Logged in as the demo's employee, with the drivers loaded and their panel in front."""
    async with kitchen_window(url, folder, size, (KitchenPanel, DriversPanel)) as kitchen:
        window = DriversWindow(kitchen.app, kitchen.pilot)
        await wait_until(
            lambda: window.controller.feed.loaded and len(window.controller.trackers) > 0,
            what="the drivers",
        )
        await window.press("2")
        yield window
