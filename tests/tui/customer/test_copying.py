"""`y`, or a click on it, copies what is selected."""

from pathlib import Path

from customer_window import Kitchen, customer_window, table_of

from support.live_server import LiveServer
from support.news import announce
from support.rest import Rest
from support.screen import sees, shown, told
from support.waiting import wait_until
from tui.common.announcements.panel import AnnouncementsPanel
from tui.common.wire.panel import WirePanel
from tui.customer.orders.panel import OrdersPanel


async def test_what_is_selected_is_copied(demo_server: LiveServer, tmp_path: Path) -> None:
    async with Rest(demo_server.url) as rest, Rest(demo_server.url) as customer:
        kitchen = await Kitchen(rest).open()
        await customer.demo("customer")
        placed = (await customer.post("/orders", await kitchen.basket())).must(201).json
        await announce(rest, title="We close at nine")
    panels = (OrdersPanel, AnnouncementsPanel, WirePanel)
    async with customer_window(demo_server.url, tmp_path, panels=panels) as (app, pilot):
        await wait_until(lambda: table_of(app).order is not None, what="the order")
        await pilot.press("y")
        await sees(app, "1 order number", "2 address  1 Quay Street", "3 your phone")
        await pilot.press("2")
        await told(app, "address: 1 Quay Street")
        assert app.clipboard == "1 Quay Street"
        await sees(app, "y Copy")
        line = shown(app).splitlines()[-1]
        await pilot.click(offset=(line.index("y Copy"), 47))
        await sees(app, "1 order number")
        await pilot.press("enter")
        await wait_until(lambda: app.clipboard == f"{placed['number']:04d}", what="the number")
        await pilot.press("enter")
        await sees(app, "esc closes")
        await pilot.press("y", "2")
        await wait_until(lambda: app.clipboard == "1 Quay Street", what="in a dialog too")
        await pilot.press("escape", "4")
        news = app.find_panel(AnnouncementsPanel)
        await wait_until(lambda: news is not None and news.rows.at_cursor, what="the announcement")
        await pilot.press("y", "1")
        await wait_until(lambda: app.clipboard.startswith("We close at nine"), what="its text")
        await pilot.press("6")
        await pilot.press("y")
        await sees(app, "line")
        await pilot.press("enter")
        await wait_until(lambda: "We close" not in app.clipboard, what="a frame")
