"""What another window of the same account, or the kitchen, has done is shown here."""

import asyncio
from pathlib import Path

import pytest
from customer_window import NARROW, Kitchen, customer_window, orders_of
from textual.events import AppBlur, AppFocus

from support.live_server import LiveServer
from support.relay import Relay
from support.rest import Rest
from support.screen import sees
from support.waiting import PATIENCE, wait_until
from tui.common.client import http
from tui.common.client.meter import Pattern, State
from tui.customer.app import CustomerApp
from tui.customer.chat.panel import ChatPanel


class CountingRelay(Relay):
    """Counts the connections that are open at a time."""

    open_now = peak = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.open_now += 1
        self.peak = max(self.peak, self.open_now)
        try:
            await super().serve(reader, writer)
        finally:
            self.open_now -= 1


async def test_a_window_opens_four_connections_at_start(
    demo_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that are held, and two for everything that is asked for at once."""
    monkeypatch.setattr(http, "SHARE_SECONDS", PATIENCE)  # however busy this machine is
    relay = CountingRelay(demo_server.url)
    listener = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with customer_window(url, tmp_path, panels=()) as (app, _):
        requests = app.wire.meter("requests", Pattern.REST)
        announcements = app.wire.meter("Announcements", Pattern.SSE)
        await wait_until(lambda: announcements.state is State.LIVE and not requests.connections)
        polls = [name for name in app.wire.meters if name.endswith("(poll)")]  # if it was slow
        assert requests.requests > 4
        assert relay.peak <= 4 + len(polls)
    listener.close()


async def come_back(app: CustomerApp) -> None:
    """From another window of the desktop."""
    app.post_message(AppBlur())
    await wait_until(lambda: not app.app_focus, what="the focus to go")
    app.post_message(AppFocus())
    await wait_until(lambda: app.app_focus, what="the focus to come")


async def test_an_order_placed_in_another_window_is_followed(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    async with customer_window(demo_server.url, tmp_path, panels=()) as (app, _):
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
        await sees(app, "in 20 min")
        meter = orders_of(app).feed.meter
        await wait_until(lambda: meter.state is State.WAITING, what="held")
        await kitchen.step(order["id"], "accepted", eta_minutes=95)
        await sees(app, "in 95 min")


async def test_a_chat_started_in_another_window_is_entered(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    async with customer_window(demo_server.url, tmp_path, panels=()) as (app, _):
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
