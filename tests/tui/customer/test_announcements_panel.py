"""The panel against a live server: history, what comes live, marks, toasts, the line cut."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from customer_window import MEDIUM, NARROW, WIDE, Kitchen, customer_window, served_again
from textual.widgets._toast import Toast

from support.live_server import LiveServer
from support.news import NEWS, announce
from support.proxy import proxy_to
from support.rest import Rest
from support.screen import misses, sees, shown, told
from support.waiting import wait_until
from tui.common.announcements import panel as announcements
from tui.common.announcements.panel import AnnouncementsPanel
from tui.common.client.meter import State
from tui.common.dialogs.account import AccountScreen
from tui.customer.app import CustomerApp
from tui.customer.orders.panel import OrdersPanel

news_window = partial(customer_window, panels=(OrdersPanel, AnnouncementsPanel))


def panel_of(app: CustomerApp) -> AnnouncementsPanel:
    """The panel under test."""
    return next(panel for panel in app.panels if isinstance(panel, AnnouncementsPanel))


async def live(app: CustomerApp) -> AnnouncementsPanel:
    """The panel, once its stream stands."""
    panel = panel_of(app)
    await wait_until(lambda: panel.store.loaded and panel.meter.state is State.LIVE, what="live")
    return panel


def standing(app: CustomerApp) -> list[str]:
    """The titles of the toasts for what is critical."""
    return [toast.title for toast in app._notifications if toast.severity == "error"]


async def acknowledged(kitchen: Kitchen, made: dict[str, Any]) -> int:
    """How many have, as the server knows it."""
    answer = await kitchen.rest.get(f"/announcements/{made['id']}/acks")
    count: int = answer.must(200).json["acknowledged"]
    return count


@pytest.mark.parametrize("size", [WIDE, MEDIUM, NARROW])
async def test_the_history_is_followed_by_new_announcements(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path, size: tuple[int, int]
) -> None:
    await announce(kitchen.rest, title="Bottle returns", body="Hand them to the rider.")
    await announce(kitchen.rest, title="For the kitchens", audience="employees")
    async with news_window(demo_server.url, tmp_path, size) as (app, pilot):
        await pilot.press(str(panel_of(app).number))
        panel = await live(app)
        await sees(app, "Announcements  1", "● Bottle returns", "INFO   Hand them to the rider.")
        made = await announce(kitchen.rest, title="Rain", body="Slow.", severity="warning")
        await announce(kitchen.rest, title="Not for guests", audience="employees")
        await sees(app, "Announcements  2", "● Rain", "NOTICE Slow.")
        await told(app, "Rain Slow.")
        (await kitchen.rest.delete(f"/announcements/{made['id']}")).must(204)
        await sees(app, "Announcements  1")
        assert "● Rain" not in shown(app)
        assert "kitchens" not in shown(app)
        assert [one.title for one in panel.store] == ["Bottle returns"]


async def test_announcements_that_come_together_are_one_toast_of_those_that_are_unread(
    demo_server: LiveServer, kitchen: Kitchen, guest: Rest, tmp_path: Path
) -> None:
    async with (
        proxy_to(demo_server.url) as proxy,
        news_window(proxy.url, tmp_path) as (app, _),
    ):
        panel = await live(app)
        proxy.failing(every=1)
        proxy.cut()
        await wait_until(lambda: panel.meter.state is not State.LIVE, what="cut")
        for number in range(4):
            made = await announce(kitchen.rest, title=f"Rain {number}", severity="warning")
            if number == 3:
                (await guest.post(f"/announcements/{made['id']}/ack")).must(204)
        proxy.passing()
        await told(app, "3 new announcements Rain 2\nRain 1\nRain 0")
        assert len(app._notifications) == 1


async def test_enter_marks_it_read_on_the_server(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path
) -> None:
    made = await announce(kitchen.rest, title="Bottle returns")
    async with news_window(demo_server.url, tmp_path) as (app, pilot):
        await live(app)
        await pilot.press(str(panel_of(app).number))
        await sees(app, "enter marks read")
        await pilot.press("enter", "enter")
        await sees(app, "1 announced")
        assert panel_of(app).badge == 0

        async def known() -> bool:
            return await acknowledged(kitchen, made) == 1

        await wait_until(known, what="the server knows")
    async with news_window(demo_server.url, tmp_path / "again") as (app, _):
        await live(app)
        assert panel_of(app).store.unread == []


async def test_the_whole_text_unfolds(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path
) -> None:
    body = "First the beginning of it, which is long enough to fill a line of eighty. " + "\n\nEnd."
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    await announce(kitchen.rest, title="Long", body=body, expires_at=until)
    await announce(kitchen.rest, title="Newer")
    async with news_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        await live(app)
        await pilot.press(str(panel_of(app).number))
        await wait_until(lambda: panel_of(app).rows.has_focus, what="the list in focus")
        await pilot.press("down", "space")
        await sees(app, "of eighty.", "End.", ", until ")
        await pilot.press("left")
        await misses(app, "End.")
        await pilot.press("right")
        await sees(app, "End.")
        await pilot.press("up")
        await wait_until(lambda: panel_of(app).rows.at_cursor == panel_of(app).store.at(0))


async def test_a_critical_one_stands_until_it_is_acknowledged(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path
) -> None:
    async with news_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        panel = await live(app)
        await announce(kitchen.rest, title="Shut", body="All of it.", severity="critical")
        await told(app, "Shut All of it.")
        again = await announce(kitchen.rest, title="Also shut", severity="critical")
        await announce(kitchen.rest, title="By the way")
        await told(app, "There is one more.")
        assert standing(app) == ["ALERT  Also shut"], "one toast for all"
        app.clear_notifications()  # clicked away
        await wait_until(lambda: standing(app) == ["ALERT  Also shut"], what="it stands again")
        (await kitchen.rest.delete(f"/announcements/{again['id']}")).must(204)
        await wait_until(lambda: standing(app) == ["ALERT  Shut"], what="the other one stands")
        await pilot.press(str(panel_of(app).number))
        await wait_until(lambda: panel.rows.at_cursor and panel.rows.at_cursor.title == "Shut")
        await pilot.press("enter")
        await wait_until(lambda: standing(app) == [], what="acknowledged")


async def test_an_alert_over_a_dialog_is_acknowledged_there(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path
) -> None:
    async with news_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        await live(app)
        first = await announce(kitchen.rest, title="Shut", body="b " * 900, severity="critical")
        await wait_until(lambda: standing(app) == ["ALERT  Shut"], what="it stands")
        second = await announce(kitchen.rest, title="Open", severity="critical")
        await wait_until(lambda: standing(app) == ["ALERT  Open"], what="the newer stands")
        await pilot.press("f2")
        await wait_until(lambda: isinstance(app.screen, AccountScreen), what="the dialog")
        await pilot.press("f8")
        await wait_until(lambda: standing(app) == ["ALERT  Shut"], what="the other one")
        rows = app.screen.query_one(Toast).region.height
        assert rows <= NARROW[1] // 2, f"a long text may not cover the dialog: {rows} rows"
        assert await acknowledged(kitchen, first) == 0
        await pilot.press("f8", "f8")
        await wait_until(lambda: standing(app) == [], what="nothing stands")
        assert isinstance(app.screen, AccountScreen)

        async def known() -> bool:
            return [await acknowledged(kitchen, one) for one in (first, second)] == [1, 1]

        await wait_until(known, what="the server knows of both")


@pytest.mark.parametrize("size", [MEDIUM, NARROW])
async def test_unfolded_the_title_is_whole_and_every_line_fits(
    demo_server: LiveServer,
    kitchen: Kitchen,
    tmp_path: Path,
    size: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(announcements, "CLOCK_SECONDS", 3600.0)  # nothing else draws it anew
    title = " ".join(f"word{number}" for number in range(10, 26))
    await announce(kitchen.rest, title="Short", body="text that is cut at some place " * 5)
    await announce(kitchen.rest, title=title, body="line\n" * 60)
    async with news_window(demo_server.url, tmp_path, size) as (app, pilot):
        panel = await live(app)
        await pilot.press(str(panel.number), "down")
        await wait_until(lambda: panel.rows.at_cursor == panel.store.at(1), what="the second")
        assert not panel.rows.show_vertical_scrollbar
        await pilot.press("up", "space")
        await sees(app, "word10", "word25", "  now")
        await wait_until(lambda: panel.rows.show_vertical_scrollbar, what="the scrollbar")
        width = panel.rows.scrollable_content_region.width

        def widest() -> int:
            rows = range(len(panel.store))
            return max(line.cell_length for row in rows for line in panel.rows.row_lines(row))

        await wait_until(lambda: widest() <= width, what="lines that fit beside the scrollbar")


async def test_a_cut_line_comes_back_and_misses_nothing(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path
) -> None:
    async with news_window(demo_server.url, tmp_path) as (app, pilot):
        panel = await live(app)
        await pilot.press(str(panel_of(app).number), "X")
        await wait_until(lambda: panel.meter.state is State.RETRY, what="cut")
        await announce(kitchen.rest, title="While away")
        await pilot.press("X")
        await sees(app, "● While away")
        await wait_until(lambda: panel.meter.reconnects >= 1, what="back")


async def test_read_while_the_server_is_away_reaches_it_later(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path
) -> None:
    made = await announce(kitchen.rest)
    async with news_window(demo_server.url, tmp_path) as (app, pilot):
        panel = await live(app)
        await pilot.press(str(panel_of(app).number))
        await demo_server.runner.cleanup()
        await pilot.press("enter")
        await sees(app, "◌ saving")
        assert panel.store.unread == []
        async with served_again(demo_server):
            await wait_until(lambda: panel.store.sending == 0, what="the server knows")
            assert await acknowledged(kitchen, made) == 1


async def test_read_in_one_window_it_is_read_in_the_other(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path
) -> None:
    async with (
        news_window(demo_server.url, tmp_path / "one", NARROW) as (one, _),
        news_window(demo_server.url, tmp_path / "two", NARROW) as (two, pilot),
    ):
        first, second = await live(one), await live(two)
        await announce(kitchen.rest, title="Shut", severity="critical")
        await announce(kitchen.rest, title="Rain")
        await wait_until(lambda: len(first.store.unread) == len(second.store.unread) == 2)
        for app in (one, two):
            await wait_until(lambda app=app: standing(app) == ["ALERT  Shut"], what="it stands")
        await pilot.press("f8")
        await wait_until(lambda: standing(one) == [], what="the first window knows")
        assert [item.title for item in first.store.unread] == ["Rain"]
        assert first.badge == 1


async def test_what_expires_goes_by_itself(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path
) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    await announce(kitchen.rest, title="Flash sale", expires_at=soon)
    async with news_window(demo_server.url, tmp_path) as (app, _):
        await live(app)
        await wait_until(lambda: len(panel_of(app).store) == 0, what="gone")
        await sees(app, "No announcements.")


async def test_scrolling_reads_the_older_pages(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path
) -> None:
    for number in range(120):
        await announce(kitchen.rest, title=f"No. {number}")
    async with news_window(demo_server.url, tmp_path, NARROW) as (app, pilot):
        panel = await live(app)
        await pilot.press(str(panel_of(app).number))
        await sees(app, "No. 119")
        assert len(panel.store) == 50
        assert panel.badge == 120
        for known in (100, 120, 120):
            await pilot.press("end")
            await wait_until(lambda known=known: len(panel.store) >= known, what=f"{known} known")  # type: ignore[misc]
        await pilot.press("end")
        await sees(app, "No. 0")
        await pilot.press("r", "home")
        await sees(app, "No. 119")


async def test_an_announcement_cannot_steer_the_terminal(
    demo_server: LiveServer, kitchen: Kitchen, tmp_path: Path
) -> None:
    wild = {
        "title": "\u200fne\u200bip [red]x[/]",
        "body": "a\u2060b [b]c[/b] \U0001f9d1\u200d\U0001f373",
    }
    await announce(kitchen.rest, **NEWS | wild | {"severity": "critical"})
    async with news_window(demo_server.url, tmp_path) as (app, pilot):
        await live(app)
        await pilot.press(str(panel_of(app).number), "space")
        await sees(app, "neip [red]x[/]", "ab [b]c[/b]")
        assert not set("\u200f\u200b\u2060\u200d") & set(shown(app))


async def test_the_card_of_announcements_has_two_lines(
    demo_server: LiveServer, guest: Rest, kitchen: Kitchen, tmp_path: Path
) -> None:
    for title in ("One", "Two", "Three"):
        await announce(kitchen.rest, title=title)
    async with news_window(demo_server.url, tmp_path, (92, 30)) as (app, _):
        await live(app)
        await sees(app, "Announcements  3", "● Three", "and 2 more unread")
