"""The employee's window on a real server, with the kitchen in front, and what it shows as text."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from server.features.orders.schemas import Order, OrderStatus
from support.panels import only
from support.rest import Rest
from support.screen import Window
from support.waiting import PATIENCE, wait_until
from tui.common.client.meter import State
from tui.common.config import Config
from tui.common.panel import Panel
from tui.employee.app import EmployeeApp
from tui.employee.kitchen.panel import KitchenPanel


class KitchenWindow(Window):
    """A running window."""

    app: EmployeeApp

    @property
    def kitchen(self) -> KitchenPanel:
        """The panel."""
        panel = self.app.panels[0]
        assert isinstance(panel, KitchenPanel)
        return panel

    async def sees(self, *texts: str, seconds: float = PATIENCE) -> None:
        """Wait until each of `texts` has been on the screen."""
        for text in texts:
            await super().sees(text, seconds=seconds)

    async def has(self, order: Order, status: OrderStatus) -> Order:
        """Wait until the board has the order at `status`; the order then."""
        board = self.kitchen.board
        await wait_until(
            lambda: (now := board.order(order.id)) is not None and now.status is status,
            what=f"#{order.number} {status} on the board",
        )
        now = board.order(order.id)
        assert now is not None
        return now

    async def on(self, order: Order) -> None:
        """Put the cursor on that order."""
        await wait_until(lambda: self.kitchen.board.order(order.id), what="the order on the board")
        self.kitchen.cursor.select(order.id)
        await self.pilot.pause()

    async def live(self) -> None:
        """Wait until the board is read and its stream stands."""
        await wait_until(
            lambda: (
                self.app.panels
                and self.kitchen.feed
                and self.kitchen.feed.loaded
                and self.kitchen.meter.state is State.LIVE
            ),
            what="the stream of the kitchen",
        )


@asynccontextmanager
async def kitchen_window(
    url: str,
    folder: Path,
    size: tuple[int, int] = (160, 48),
    panels: Sequence[type[Panel]] = (KitchenPanel,),
    hold: float = 0,
    config: Config | None = None,
) -> AsyncIterator[KitchenWindow]:
    """Logged in as the demo's employee, with the board shown and live; of its panels only `panels`
    have contents. Steps wait `hold` seconds before they are sent."""
    async with Rest(url) as rest:
        tokens = await (await rest.demo("employee")).keep_in(folder / "employee.json")
    app = only(EmployeeApp(url, tokens=tokens, config=config), *panels)
    async with app.run_test(size=size, notifications=True) as pilot:
        window = KitchenWindow(app, pilot)
        await window.live()
        window.kitchen.actions.held.hold_for = hold
        await wait_until(lambda: app.focused is not None, what="the focus in a panel")
        yield window
