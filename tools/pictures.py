"""Takes the pictures in README: the running apps at a running demo server, as SVG, and the page
with both of them in Chromium, as PNG.

Where a picture shows a driver on the way, the driver really drives, from the restaurant on.

`make pictures` writes docs/pictures; `python -m tools.pictures NAME...` only some of them.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import WebSocket, async_playwright

from server.features.drivers.schemas import DriverPosition, Point
from tui.common.app import TiffinApp
from tui.common.client.api import Api
from tui.common.client.meter import State, Wire
from tui.common.client.session import Session
from tui.common.client.token_store import TokenStore
from tui.common.processes import Child, free_port, wait_ready
from tui.common.tracking.trip import Trip
from tui.customer.app import CustomerApp
from tui.employee.app import EmployeeApp
from tui.lab.records import SHORT_POLL, Plan
from tui.lab.screen.app import LabApp
from tui.lab.screen.runs import Runs

ROOT = Path(__file__).resolve().parent.parent
COFFEE = (ROOT / "tests" / "pictures" / "coffee.jpg").read_bytes()
OUT = ROOT / "docs" / "pictures"
COLOURS = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
"""Of the pictures, whatever the terminal has that they are made from."""
STEPS = ("accepted", "preparing", "ready", "out_for_delivery")
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Picture:
    """One picture: of which app, how large, and which keys are pressed before it is taken."""

    app: type[TiffinApp]
    size: tuple[int, int]
    keys: tuple[str, ...] = ()
    drive_seconds: float = 0.0
    """How long the drivers drive before it is taken."""


PICTURES = {
    "customer-wide": Picture(CustomerApp, (160, 48), drive_seconds=40),
    "customer-day": Picture(CustomerApp, (160, 48), ("t",), drive_seconds=40),
    "customer-medium": Picture(CustomerApp, (100, 30)),
    "customer-narrow": Picture(CustomerApp, (80, 24)),
    "driver-wide": Picture(CustomerApp, (160, 48), ("2", "z"), drive_seconds=40),
    "driver-medium": Picture(CustomerApp, (100, 30), ("2",), drive_seconds=40),
    "driver-narrow": Picture(CustomerApp, (80, 24), ("2",), drive_seconds=40),
    "customer-menu": Picture(CustomerApp, (100, 30), ("n",)),
    "customer-wire": Picture(CustomerApp, (100, 30), ("6",), drive_seconds=40),
    "chat-medium": Picture(CustomerApp, (100, 30), ("3",)),
    "announcements-narrow": Picture(CustomerApp, (80, 24), ("4",)),
    "photo-medium": Picture(CustomerApp, (100, 30), ("5",)),
    "employee-wide": Picture(EmployeeApp, (160, 48), drive_seconds=40),
    "employee-medium": Picture(EmployeeApp, (100, 30)),
    "employee-narrow": Picture(EmployeeApp, (80, 24)),
    "drivers-medium": Picture(EmployeeApp, (100, 30), ("2",), drive_seconds=40),
    "drivers-narrow": Picture(EmployeeApp, (80, 24), ("2",), drive_seconds=40),
    "support-medium": Picture(EmployeeApp, (100, 30), ("3", "space")),
    "dish-photo-narrow": Picture(EmployeeApp, (80, 24), ("5",)),
    "help": Picture(CustomerApp, (100, 30), ("question_mark",)),
}

WEB_PICTURES = {"web-wide": (1600, 800)}
WEB_SECONDS = 40.0
"""How long the drivers drive before that is taken."""
SHOWN = {"customer": b"On its way", "employee": b"Cooking"}
"""What the apps in the page draw once somebody has logged in."""
LAB_PICTURES = {"lab-wide": (160, 48), "lab-medium": (100, 30), "lab-narrow": (80, 24)}
LAB_PLAN = Plan(seconds=60, network="office")
LAB_SECONDS = (5.0, 2.5)
"""Until all lines are cut, and from when all have news again until the picture is taken."""


@dataclass
class Town:
    """The demo's town over its public API."""

    http: aiohttp.ClientSession
    url: str
    password: str
    """The password of every account."""
    tokens: dict[str, str] = field(default_factory=dict)
    on_the_way: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Orders, each with the employee who reports its driver's position."""

    async def call(self, method: str, path: str, body: Any = None, who: str = "") -> Any:
        """Send a request as `who`; returns the JSON of the answer."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        url = f"{self.url}/api/v1{path}"
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def log_in(self, who: str, email: str) -> None:
        """Log `who` in."""
        body = {"email": email, "password": self.password}
        self.tokens[who] = (await self.call("POST", "/auth/login", body))["access_token"]

    async def say(self, who: str, chat_id: str, text: str) -> None:
        """Send a chat message and wait until it comes back."""
        url = f"{self.url}/api/v1/chats/{chat_id}/ws"
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        async with self.http.ws_connect(url, headers=headers) as span:
            client_id = uuid.uuid4().hex
            await span.send_json({"type": "message", "client_id": client_id, "text": text})
            while (await span.receive_json(timeout=TIMEOUT_SECONDS)).get("client_id") != client_id:
                continue

    async def send_avatar(self, who: str, picture: bytes) -> None:
        """Upload an avatar and wait until it is done."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}"}
        form = aiohttp.FormData({"purpose": "avatar"})
        form.add_field("file", picture, filename="me.jpg")
        url = f"{self.url}/api/v1/uploads"
        async with self.http.post(url, data=form, headers=headers) as answer:
            answer.raise_for_status()
            sent = await answer.json()
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while sent["status"] in ("queued", "processing"):
            if time.monotonic() > deadline:
                raise TimeoutError("the avatar was not done in time")
            await asyncio.sleep(0.5)
            sent = await self.call("GET", f"/uploads/{sent['id']}", who=who)
        if sent["status"] != "done":
            raise RuntimeError(sent["error"])

    async def order(self, who: str, restaurant: str, dishes: list[int], steps: int) -> None:
        """Place an order and take it that many steps further as the restaurant."""
        restaurants = (await self.call("GET", "/restaurants", who=who))["items"]
        found = next(one for one in restaurants if one["name"] == restaurant)
        menu = (await self.call("GET", f"/restaurants/{found['id']}", who=who))["menu"]
        me = await self.call("GET", "/me", who=who)
        body = {
            "restaurant_id": found["id"],
            "items": [{"menu_item_id": menu[i]["id"], "quantity": 1 + i % 2} for i in dishes],
            "address": me["address"],
            "note": "The bell is a bit weak, please ring twice." if who == "ana" else None,
        }
        order = await self.call("POST", "/orders", body, who)
        slug = restaurant.lower().replace(" ", "-")
        await self.log_in(restaurant, f"robin@{slug}.tiffin.example")
        drivers = (await self.call("GET", "/drivers", who=restaurant))["items"]
        for step in STEPS[:steps]:
            change = {"status": step}
            if step == "out_for_delivery":
                change["driver_id"] = min(drivers, key=lambda one: len(one["carrying"]))["id"]
            order = await self.call("POST", f"/orders/{order['id']}/status", change, restaurant)
        if order["status"] == STEPS[-1]:
            self.on_the_way.append((f"robin@{slug}.tiffin.example", order))

    @asynccontextmanager
    async def driving(self) -> AsyncIterator[None]:
        """While the context is open, every driver drives from the restaurant to the customer."""
        async with AsyncExitStack() as stack:
            trips = []
            for email, order in self.on_the_way:
                session = Session(self.url, Wire())
                stack.push_async_callback(session.close)
                await session.log_in(email, self.password)
                trips.append(await _trip_from_restaurant(Api(session), order))
            driving = [asyncio.create_task(trip.run()) for trip in trips]
            yield
            for task in driving:
                task.cancel()
            await asyncio.wait(driving)


