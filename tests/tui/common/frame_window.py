"""A window of the frame with a panel of the tests' own, and what it shows as text."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from textual.app import ComposeResult
from textual.pilot import Pilot
from textual.widgets import Button, Input, Static

from support.rest import Rest
from support.screen import shown
from support.waiting import wait_until
from tui.common.app import TiffinApp
from tui.common.client.meter import Pattern
from tui.common.panel import Panel
from tui.common.wire.panel import WirePanel


class EchoPanel(Panel):
    """A field, and a line that shows how often it was painted."""

    TITLE = "Echo"
    PATTERN = Pattern.LONG_POLL
    KEYS = (("k", "knock"),)

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.redraws = 0
        self.cuts = 0
        self.refreshes = 0
        self.started = 0
        self.stopped = 0

    def body(self) -> ComposeResult:
        yield Input(id="echo", compact=True)
        yield Button("Knock", id="knock", compact=True)
        yield Static("", id="count", markup=False)

    def start(self) -> None:
        self.started += 1
        self.set_summary("echo in short")

    def stop(self) -> None:
        self.stopped += 1

    def drop_connection(self) -> bool:
        self.cuts += 1
        return True

    def refresh_remote(self) -> None:
        self.refreshes += 1

    def redraw(self) -> None:
        self.redraws += 1
        self.query_one("#count", Static).update(f"{self.count} events")

    def enter(self) -> None:
        self.screen.set_focus(self.query_one("#knock"))


def numbered(number: int) -> type[EchoPanel]:
    """One more such panel."""
    return type(f"Echo{number}", (EchoPanel,), {"TITLE": f"Echo {number}"})


class Window(TiffinApp):
    """The customer's frame around the tests' panels."""

    ROLE = "customer"
    kinds: Sequence[type[Panel]] = (EchoPanel, WirePanel)

    def panel_classes(self) -> Sequence[type[Panel]]:
        return self.kinds

    @property
    def echo(self) -> EchoPanel:
        """The first panel."""
        panel = self.panels[0]
        assert isinstance(panel, EchoPanel)
        return panel


@asynccontextmanager
async def opened(app: Window, size: tuple[int, int] = (160, 48)) -> AsyncIterator[Pilot[None]]:
    """Run `app` up to its log-in screen, or up to its panels where a log-in is remembered."""
    async with app.run_test(size=size, notifications=True) as pilot:
        await wait_until(
            lambda: app.auth.ready.is_set() and (len(app.screen_stack) > 1 or app.panels),
            what="the log-in screen",
        )
        yield pilot


@asynccontextmanager
async def signed_in(
    url: str, store: Path, size: tuple[int, int] = (160, 48), *, window: Window | None = None
) -> AsyncIterator[tuple[Window, Pilot[None]]]:
    """A window of the demo's customer, who has logged in before."""
    async with Rest(url) as rest:
        tokens = await (await rest.demo("customer")).keep_in(store / "tokens.json")
    app = window or Window(url, tokens=tokens)
    async with opened(app, size) as pilot:
        await settled(app)
        yield app, pilot


async def settled(app: Window) -> None:
    """Wait until the panels are laid out and running, and the first of them has the focus."""

    def up() -> bool:
        started = bool(app.panels) and all(getattr(panel, "started", 1) for panel in app.panels)
        placed = app.grid.main is not None and bool(app.grid.main.size)
        return started and placed and len(app.screen_stack) == 1 and app.focused is not None

    try:
        await wait_until(up, what="the panels")
    except AssertionError as late:
        raise AssertionError(f"{late}\n{shown(app)}") from None
