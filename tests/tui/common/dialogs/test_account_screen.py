import json
import stat
from pathlib import Path

import pytest
from frame_window import Window, signed_in
from textual.widgets import Button, Input, OptionList

from support.live_server import LiveServer
from support.rest import Rest
from support.screen import sees, shown
from support.waiting import wait_until
from tui.common.dialogs.account import AccountScreen
from tui.common.dialogs.login import LoginScreen
from tui.common.dialogs.save import SaveScreen
from tui.common.dialogs.sessions import SessionsScreen

pytestmark = pytest.mark.usefixtures("few_frames")


def press(app: Window, button: str) -> None:
    app.screen.query_one(f"#{button}", Button).press()


def value(app: Window, field: str) -> str:
    return app.screen.query_one(f"#{field}", Input).value


def fill(app: Window, **fields: str) -> None:
    for field, text in fields.items():
        app.screen.query_one(f"#{field}", Input).value = text


async def test_the_profile_is_shown_and_saved(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path, (80, 24)) as (app, pilot):
        await pilot.press("f2")
        assert app.session.account is not None
        await sees(app, app.session.account.email)
        fill(app, name="Ana [b]Maria[/b]", phone="+43 1", address="Home 1", place="47.1, 15.5")
        press(app, "save")
        await sees(app, "✓ Saved.")
        account = await app.api.me()
        assert account.name == "Ana [b]Maria[/b]"
        assert account.phone == "+43 1"
        assert account.address is not None
        assert (account.address.text, account.address.lat) == ("Home 1", 47.1)
        fill(app, phone="", address="")
        press(app, "save")
        await wait_until(lambda: app.session.account and app.session.account.address is None)
        await pilot.press("escape")
        await wait_until(lambda: len(app.screen_stack) == 1)
        await pilot.resize_terminal(160, 48)
        await sees(app, "Ana [b]Maria[/b]")


async def test_invalid_profile_fields_are_reported_in_place(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path, (100, 30)) as (app, pilot):
        await pilot.press("f2")
        await wait_until(lambda: isinstance(app.screen, AccountScreen) and value(app, "name"))
        fill(app, address="Somewhere", place="here")
        press(app, "save")
        await sees(app, "✕ Enter the position as two numbers")
        fill(app, place="91, 0")
        press(app, "save")
        await sees(app, "✕ Lat:")
        fill(app, place="1, 0", name=" ")
        press(app, "save")
        await sees(app, "✕ Name: is empty.")
        await wait_until(lambda: app.focused is not None and app.focused.id == "name")


async def test_the_password(demo_server: LiveServer, tmp_path: Path) -> None:
    async with Rest(demo_server.url) as rest, signed_in(demo_server.url, tmp_path) as (app, pilot):
        app.log_out()
        await sees(app, "You are logged out.")
        await app.session.register("leo@example.com", "the first one", "Leo")
        app.screen.dismiss(True)
        await wait_until(lambda: app.panels)
        await pilot.press("f2")
        await wait_until(lambda: isinstance(app.screen, AccountScreen))
        fill(app, current_password="wrong", new_password="the second one")
        press(app, "change")
        await sees(app, "✕")
        fill(app, current_password="the first one", new_password="short")
        press(app, "change")
        await sees(app, "✕ New password:")
        fill(app, new_password="the second one")
        press(app, "change")
        await sees(app, "✓ Password changed.")
        assert value(app, "new_password") == ""
        body = {"email": "leo@example.com", "password": "the second one"}
        (await rest.post("/auth/login", body)).must(200)


