"""The demo: it starts completely, and leaves no process behind however it ends."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyte
import pytest

from support.processes import Terminal, all_gone
from support.rest import Rest
from support.server_process import ROOT, server_environment
from support.waiting import PATIENCE, wait_for, wait_until
from tools.ports import free_port

COMMAND = [sys.executable, "-m", "tui.demo.run", "--beside", ""]
OPEN = "The town is open at"


def demo_environment(data_dir: Path, port: int) -> dict[str, str]:
    environment = server_environment(data_dir, more={"TIFFIN_PORT": str(port)})
    del environment["TIFFIN_JWT_SECRET"]
    home = data_dir / "home"
    home.mkdir(exist_ok=True)
    environment["MAKELEVEL"] = "1"  # it names the commands that make has
    return environment | {"HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor"}


def family_of(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


class Headless:
    """The demo without a terminal."""

    def __init__(self, data_dir: Path, port: int, *arguments: str, **more: str) -> None:
        self.output = data_dir / "output.txt"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments],
                cwd=ROOT,
                env=demo_environment(data_dir, port) | more,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.family: list[psutil.Process] = []

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def open(self) -> str:
        """Wait until the town is open; returns its URL."""
        wait_for(
            lambda: OPEN in self.text() or self.process.poll() is not None, 40, what="the demo"
        )
        assert OPEN in self.text(), self.text()
        self.family = family_of(self.process.pid)
        assert len(self.family) == 2
        found = re.search(r"open at (\S+?)\. ", self.text())
        assert found is not None
        return found[1]


StartDemo = Callable[..., Headless]


@pytest.fixture
def start_demo(data_dir: Path) -> Iterator[StartDemo]:
    started: list[Headless] = []

    def start(*arguments: str, port: int = 0, **more: str) -> Headless:
        started.append(Headless(data_dir, port or free_port(), *arguments, **more))
        return started[-1]

    yield start
    for demo in started:
        demo.process.kill()
        demo.process.wait()
        print(demo.text())


def ended_by(demo: Headless, sign: signal.Signals) -> None:
    """End it with that signal: no process outlives it."""
    demo.process.send_signal(sign)
    code = demo.process.wait(timeout=PATIENCE)
    assert code == (-sign if sign is signal.SIGKILL else 128 + sign)
    all_gone(demo.family)


@pytest.mark.parametrize("sign", [signal.SIGHUP, signal.SIGKILL])
def test_no_process_outlives_the_demo(start_demo: StartDemo, sign: signal.Signals) -> None:
    demo = start_demo()
    url = demo.open()
    assert "make customer SERVER=" in demo.text()
    assert f"make employee SERVER={url}" in demo.text()
    ended_by(demo, sign)


async def test_an_order_is_delivered_without_people_until_a_sigterm(
    start_demo: StartDemo, data_dir: Path
) -> None:
    demo = start_demo("--pace", "0.02")
    url = await asyncio.to_thread(demo.open)
    assert await seconds_between_reports(url) == 2
    async with Rest(url) as rest:
        await rest.demo("customer")
        items = (await rest.get("/restaurants")).must(200).json["items"]
        restaurants = [one for one in items if one["open_now"]]
        assert len(restaurants) >= 3
        open_now = [one for one in restaurants if one["open_now"]]
        assert open_now
        for one in open_now:
            menu = (await rest.get(f"/restaurants/{one['id']}")).must(200).json["menu"]
            dish = next(item for item in menu if item["available"])
            basket = {
                "restaurant_id": one["id"],
                "items": [{"menu_item_id": dish["id"], "quantity": 3}],  # above every minimum
                "address": {"text": "1 Quay Street", "lat": one["lat"], "lng": one["lng"]},
            }
            order = (await rest.post("/orders", basket)).must(201).json

            async def delivered(path: str = f"/orders/{order['id']}") -> bool:
                return bool((await rest.get(path)).must(200).json["status"] == "delivered")

            await wait_until(delivered, 40, what=f"{one['name']} delivers")
    assert (data_dir / "demo-accounts.json").stat().st_mode & 0o777 == 0o600
    assert "started, " in (data_dir / "autopilot.log").read_text()
    await asyncio.to_thread(ended_by, demo, signal.SIGTERM)


async def test_the_demo_takes_another_port_and_the_servers_settings_until_ctrl_c(
    start_demo: StartDemo,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as squatter:
        taken = squatter.getsockname()[1]
        demo = start_demo(port=taken, TIFFIN_DRIVER_INTERVAL_SECONDS="7")
        url = await asyncio.to_thread(demo.open)
        assert f"Port {taken} is in use" in demo.text()
        assert not url.endswith(f":{taken}")
        insisting = start_demo("--port", str(taken))
        assert await asyncio.to_thread(insisting.process.wait, PATIENCE) == 1
        assert "in use" in insisting.text()
    assert await seconds_between_reports(url) == 7
    await asyncio.to_thread(ended_by, demo, signal.SIGINT)


async def seconds_between_reports(url: str) -> float:
    """Between two locations of a driver."""
    async with Rest(url) as rest:
        await rest.demo("employee")
        return float((await rest.get("/drivers")).must(200).json["interval_seconds"])


@pytest.mark.parametrize("port", ["0", "-1", "99999"])
def test_an_invalid_port_is_refused(start_demo: StartDemo, port: str) -> None:
    demo = start_demo("--port", port)
    assert demo.process.wait(timeout=PATIENCE) == 1
    assert "is not a port" in demo.text()
    assert "Traceback" not in demo.text()


def test_an_unusable_folder_is_reported(start_demo: StartDemo) -> None:
    demo = start_demo(TIFFIN_DATA_DIR="/dev/null/demo", TIFFIN_PORT="²")
    assert demo.process.wait(timeout=PATIENCE) == 1
    assert "cannot use its folder" in demo.text()
    assert "Traceback" not in demo.text()


def test_the_log_of_a_server_that_cannot_start_is_shown(start_demo: StartDemo) -> None:
    demo = start_demo(TIFFIN_REDIS_URL="not-a-url")
    assert demo.process.wait(timeout=PATIENCE) == 1
    assert "Its last lines" in demo.text()
    assert "must start with redis://" in demo.text()
    assert "server.log" in demo.text()


def test_a_server_that_dies_ends_the_demo_with_a_message(start_demo: StartDemo) -> None:
    demo = start_demo()
    demo.open()
    server = next(child for child in demo.family if "server" in child.cmdline())
    server.kill()
    assert demo.process.wait(timeout=PATIENCE) == 1
    assert "The server ended" in demo.text()
    all_gone(demo.family)


def test_the_demo_ends_when_make_is_killed(data_dir: Path) -> None:
    output = data_dir / "output.txt"
    with output.open("wb") as out:
        make = subprocess.Popen(
            ["/bin/sh", "-c", '"$@" --with-parent & wait', "make", *COMMAND],
            cwd=ROOT,
            env=demo_environment(data_dir, free_port()),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    wait_for(lambda: OPEN in output.read_text(errors="replace"), 40, what="the demo")
    family = family_of(make.pid)
    assert len(family) == 3
    make.kill()
    make.wait()
    all_gone(family)


class OnScreen:
    """The demo in a terminal of 100 by 30."""

    def __init__(self, data_dir: Path) -> None:
        self._screen = pyte.Screen(100, 30)
        self._stream = pyte.ByteStream(self._screen)
        environment = demo_environment(data_dir, free_port())
        self.terminal = Terminal(COMMAND, environment, (100, 30), self._draw)
        self.process = self.terminal.process

    def _draw(self, data: bytes) -> None:
        # pyte cannot parse a few private sequences that only query the terminal.
        self._stream.feed(re.sub(rb"\x1b\[[<>=?][0-9;]*[a-zA-Z]", b"", data))

    def text(self) -> str:
        return "\n".join(self._screen.display)

    def app_is_up(self) -> list[psutil.Process]:
        """Wait for the app's first screen; returns the processes behind it."""
        wait_for(lambda: b"\x1b[?1049h" in self.terminal.raw, 40, what="the app's screen")
        wait_for(lambda: "tiffin" in self.text(), what="the app's name")
        family = family_of(self.process.pid)
        assert len(family) == 2
        return family


@pytest.fixture
def on_screen(data_dir: Path) -> Iterator[OnScreen]:
    demo = OnScreen(data_dir)
    yield demo
    print(demo.text())
    demo.terminal.close()


def test_quitting_the_app_ends_everything_and_gives_the_terminal_back(on_screen: OnScreen) -> None:
    family = on_screen.app_is_up()
    assert b"make employee SERVER=http://127.0.0.1:" in on_screen.terminal.raw
    on_screen.terminal.type("\x11")
    assert on_screen.terminal.ends() == 0
    all_gone(family)
    wait_for(lambda: b"\x1b[?1049l" in on_screen.terminal.raw)
    assert on_screen.terminal.modes == on_screen.terminal.modes_before


def test_a_terminal_that_closes_ends_everything(on_screen: OnScreen) -> None:
    family = on_screen.app_is_up()
    on_screen.terminal.hang_up()
    on_screen.terminal.ends()
    all_gone(family)


def test_killing_the_app_ends_everything(on_screen: OnScreen) -> None:
    """A SIGTERM does too: see `test_the_demo_is_suspended_too`."""
    family = on_screen.app_is_up()
    on_screen.process.kill()
    on_screen.terminal.ends()
    all_gone(family)
