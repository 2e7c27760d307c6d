"""Apps in which nothing happens: what they write to the terminal, and what they run."""

import asyncio
import time
from pathlib import Path

import pytest
from frame_window import EchoPanel, Window, signed_in
from textual._compositor import CompositorUpdate
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from support.live_server import LiveServer
from support.rest import Rest
from support.screen import sees
from support.waiting import wait_until
from tui.common.app import TiffinApp
from tui.common.client import meter as client_meter
from tui.common.client.meter import Pattern, State
from tui.common.client.token_store import TokenStore
from tui.common.dialogs.base import Dialog
from tui.common.redraw import Redraw
from tui.common.wire.panel import WirePanel
from tui.customer.app import CustomerApp
from tui.employee.app import EmployeeApp

WINDOW_SECONDS = 3.0
BYTES_A_SECOND = 500
NEVER = 1e9
"""Of `time.monotonic()`, or from now on."""


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """When an app would have written to its terminal, and how many bytes."""
    pieces: list[tuple[float, int]] = []
    display = App._display

    def counted(app: App[None], screen: object, update: object) -> None:
        if isinstance(update, CompositorUpdate):
            text = update.render_segments(app.console)
            pieces.append((time.monotonic(), len(text.encode())))
        display(app, screen, update)  # type: ignore[arg-type]

    monkeypatch.setattr(App, "_display", counted)
    return pieces


@pytest.mark.parametrize("kind", [CustomerApp, EmployeeApp])
async def test_an_app_writes_next_to_nothing_while_nothing_happens(
    demo_server: LiveServer,
    tmp_path: Path,
    written: list[tuple[float, int]],
    kind: type[TiffinApp],
) -> None:
    """What a start still has to draw may take a while; then there is time without any."""
    async with Rest(demo_server.url) as rest:
        tokens = await (await rest.demo(kind.ROLE)).keep_in(tmp_path / "tokens.json")
    app = kind(demo_server.url, tokens=tokens)
    async with app.run_test(size=(160, 48)):
        await wait_until(lambda: app.panels, what="the panels")
        began = time.monotonic()

        def calm() -> bool:
            since = time.monotonic() - WINDOW_SECONDS
            recent = sum(size for at, size in written if at > since)
            return since > began and recent < BYTES_A_SECOND * WINDOW_SECONDS

        await wait_until(calm, every=0.25, what="a calm app")


