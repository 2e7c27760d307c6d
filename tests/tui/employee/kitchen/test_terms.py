"""What a kitchen changes beside its orders: a pause, minutes for everybody, what is sold out."""

from pathlib import Path

import pytest
from kitchen_orders import Town
from kitchen_window import kitchen_window

from server.features.orders.schemas import OrderStatus
from support.live_server import LiveServer
from support.waiting import wait_until
from tui.employee.kitchen.dialogs import SoldOutScreen


async def test_a_pause_and_more_minutes_are_seen_by_customers_and_every_window(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    path = f"/restaurants/{town.restaurant_id}"
    async with kitchen_window(demo_server.url, tmp_path, (80, 24)) as window:
        await wait_until(lambda: window.kitchen.restaurant, what="the restaurant's terms")
        usual = window.kitchen.preparation_minutes
        await window.press("plus", "plus", "minus", "plus")
        await window.sees("+30 min for everybody · - for less")
        assert window.kitchen.preparation_minutes == usual + 30
        listed = (await town.customer.get("/restaurants")).must(200).json["items"]
        assert [one["extra_minutes"] for one in listed if one["id"] == town.restaurant_id] == [30]
        await window.press("P")
        await window.sees("for 15 minutes, until", "4 until I say so")
        await window.press("4")
        await window.sees("Paused until you say so")
        with pytest.raises(AssertionError, match=r"takes no orders\. Choose"):
            await town.place()
        colleague = {"paused_until": None, "extra_minutes": 0}
        (await town.employee.patch(path, colleague)).must(200)
        await window.misses("Paused", "for everybody")
        await window.press("P", "enter")
        await window.sees("Paused until", "P changes it", "· paused")
        await window.press("P", "enter")
        await window.misses("Paused", "paused")
        await town.place()


async def test_what_is_sold_out_is_asked_told_and_marked_on_the_menu(
    demo_server: LiveServer, town: Town, tmp_path: Path
) -> None:
    order = await town.place(dishes=2)
    kept, gone = (item.name for item in order.items)
    async with kitchen_window(demo_server.url, tmp_path, (80, 24), hold=600) as window:
        await window.on(order)
        await window.press("R", "down", "enter")
        await wait_until(lambda: isinstance(window.app.screen, SoldOutScreen), what="the dishes")
        await window.sees(kept, gone)
        await window.press("enter")
        await window.sees("Tick what is sold out")
        await window.press("down", "space", "enter", "s")
        await window.sees("none sold out")
        await window.kitchen.send_held()
        await window.sees("✕ " + gone)
        await wait_until(lambda: window.kitchen.board.order(order.id) is None, what="cancelled")
        await window.told("this is sold out now")
    now = await town.now(order)
    assert (now.status, now.timeline[-1].reason) == (OrderStatus.CANCELLED, f"Sold out: {gone}.")
    menu = (await town.customer.get(f"/restaurants/{town.restaurant_id}")).must(200).json["menu"]
    assert {dish["name"]: dish["available"] for dish in menu if dish["name"] in (kept, gone)} == {
        kept: True,
        gone: False,
    }
