"""A town of one's own: shared by a visitor's windows, bounded in number, gone after them."""

import asyncio
from functools import partial
from pathlib import Path

import aiohttp
import psutil
import pytest

from server.core.temp_files import locked_folder
from support.processes import children_with
from support.server_process import StartServer
from support.waiting import wait_until
from web import town
from web.host import COOKIE, wanted_languages
from web.town import NoTown, Towns

KITCHEN_IN_ARABIC = "ﺦﺒﻄﻤﻟﺍ"
ARABIC = b"\xef\xbb"
"""With which forms of Arabic letters begin in UTF-8."""

pytestmark = pytest.mark.others


async def test_a_town_is_one_visitors_and_ends_after_their_last_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(town, "GRACE_SECONDS", 0.5)
    monkeypatch.setenv("TIFFIN_REDIS_URL", "redis://secret@nowhere")
    new_folder = partial(locked_folder, tmp_path, "town-")
    towns = Towns(1, 512, {"TIFFIN_PHOTO_WORKERS": "0"}, new_folder)
    try:
        async with towns.visit("a") as url, towns.visit("a") as same:
            assert url == same
            [server] = children_with("tui.common.parent_guard")
            assert "TIFFIN_REDIS_URL" not in server.environ()
            assert server.rlimit(psutil.RLIMIT_DATA)[0] == 512 * 1024 * 1024
            with pytest.raises(NoTown, match="in use"):
                async with towns.visit("b"):
                    pass
        async with towns.visit("a") as again:  # a reload
            assert again == url
            await asyncio.sleep(0.6)  # the time that began before the reload has passed
            assert server.is_running()
            server.kill()
            await wait_until(lambda: not list(tmp_path.iterdir()))
        async with towns.visit("a") as url:
            [server] = children_with("tui.common.parent_guard")
            await asyncio.sleep(0.6)  # the time that began as the one that was killed was left
            assert server.is_running()
        await wait_until(lambda: not server.is_running())
        await wait_until(lambda: not list(tmp_path.iterdir()))
        async with towns.visit("a") as other:
            assert other != url
            [server] = children_with("tui.common.parent_guard")
            monkeypatch.setattr(town, "GRACE_SECONDS", 600)
        async with towns.visit("b"):  # who has left makes room at once
            await wait_until(lambda: not server.is_running())
            assert len(children_with("tui.common.parent_guard")) == 1
    finally:
        await towns.close()
    assert not children_with("tui.common.parent_guard")
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240


async def test_a_visitor_is_a_cookie_that_no_page_can_read(start_server: StartServer) -> None:
    server = start_server(demo=True, env={"TIFFIN_WEB": "1", "TIFFIN_WEB_TOWN": "own"})
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        first = (await client.get(server.url)).cookies[COOKIE]
        assert first["httponly"]
        assert first["samesite"] == "Lax"
        assert len(first.value) == 32
        assert not (await client.get(f"{server.url}/web/customer")).cookies, "it has one"
    for forged in ("", "x", "../" * 20):
        head = {"Cookie": f"{COOKIE}={forged}"} if forged else {}
        async with aiohttp.ClientSession(headers=head) as client:
            assert (await client.get(server.url)).cookies[COOKIE].value != first.value
        async with (
            aiohttp.ClientSession(headers=head) as client,
            client.ws_connect(f"{server.url}/web/customer/ws", origin=server.url) as socket,
        ):
            assert b"Allow this page its cookie" in await socket.receive_bytes()


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        ("", ""),
        ("ar", "ar"),
        ("fr-CH, fr;q=0.9,AR;q=0.95 , en;q=0, *;q=0.5", "fr:ar"),
        ("en;q=0.1, zh-Hant-TW", "zh:en"),
        ("../etc/passwd, a, abcd, ar:en, LD_PRELOAD=x, ar;q=9, ar;q=nan", ""),
    ],
)
def test_a_visitors_languages_are_those_of_their_browser(accepted: str, wanted: str) -> None:
    assert wanted_languages(accepted) == wanted


async def drawn(socket: aiohttp.ClientWebSocketResponse, words: bytes) -> None:
    seen = b""
    while words not in seen:
        seen += await socket.receive_bytes(timeout=30)


async def test_gunicorn_serves_a_shared_town_and_refuses_own_ones(
    start_server: StartServer,
) -> None:
    pages = {"TIFFIN_WEB": "1", "TIFFIN_DEMO": "1"}
    server = start_server(gunicorn=2, env=pages)
    async with aiohttp.ClientSession() as client:
        for role, accepted, then in (
            ("customer", "en;q=0.9, ar;q=0.5", "New order"),
            ("employee", "fr, ar-EG;q=0.9, en;q=0.8", KITCHEN_IN_ARABIC),
        ):
            path = f"{server.url}/web/{role}/ws?width=120&height=40"
            head = {"Accept-Language": accepted}
            async with client.ws_connect(path, origin=server.url, headers=head) as socket:
                await drawn(socket, b"Enter the demo" if role == "customer" else ARABIC)
                await socket.send_json(["stdin", "\r"])
                await drawn(socket, then.encode())
    assert server.terminate() == 0
    server.environment["TIFFIN_WEB_TOWN"] = "own"
    server.spawn()
    await wait_until(lambda: not server.running)
    assert "TIFFIN_WEB_TOWN=own needs one process" in server.log_tail()