async def _trip_from_restaurant(api: Api, order: dict[str, Any]) -> Trip:
    start, door = (Point.model_validate(_position(order[end])) for end in ("restaurant", "address"))
    driver = next(one for one in await api.drivers() if one.id == order["driver"]["id"])
    for _ in range(2):  # twice, since one position that far away counts as suspect
        await api.put_location(driver.id, DriverPosition(lat=start.lat, lng=start.lng))
    return Trip(api, driver, (door,), interval=1, start=start)


def _position(found: dict[str, Any]) -> dict[str, Any]:
    return {"lat": found["lat"], "lng": found["lng"]}


async def make_busy(town: Town) -> None:
    """Place three orders of the customer in the pictures, and others for the employee's kitchen."""
    for who in ("ana", "bram", "chiara", "maya"):
        await town.log_in(who, f"{who}@tiffin.example")
    me = await town.call("GET", "/me", who="maya")
    found = await town.call("GET", f"/restaurants/{me['restaurant_id']}", who="maya")
    kitchen = found["name"]
    await town.order("bram", kitchen, [3, 5], 4)
    await town.order("ana", "Green Bowl", [0], 1)
    await town.order("ana", "Napoli Forno", [0, 6], 2)
    await town.order("chiara", kitchen, [1], 2)
    await town.order("bram", kitchen, [2, 4, 7], 1)
    await town.order("ana", kitchen, [0, 3], 4)
    await town.order("chiara", kitchen, [6], 3)
    await town.order("bram", kitchen, [0, 6], 0)
    await town.order("chiara", kitchen, [1, 3], 0)


