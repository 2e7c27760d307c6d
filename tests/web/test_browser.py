"""Both apps in a real browser: two windows, an order, a town for each visitor, a server that is
killed; mouse, clipboard, sizes, pictures and files as in a terminal."""

import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import psutil
import pyte
import pytest
from playwright.async_api import Browser, Download, Frame, Page, WebSocket, async_playwright

from support.live_server import running_server, settings_for
from support.processes import children_with
from support.server_process import ServerProcess
from support.waiting import wait_until

pytestmark = pytest.mark.others

StartServer = Callable[..., ServerProcess]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
TOWN = "tui.common.parent_guard"
"""In the command of a town's server."""
WIDE = {"width": 1600, "height": 900}


class Window:
    """What one app has drawn in its page, read from its WebSocket."""

    def __init__(self, page: Page, role: str) -> None:
        self.page, self.role = page, role
        self.closed = False
        self.size = (0, 0)
        self._open()
        page.on("websocket", self._connected)

    def _open(self) -> None:
        self._screen = pyte.Screen(200, 60)
        self._stream = pyte.ByteStream(self._screen)

    def _connected(self, socket: WebSocket) -> None:
        if f"/web/{self.role}/ws" in socket.url:
            self._open()
            self.closed = False
            socket.on("framereceived", self._received)
            socket.on("framesent", self._sent)
            socket.on("close", lambda _: setattr(self, "closed", True))

    def _received(self, frame: str | bytes) -> None:
        if isinstance(frame, bytes):
            self._stream.feed(frame)

    def _sent(self, frame: str | bytes) -> None:
        kind, *content = json.loads(frame)
        if kind == "resize":
            self.size = content[0]["width"], content[0]["height"]
            self._open()  # the app paints all of it again

    @property
    def text(self) -> str:
        return "\n".join(self._screen.display)

    @property
    def lines(self) -> list[str]:
        """Without the empty ones at the end, and blanks at their ends."""
        return [line.rstrip() for line in self.text.rstrip().splitlines()]

    @property
    def colours(self) -> set[str]:
        """Those of the letters now."""
        return {cell.fg for row in self._screen.buffer.values() for cell in row.values()}

    async def sees(self, *words: str) -> str:
        """Wait until all of them are shown."""
        try:
            await wait_until(lambda: all(word in self.text for word in words))
        except AssertionError:
            raise AssertionError(f"{self.role} does not show {words}:\n{self.text}") from None
        return self.text

    @property
    def frame(self) -> Frame:
        return next(one for one in self.page.frames if one.url.endswith(f"/web/{self.role}"))

    async def press(self, *keys: str) -> None:
        """Press keys in the window."""
        await self.frame.locator(".xterm-helper-textarea").focus()
        for key in keys:
            await self.page.keyboard.press(key)

    async def click(self, words: str) -> None:
        """Click on the first place where these are shown."""
        await self.sees(words)
        rows = self._screen.display
        row = next(number for number, text in enumerate(rows) if words in text)
        column = rows[row].index(words) + len(words) / 2
        box = await self.frame.locator(".xterm-screen").bounding_box()
        assert box is not None
        wide, high = self.size
        x = box["x"] + box["width"] * column / wide
        y = box["y"] + box["height"] * (row + 0.5) / high
        await self.page.mouse.click(x, y)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if not CHROMIUM:
        pytest.skip("Chromium is not installed: this test opens the page in a real browser")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield browser
        await browser.close()


async def opened(browser: Browser, server: ServerProcess) -> tuple[Page, Window, Window]:
    context = await browser.new_context(viewport=WIDE)  # type: ignore[arg-type]
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    customer, employee = Window(page, "customer"), Window(page, "employee")
    await page.goto(server.url)
    await customer.sees("Enter the demo as a customer", "online")
    await employee.sees("Enter the demo as an employee", "online")
    assert all(url.startswith((server.url, "blob:", "data:")) for url in asked), asked
    return page, customer, employee


