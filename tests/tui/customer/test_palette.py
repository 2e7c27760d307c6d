"""The palette finds commands by their name, with their key, and what the app knows by its words."""

import asyncio
from datetime import timedelta
from pathlib import Path

from customer_window import Kitchen, customer_window, orders_of, table_of

from server.core.clock import now, to_text
from support.live_server import LiveServer
from support.rest import Rest
from support.room import open_chat
from support.screen import sees
from support.waiting import wait_until
from tui.common.config import Config
from tui.common.widgets.row_list import RowList
from tui.customer.chat.dialogs import ChatsScreen
from tui.customer.chat.panel import ChatPanel
from tui.customer.ordering.menu import MenuList
from tui.customer.ordering.screen import NewOrderScreen
from tui.customer.orders.dialogs import OrderDetailsScreen
from tui.customer.orders.panel import OrdersPanel


async def test_the_palette_finds_what_the_app_knows(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with Rest(demo_server.url) as rest, Rest(demo_server.url) as customer:
        kitchen = await Kitchen(rest).open()
        await customer.demo("customer")
        placed = (await customer.post("/orders", await kitchen.basket())).must(201).json
        chat = await open_chat(customer, subject="Where is [b]my soup?")
        await open_chat(customer, subject="A second spoon")
        pause = {"paused_until": to_text(now() + timedelta(hours=1))}
        (await rest.patch(f"/restaurants/{kitchen.id}", pause)).must(200)
    config = Config(keys={"orders.new_order": "ctrl+n"})
    panels = (OrdersPanel, ChatPanel)
    async with customer_window(demo_server.url, tmp_path, panels=panels, config=config) as (
        app,
        pilot,
    ):
        await wait_until(lambda: table_of(app).order is not None, what="the order")

        menus = orders_of(app).menus
        first, second = await asyncio.gather(menus.read(), menus.read())
        assert first is second, "one reading serves both"

        async def find(words: str, name: str, *more: str) -> None:
            """Type the words, wait for that hit alone or first, and choose it."""
            await pilot.press("ctrl+p")
            await wait_until(lambda: type(app.focused).__name__ == "CommandInput", what="palette")
            await pilot.press(*("space" if one == " " else one for one in words))
            await sees(app, name, *more)
            await pilot.press("down", "enter")

        await pilot.press("ctrl+p")
        await sees(app, "Day or night  t", "Account  f2")
        await pilot.press(*"new")
        await sees(app, "New order  ^n")
        await pilot.press("escape")

        await find("vegan steamed idli", "Dish Idli", "Takes no orders until")
        await wait_until(lambda: isinstance(app.screen, NewOrderScreen), what="the new order")
        menu = app.screen.query_one(MenuList)
        await wait_until(
            lambda: (at := menu.highlighted_index) is not None and menu.dish(at).name == "Idli",
            what="the dish",
        )
        await pilot.press("escape", "escape")

        await find("curry leaf restaurant", "Restaurant Curry Leaf", "Takes no orders until")
        await sees(app, "2 Dishes", "Masala dosa")
        await pilot.press("escape", "escape")

        await find(f"order {placed['number']:04d}", f"Order #{placed['number']:04d}")
        await wait_until(lambda: isinstance(app.screen, OrderDetailsScreen), what="its details")
        order = orders_of(app).order
        assert order is not None
        assert order.id == placed["id"]
        await pilot.press("escape")

        panel = app.find_panel(ChatPanel)
        assert panel is not None
        await wait_until(lambda: panel.current is not None, what="the newest chat")
        await find("soup chat", "Chat Where is [b]my soup?")
        await wait_until(lambda: panel.current and panel.current.id == chat, what="the chat")

        await pilot.press("l")
        await wait_until(lambda: isinstance(app.screen, ChatsScreen), what="the chats")
        rows = app.screen.query_one(RowList)
        await wait_until(lambda: rows.option_count == 2, what="both")
        await pilot.press("slash", *"spoon")
        await sees(app, "1 of 2")
        await pilot.press("enter", "enter")
        await wait_until(
            lambda: panel.current and panel.current.chat.subject == "A second spoon", what="it"
        )

        await find("theme dracula", "Theme dracula")
        await wait_until(lambda: app.theme == "dracula", what="the theme")
        await find("log out", "Log out")
        await wait_until(lambda: not app.panels, what="logged out")