CHAT = (
    ("ana", "Hello! Could the rider ring twice? The bell is a bit weak."),
    ("maya", "Of course, I have put it into the notes for Greta. Anything else you need?"),
    ("ana", "Extra napkins would be lovely."),
    ("maya", "Done. She is on her way, some minutes from you."),
)
NEWS = (
    ("Bottle returns at the door", "Hand empties to the rider and get 0.25 back.", "info"),
    ("Curry Leaf joins the platform", "Dosa, biryani and a long list of chutneys.", "info"),
    ("Rain over the river bank", "Riders slow down; expect about ten minutes more.", "warning"),
)


async def make_sociable(town: Town) -> None:
    """Add a chat with support, announcements, and an avatar without background."""
    for title, body, severity in NEWS:
        new = {"title": title, "body": body, "severity": severity, "audience": "everyone"}
        await town.call("POST", "/announcements", new, "maya")
    chat = await town.call("POST", "/chats", {"subject": "A weak bell"}, "ana")
    await town.call("POST", f"/chats/{chat['id']}/take", {}, "maya")
    for who, text in CHAT:
        await town.say(who, chat["id"], text)
    await town.send_avatar("ana", COFFEE)


async def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {TIMEOUT_SECONDS:g} s: {what}")
        await asyncio.sleep(0.05)


async def take(picture: Picture, url: str, folder: Path, town: Town) -> str:
    """Run the app, log in with Enter, press the keys; returns the screen as SVG."""
    driving = town.driving() if picture.drive_seconds else contextlib.nullcontext()
    app = picture.app(url, tokens=TokenStore(folder / f"{picture.app.ROLE}.json"))
    async with driving, app.run_test(size=picture.size, notifications=True) as pilot:
        await wait_until(lambda: len(app.screen_stack) > 1 or app.panels, "the log-in screen")
        if not app.panels:
            await pilot.press("enter")
        await wait_until(lambda: app.panels, "the panels")
        await wait_until(
            lambda: app.panels[0].meter.state in (State.LIVE, State.WAITING), "a live panel"
        )
        for key in picture.keys:
            await pilot.press(key)
        await pilot.pause(1.0 + picture.drive_seconds)
        drawn = app.export_screenshot(title=f"tiffin-{picture.app.ROLE}")
    return _without_fonts(drawn)


