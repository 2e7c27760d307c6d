"""Both apps on one server, each in its chat panel."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from textual.events import Paste

from support.panels import only
from support.rest import Rest
from support.screen import Window
from support.waiting import wait_until
from tui.common.app import TiffinApp
from tui.common.chat.panel import ConversationPanel
from tui.common.client.meter import State
from tui.customer.app import CustomerApp
from tui.customer.chat.panel import ChatPanel
from tui.employee.app import EmployeeApp
from tui.employee.support.panel import SupportPanel

WIDE = (160, 48)


class Side(Window):
    """A running window, and its panel for chats."""

    app: TiffinApp

    @property
    def panel(self) -> ConversationPanel:
        """Chat or Support."""
        return next(panel for panel in self.app.panels if isinstance(panel, ConversationPanel))

    async def send_typing(self, text: str) -> None:
        """Put it in at once where the focus is, and press enter."""
        field = self.app.focused
        assert field is not None
        field.post_message(Paste(text))
        await self.press("enter")

    async def go(self) -> None:
        """Have the panel in front."""
        await self.press("escape", str(self.panel.number))
        await wait_until(lambda: self.app.grid.main is self.panel, what="the panel in front")
        assert not self.panel.chat_view.composer.has_focus
        if self.panel.chat_view.has_class("-open"):
            await self.press("w")

    async def live(self) -> None:
        """Wait until the room in view stands."""
        await wait_until(
            lambda: self.panel.current is not None and self.panel.current.meter.state is State.LIVE,
            what="the room to be live",
        )


@asynccontextmanager
async def _window(app: TiffinApp, size: tuple[int, int]) -> AsyncIterator[Side]:
    async with app.run_test(size=size, notifications=True) as pilot:
        side = Side(app, pilot)
        await wait_until(lambda: len(app.panels) > 0, what="the panels")
        await wait_until(lambda: app.focused is not None, what="the focus in a panel")
        yield side


@asynccontextmanager
async def customer_side(
    url: str, folder: Path, size: tuple[int, int] = WIDE
) -> AsyncIterator[Side]:
    """The demo's customer, with the chats read."""
    async with Rest(url) as rest:
        tokens = await (await rest.demo("customer")).keep_in(folder / "customer.json")
    app = only(CustomerApp(url, tokens=tokens), ChatPanel)
    async with _window(app, size) as side:
        panel = side.panel
        assert isinstance(panel, ChatPanel)
        await wait_until(lambda: panel.loaded, what="the chats")
        yield side


@asynccontextmanager
async def employee_side(
    url: str, folder: Path, size: tuple[int, int] = WIDE
) -> AsyncIterator[Side]:
    """The demo's employee, with the queue read."""
    async with Rest(url) as rest:
        tokens = await (await rest.demo("employee")).keep_in(folder / "employee.json")
    app = only(EmployeeApp(url, tokens=tokens), SupportPanel)
    async with _window(app, size) as side:
        panel = side.panel
        assert isinstance(panel, SupportPanel)
        await wait_until(lambda: panel.feed is not None and panel.feed.loaded, what="the queue")
        yield side
