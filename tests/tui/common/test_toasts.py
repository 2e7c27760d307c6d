"""Toasts: at most two, and where nobody works."""

from pathlib import Path

from frame_window import signed_in
from textual.geometry import Region
from textual.screen import Screen
from textual.widgets import Input
from textual.widgets._toast import Toast

from support.live_server import LiveServer
from support.waiting import wait_until
from tui.common.dialogs.confirm import ConfirmScreen


def places(screen: Screen[object]) -> list[Region]:
    """Where toasts are."""
    return [toast.region for toast in screen.query(Toast) if toast.region]


async def test_older_toasts_become_one_and_none_is_lost(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, _):
        app.notify("Evacuate", title="ALERT", severity="error", timeout=365 * 86_400)
        for number in range(1, 5):
            app.notify(f"Accepted\nby Maya {number}", title=f"#{number} Saffron", timeout=30)
        await wait_until(
            lambda: any(one.title == "4 messages" for one in app._notifications), what="one of four"
        )
        toasts = {toast.title: toast.message for toast in app._notifications}
        assert sorted(toasts) == ["4 messages", "ALERT"]
        assert toasts["4 messages"].splitlines() == [f"#{n} Saffron: Accepted" for n in range(1, 5)]
        await wait_until(lambda: len(places(app.screen)) == 2, what="two toasts")
        for number in range(5, 10):
            app.notify("Accepted", title=f"#{number} Saffron", timeout=30)
        await wait_until(
            lambda: any(one.title == "9 messages" for one in app._notifications), what="one of nine"
        )


async def test_no_toast_covers_the_field_or_the_dialog_in_use(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path, (80, 24)) as (app, pilot):
        app.notify("Here", title="One", timeout=60)
        await wait_until(lambda: places(app.screen), what="a toast")
        assert places(app.screen)[0].y > 12, "by default at the lower edge"
        field = app.echo.query_one(Input)
        field.styles.offset = (0, 18)
        field.focus()
        await wait_until(lambda: field.has_focus)
        await pilot.press("a")
        await wait_until(lambda: not places(app.screen)[0].overlaps(field.region), what="moved")
        assert places(app.screen)[0].y < 12
        app.push_screen(ConfirmScreen("Sure?", "Really?", yes="Yes", no="No"))
        await wait_until(lambda: app.screen.query(".box"), what="the question")
        box = app.screen.query_one(".box")
        box.styles.offset = (0, 8)
        app.notify("There", title="One", timeout=60)

        def apart() -> bool:
            toasts = places(app.screen)
            return bool(toasts) and not any(box.region.overlaps(one) for one in toasts)

        await wait_until(lambda: box.region.bottom > 20 and apart(), what="the dialog is free")


async def test_a_toast_that_comes_as_the_app_ends_is_left(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, _):
        app.notify("Here", title="One", timeout=60)
        await wait_until(lambda: places(app.screen), what="a toast")
        await app.push_screen(ConfirmScreen("Sure?", "Really?", yes="Yes", no="No"))
        app._running = False
        app._refresh_notifications()
        app._running = True
