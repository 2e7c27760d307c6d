"""Both apps at a server that answers anything at all: they show a message and stay."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.hostile_server import ENDLESS, HostileServer, answer
from support.panels import only
from support.screen import shown
from support.waiting import wait_until
from tui.common.app import TiffinApp
from tui.common.client.meter import State
from tui.common.client.token_store import TokenStore
from tui.customer.app import CustomerApp
from tui.customer.orders.panel import OrdersPanel
from tui.employee.app import EmployeeApp
from tui.employee.kitchen.panel import KitchenPanel

pytestmark = pytest.mark.usefixtures("few_frames")

SOMEBODY = {"id": "2", "name": "B", "role": "employee"}
STEP = {"status": "placed", "at": "2026-01-01T12:00:00Z", "by": SOMEBODY}
ORDER: dict[str, Any] = {
    "id": "ord",
    "number": 1,
    "restaurant": {"id": "rst", "name": "R", "lat": 1, "lng": 1},
    "customer": {"id": "1", "name": "A"},
    "items": [{"menu_item_id": "d", "name": "Dish", "price_cents": 100, "quantity": 1}],
    "total_cents": 100,
    "status": "placed",
    "version": 1,
    "timeline": [STEP],
    "address": {"text": "1 Lane", "lat": 1, "lng": 1},
}


def orders(**odd: object) -> bytes:
    """A page with one order that has something odd."""
    return answer(json.dumps({"items": [ORDER | odd], "next": None, "cursor": "c"}).encode())


@pytest.mark.parametrize("app_class", [CustomerApp, EmployeeApp])
@pytest.mark.parametrize(
    ("says", "flood"),
    [
        pytest.param(answer(b"\xff{["), b"", id="no JSON"),
        pytest.param(ENDLESS, b"x" * 65536, id="endless"),
        pytest.param(orders(total_cents=10**400), b"", id="larger number"),
        pytest.param(orders(timeline=[]), b"", id="no step"),
        pytest.param(orders(timeline=[STEP | {"at": "0001-01-01T00:00:00Z"}]), b"", id="year 1"),
        pytest.param(answer(b"{}", b"Retry-After: \xb2", status=b"503 No"), b"", id="busy"),
    ],
)
async def test_an_app_survives_any_answer(
    app_class: type[TiffinApp], says: bytes, flood: bytes, tmp_path: Path
) -> None:
    async with HostileServer().running() as server:
        server.granted["account"] = {
            "id": "1",
            "email": "a@example.com",
            "name": "A",
            "role": app_class.ROLE,
            "restaurant_id": "rst" if app_class.ROLE == "employee" else None,
        }
        app = app_class(server.url, tokens=TokenStore(tmp_path / "tokens.json"))
        if flood:  # each panel reads as much as it takes: one shows what six would
            app = only(app, OrdersPanel, KitchenPanel)
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await wait_until(lambda: app.auth.ready.is_set() and app.focused, what="the log-in")
            server.says, server.flood = says, flood
            await pilot.press("enter")
            troubled = (State.RETRY, State.DOWN)
            await wait_until(
                lambda: any(meter.state in troubled for meter in app.wire.meters.values()),
                what="what was told is not taken",
            )
            for key in "123456":
                await pilot.press(key)
            assert app.is_running
            assert "stopped by an error" not in shown(app)
            server.flood = b""
