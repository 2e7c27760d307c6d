"""The customer's window in a test: logged in, its screen as text, what a kitchen does to it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from textual.pilot import Pilot
from textual.screen import Screen

from server.app import create_app
from support.live_server import LiveServer
from support.panels import only
from support.rest import Rest
from support.screen import told
from support.waiting import wait_until
from tui.common.config import Config
from tui.common.panel import Panel
from tui.customer.app import CustomerApp
from tui.customer.ordering.menu import MenuList
from tui.customer.ordering.restaurants import RestaurantList
from tui.customer.ordering.screen import NewOrderScreen
from tui.customer.orders.panel import OrdersPanel
from tui.customer.orders.table import OrderTable

PASSWORD = "correct horse"
NARROW = (80, 24)
MEDIUM = (100, 30)
WIDE = (160, 48)


def orders_of(app: CustomerApp) -> OrdersPanel:
    """The panel under test."""
    panel = app.panels[0]
    assert isinstance(panel, OrdersPanel)
    return panel


def table_of(app: CustomerApp) -> OrderTable:
    """Its table."""
    return orders_of(app).query_one(OrderTable)


async def focus(screen: Screen[Any], selector: str) -> None:
    """Have keys go there; Textual moves the focus a moment after it is asked to."""
    field = screen.query_one(selector)
    field.focus()
    await wait_until(lambda: field.has_focus, what=f"{selector} in focus")


async def past_toast(app: CustomerApp, text: str) -> None:
    """Wait for that toast, and remove it: for seconds it covers the order in a small window."""
    await told(app, text)
    app.clear_notifications()


@asynccontextmanager
async def customer_window(
    url: str,
    store: Path,
    size: tuple[int, int] = WIDE,
    *,
    email: str | None = None,
    panels: Sequence[type[Panel]] = (OrdersPanel,),
    config: Config | None = None,
) -> AsyncIterator[tuple[CustomerApp, Pilot[None]]]:
    """A window of somebody who has logged in: the demo's customer, or by e-mail and `PASSWORD`.

    Of its panels only `panels` have contents; all have where it is empty.
    """
    async with Rest(url) as rest:
        who = rest.demo("customer") if email is None else rest.log_in(email, PASSWORD)
        tokens = await (await who).keep_in(store / "tokens.json")
    app = only(CustomerApp(url, tokens=tokens, config=config), *panels)
    async with app.run_test(size=size, notifications=True) as pilot:
        await wait_until(lambda: len(app.panels) > 0, what="the panels")
        await wait_until(lambda: orders_of(app).store.loaded, what="the orders")
        await wait_until(lambda: table_of(app).has_focus, what="the table in focus")
        yield app, pilot


@asynccontextmanager
async def served_again(server: LiveServer) -> AsyncIterator[None]:
    """The same data on the same port, by a new server."""
    app = create_app(server.settings)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", server.port, reuse_address=True).start()
    try:
        yield
    finally:
        await runner.cleanup()


class Kitchen:
    """An employee of one restaurant, by REST."""

    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self.id = ""

    async def open(self) -> "Kitchen":
        """Be the demo's employee."""
        await self.rest.demo("employee")
        self.id = self.rest.grant["account"]["restaurant_id"]
        return self

    async def restaurant(self) -> dict[str, Any]:
        """The restaurant with its menu, by category as the app lists it."""
        found: dict[str, Any] = (await self.rest.get(f"/restaurants/{self.id}")).must(200).json
        categories = [dish["category"] for dish in found["menu"]]
        found["menu"].sort(key=lambda dish: categories.index(dish["category"]))
        return found

    async def basket(self, quantity: int = 1) -> dict[str, Any]:
        """An order of the first dish, as `POST /orders` takes it."""
        dish = (await self.restaurant())["menu"][0]
        return {
            "restaurant_id": self.id,
            "items": [{"menu_item_id": dish["id"], "quantity": quantity}],
            "address": {"text": "1 Quay Street", "lat": 47.07, "lng": 15.44},
        }

    async def step(self, order_id: str, status: str, **more: object) -> None:
        """Take an order a step along."""
        if status == "out_for_delivery":
            more["driver_id"] = (await self.rest.get("/drivers")).must(200).json["items"][0]["id"]
        body = {"status": status} | more
        (await self.rest.post(f"/orders/{order_id}/status", body)).must(200)

    async def change_dish(self, item_id: str, **changes: object) -> None:
        """Change a dish of the menu."""
        path = f"/restaurants/{self.id}/menu/{item_id}"
        (await self.rest.patch(path, changes)).must(200)


async def to_menu(app: CustomerApp, pilot: Pilot[None], name: str) -> NewOrderScreen:
    """Open the new order and, by keys alone, the menu of the restaurant called `name`."""
    await pilot.press("n")
    await wait_until(lambda: isinstance(app.screen, NewOrderScreen), what="the new order")
    screen = app.screen
    assert isinstance(screen, NewOrderScreen)
    rows = screen.query_one(RestaurantList)
    await wait_until(lambda: rows.option_count, what="the restaurants")
    names = [restaurant.name for restaurant in rows.restaurants]
    await pilot.press(*["down"] * names.index(name), "enter")
    menu = screen.query_one(MenuList)
    await wait_until(lambda: menu.option_count and menu.has_focus, what="the menu")
    return screen
