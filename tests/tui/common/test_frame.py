import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest
from frame_window import EchoPanel, Window, numbered, opened, settled, signed_in
from textual import events
from textual.color import Color
from textual.geometry import Size
from textual.pilot import Pilot
from textual.widgets import Input

from support.live_server import LiveServer
from support.rest import Rest
from support.screen import misses, sees, shown
from support.waiting import PATIENCE, wait_until
from tui.common.client import retry
from tui.common.client.errors import Unreachable
from tui.common.client.meter import Pattern, State
from tui.common.client.token_store import TokenStore
from tui.common.dialogs.news import estimates
from tui.common.format import human_bytes
from tui.common.panel_grid import PanelGrid
from tui.common.widgets.key_bar import KeyBar
from tui.common.wire.panel import WirePanel

pytestmark = pytest.mark.usefixtures("few_frames")


def fronts(app: Window) -> list[int]:
    """Numbers of the panels that show their bodies."""
    return [panel.number for panel in app.panels if panel.query_one(".body").is_on_screen]


async def test_panels_start_once_and_the_first_has_the_focus(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, _):
        assert app.echo.started == 1
        await wait_until(lambda: app.focused is not None and app.focused.id == "knock")
        assert app.grid.main is app.echo
        await sees(app, "tiffin  customer")