async def take_lab(size: tuple[int, int], url: str) -> str:
    """Run the lab, cut its lines once; returns the screen as SVG."""
    runs = Runs(url, LAB_PLAN)
    app = LabApp(runs)
    async with app.run_test(size=size, notifications=True):
        await wait_until(lambda: runs.state == "running", "the run")
        app.simulate_key("3")
        await asyncio.sleep(LAB_SECONDS[0])
        app.simulate_key("x")
        await wait_until(lambda: runs.is_cut, "the cut")
        await wait_until(lambda: not runs.is_cut and _all_have_news(runs), "news on all lines")
        await asyncio.sleep(LAB_SECONDS[1])
        drawn = app.export_screenshot(title="tiffin-lab")
        runs.stop()
        await wait_until(lambda: not runs.is_going, "the run's end")
    return _without_fonts(drawn)


def _all_have_news(runs: Runs) -> bool:
    seen, newest = runs.watch.timeline.seen, runs.watch.timeline.newest
    return not any(seen[pattern].lacks(newest) for pattern in seen if pattern != SHORT_POLL)


async def take_web(size: tuple[int, int], url: str, town: Town) -> bytes:
    """Open the page with both apps and log in with Enter; returns the page as PNG."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise FileNotFoundError("Chromium is not installed: it takes the picture of the page")
    drawn = dict.fromkeys(SHOWN, b"")

    def connected(socket: WebSocket) -> None:
        role = socket.url.rpartition("/web/")[2].partition("/")[0]

        def received(frame: str | bytes) -> None:
            if isinstance(frame, bytes):
                drawn[role] += frame

        socket.on("framereceived", received)

    async with town.driving(), async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        page = await browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.on("websocket", connected)
        await page.goto(url)
        for role, words in SHOWN.items():
            await wait_until(lambda role=role: b"Enter the demo" in drawn[role], "its log-in")
            frame = next(one for one in page.frames if one.url.endswith(f"/web/{role}"))
            await frame.locator(".xterm-helper-textarea").focus()
            await page.keyboard.press("Enter")
            await wait_until(lambda role=role, words=words: words in drawn[role], "its panels")
        await asyncio.sleep(WEB_SECONDS)
        taken = await page.screenshot()
        await browser.close()
    return taken


def _without_fonts(drawn: str) -> str:
    return re.sub(r"@font-face\s*\{[^}]*\}", "", drawn)


async def main(names: list[str]) -> None:
    """Take the pictures of these names, or all."""
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        limits = {"TIFFIN_LOGIN_PER_MINUTE": "0", "TIFFIN_READS_PER_MINUTE": "0"}
        os.environ |= limits | COLOURS | {"TIFFIN_DATA_DIR": folder}
        os.environ.pop("NO_COLOR", None)
        os.environ.setdefault("U2NET_HOME", str(ROOT / ".tiffin" / "rembg"))
        server = Child(
            Path(folder) / "server.log", "server", "--demo", "--web", "--port", str(port)
        )
        try:
            await asyncio.to_thread(wait_ready, server, url)
            async with aiohttp.ClientSession() as http:
                accounts = json.loads((Path(folder) / "demo-accounts.json").read_text())
                town = Town(http, url, accounts[0]["password"])
                await make_busy(town)
                await make_sociable(town)
                for name in names or (*PICTURES, *LAB_PICTURES, *WEB_PICTURES):
                    if name in WEB_PICTURES:
                        taken = await take_web(WEB_PICTURES[name], url, town)
                        (OUT / f"{name}.png").write_bytes(taken)
                        print(OUT.name, name)
                        continue
                    if name in LAB_PICTURES:
                        drawn = await take_lab(LAB_PICTURES[name], url)
                    else:
                        drawn = await take(PICTURES[name], url, Path(folder), town)
                    (OUT / f"{name}.svg").write_text(drawn, encoding="utf-8")
                    print(OUT.name, name)
        finally:
            server.request_end()
            server.end()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
