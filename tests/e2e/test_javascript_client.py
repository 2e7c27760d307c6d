"""The stock JavaScript client of Socket.IO and a plain WebSocket in one room."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.rest import Rest
from support.room import history, open_chat, room
from support.town import PASSWORD
from support.two_processes import Two

HERE = Path(__file__).parent / "javascript"
CACHE = Path(__file__).resolve().parents[2] / ".tiffin" / "tests" / "javascript"
INSTALL_SECONDS = 90


@pytest.fixture(scope="session")
def script() -> Path:
    """The member's script, beside the client that npm has installed; skips where that fails."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        pytest.skip("there is no Node with npm here")
    CACHE.mkdir(parents=True, exist_ok=True)
    for file in HERE.iterdir():
        shutil.copy(file, CACHE)
    installed = CACHE / "node_modules" / "socket.io-client" / "package.json"
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]["socket.io-client"]
    if not installed.exists() or json.loads(installed.read_text())["version"] != wanted:
        options = (
            *("--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"),
            *("--fetch-retries=0", "--fetch-timeout=20000"),
        )
        try:
            done = subprocess.run(
                [npm, "install", *options],
                cwd=CACHE,
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
            )
        except subprocess.TimeoutExpired:
            pytest.skip(f"npm did not get socket.io-client within {INSTALL_SECONDS} s")
        if done.returncode:
            pytest.skip(f"npm cannot get socket.io-client: {done.stderr[-300:]}")
    return CACHE / "member.mjs"


class Member:
    """The client's process and what it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.messages: list[dict[str, Any]] = []

    async def next(self, *names: str) -> Any:
        """The data of the next event of these names."""
        assert self._process.stdout is not None
        async with asyncio.timeout(15):
            while line := await self._process.stdout.readline():
                told = json.loads(line)
                if told["name"] == "message":
                    self.messages.append(told["data"])
                if told["name"] in names:
                    return told["data"]
        raise AssertionError("the client has ended")

    async def stop(self) -> None:
        """End it."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def member(
    script: Path, rest: Rest, chat_id: str, *, after: str, count: int, transport: str
) -> AsyncIterator[Member]:
    """Run it for as long as this lasts."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(script), rest.base_url, rest.token or "", chat_id),
        *(after, str(count), transport),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        limit=1 << 20,
    )
    found = Member(process)
    try:
        yield found
    finally:
        await found.stop()


@pytest.mark.parametrize("transport", ["websocket", "polling", "polling,websocket"])
async def test_it_and_the_native_client_see_the_same_history(
    script: Path, two_on_redis: Two, transport: str
) -> None:
    """Each at a process of its own."""
    place = await two_on_redis.open_restaurant()
    async with Rest(two_on_redis.left.url) as customer, Rest(two_on_redis.right.url) as employee:
        await customer.register(f"js{place.employees[0]}")
        await employee.log_in(place.employees[0], PASSWORD)
        chat_id = await open_chat(customer)
        start = (await customer.get(f"/chats/{chat_id}/messages")).must(200).json["cursor"]
        async with room(employee, chat_id) as desk:
            await desk.say("before it came")
            await desk.next("message")
            async with member(
                script, customer, chat_id, after=start, count=20, transport=transport
            ) as client:
                assert (await client.next("joined"))["cursor"]
                for number in range(20):
                    await desk.say(f"from the desk {number}")
                    assert (await client.next("acknowledged"))["cursor"]
                seen = [await desk.next("message") for _ in range(40)]
                while len(client.messages) < 41:
                    await client.next("message")
                await desk.send(type="typing")
                assert (await client.next("typing"))["sender"]["role"] == "employee"
        found = await history(employee, chat_id)
        assert client.messages == found
        assert seen == found[1:]


async def test_it_is_told_why_it_may_not_come_in(script: Path, two_on_redis: Two) -> None:
    async with Rest(two_on_redis.left.url) as nobody:
        nobody.token = "nonsense"
        async with member(
            script, nobody, "cht_x", after="", count=0, transport="websocket"
        ) as client:
            assert (await client.next("connect_error"))["code"] == 4401