async def test_a_dialog_is_drawn_with_the_panels_and_else_costs_nothing(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    class Quiet(Window):
        kinds = (EchoPanel,)

    class News(Dialog[None]):
        drawn = 0
        first_classes: frozenset[str] = frozenset()

        def body(self) -> ComposeResult:
            self.first_classes = self.classes
            yield from ()

        def redraw(self) -> None:
            self.drawn += 1

    quiet = Quiet(demo_server.url, tokens=TokenStore(tmp_path / "tokens.json"))
    async with signed_in(demo_server.url, tmp_path, window=quiet) as (app, _):
        news = News()
        await app.push_screen(news)
        await wait_until(lambda: news.drawn, what="the first drawing")
        assert news.first_classes >= {"-wide", "-tall"}, "later, all styles would be found twice"

        async def rests() -> bool:
            before = news.drawn
            await asyncio.sleep(0.5)
            return news.drawn == before

        await wait_until(rests, what="no redraw in half a second")
        news.drawn = 0
        app.echo.needs_redraw = True
        await wait_until(lambda: news.drawn, what="a redraw with the panel's")
        await wait_until(rests, what="no redraw again")
        timers = {timer.name for timer in news._timers}
        assert timers <= {"screen_update"}, timers


async def test_a_panel_that_follows_another_is_drawn_after_it(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    """Some apply what has come only when they are drawn, which may be later."""

    class Source(EchoPanel):
        REDRAW_SECONDS = 0.3
        applied = 0

        def redraw(self) -> None:
            super().redraw()
            self.applied = self.count

    class Follower(EchoPanel):
        TITLE = "Follower"
        shown = 0

        def start(self) -> None:
            super().start()
            self.source.followers.append(self)

        @property
        def source(self) -> Source:
            source = self.services.find_panel(Source)
            assert source is not None
            return source

        def redraw(self) -> None:
            super().redraw()
            self.shown = self.source.applied

    class Two(Window):
        kinds = (Source, Follower)

    two = Two(demo_server.url, tokens=TokenStore(tmp_path / "tokens.json"))
    async with signed_in(demo_server.url, tmp_path, window=two) as (app, _):
        follower = app.panels[1]
        assert isinstance(follower, Follower)
        for count in range(1, 4):
            follower.source.count = count
            follower.source.needs_redraw = True
            await wait_until(lambda: follower.shown == follower.source.count, what="the change")


async def test_where_nothing_changes_nothing_runs(
    demo_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Quiet(Window):
        kinds = (EchoPanel,)

    frames = 0
    frame = Redraw._on_frame

    def counted(redraw: Redraw) -> None:
        nonlocal frames
        frames += 1
        frame(redraw)

    monkeypatch.setattr(Redraw, "_on_frame", counted)
    quiet = Quiet(demo_server.url, tokens=TokenStore(tmp_path / "tokens.json"))
    async with signed_in(demo_server.url, tmp_path, window=quiet) as (app, _):

        async def rests() -> bool:
            before = frames
            await asyncio.sleep(0.5)
            return frames == before

        await wait_until(rests, what="no frame in half a second")
        drawn = app.echo.redraws
        for _ in range(100):
            app.echo.count += 1
            app.echo.needs_redraw = True
        await wait_until(lambda: app.echo.redraws > drawn, what="a redraw")
        await wait_until(rests, what="no frame again")
        assert app.echo.redraws == drawn + 1, "changes of one moment are drawn once"
        app.echo.redraw_in(0.1)
        await wait_until(lambda: app.echo.redraws > drawn + 1, what="a redraw with time")
        await wait_until(rests, what="no frame again")
        assert app.echo.redraws == drawn + 2
        app.echo.meter.received(1)
        app.echo.meter.frame("204 nothing new", 1)
        await sees(app, "0 ev · 1 B")


async def test_no_frame_runs_for_a_heartbeat_or_for_a_panel_that_may_not_be_drawn_yet(
    demo_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heartbeats that somebody watches draw a line of the log, and their stream's wire line."""

    class Slow(EchoPanel):
        REDRAW_SECONDS = 1000.0

    class Two(Window):
        kinds = (Slow, WirePanel)

    monkeypatch.setattr(client_meter, "HEARTBEAT_SECONDS", NEVER)
    painted: set[tuple[str, int]] = set()
    render = Widget.render_lines

    def recorded(widget: Widget, crop: Region) -> list[Strip]:
        painted.update((type(widget).__name__, y) for y in crop.line_range)
        return render(widget, crop)

    def next_frame() -> float:
        due = app.grid._redraw._next
        return NEVER if due is None else min(NEVER, due.when())

    two = Two(demo_server.url, tokens=TokenStore(tmp_path / "tokens.json"))
    async with signed_in(demo_server.url, tmp_path, window=two) as (app, pilot):
        meter = app.wire.meter("board", Pattern.SSE)
        app.echo.show_meter(meter)
        meter.set_state(State.LIVE)
        await wait_until(lambda: app.grid._redraw._revision == app.wire.revision)
        await wait_until(lambda: next_frame() > time.monotonic() + 1, what="nothing due")
        before = next_frame()
        for _ in range(10):
            meter.received(14)
            meter.heartbeat("heartbeat", 14)
            app.echo.needs_redraw = True
        assert next_frame() == before
        await pilot.press("2")
        await sees(app, "♥ 10 heartbeats")
        monkeypatch.setattr(Widget, "render_lines", recorded)

        async def draws_two_lines() -> bool:
            painted.clear()
            meter.received(14)
            meter.heartbeat("heartbeat", 14)
            wanted = {("FrameLog", 0), ("WireLine", 0)}
            await wait_until(lambda: wanted <= painted, what="the log's line and the wire line")
            return painted <= wanted | {("TopBar", 0)}

        await wait_until(draws_two_lines, what="a heartbeat after the change of panels is drawn")
