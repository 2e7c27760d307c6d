"""A new order by keyboard alone, against a live server."""

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from customer_window import (
    NARROW,
    PASSWORD,
    WIDE,
    Kitchen,
    customer_window,
    focus,
    orders_of,
    past_toast,
    to_menu,
)

from support.live_server import LiveServer
from support.rest import Rest
from support.screen import sees, shown, told
from support.waiting import wait_until
from tui.customer.app import CustomerApp
from tui.customer.ordering.address import AddressScreen, AimMap
from tui.customer.ordering.checkout import Checkout
from tui.customer.ordering.menu import MenuList
from tui.customer.ordering.screen import NewOrderScreen
from tui.customer.orders.table import OrderTable


async def orders_at(guest: Rest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await guest.get("/orders")).must(200).json["items"]
    return [order for order in found if order["status"] == "placed"]


async def at_page(app: CustomerApp, page: str) -> None:
    await wait_until(
        lambda: isinstance(app.screen, NewOrderScreen) and app.screen.page == page, what=page
    )


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_an_order_is_placed_by_keyboard_alone(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path, size: tuple[int, int]
) -> None:
    restaurant = await kitchen.restaurant()
    first, second = restaurant["menu"][:2]
    async with customer_window(demo_server.url, tmp_path, size) as (app, pilot):
        menu = (await to_menu(app, pilot, restaurant["name"])).query_one(MenuList)
        menu.action_select()
        menu.action_cursor_down()  # the next key, as quickly
        await pilot.press("up", "plus", "plus", "minus")
        await pilot.press("down", "3", "e", *"no nuts", "enter")
        await sees(app, "“no nuts”", "5 dishes · €")
        await pilot.press("b")
        await at_page(app, "checkout")
        await sees(app, "19 Chestnut Walk")
        await pilot.press("up", "up", *"ring", "down", "down", "enter")
        await past_toast(app, "Waiting for the restaurant")
        await sees(app, "waiting for the kitchen", "placed")
        (order,) = await orders_at(guest)
        assert [(i["menu_item_id"], i["quantity"], i.get("note")) for i in order["items"]] == [
            (first["id"], 2, None),
            (second["id"], 3, "no nuts"),
        ]
        assert order["note"] == "ring"
        assert order["address"]["text"].startswith("19 Chestnut Walk")
        assert orders_of(app).query_one(OrderTable).order.id == order["id"]  # type: ignore[union-attr]
        tracker = orders_of(app).feed.tracker
        await wait_until(lambda: tracker.is_tracked(order["id"]), what="followed")
        assert not orders_of(app).baskets


async def test_a_pause_since_the_menu_was_read_is_said_with_the_quote(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path
) -> None:
    restaurant = await kitchen.restaurant()
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        await to_menu(app, pilot, restaurant["name"])
        await pilot.press("plus")
        pause = {"paused_until": "2999-01-01T00:00:00Z"}
        (await kitchen.rest.patch(f"/restaurants/{restaurant['id']}", pause)).must(200)
        await pilot.press("b")
        await at_page(app, "checkout")
        await sees(app, f"✕ {restaurant['name']} takes no orders. Choose another")


