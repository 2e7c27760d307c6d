"""What another window of the same account, or the kitchen, has done is shown here."""

from pathlib import Path

from customer_window import NARROW, Kitchen, customer_window, orders_of
from textual.events import AppBlur, AppFocus

from support.live_server import LiveServer
from support.rest import Rest
from support.screen import sees
from support.waiting import wait_until
from tui.common.client.meter import State
from tui.customer.app import CustomerApp
from tui.customer.chat.panel import ChatPanel


async def come_back(app: CustomerApp) -> None:
    """From another window of the desktop."""
    app.post_message(AppBlur())
    await wait_until(lambda: not app.app_focus, what="the focus to go")
    app.post_message(AppFocus())
    await wait_until(lambda: app.app_focus, what="the focus to come")


async def test_an_order_placed_in_another_window_is_followed(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    async with customer_window(demo_server.url, tmp_path) as (app, _):
        await sees(app, "0 open ·", "no order on its way")
        order = (await guest.post("/orders", await kitchen.basket())).must(201).json
        await sees(app, "1 open ·", "○ Placed")
        for status in ("accepted", "preparing", "ready", "out_for_delivery"):
            await kitchen.step(order["id"], status)
        await sees(app, "On its way", "1 open ·", "no location yet")


async def test_a_new_arrival_time_is_shown(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    order = (await guest.post("/orders", await kitchen.basket())).must(201).json
    await kitchen.step(order["id"], "accepted", eta_minutes=20)
    async with customer_window(demo_server.url, tmp_path, NARROW) as (app, _):
        tracker = orders_of(app).feed.tracker
        await sees(app, "in 20 min")
        meter = await wait_until(lambda: tracker.meter_of(order["id"]), what="its poll")
        await wait_until(lambda: meter.state is State.WAITING, what="held")
        polls = meter.requests
        await kitchen.step(order["id"], "accepted", eta_minutes=95)
        await sees(app, "in 95 min")
        assert meter.requests == polls  # the status is the same


async def test_a_chat_started_in_another_window_is_entered(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    async with customer_window(demo_server.url, tmp_path) as (app, _):
        panel = next(panel for panel in app.panels if isinstance(panel, ChatPanel))
        await sees(app, "No chat yet.")
        first = (await guest.post("/chats", {"subject": "First"})).must(201).json
        await come_back(app)
        await sees(app, "First", "No messages yet.")
        second = (await guest.post("/chats", {"subject": "Second"})).must(201).json
        await come_back(app)
        await wait_until(lambda: second["id"] in panel.chat_sessions, what="the second")
        assert panel.current is not None
        assert panel.current.id == first["id"]
        await wait_until(lambda: panel.chat_sessions[second["id"]].loaded, what="its history")
        (await kitchen.rest.post(f"/chats/{second['id']}/close")).must(200)
        await wait_until(lambda: not panel.chat_sessions[second["id"]].open, what="its news")
