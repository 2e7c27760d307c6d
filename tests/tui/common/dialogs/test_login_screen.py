import asyncio
import os
import stat
from pathlib import Path

import pytest
from frame_window import Window, opened, settled, signed_in
from textual.widgets import Button, Input

from support.live_server import LiveServer, running_server, settings_for
from support.screen import misses, sees, shown
from support.waiting import PATIENCE, wait_until
from tools.ports import free_port
from tui.common.client.token_store import TokenStore
from tui.common.dialogs.login import LoginScreen

pytestmark = pytest.mark.usefixtures("few_frames")


def window(url: str, folder: Path) -> Window:
    """A window that remembers its log-in in `folder`."""
    return Window(url, tokens=TokenStore(folder / "tokens.json"))


async def typed(app: Window, **fields: str) -> None:
    """Fill the fields of the form."""
    for field, value in fields.items():
        app.screen.query_one(f"#{field}", Input).value = value


async def test_enter_is_the_demo(demo_server: LiveServer, tmp_path: Path) -> None:
    app = window(demo_server.url, tmp_path)
    async with opened(app, (80, 24)) as pilot:
        await sees(app, demo_server.url)
        await sees(app, "● ")
        await sees(app, "Enter the demo as a customer")
        await pilot.press("enter")
        await settled(app)
        assert app.session.account is not None
        assert app.session.account.role == "customer"
        await sees(app, "1 Echo")


