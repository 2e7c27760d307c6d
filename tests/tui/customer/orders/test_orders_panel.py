"""The panel against a live server: history, the order in view, what polls bring, the keys."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from customer_window import (
    MEDIUM,
    NARROW,
    PASSWORD,
    WIDE,
    Kitchen,
    customer_window,
    orders_of,
    past_toast,
    served_again,
    table_of,
)
from textual.events import Key
from textual.widgets import TextArea

from support.live_server import LiveServer
from support.rest import Rest
from support.screen import sees, shown, told
from support.waiting import wait_until
from tui.common import app as frame
from tui.common.client.clock import ServerClock
from tui.common.client.meter import State
from tui.common.dialogs.save import SaveScreen
from tui.customer.chat.panel import ChatPanel
from tui.customer.orders.dialogs import CancelScreen, OrderDetailsScreen
from tui.customer.orders.feed import FEED
from tui.customer.orders.panel import OrdersPanel


async def a_mistake() -> None:
    """In place of a worker."""
    raise RuntimeError("broken")


async def a_placed_order(guest: Rest, kitchen: Kitchen, **changes: object) -> str:
    body = await kitchen.basket() | changes
    order_id: str = (await guest.post("/orders", body)).must(201).json["id"]
    return order_id


async def test_the_count_of_open_orders_is_in_the_tabs(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    await a_placed_order(guest, kitchen)
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, _):
        await sees(app, "1 Orders 1 ")


@pytest.mark.parametrize("size", [WIDE, MEDIUM, NARROW])
async def test_every_step_of_the_kitchen_is_shown(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path, size: tuple[int, int]
) -> None:
    order_id = await a_placed_order(guest, kitchen)
    async with customer_window(demo_server.url, tmp_path, size) as (app, _):
        await sees(app, "○ Placed", "waiting for the kitchen", "1 open ·")
        await wait_until(lambda: orders_of(app).meter.state is State.WAITING, what="held")
        await kitchen.step(order_id, "accepted", eta_minutes=30)
        await told(app, "accepted your order")
        await sees(app, "● Accepted", "arrives ")
        await kitchen.step(order_id, "preparing")
        await sees(app, "◐ Cooking")
        await kitchen.step(order_id, "ready")
        await sees(app, "◆ Ready")
        await kitchen.step(order_id, "out_for_delivery")
        await sees(app, "▶ On its way", "on its way,")
        await kitchen.step(order_id, "delivered")
        await past_toast(app, "Enjoy your meal")
        await sees(app, "✓ Delivered", "0 open ·")
        await wait_until(
            lambda: not orders_of(app).feed.tracker.is_tracked(order_id), what="let go"
        )
        assert orders_of(app).store.get(order_id).driver is not None  # type: ignore[union-attr]


async def test_a_line_that_is_held_cut_misses_nothing_once_it_is_restored(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    order_id = await a_placed_order(guest, kitchen)
    async with customer_window(demo_server.url, tmp_path) as (app, pilot):
        tracker = orders_of(app).feed.tracker
        meter = await wait_until(lambda: tracker.meter_of(order_id), what="its poll")
        await wait_until(lambda: meter.state is State.WAITING, what="held")
        await wait_until(lambda: orders_of(app).meter is meter, what="the wire line shows it")
        await pilot.press("X")
        await sees(app, "X restores")
        await kitchen.step(order_id, "accepted", eta_minutes=30)
        second = await a_placed_order(guest, kitchen)
        await pilot.press("r")  # reads the orders, and the line stays cut
        await wait_until(lambda: second in orders_of(app).store, what="the second order")
        polled = await wait_until(lambda: tracker.meter_of(second), what="its poll")
        await wait_until(lambda: polled.state is State.RETRY, what="cut as well")
        assert polled.requests == 0
        await kitchen.step(order_id, "preparing")
        await pilot.press("X")
        await sees(app, "◐ Cooking", "↺#")
        await wait_until(lambda: meter.reconnects >= 1, what="back")
        await wait_until(lambda: polled.state is State.WAITING, what="the other, too")


async def test_a_cut_ends_by_itself_also_without_an_open_order(
    demo_server: LiveServer, guest: Rest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame, "CUT_SECONDS", 3)
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        meter = orders_of(app).meter
        await wait_until(lambda: meter.state is State.WAITING, what="held")
        cut = asyncio.create_task(sees(app, "◌ long poll · cut, "))
        await pilot.press("x")
        await cut
        await wait_until(lambda: meter.state is State.WAITING, what="held again")
        assert meter.reconnects == 1


async def test_a_new_customer_is_told_how_to_order(demo_server: LiveServer, tmp_path: Path) -> None:
    async with Rest(demo_server.url) as rest:
        await rest.register("neil@example.com", PASSWORD)
    window = customer_window(demo_server.url, tmp_path, NARROW, email="neil@example.com")
    async with window as (app, pilot):
        await sees(app, "No orders yet. Press n to order.")
        await pilot.press("n")
        await sees(app, "New order", "Thai Basil")
        panel = orders_of(app)
        panel.store.loaded = False
        panel.work(a_mistake(), FEED)
        message = "Stopped by an error: RuntimeError('broken')."
        await wait_until(lambda: message in table_of(app).message.plain, what="not 'Loading'")


async def test_scrolling_reads_the_older_pages(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The window gets its size when the orders have come and are not drawn yet.
    monkeypatch.setattr(OrdersPanel, "on_loaded", OrdersPanel._scrolled)
    rest = await kitchen.rest.another().register("neil@example.com", PASSWORD)
    body = await kitchen.basket()
    for _ in range(120):
        order_id = (await rest.post("/orders", body)).must(201).json["id"]
        (await rest.post(f"/orders/{order_id}/cancel", {})).must(200)
    window = customer_window(demo_server.url, tmp_path, NARROW, email="neil@example.com")
    async with window as (app, pilot):
        store = orders_of(app).store
        assert len(store) == 50
        await sees(app, "50+ past")
        first = table_of(app).order
        await pilot.press("end")
        await sees(app, "100+ past")
        await pilot.press("end")
        await wait_until(lambda: len(store) == 120, what="the third page")
        await sees(app, "0 open · 120 past")
        await pilot.press("end")
        await wait_until(lambda: table_of(app).highlighted == 119, what="the last row")
        await pilot.press("home")
        assert table_of(app).order == first


async def test_orders_are_filtered_by_typing(
    demo_server: LiveServer,
    guest: Rest,
    kitchen: Kitchen,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order_id = await a_placed_order(guest, kitchen)
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        table = table_of(app)
        await pilot.press("end")
        all_of_them = table.option_count
        assert all_of_them > 1
        for key in ("slash", *"placed", "enter", "enter"):  # all at once, as over a slow line
            app.post_message(Key(key, key if len(key) == 1 else None))
        await wait_until(lambda: isinstance(app.screen, OrderDetailsScreen))
        await pilot.press("escape")
        assert [option.id for option in table.options] == [order_id]
        await kitchen.step(order_id, "accepted", eta_minutes=30)
        await sees(app, "Nothing matches “placed”. Esc clears the filter.")
        await pilot.press("escape")
        await sees(app, "● Accepted")
        assert table.option_count == all_of_them
        await pilot.press("escape", "slash", *"today", "enter")
        assert order_id in [option.id for option in table.options]
        await pilot.press("slash", *" yesterday")
        await wait_until(lambda: not table.option_count, what="no order of both days")
        await pilot.press("escape")
        app.set_focus(None)  # the panel in front is filtered wherever the focus is
        await pilot.press("slash", *"accepted", "enter")
        assert [option.id for option in table.options] == [order_id]
        later = datetime.now(UTC) + timedelta(hours=2)
        monkeypatch.setattr(ServerClock, "now", lambda _clock: later)  # it is right, ours is not
        await pilot.press("r")
        await sees(app, "€", " 2h", f"{later.astimezone():%H:%M}")


async def test_details_show_everything_and_stay_current(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    order_id = await a_placed_order(guest, kitchen, note="Ring [b]twice[/b]")
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        table_of(app).action_select()
        table_of(app).action_cursor_down()  # the next key, as quickly
        await wait_until(lambda: isinstance(app.screen, OrderDetailsScreen), what="the details")
        await sees(app, "Ring [b]twice[/b]", "1 Quay Street", "○ Placed     you")
        await kitchen.step(order_id, "accepted", eta_minutes=30)
        await sees(app, "● Accepted   Maya")
        await pilot.press("escape")
        await wait_until(lambda: table_of(app).has_focus, what="back at the table")


async def test_cancelling_asks_first(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    order_id = await a_placed_order(guest, kitchen)
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        await pilot.press("c")
        await wait_until(lambda: isinstance(app.screen, CancelScreen), what="the question")
        await pilot.press("enter")
        await wait_until(lambda: len(app.screen_stack) == 1, what="kept")
        await pilot.press("c")
        await wait_until(lambda: isinstance(app.screen, CancelScreen), what="the question")
        await pilot.press("up", *"ill", "enter", "enter")
        await past_toast(app, "Nothing is charged")
        await sees(app, "✕ Cancelled", "0 open ·")
        order = (await guest.get(f"/orders/{order_id}")).must(200).json
        assert order["status"] == "cancelled"
        assert order["timeline"][-1]["reason"] == "ill"


async def test_an_order_that_is_cooked_cannot_be_cancelled_and_says_why(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    order_id = await a_placed_order(guest, kitchen)
    await kitchen.step(order_id, "accepted", eta_minutes=30)
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        await pilot.press("c")
        await sees(app, "They have not started")
        await kitchen.step(order_id, "preparing")
        await sees(app, "has started cooking")
        await pilot.press("escape")
        await wait_until(lambda: len(app.screen_stack) == 1, what="closed")
        app.clear_notifications()
        await pilot.press("c")
        await past_toast(app, "has started cooking. Press a to ask support")
        assert len(app.screen_stack) == 1


async def test_support_is_asked_about_an_order_by_one_key(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    order_id = await a_placed_order(guest, kitchen)

    async def about_it() -> list[str]:
        chats = (await guest.get("/chats")).must(200).json["items"]
        return [chat["id"] for chat in chats if chat.get("order", {}).get("id") == order_id]

    before = await about_it()
    panels = (OrdersPanel, ChatPanel)
    async with customer_window(demo_server.url, tmp_path, NARROW, panels=panels) as (app, pilot):
        await sees(app, "c Cancel", "waiting for the kitchen")
        await kitchen.step(order_id, "accepted", eta_minutes=30)
        await kitchen.step(order_id, "preparing")
        await sees(app, "a Ask support")
        await pilot.press("a")
        panel = app.query_one(ChatPanel)
        await wait_until(lambda: isinstance(app.focused, TextArea), what="the chat's field")
        (chat,) = await about_it()
        assert not before
        assert panel.current is not None
        assert panel.current.id == chat
        await pilot.press("escape", "1", "enter")
        await wait_until(lambda: isinstance(app.screen, OrderDetailsScreen), what="the details")
        await pilot.press("a")
        await wait_until(lambda: isinstance(app.focused, TextArea), what="the same chat")
        assert await about_it() == [chat]


async def test_what_has_come_is_rated_and_its_receipt_saved(
    demo_server: LiveServer,
    guest: Rest,
    kitchen: Kitchen,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    dish = (await kitchen.restaurant())["menu"][0]
    order_id = await a_placed_order(guest, kitchen, tip_cents=150)
    for status in ("accepted", "preparing", "ready", "out_for_delivery"):
        await kitchen.step(order_id, status)
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        await pilot.press("slash", *"on its way", "enter", "enter")
        await wait_until(lambda: isinstance(app.screen, OrderDetailsScreen), what="the details")
        await kitchen.step(order_id, "delivered")
        await sees(app, "1-5 Rate")
        await wait_until(lambda: table_of(app).order is None, what="the filter hides it")
        await pilot.press("4")
        await past_toast(app, "Rated ★★★★")
        order = (await guest.get(f"/orders/{order_id}")).must(200).json
        assert order["rating"] == {"stars": 4}
        orders_of(app).show_details(order_id)
        await wait_until(lambda: isinstance(app.screen, OrderDetailsScreen), what="the details")
        await sees(app, "Paid at the door.", "★★★★")
        await pilot.press("s")
        await wait_until(lambda: isinstance(app.screen, SaveScreen), what="where to save it")
        await pilot.press("enter")
        await told(app, f"Saved as {tmp_path}/curry-leaf-{order['number']:04d}.txt.")
    text = (tmp_path / f"curry-leaf-{order['number']:04d}.txt").read_text()
    for words in (
        f"Order #{order['number']:04d}", f"1 x {dish['name']}", "Tip", "€1.50", "Placed",
        f"€{order['total_cents'] / 100:.2f}", "Paid at the door.", "Delivered", "1 Quay Street",
    ):  # fmt: skip
        assert words in text
    assert max(map(len, text.splitlines())) == 48


async def test_a_refused_cancellation_is_explained(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    order_id = await a_placed_order(guest, kitchen)
    await kitchen.step(order_id, "accepted", eta_minutes=30)
    async with customer_window(demo_server.url, tmp_path) as (app, _):
        panel = orders_of(app)
        order = panel.store.get(order_id)
        assert order is not None
        await kitchen.step(order_id, "preparing")
        await panel._cancel(order, "")
        await told(app, "not cancelled Too late to cancel")


async def test_the_panel_recovers_when_the_server_is_back(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    order_id = await a_placed_order(guest, kitchen)
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        panel = orders_of(app)
        await wait_until(lambda: panel.meter.state is State.WAITING, what="held")
        await demo_server.runner.cleanup()
        await wait_until(lambda: panel.meter.state is State.RETRY, what="noticed")
        await sees(app, "reconnecting")
        await pilot.press("r")
        await wait_until(lambda: panel.feed.error, what="the list cannot be read")
        await sees(app, "○ Placed")
        async with served_again(demo_server):
            await wait_until(lambda: panel.meter.state is State.WAITING, what="back")
            await wait_until(lambda: not panel.feed.error, what="read again")
            await kitchen.step(order_id, "accepted", eta_minutes=30)
            await sees(app, "● Accepted")


async def test_the_card_shows_a_summary(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    order_id = await a_placed_order(guest, kitchen)
    await kitchen.step(order_id, "accepted", eta_minutes=30)
    async with customer_window(demo_server.url, tmp_path, (92, 30)) as (app, pilot):
        await pilot.press("2")
        await sees(app, "1 Orders  1", "arrives ", "●━━◉╌╌○╌╌○╌╌○  Accepted")
        assert "Restaurant" not in shown(app)


async def test_a_row_stands_under_its_headings_as_wide_as_the_table(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with customer_window(demo_server.url, tmp_path) as (app, _):
        await sees(app, "#2002")
        table = table_of(app)
        await wait_until(lambda: "Age" in table.header().plain, what="room for the age")
        lines = shown(app).splitlines()
        heading = next(line for line in lines if "Restaurant" in line and "Status" in line)
        row = next(line for line in lines if "#2002" in line)
        assert heading.index("Order") == row.index("#2002")
        assert heading.index("Restaurant") == row.index("Napoli")
        assert row[: heading.index("Age") + 3].rstrip()[-1] in "mhd", "the age is cut off"