async def test_a_sold_out_dish_is_marked_and_cannot_be_selected(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    restaurant = await kitchen.restaurant()
    await kitchen.change_dish(restaurant["menu"][0]["id"], available=False)
    await kitchen.change_dish(restaurant["menu"][2]["id"], available=False)
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        screen = await to_menu(app, pilot, restaurant["name"])
        await sees(app, "sold out")
        menu = screen.query_one(MenuList)
        dishes = [dish["id"] for dish in restaurant["menu"]]
        assert menu.highlighted_id == dishes[1]
        await pilot.press("down")
        assert menu.highlighted_id == dishes[3]
        await pilot.press("up", "up")
        assert menu.highlighted_id == dishes[1]


async def test_dish_names_are_never_markup(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    dish = {"name": "[red]Hot[/] \u200fone", "price_cents": 500, "description": "[@click=quit]x[/]"}
    (await kitchen.rest.post(f"/restaurants/{kitchen.id}/menu", dish)).must(201)
    restaurant = await kitchen.restaurant()
    async with customer_window(demo_server.url, tmp_path, WIDE) as (app, pilot):
        await to_menu(app, pilot, restaurant["name"])
        await pilot.press("end", "enter")
        await sees(app, "[red]Hot[/] one", "[@click=quit]x[/]", "1 dish · €5.00")
        await pilot.press("b")
        await at_page(app, "checkout")
        await pilot.press("enter")
        await sees(app, "1× [red]Hot[/] one")
        assert "\u200f" not in shown(app)


async def test_a_dish_that_sells_out_meanwhile_is_reported_and_the_basket_kept(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    restaurant = await kitchen.restaurant()
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        screen = await to_menu(app, pilot, restaurant["name"])
        await pilot.press("enter", "down", "enter", "b")
        await at_page(app, "checkout")
        await kitchen.change_dish(restaurant["menu"][0]["id"], available=False)
        await pilot.press("enter")
        await sees(app, "Still order it?", "sold out", "Order the rest · €")
        await pilot.press("escape")
        await sees(app, "! ", "sold out")
        await wait_until(lambda: orders_of(app).baskets[kitchen.id].sold_out, what="marked")
        assert orders_of(app).baskets[kitchen.id].count == 2
        await focus(screen, "#basket")
        await pilot.press("0", *["tab"] * 4, "enter")
        await past_toast(app, "Waiting for the restaurant")
        await sees(app, "waiting for the kitchen")
        (order,) = await orders_at(guest)
        assert [item["menu_item_id"] for item in order["items"]] == [restaurant["menu"][1]["id"]]


async def test_a_changed_price_is_shown_before_the_order_is_placed(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    restaurant = await kitchen.restaurant()
    first, second, third = restaurant["menu"][:3]
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        screen = await to_menu(app, pilot, restaurant["name"])
        await pilot.press("2", "down", "enter", "down", "enter", "b")
        await at_page(app, "checkout")
        basket = orders_of(app).baskets[kitchen.id]
        key, before = basket.key, basket.total_cents
        await kitchen.change_dish(first["id"], price_cents=first["price_cents"] + 700)
        await kitchen.change_dish(second["id"], available=False)
        await kitchen.change_dish(third["id"], name="Another dish")
        await pilot.press("enter")
        rest = before + 1400 - second["price_cents"]
        old, new, now = (
            f"€{cents / 100:.2f}"
            for cents in (first["price_cents"], first["price_cents"] + 700, rest)
        )
        await sees(app, "Still order it?", f"{first['name']}: {new} now, not {old}.")
        await sees(app, f"{second['name']} is sold out.", "is called Another dish now.")
        await sees(app, f"The total: {now} now, not €{before / 100:.2f}.", f"rest · {now}")
        await pilot.press("escape")
        await at_page(app, "checkout")
        assert (basket.count, basket.key == key) == (4, False), "nothing of it is lost"
        await focus(screen, "#basket")
        await pilot.press("down", "0")
        # and once more, between the look and the button
        await kitchen.change_dish(first["id"], price_cents=first["price_cents"])
        await focus(screen, "#send")
        await pilot.press("enter")
        await sees(app, "Still order it?", f"{first['name']}: {old} now, not {new}.")
        assert not await orders_at(guest)
        await pilot.press("right", "enter")
        await past_toast(app, "Waiting for the restaurant")
        await sees(app, "waiting for the kitchen")
        (order,) = await orders_at(guest)
        assert order["total_cents"] == before - second["price_cents"]
        assert [item["name"] for item in order["items"]] == [first["name"], "Another dish"]


async def test_a_restaurant_that_is_too_far_is_marked_and_takes_no_order(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    restaurant = await kitchen.restaurant()
    far = {"text": "1 Far Street", "lat": 48.0, "lng": 15.44}
    (await guest.patch("/me", {"address": far})).must(200)
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        await pilot.press("n")
        await sees(app, "It delivers within 5.0 km, and you are")
        await pilot.press("escape")
        await to_menu(app, pilot, restaurant["name"])
        await pilot.press("enter", "b")
        await at_page(app, "checkout")
        await pilot.press("enter")
        await sees(app, "✕ ", "Choose one nearer to")
        assert not await orders_at(guest)


async def test_missing_input_is_reported_on_its_page(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path
) -> None:
    await kitchen.rest.another().register("neil@example.com", PASSWORD)
    restaurant = await kitchen.restaurant()
    window = customer_window(demo_server.url, tmp_path, NARROW, email="neil@example.com")
    async with window as (app, pilot):
        screen = await to_menu(app, pilot, restaurant["name"])
        await pilot.press("b")
        await sees(app, "The basket is empty.")
        await pilot.press("enter", "b")
        await at_page(app, "checkout")
        await focus(screen, "#send")
        await pilot.press("enter")
        await sees(app, "Enter a delivery address.")
        await pilot.press(*"The attic")
        await sees(app, "near the restaurant")
        await focus(screen, "#send")
        await pilot.press("enter")
        await past_toast(app, "Waiting for the restaurant")
        await sees(app, "waiting for the kitchen")


async def test_a_basket_is_kept_when_the_dialog_is_closed(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    restaurant = await kitchen.restaurant()
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        await to_menu(app, pilot, restaurant["name"])
        await pilot.press("4", "escape")
        await sees(app, "4 in your basket")
        await pilot.press("escape")
        await wait_until(lambda: len(app.screen_stack) == 1, what="closed")
        await to_menu(app, pilot, restaurant["name"])
        await sees(app, "4 dishes · €")


async def test_quitting_with_a_filled_basket_asks_first(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    restaurant = await kitchen.restaurant()
    question = f"Your basket at {restaurant['name']} would be lost."
    async with customer_window(demo_server.url, tmp_path) as (app, pilot):
        await to_menu(app, pilot, restaurant["name"])
        await pilot.press("2", "ctrl+q")  # also from within the dialog
        await sees(app, question, "Stay")
        await pilot.press("enter")
        await at_page(app, "dishes")
        assert not app._exit
        await pilot.press("escape", "escape", "ctrl+q")
        await sees(app, question)
        await pilot.press("tab", "enter")
        await wait_until(lambda: app._exit, what="the window closing")


async def test_restaurants_and_dishes_are_filtered_by_typing(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path
) -> None:
    place = await kitchen.restaurant()
    dish = place["menu"][3]
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        await pilot.press("n")
        await sees(app, place["name"])
        await pilot.press("slash", *"open now")
        await sees(app, place["name"])
        await pilot.press("escape", "slash", *"vegan")  # a restaurant of such dishes
        await sees(app, place["name"], "Open now")
        await pilot.press("escape", "slash", *place["name"], "enter", "enter")
        await at_page(app, "dishes")
        menu = app.screen.query_one(MenuList)
        await wait_until(lambda: menu.option_count and menu.has_focus, what="the menu")
        await pilot.press("slash", *dish["name"], "enter", "2")
        basket = orders_of(app).baskets[kitchen.id]
        assert [(line.item.id, line.quantity) for line in basket.lines.values()] == [
            (dish["id"], 2)
        ]
        vegan = [one["name"] for one in place["menu"] if "vegan" in one["tags"]]
        await pilot.press("escape", "slash", *"vegan")
        await sees(app, f"{len(vegan)} of {len(place['menu'])}")
        assert [menu.dish(at).name for at in range(menu.option_count) if menu.selectable(at)] == (
            vegan
        )
        await pilot.press("enter", "escape", "home")
        first = place["menu"][0]
        await sees(app, first["category"], first["description"][-40:], "contains")
        dishes = [menu.dish(at).id for at in range(menu.option_count) if menu.selectable(at)]
        assert dishes == [one["id"] for one in place["menu"]]
        assert isinstance(app.screen, NewOrderScreen)
        assert app.screen.page == "dishes", "esc clears the filter before it goes back"


async def test_a_new_address_is_pointed_at_on_the_map_and_kept_as_work(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    restaurant = await kitchen.restaurant()
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        await to_menu(app, pilot, restaurant["name"])
        await pilot.press("enter", "b", "f4")
        await sees(app, "Home   19 Chestnut Walk", "◆  Curry Leaf")
        aim = app.screen.query_one(AimMap)
        await wait_until(lambda: aim.streets is not None, what="the town's streets")
        await pilot.press("tab", "tab", "enter")
        await sees(app, "New     Chestnut Walk")
        await pilot.press(*"7 ", "enter", *["left"] * 9)  # the number before the street of the map
        there = aim.at
        assert aim.street == "Chestnut Walk"
        await pilot.press("enter")
        await sees(app, "Address    7 Chestnut Walk")
        await pilot.press("f4")
        await wait_until(lambda: isinstance(app.screen, AddressScreen), what="the addresses")
        aim = app.screen.query_one(AimMap)
        await wait_until(lambda: aim.aim == there, what="the crosshair where it goes now")
        await pilot.press("w")  # also before anything is ordered there
        await sees(app, "Work   7 Chestnut Walk")
        await pilot.press("delete", "escape", "f4")
        aim = app.screen.query_one(AimMap)
        await wait_until(lambda: aim.streets is not None, what="the town's streets")
        await pilot.press("tab", *"7 wei")
        await sees(app, "7 weir Street")
        await pilot.press("right", "enter", *["left"] * 20, "up")  # nearer to another street
        await sees(app, "━━╋━━", "Weir Street. Enter delivers to “7 Weir Street” there.")
        assert aim.streets is not None
        assert aim.at != aim.aim
        near = aim.streets.nearest(aim.aim)
        assert near is not None
        assert near[1] != "Weir Street"
        assert aim.streets.nearest(aim.aim, "Weir Street") == (aim.at, "Weir Street")
        at = aim.at
        await pilot.press("enter")
        await sees(app, "Address    7 Weir Street")
        await focus(app.screen, "#send")
        await pilot.press("enter")
        await wait_until(lambda: len(app.screen_stack) == 1, what="placed")
        (order,) = await orders_at(guest)
        assert order["address"] == {"text": "7 Weir Street", "lat": at.lat, "lng": at.lng}
        # it is among the last addresses now, and becomes the work's
        await to_menu(app, pilot, restaurant["name"])
        await pilot.press("enter", "b", "f4", "down", "w")
        await sees(app, "Work   7 Weir Street")
        assert (await guest.get("/me")).must(200).json["work_address"] == order["address"]
        await pilot.press("delete")
        await wait_until(lambda: "Work" not in shown(app), what="forgotten")
        assert "work_address" not in (await guest.get("/me")).must(200).json


async def test_order_again_fills_a_basket_with_the_same_dishes(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    restaurant = await kitchen.restaurant()
    first, second = restaurant["menu"][:2]
    body = await kitchen.basket(2)
    body["items"].append({"menu_item_id": second["id"], "quantity": 1})
    (await guest.post("/orders", body)).must(201)
    await kitchen.change_dish(second["id"], available=False)
    await kitchen.change_dish(first["id"], price_cents=9900)
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        await pilot.press("o")
        await at_page(app, "checkout")
        await sees(app, f"Not available now: {second['name']}.", f"[−]  2 [+] {first['name']}")
        await sees(app, f"{first['name']}: €99.00 now, not €")
        await pilot.press("enter")
        await wait_until(lambda: len(app.screen_stack) == 1, what="placed")
        assert len(await orders_at(guest)) == 2


class Losing:
    """Loses replies on their way: the server has done its work, the client hears nothing."""

    def __init__(self, server: LiveServer) -> None:
        self.lose = 0
        self.seen = 0
        self._upstream = server.url
        self.url = ""

    async def open(self) -> "Losing":
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def close(self) -> None:
        await self._runner.cleanup()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        import aiohttp

        headers = {k: v for k, v in request.headers.items() if k.lower() != "host"}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as client,
            client.request(
                request.method,
                self._upstream + request.path_qs,
                headers=headers,
                data=await request.read(),
            ) as answer,
        ):
            body = await answer.read()
        if request.method == "POST" and request.path.endswith("/orders"):
            self.seen += 1
            if self.lose:
                self.lose -= 1
                assert request.transport is not None
                request.transport.abort()
        keep = {k: v for k, v in answer.headers.items() if k.lower() != "transfer-encoding"}
        return web.Response(status=answer.status, headers=keep, body=body)


async def test_a_lost_reply_never_makes_two_orders(
    demo_server: LiveServer,
    guest: Rest,
    kitchen: Kitchen,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tui.common.client.api.PLACING_ATTEMPTS", 1)
    restaurant = await kitchen.restaurant()
    losing = await Losing(demo_server).open()
    try:
        async with customer_window(losing.url, tmp_path, NARROW) as (app, pilot):
            screen = await to_menu(app, pilot, restaurant["name"])
            await pilot.press("enter", "b")
            await at_page(app, "checkout")
            losing.lose = 1
            await pilot.press("enter")
            await sees(app, "not order twice")
            assert len(await orders_at(guest)) == 1
            # basket and price are changed before it is sent again: the first one is the order
            await kitchen.change_dish(restaurant["menu"][0]["id"], price_cents=9900)
            for field, key in (("#basket", "plus"), ("#send", "enter")):
                await focus(screen, field)
                await pilot.press(key)
            await wait_until(lambda: len(app.screen_stack) == 1, what="placed")
            await told(app, "first attempt did arrive")
            (order,) = await orders_at(guest)
            assert [item["quantity"] for item in order["items"]] == [1]
            assert losing.seen == 3
            await wait_until(lambda: order["id"] in orders_of(app).store, what="in the table")
    finally:
        await losing.close()


async def test_pressing_the_button_twice_places_one_order(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    restaurant = await kitchen.restaurant()
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        screen = await to_menu(app, pilot, restaurant["name"])
        await pilot.press("enter", "b")
        await at_page(app, "checkout")
        checkout = screen.query_one(Checkout)
        for _ in range(3):
            checkout.post_message(Checkout.Send())
        await wait_until(lambda: len(app.screen_stack) == 1, what="placed")
        assert len(await orders_at(guest)) == 1


async def test_the_basket_is_kept_while_the_server_is_gone(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.common.client.api.PLACING_ATTEMPTS", 2)
    restaurant = await kitchen.restaurant()
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        await to_menu(app, pilot, restaurant["name"])
        await pilot.press("enter", "b")
        await at_page(app, "checkout")
        await demo_server.runner.cleanup()
        await pilot.press("enter")
        await sees(app, "not order twice")
        assert orders_of(app).baskets[kitchen.id].count == 1
        await pilot.press("escape", "escape", "escape")
        await wait_until(lambda: len(app.screen_stack) == 1, what="closed")
        await pilot.press("n")
        await sees(app, "Retrying")


async def test_the_checkout_shows_fees_and_tip_and_refuses_what_is_not_delivered(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    path = f"/restaurants/{kitchen.id}"
    dish = (await kitchen.restaurant())["menu"][0]
    price = dish["price_cents"]
    terms = {"delivery_fee": {"base_cents": 190}, "minimum_cents": price + 1, "currency": "CHF"}
    restaurant = (await kitchen.rest.patch(path, terms)).must(200).json
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        screen = await to_menu(app, pilot, restaurant["name"])
        await pilot.press("enter", "b")
        await sees(app, "delivers from CHF", "CHF 0.01 are missing")
        basket, checkout = orders_of(app).baskets[kitchen.id], screen.query_one(Checkout)
        (line,) = basket.lines.values()
        for number in range(30):  # more than there is room for
            basket.set_quantity(line.item.model_copy(update={"id": f"dish_{number}"}), 1)
        checkout.redraw()
        await sees(app, f"Place the order · CHF {31 * price / 100:.2f}")
        for number in range(30):
            basket.set_quantity(line.item.model_copy(update={"id": f"dish_{number}"}), 0)
        (await kitchen.rest.patch(path, {"minimum_cents": 0})).must(200)
        await pilot.press("escape", "escape")
        await to_menu(app, pilot, restaurant["name"])
        await pilot.press("b")
        await sees(app, "Delivery", "CHF 1.90", "Paid at the door, in about")
        await focus(screen, "#tip")
        row = screen.query_one("#tip").region.y
        await pilot.press("2", "5", "backspace")
        await sees(app, "CHF 2.00", f"Place the order · CHF {(price + 390) / 100:.2f}")
        await pilot.press("enter")
        await sees(app, " 5 %")
        await pilot.press("enter")
        tip = (price * 10 + 500) // 1000 * 10
        total = price + 190 + tip
        await sees(app, "10 %", "Tip", f"Place the order · CHF {total / 100:.2f}")
        assert screen.query_one("#tip").region.y == row, "where the next digit is meant to go"
        (await kitchen.rest.patch(path, {"delivery_fee": {"base_cents": 250}})).must(200)
        await focus(screen, "#send")
        await pilot.press("enter")
        await sees(app, f"it is CHF {(total + 60) / 100:.2f}. Look at it")
        send = screen.query_one("#send")
        await wait_until(
            lambda: not screen._sending and not send.has_class("-active"), what="the button rests"
        )
        await pilot.press("enter")
        await past_toast(app, "Waiting for the restaurant")
        (order,) = await orders_at(guest)
        assert order["fees"] == [{"kind": "delivery", "cents": 250}]
        assert (order["tip_cents"], order["total_cents"]) == (tip, total + 60)