async def test_log_out_is_two_presses_away(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await pilot.press("f2")
        await wait_until(lambda: isinstance(app.screen, AccountScreen))
        press(app, "log-out")
        await sees(app, "You are logged out.")
        assert isinstance(app.screen, LoginScreen)
        assert app.session.account is None


async def test_deleting_asks_first(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        app.log_out()
        await sees(app, "You are logged out.")
        await app.session.register("max@example.com", "long enough", "Max")
        app.screen.dismiss(True)
        await wait_until(lambda: app.panels)
        await pilot.press("f2")
        await wait_until(lambda: isinstance(app.screen, AccountScreen))
        press(app, "delete")
        await sees(app, "This can't be undone.")
        await wait_until(lambda: app.focused is not None and app.focused.id == "no")
        await pilot.press("enter")
        await wait_until(lambda: isinstance(app.screen, AccountScreen))
        assert (await app.api.me()).name == "Max"
        press(app, "delete")
        await wait_until(lambda: app.focused is not None and app.focused.id == "no")
        app.screen.query_one("#password", Input).value = "a guess"
        await pilot.press("right")
        await wait_until(lambda: app.focused is not None and app.focused.id == "yes")
        await pilot.press("enter")
        await sees(app, "Password: This is not the current password.")
        await wait_until(lambda: app.focused is not None and app.focused.id == "password")
        app.screen.query_one("#password", Input).value = "long enough"
        await pilot.press("enter")
        await wait_until(lambda: app.focused is not None and app.focused.id == "yes")
        # Textual takes no second press while it still shows the first.
        await wait_until(lambda: app.focused is not None and not app.focused.has_class("-active"))
        await pilot.press("enter")
        await sees(app, "Your account is deleted.")
        assert app.session.account is None


async def test_sessions_are_ended_from_their_list(demo_server: LiveServer, tmp_path: Path) -> None:
    async with (
        Rest(demo_server.url) as rest,
        signed_in(demo_server.url, tmp_path, (56, 16)) as (app, pilot),
    ):
        app.log_out()
        await sees(app, "You are logged out.")
        await app.session.register("zoe@example.com", "the first one", "Zoe")
        app.screen.dismiss(True)
        await wait_until(lambda: app.panels)
        others = [await rest.another().log_in("zoe@example.com", "the first one") for _ in range(3)]
        await pilot.press("f2")
        await wait_until(lambda: isinstance(app.screen, AccountScreen))
        press(app, "sessions")
        await wait_until(lambda: isinstance(app.screen, SessionsScreen))
        await sees(app, "Python/")
        rows = app.screen.query_one(OptionList)
        assert rows.option_count == 4
        assert "e ends it · o ends all others · esc closes" in shown(app)
        await pilot.press("e")
        await sees(app, "That session has ended.")
        assert rows.option_count == 3
        statuses = [(await other.get("/me")).status for other in others]
        assert sorted(statuses) == [200, 200, 401]
        await pilot.press("o")
        await sees(app, "All other sessions have ended.")
        assert "tiffin (" in shown(app)
        assert "this one" in shown(app)
        assert rows.option_count == 1
        for other in others:
            (await other.get("/me")).must(401)
        await pilot.press("e")  # this one: it is a log-out
        await sees(app, "You are logged out.")


async def test_a_password_that_is_tried_first_is_refused_in_place(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        app.log_out()
        await sees(app, "You are logged out.")
        press(app, "new")
        fill(app, name="Kim", email="kim@example.com", password="password1")
        press(app, "log-in")
        await sees(app, "This password is one of the most used")
        await wait_until(lambda: app.focused is not None and app.focused.id == "password")
        fill(app, password="a few words of Kim's own")
        press(app, "log-in")
        await wait_until(lambda: app.panels)
        await pilot.press("f2")
        await wait_until(lambda: isinstance(app.screen, AccountScreen))
        fill(app, current_password="a few words of Kim's own", new_password="kim@example.com")
        press(app, "change")
        await sees(app, "This password is your e-mail")
        await wait_until(lambda: app.focused is not None and app.focused.id == "new_password")


async def test_ones_data_is_saved_for_oneself_alone(
    demo_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with signed_in(demo_server.url, tmp_path, (80, 24)) as (app, pilot):
        await pilot.press("f2")
        await wait_until(lambda: isinstance(app.screen, AccountScreen))
        press(app, "export")
        await wait_until(lambda: isinstance(app.screen, SaveScreen), what="where to save it")
        await pilot.press("enter")
        await sees(app, "✓ Saved as")
        saved = tmp_path / "tiffin-my-data.json"
        assert stat.S_IMODE(saved.stat().st_mode) == 0o600
        assert app.session.account is not None
        assert json.loads(saved.read_text())["account"]["id"] == app.session.account.id