async def position_of_the_employees_restaurant(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession(f"{url}/api/v1/") as client:
        signed_in = await (await client.post("auth/demo", json={"role": "employee"})).json()
        head = {"Authorization": f"Bearer {signed_in['access_token']}"}
        listed = await (await client.get("restaurants", headers=head)).json()
        restaurants = listed["items"] if isinstance(listed, dict) else listed
    own = signed_in["account"]["restaurant_id"]
    at = next(i for i, one in enumerate(restaurants) if one["id"] == own)
    return at, restaurants[at]["name"]


async def test_an_order_is_placed_in_one_window_and_accepted_in_the_other(
    browser: Browser, start_server: StartServer
) -> None:
    server = start_server(demo=True, env={"TIFFIN_WEB": "1", "TIFFIN_WEB_TOWN": "own"})
    page, customer, employee = await opened(browser, server)
    [town] = children_with(TOWN, server.pid)
    await customer.press("Enter")
    await employee.press("Enter")
    await customer.sees("New order")
    await employee.sees("Placed", "Cooking")
    at, name = await position_of_the_employees_restaurant(server.url)
    await customer.press("n")
    await customer.sees(name, "about")
    await customer.press(*["ArrowDown"] * at, "Enter")
    await customer.sees("basket empty")
    await customer.press("Enter")
    await customer.sees("1 dish")
    await customer.press("b")
    await customer.sees("Place the order")
    await customer.press("Enter")
    await customer.sees("○ Placed")
    await employee.sees("Placed 1")
    await employee.press("Enter")
    await employee.sees("Accept", "minutes")
    await employee.press("Enter")
    await employee.sees("Accepted 1")
    await customer.sees("Accepted")

    # the clipboard is the browser's
    await customer.press("y")
    await customer.sees("order number")
    await customer.press("Enter")

    async def copied() -> str:
        return str(await customer.frame.evaluate("navigator.clipboard.readText()"))

    await wait_until(copied)
    assert f"#{await copied()} placed" in customer.text

    # a click opens the photos, whose picture is drawn, and saved as a download
    before = len(customer.colours)
    await customer.click("5 Photo")
    await customer.sees("done: your avatar", "before", "s Save")
    await wait_until(lambda: len(customer.colours) > before + 100)
    downloads: list[Download] = []
    page.on("download", lambda one: downloads.append(one))
    # it may be a tab of its own, which closes at once
    page.context.on("page", lambda tab: tab.on("download", lambda one: downloads.append(one)))
    await customer.press("s")
    await wait_until(lambda: downloads)
    [download, *_] = downloads
    assert download.suggested_filename.endswith("-tiffin.png")
    content = (await download.path()).read_bytes()
    assert content.startswith(b"\x89PNG")

    async def gets(name: str) -> str:
        """The text of the download whose name has this in it."""
        found: list[Download] = []

        def come() -> bool:
            found[:] = [one for one in downloads if name in one.suggested_filename]
            return bool(found)

        await wait_until(come, what=f"the download {name}")
        return (await found[0].path()).read_text()

    await customer.press("6", "e")
    await gets(".jsonl")
    await customer.press("1", "Enter", "s")
    assert "Total" in await gets(".txt")
    await customer.press("q", "5")
    await employee.press("p")
    assert "Ready by" in await gets("ticket")
    await employee.press("T")
    await employee.sees("Figures of ", "Orders by the hour")
    await employee.press("s")
    assert "orders," in await gets(".csv")
    await employee.press("q")
    for one in children_with("--hosted=browser", server.pid):
        here = {each.suffix for each in Path(one.environ()["HOME"]).rglob("*")}  # noqa: ASYNC240
        assert not here & {".png", ".jsonl", ".txt", ".csv"}, "nothing is saved at the server"

    # the app has the page's size
    wide, _ = customer.size
    await page.set_viewport_size({"width": 1200, "height": 700})
    await wait_until(lambda: customer.size[0] < wide)
    await wait_until(lambda: customer.size[0] - max(map(len, customer.lines), default=0) < 2)
    await wait_until(lambda: customer.size[1] - len(customer.lines) < 2)
    await customer.sees("done: your avatar")
    await page.set_viewport_size(WIDE)  # type: ignore[arg-type]

    # hosted: another program is not started, and nobody's file is offered
    await customer.press("F3", "Control+z", "n")
    await customer.sees("sample photos", "Banana bread")
    assert "/" + str(Path.home()).strip("/") not in customer.text.replace("//", "")
    for one in children_with("--hosted=browser", server.pid):
        assert one.status() != psutil.STATUS_STOPPED
        environment, home = one.environ(), one.environ()["HOME"]
        assert not [name for name in environment if name.startswith("TIFFIN_")]
        assert Path(one.cwd()).is_relative_to(home)
        assert home != str(Path.home())

    # a reload ends the window's process, and is signed out: nothing is remembered
    before = children_with("--hosted=browser", server.pid)
    homes = [one.environ()["HOME"] for one in before]
    assert len(before) == 2
    await page.reload()
    await customer.sees("Enter the demo as a customer")
    await wait_until(lambda: not any(one.is_running() for one in before))
    await wait_until(lambda: not any(Path(home).exists() for home in homes))

    # in the same town, where the order is, as the visitor is the same
    assert children_with(TOWN, server.pid) == [town]
    # a second visitor has windows of their own, where nobody is signed in, in another town
    await customer.press("Enter")
    await customer.sees("New order", "Accepted")
    _, other, _ = await opened(browser, server)
    assert "New order" not in other.text
    folders = {one.environ()["HOME"] for one in children_with("--hosted=browser", server.pid)}
    assert len(folders) == len(children_with("--hosted=browser", server.pid)) == 4
    await other.press("Enter")
    await other.sees("New order", "0 open")

    # a server that is killed takes its windows along, and the page says so
    left = children_with("--hosted=browser", server.pid) + children_with(TOWN, server.pid)
    assert len(left) == 6
    server.kill()
    await wait_until(lambda: not any(one.is_running() for one in left))
    await wait_until(lambda: customer.closed)
    frame = next(one for one in page.frames if one.url.endswith("/web/customer"))
    assert await frame.locator("#again").is_visible()
    assert not any(Path(folder).exists() for folder in folders)  # noqa: ASYNC240


async def socket_status(url: str, origin: str) -> int:
    async with aiohttp.ClientSession() as client:
        try:
            async with client.ws_connect(f"{url}/web/customer/ws", origin=origin):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status


async def test_windows_are_counted_end_when_idle_and_are_opened_by_our_pages_only(
    start_server: StartServer,
) -> None:
    limits = {"TIFFIN_WEB_WINDOWS_PER_ADDRESS": "1", "TIFFIN_WEB_IDLE_SECONDS": "2"}
    limits["TIFFIN_WEB_WINDOWS_PER_MINUTE"] = "2"
    server = start_server(demo=True, env={"TIFFIN_WEB": "1", **limits})
    for origin in ("", "https://elsewhere.example", "null", "http://["):
        assert await socket_status(server.url, origin) == 403
    rebound = server.url.replace("127.0.0.1", "rebound.example")
    async with aiohttp.ClientSession() as client:
        head = {"Host": rebound.removeprefix("http://")}
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await client.ws_connect(f"{server.url}/web/customer/ws", origin=rebound, headers=head)
        async with client.ws_connect(f"{server.url}/web/customer/ws", origin=server.url) as first:
            async with client.ws_connect(f"{server.url}/web/employee/ws", origin=server.url) as two:
                assert b"Close one" in (await two.receive_bytes())
                assert (await two.receive()).type is aiohttp.WSMsgType.CLOSE
            for nonsense in ("{", "[]", "[1]", '["stdin"]', '["resize", {"width": -1}]', "[[[["):
                await first.send_str(nonsense)
            await first.send_str(json.dumps(["ping", "1"]))
            drawn, ponged = b"", False
            async for message in first:
                if message.type is aiohttp.WSMsgType.BINARY:
                    drawn += message.data
                else:
                    ponged = ponged or json.loads(message.data) == ["pong", "1"]
            assert ponged
            assert b"Nothing was typed" in drawn
    await wait_until(lambda: not children_with("--hosted=browser", server.pid))
    assert await socket_status(server.url, server.url) == 101
    await wait_until(lambda: not children_with("--hosted=browser", server.pid))
    path = f"{server.url}/web/customer/ws"

    async def too_quickly() -> bool:
        # Counted as open until the last one's folder is removed, too.
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(path, origin=server.url) as another,
        ):
            return b"too quickly" in (await another.receive_bytes())

    await wait_until(too_quickly)


async def test_a_network_of_ipv6_is_one_address(data_dir: Path) -> None:
    settings = settings_for(
        data_dir,
        demo=True,
        demo_public=True,
        web=True,
        web_windows_per_address=1,
        trusted_proxies="127.0.0.1",
    )
    async with running_server(settings) as server, aiohttp.ClientSession() as client:
        path = f"{server.url}/web/customer/ws"
        one, two = ({"X-Forwarded-For": f"2001:db8::{number}"} for number in (1, 2))
        async with (
            client.ws_connect(path, origin=server.url, headers=one),
            client.ws_connect(path, origin=server.url, headers=two) as other,
        ):
            assert b"Close one" in (await other.receive_bytes())
        await wait_until(lambda: not children_with("--hosted=browser"))


def test_windows_are_for_a_demo(tmp_path: Path) -> None:
    from server.app import create_app
    from server.settings import Settings, SettingsError

    with pytest.raises(SettingsError, match="--demo"):
        create_app(Settings(web=True, jwt_secret="x" * 40, data_dir=tmp_path))  # type: ignore[arg-type]