async def test_state_changes_after_the_exit_draw_nothing(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    """The last word of the grid may come when it is already off the screen."""
    async with signed_in(demo_server.url, tmp_path) as (app, _):
        await app.grid.remove()
        app.on_panel_grid_changed()


async def test_each_width_has_its_layout(demo_server: LiveServer, tmp_path: Path) -> None:
    async def front(*numbers: int) -> None:
        await wait_until(lambda: fronts(app) == [*numbers], what=f"{numbers} in front")

    def tabs() -> bool:
        return "1 Echo  2 Wire" in shown(app).split("\n")[1]

    async with signed_in(demo_server.url, tmp_path, (160, 48)) as (app, pilot):
        await front(1, 2)
        await pilot.press("2")
        await front(1, 2)
        assert app.grid.main is app.panels[1]
        assert not tabs()
        await pilot.resize_terminal(100, 30)
        await front(2)
        width = round((100 - 2) * 0.62) - 1
        await wait_until(lambda: app.panels[1].outer_size.width == width, what="its width")
        await sees(app, "echo in short")
        assert not tabs()
        await pilot.press("1")
        await front(1, 2)
        await pilot.resize_terminal(80, 24)
        await front(1)
        await pilot.press("2")
        await front(2)
        assert app.grid.main is app.panels[1]
        await wait_until(tabs, what="the tabs")


async def test_cards_that_have_no_room_make_way_for_tabs(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    class Six(Window):
        kinds = (*(numbered(number) for number in range(1, 6)), WirePanel)

    window = Six(demo_server.url, tokens=TokenStore(tmp_path / "tokens.json"))
    async with signed_in(demo_server.url, tmp_path, (100, 30), window=window) as (app, pilot):
        await sees(app, "6 Wire")
        await sees(app, "echo in short")
        await pilot.resize_terminal(100, 18)
        await sees(app, "1 Echo 1  2 Echo 2")
        await wait_until(lambda: app.echo.outer_size.width == 100, what="the whole width")
        await pilot.resize_terminal(100, 30)
        await sees(app, "6 Wire")
        await sees(app, "echo in short")
        await misses(app, "1 Echo 1  2 Echo 2")


async def test_the_tabs_have_the_panels_names_cut_where_they_do_not_fit(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    class Six(Window):
        kinds = (*(numbered(number) for number in range(1, 5)), LongNamed, WirePanel)

    window = Six(demo_server.url, tokens=TokenStore(tmp_path / "tokens.json"))
    async with signed_in(demo_server.url, tmp_path, (80, 24), window=window) as (app, pilot):
        await sees(app, "4 Echo 4  5 Announcements  6 Wire")
        await pilot.resize_terminal(60, 24)
        await sees(app, "4 Echo 4  5 Announc…  6 Wire")
        await pilot.resize_terminal(80, 24)
        await sees(app, "5 Announcements  6 Wire")


class LongNamed(EchoPanel):
    TITLE = "Announcements"


async def test_six_panels_are_three_by_two(demo_server: LiveServer, tmp_path: Path) -> None:
    class Six(Window):
        kinds = (*(numbered(number) for number in range(1, 6)), WirePanel)

    window = Six(demo_server.url, tokens=TokenStore(tmp_path / "tokens.json"))
    async with signed_in(demo_server.url, tmp_path, window=window) as (app, pilot):
        places = {(panel.region.x, panel.region.y) for panel in app.panels}
        assert len({x for x, _ in places}) == 3
        assert len({y for _, y in places}) == 2
        await pilot.press("5")
        await wait_until(lambda: app.grid.main is app.panels[4])
        await pilot.press("ctrl+left")
        await wait_until(lambda: app.grid.main is app.panels[3])


async def test_a_panel_learns_its_size_also_where_that_was_asked_for_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Textual sends no `Resize` to what it has laid out in passing."""
    sizes: list[Size] = []

    class Asking(EchoPanel):
        def on_mount(self) -> None:
            compositor = self.screen._compositor
            compositor.update_widgets({self})
            if self not in compositor.full_map:  # the mounting is not over yet
                asyncio.get_running_loop().call_soon(self.on_mount)

        def on_resize(self, event: events.Resize) -> None:
            sizes.append(event.size)

    async with opened(Window("http://127.0.0.1:1", tokens=TokenStore(tmp_path / "t"))) as pilot:
        app = pilot.app
        assert isinstance(app, Window)
        await app.grid.fill([Asking()])
        await wait_until(lambda: sizes, what="the panel's size")
        panel = app.panels[0]
        assert sizes[-1] == panel.outer_size
        reflow = panel.screen._compositor.reflow

        def in_passing(*args: Any) -> Any:
            return reflow(*args)._replace(resized=set())

        monkeypatch.setattr(panel.screen._compositor, "reflow", in_passing)
        before = panel.outer_size
        await pilot.resize_terminal(100, 30)
        await wait_until(lambda: panel.outer_size != before, what="another size")
        await wait_until(lambda: sizes[-1] == panel.outer_size, what="the panel to know it")


async def test_below_56_by_16_it_says_so_and_comes_back(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path, (80, 24)) as (app, pilot):
        for size in ((55, 24), (80, 15)):
            await pilot.resize_terminal(*size)
            await sees(app, "This window is too small")
            await sees(app, f"{size[0]}x{size[1]}; tiffin needs 56x16")
            assert "Echo" not in shown(app)
            assert not app.screen.show_vertical_scrollbar
        await pilot.resize_terminal(56, 16)
        await sees(app, "1 Echo")
        assert "too small" not in shown(app)
        await pilot.press("question_mark")
        await pilot.resize_terminal(40, 10)
        await sees(app, "This window is too small")


async def test_keys_go_around_the_panels_and_zoom_one(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await pilot.press("ctrl+right")
        await wait_until(lambda: app.grid.main is app.panels[1])
        await pilot.press("ctrl+right")
        await wait_until(lambda: app.grid.main is app.panels[0])
        await pilot.press("z")
        await wait_until(lambda: fronts(app) == [1])
        assert app.echo.outer_size.width == 160
        await pilot.press("2")
        await wait_until(lambda: fronts(app) == [2])
        await pilot.press("z")
        await wait_until(lambda: fronts(app) == [1, 2])


async def test_digits_in_a_field_are_digits_until_esc(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        field = app.echo.query_one("#echo")
        field.focus()
        await pilot.pause()
        await pilot.press("2", "z", "x")
        assert field.value == "2zx"  # type: ignore[attr-defined]
        assert app.grid.main is app.echo
        assert app.echo.cuts == 0
        await pilot.press("escape", "2")
        await wait_until(lambda: app.grid.main is app.panels[1])


async def test_a_field_keeps_the_keys_that_move_in_it(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        field = app.echo.query_one("#echo", Input)
        field.focus()
        await pilot.pause()
        await pilot.press(*"one two", "ctrl+left")
        assert app.focused is field
        assert field.cursor_position == len("one ")
        await pilot.press("f6")
        await wait_until(lambda: app.grid.main is app.panels[1])


async def test_esc_leaves_a_field_for_its_panel_and_nothing_else(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        knock = app.echo.query_one("#knock")
        for start in ("#echo", "#knock"):
            app.echo.query_one(start).focus()
            await pilot.pause()
            await pilot.press("escape")
            assert app.focused is knock


@pytest.mark.parametrize("key", ["r", "f5"])
async def test_a_panel_reads_again_when_asked(
    demo_server: LiveServer, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "LEAST_PAUSE_SECONDS", 0.0)
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        waiting = asyncio.create_task(retry.pause(3600))
        before = app.echo.refreshes
        await pilot.press(key)
        assert app.echo.refreshes == before + 1
        async with asyncio.timeout(PATIENCE):
            await waiting  # what waits for its next attempt does not


async def test_help_is_there_in_fields_and_dialogs_and_says_what_works_here(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        app.echo.query_one("#echo").focus()
        await pilot.pause()
        await pilot.press("f1")
        await sees(app, "knock")
        text = shown(app)
        assert text.index("knock") < text.index("zoom panel")
        await pilot.press("f1")
        await wait_until(lambda: len(app.screen_stack) == 1)
        await pilot.press("f2")
        await sees(app, "Change password")
        await pilot.press("f1")
        await sees(app, "Keys here")
        assert "Focus Previous" not in shown(app), "it is among the keys everywhere"
        await pilot.press("q")
        await wait_until(lambda: len(app.screen_stack) == 2)


async def test_f3_needs_a_terminal(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await pilot.press("f3")
        await sees(app, "no terminal that another could use", "tiffin-lab")


async def test_f3_needs_a_demo(live_server: LiveServer, tmp_path: Path) -> None:
    async with Rest(live_server.url) as rest:
        tokens = await (await rest.register("ana@example.com")).keep_in(tmp_path / "ana.json")
    window = Window(live_server.url, tokens=tokens)
    async with opened(window) as pilot:
        await settled(window)
        await pilot.press("f3")
        await sees(window, "Only a demo's server has a lab", "tiffin-lab")


async def test_keys_that_do_nothing_under_a_dialog_are_not_offered(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await sees(app, "z Zoom")
        bar = app.query_one(KeyBar)
        await pilot.press("question_mark")
        await sees(app, "Keys everywhere")
        below = app.screen_stack[0]._compositor.render_strips()
        assert "z Zoom" not in "".join(strip.text for strip in below)
        assert bar.render().plain == ""
        await pilot.press("q")
        await sees(app, "z Zoom")


async def test_i_explains_how_the_panel_gets_its_news(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        app.echo.meter.sent("GET /echo", 120)
        app.echo.meter.received(480)
        app.echo.meter.event("200 echo", 480, payload=80)
        await pilot.press("i")
        await sees(app, "How Echo gets its news", "until something changes", "Its last 2 frames")
        await sees(
            app, " GET /echo 120 B ──", "── 200 echo 480 B ", "36.0 kB, 60 events, 60 requests"
        )
        # The others' costs by the formula that is shown, with the figures that are shown.
        screen = shown(app)
        found = re.search(r"d = 80 B, their data; q = ([\d,]+) B", screen)
        assert found is not None, screen
        request = int(found[1].replace(",", ""))
        by_pattern = {pattern: (size, many) for pattern, size, many in estimates(60, request, 80)}
        assert Pattern.LONG_POLL in by_pattern
        for pattern in (Pattern.SHORT_POLL, Pattern.SSE, Pattern.WEBSOCKET):
            size, many = by_pattern[pattern]
            assert re.search(rf"{pattern} +{human_bytes(size)} +{many:,.0f} request", screen), (
                screen
            )
        await pilot.resize_terminal(80, 24)
        await pilot.press(*["down"] * 16)
        await sees(app, "Source")
        await pilot.press("i")
        await wait_until(lambda: len(app.screen_stack) == 1)


async def test_ctrl_c_says_how_to_quit(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await pilot.press("ctrl+c")
        await sees(app, "Press ctrl+q to quit.")


async def test_an_error_of_our_own_in_a_panel_is_shown(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async def fail() -> None:
        raise RuntimeError("broken")

    async with signed_in(demo_server.url, tmp_path) as (app, _):
        app.echo.run_worker(fail(), exit_on_error=False)
        await sees(app, "Stopped by an error: RuntimeError('broken').")
        assert app.echo.meter.state is State.DOWN


async def test_x_cuts_the_line_of_the_panel_in_front(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await pilot.press("x")
        assert app.echo.cuts == 1
        assert app.echo.meter.is_cut
        await pilot.press("X")
        assert app.echo.meter.is_held
        await pilot.press("X")
        assert not app.echo.meter.is_cut
        await pilot.press("2", "x")
        await sees(app, "This panel only watches.")
        await pilot.press("X")
        assert not app.panels[1].meter.is_cut
        assert app.echo.cuts == 2


async def test_day_and_night(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        night = app.echo.styles.background
        await pilot.press("t")
        await wait_until(lambda: app.echo.styles.background != night)
        assert app.echo.styles.background == Color.parse("#faf9f6")
        await pilot.press("t")
        await wait_until(lambda: app.echo.styles.background == night)


async def test_help_lists_the_keys_of_the_frame_and_of_the_panels(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await pilot.press("question_mark")
        for words in (
            "zoom panel",
            "knock",
            "write the log to a file",
            "a held request",
        ):
            await sees(app, words)
        await pilot.press("z")
        assert not app.grid.zoomed
        await pilot.press("escape")
        await wait_until(lambda: len(app.screen_stack) == 1)


async def test_the_palette_runs_our_commands(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await pilot.press("ctrl+p")
        await sees(app, "Cut this panel's line")
        await sees(app, "Go to Wire")
        await pilot.press(*"zoom", "down")
        await sees(app, "Zoom this panel")
        await pilot.press("enter")
        await wait_until(lambda: app.grid.zoomed)


async def test_a_click_on_a_key_is_that_key(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await sees(app, "f2 Account", "? Help")  # the keys before it move it
        line = shown(app).split("\n")[-1]
        await pilot.click(offset=(line.index("? Help"), 47))
        await sees(app, "Reading the wire line")


async def test_a_click_on_a_tab_goes_there(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path, (80, 24)) as (app, pilot):
        await sees(app, "2 Wire")
        await pilot.click(offset=(shown(app).split("\n")[1].index("Wire"), 1))
        await wait_until(lambda: app.grid.main is app.panels[1])


async def test_toasts_and_headline_show_data_as_it_is(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    nasty = "[b]Soup[/b] [red]\x1b[2J\x07of the day"
    async with signed_in(demo_server.url, tmp_path) as (app, _):
        app.echo.notify(nasty, title=nasty)
        app.set_headline(nasty)
        app.echo.set_summary(nasty)
        app.echo.set_badge(3, nasty)
        await wait_until(lambda: shown(app).count("[b]Soup[/b] [red][2Jof the day") >= 3)
        await sees(app, "1 Echo  3")


async def test_the_top_bar_shows_lost_connections(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, _):
        app.echo.meter.set_state(State.WAITING)
        await sees(app, "◐ online")
        app.echo.meter.retrying("refused", 5)
        await sees(app, "◌ 1 of 1 offline")


async def test_a_thousand_events_are_a_few_paintings(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        before = app.echo.redraws

        async def burst(pilot: Pilot[None]) -> None:
            for _ in range(20):
                for _ in range(50):
                    app.echo.count += 1
                    app.echo.meter.event("echo", 10)
                    app.echo.needs_redraw = True
                await pilot.pause(0.01)

        await burst(pilot)
        await sees(app, "1000 events")
        assert 1 <= app.echo.redraws - before <= 40


async def test_without_colour_focus_and_tab_still_show(
    demo_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "NO_COLOR", "1")
    async with signed_in(demo_server.url, tmp_path, (80, 24)) as (app, pilot):
        assert app.no_color
        await sees(app, "[1 Echo]")
        await sees(app, "┏")
        await pilot.press("2")
        await sees(app, "[2 Wire]")


async def test_quitting_closes_the_session(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        session = app.session
        await pilot.press("ctrl+q")
        await wait_until(lambda: not app.is_running)
    with pytest.raises(Unreachable, match="This client has been closed"):
        await session.request("GET", "/me")


async def test_the_next_account_gets_panels_of_its_own(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        first = app.echo
        assert app.wire.frames
        app.log_out()
        await sees(app, "You are logged out.")
        assert not app.wire.frames
        assert not app.wire.totals()
        assert first.stopped == 1
        assert app.screen_stack[0].query_one(PanelGrid).panels == []
        await pilot.press("enter")
        await settled(app)
        assert isinstance(app.echo, EchoPanel)
        assert app.echo is not first


async def test_a_toast_takes_the_place_of_an_older_one_of_its_title(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, _):
        app.notify("Accepted", title="#1001 Saffron", timeout=30)
        app.notify("Placed", title="#1002 Saffron", timeout=30)
        await sees(app, "Accepted")
        app.notify("On its way", title="#1001 Saffron", timeout=30)
        await sees(app, "On its way")
        await misses(app, "Accepted")
        assert "Placed" in shown(app)