async def test_behind_a_proxy_the_proxys_state_is_shown(
    demo_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", demo_server.url)
    async with opened(window("http://tiffin.example", tmp_path), (80, 24)) as pilot:
        await sees(pilot.app, "proxy online")
    monkeypatch.setenv("http_proxy", "socks5://127.0.0.1:1080")
    async with opened(window("http://tiffin.example", tmp_path), (80, 24)) as pilot:
        await sees(pilot.app, "cannot be reached")


async def test_enter_may_come_before_the_client_is_there(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    app = window(demo_server.url, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(lambda: isinstance(app.screen, LoginScreen) and app.focused)
        await pilot.press("enter")
        await settled(app)


async def test_the_log_in_is_remembered_for_the_next_start(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path):
        pass
    assert stat.S_IMODE((tmp_path / "tokens.json").stat().st_mode) == 0o600
    app = window(demo_server.url, tmp_path)
    async with opened(app):
        await settled(app)
        assert len(app.screen_stack) == 1


async def test_logging_out_forgets_it(demo_server: LiveServer, tmp_path: Path) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, _):
        app.log_out()
        await sees(app, "You are logged out.")
    app = window(demo_server.url, tmp_path)
    async with opened(app):
        await sees(app, "Enter the demo")


async def test_errors_are_shown_beside_their_field(demo_server: LiveServer, tmp_path: Path) -> None:
    app = window(demo_server.url, tmp_path)
    async with opened(app, (80, 24)) as pilot:
        app.screen.query_one("#log-in", Button).press()
        await sees(app, "✕ Enter your e-mail address.")
        await typed(app, email="nobody@example.com", password="not the one")
        app.screen.query_one("#password").focus()
        await pilot.press("enter")
        await wait_until(lambda: "✕" in shown(app) and "Enter your" not in shown(app))
        assert "Logging in" not in shown(app)
        assert isinstance(app.screen, LoginScreen)


async def test_registering(demo_server: LiveServer, tmp_path: Path) -> None:
    app = window(demo_server.url, tmp_path)
    async with opened(app, (80, 24)):
        app.screen.query_one("#new", Button).press()
        await wait_until(lambda: app.focused is not None and app.focused.id == "name")
        await typed(app, name="Mia", email="mia.example.com", password="long enough")
        app.screen.query_one("#log-in", Button).press()
        await sees(app, "✕ Email:")
        await wait_until(lambda: app.focused is not None and app.focused.id == "email")
        await typed(app, email="mia@example.com", password="short")
        app.screen.query_one("#log-in", Button).press()
        await sees(app, "✕ Password:")
        await typed(app, password="long enough")
        app.screen.query_one("#log-in", Button).press()
        await settled(app)
        await sees(app, "1 Echo")
        assert app.session.account is not None
        assert app.session.account.name == "Mia"


async def test_an_unreachable_server_is_reported_and_retried(tmp_path: Path) -> None:
    port = free_port()
    app = window(f"http://127.0.0.1:{port}", tmp_path)
    async with opened(app, (80, 24)) as pilot:
        await sees(app, "not responding, retrying")
        await pilot.press("enter")
        await sees(app, "Retrying every few seconds")
        settings = settings_for(tmp_path / "data", demo=True)
        async with _served_at(settings, port):
            await settled(app)
            await sees(app, "2 Wire")


async def test_esc_stops_trying(tmp_path: Path) -> None:
    app = window(f"http://127.0.0.1:{free_port()}", tmp_path)
    async with opened(app, (80, 24)) as pilot:
        await pilot.press("enter")
        await sees(app, "Retrying every few seconds")
        await pilot.press("escape")
        await misses(app, "Retrying")


async def test_a_remembered_log_in_waits_for_its_server(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "data", demo=True)
    async with running_server(settings) as server, signed_in(server.url, tmp_path):
        pass
    app = window(server.url, tmp_path)
    async with opened(app, (80, 24)):
        await sees(app, "Retrying every few seconds")
        async with _served_at(settings, server.port):
            await settled(app)


async def test_without_a_demo_the_button_says_so(tmp_path: Path) -> None:
    async with running_server(settings_for(tmp_path / "data", demo=False)) as server:
        app = window(server.url, tmp_path)
        async with opened(app, (80, 24)) as pilot:
            await pilot.press("enter")
            await sees(app, "This server runs no demo. Log in with an account.")
            assert app.focused is not None
            assert app.focused.id == "email"


async def test_being_signed_out_by_the_server_leads_back(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    async with signed_in(demo_server.url, tmp_path) as (app, pilot):
        await pilot.press("question_mark")
        app.on_session_ended("Your password was changed elsewhere. Log in again.")
        await sees(app, "Your password was changed elsewhere.")
        assert isinstance(app.screen, LoginScreen)
        assert not app.panels


async def test_an_invalid_address_is_quoted(tmp_path: Path) -> None:
    app = window("ftp://example.com", tmp_path)
    async with opened(app, (80, 24)):
        await sees(app, "--server http://host:port")


async def test_it_fits_the_smallest_window(demo_server: LiveServer, tmp_path: Path) -> None:
    app = window(demo_server.url, tmp_path)
    async with opened(app, (56, 16)) as pilot:
        await sees(app, "Enter the demo")
        await pilot.press("down", "down")
        await wait_until(lambda: app.focused is not None and app.focused.id == "password")
        await sees(app, "Password")


class _served_at:
    """A server on a port that was known before."""

    def __init__(self, settings: object, port: int) -> None:
        self.settings, self.port = settings, port

    async def __aenter__(self) -> None:
        from aiohttp import web

        from server.app import create_app

        app = create_app(self.settings)  # type: ignore[arg-type]
        self.runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=2)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()

    async def __aexit__(self, *_: object) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.runner.cleanup()


async def test_a_password_in_the_address_is_left_out_and_reported(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    app = window(demo_server.url.replace("://", "://ana:sesame@"), tmp_path)
    async with opened(app, (80, 24)) as pilot:
        await sees(app, f"● {demo_server.url}", "The user and password in the address are ignored")
        assert "sesame" not in shown(app)
        assert "sesame" not in str(TokenStore.for_app(app.server, app.ROLE).path)
        await pilot.press("enter")
        await settled(app)


@pytest.mark.parametrize("address", ["http://a..b", f"http://{'a' * 64}:80", "http://[::1"])
async def test_an_invalid_address_is_reported_in_place(address: str, tmp_path: Path) -> None:
    app = window(address, tmp_path)
    async with opened(app, (120, 30)) as pilot:
        await sees(app, "is not an http address")
        await pilot.press("enter")
        await sees(app, "It should look")


async def test_a_session_file_that_is_not_a_file_is_reported_and_stops_nobody(
    demo_server: LiveServer, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "tokens.json")
    app = window(demo_server.url, tmp_path)
    async with opened(app, (120, 30)) as pilot:
        await sees(app, "cannot be read")
        await pilot.press("enter")
        await settled(app)
