"""Stock Socket.IO clients: beside a plain WebSocket, and while servers stop and start."""

import asyncio
import json
import shutil
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from stock_clients import Member, javascript_member, python_member

from support.rest import Rest
from support.room import history, open_chat, room
from support.server_process import ServerProcess
from support.town import PASSWORD
from support.two_processes import Two
from support.waiting import wait_until

HERE = Path(__file__).parent / "javascript"
CACHE = Path(__file__).resolve().parents[2] / ".tiffin" / "tests" / "javascript"
INSTALL_SECONDS = 90


@pytest.fixture(scope="session")
def script() -> Path:
    """The member's script, beside the client installed with npm; skips where that fails."""
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


@pytest.mark.parametrize("transport", ["websocket", "polling", "polling,websocket"])
async def test_stock_and_native_clients_see_the_same_history(
    script: Path, two_on_redis: Two, transport: str
) -> None:
    """Each at its own process."""
    place = await two_on_redis.open_restaurant()
    async with Rest(two_on_redis.left.url) as customer, Rest(two_on_redis.right.url) as employee:
        await customer.register(f"js{place.employees[0]}")
        await employee.log_in(place.employees[0], PASSWORD)
        chat_id = await open_chat(customer)
        start = (await customer.get(f"/chats/{chat_id}/messages")).must(200).json["cursor"]
        async with room(employee, chat_id) as desk:
            await desk.say("before it came")
            await desk.next("message")
            async with javascript_member(script, customer, chat_id, transport, start) as client:
                assert (await client.next("joined"))["cursor"]
                for number in range(20):
                    await client.send(1)
                    await desk.say(f"from the desk {number}")
                    assert (await client.next("acknowledged"))["cursor"]
                seen = [await desk.next("message") for _ in range(40)]
                await wait_until(lambda: len(client.messages) == 41)
                # Who types is told nobody again: what Redis was not ready for is lost.
                typing = asyncio.create_task(client.next("typing"))
                while not typing.done():
                    await desk.send(type="typing")
                    await asyncio.wait({typing}, timeout=1)
                assert (await typing)["sender"]["role"] == "employee"
        found = await history(employee, chat_id)
        assert client.messages == found
        assert seen == found[1:]


async def test_a_refused_client_is_told_why(script: Path, two_on_redis: Two) -> None:
    async with Rest(two_on_redis.left.url) as nobody:
        nobody.token = "nonsense"
        async with javascript_member(script, nobody, "cht_x", "websocket") as client:
            assert (await client.next("connect_error"))["code"] == 4401


async def test_stock_clients_keep_every_message_through_restarts(
    script: Path, data_dir: Path
) -> None:
    """Bursts of forty: at a server that stays, one that is stopped, and one that is killed."""
    env = {"TIFFIN_FRAMES_PER_SECOND": "20", "TIFFIN_SOCKETS_AT_FULL_PACE": "3"}
    politely = ServerProcess(data_dir, gunicorn=True, env=env)
    server = ServerProcess(data_dir, port=politely.port, env=env)
    politely.start()
    try:
        async with AsyncExitStack() as stack:
            members: dict[str, tuple[Member, Rest, str]] = {}
            for client in ("JavaScript", "Python"):
                for transport in ("polling", "websocket"):
                    name = f"{client} over {transport}"
                    rest = await stack.enter_async_context(Rest(server.url))
                    await rest.register(f"{client}-{transport}@example.com")
                    chat_id = await open_chat(rest)
                    start = (await rest.get(f"/chats/{chat_id}/messages")).must(200).json["cursor"]
                    context = (
                        javascript_member(script, rest, chat_id, transport, start)
                        if client == "JavaScript"
                        else python_member(rest, chat_id, transport, start)
                    )
                    member = await stack.enter_async_context(context)
                    await member.next("joined")
                    members[name] = member, rest, chat_id

            async def acknowledged(count: int) -> None:
                for name, (member, _, _) in members.items():
                    await wait_until(
                        lambda member=member: member.acknowledged >= count,
                        what=f"{name} has {count} acknowledged",
                    )

            for sent, end in enumerate((None, politely.terminate, server.kill)):
                for member, _, _ in members.values():
                    await member.send(40)
                await acknowledged(40 * sent + 1)
                if end is not None:
                    await asyncio.to_thread(end)
                    await asyncio.to_thread(server.start)
                await acknowledged(40 * sent + 40)
            for name, (member, rest, chat_id) in members.items():
                stored = await history(rest, chat_id)
                expected = [f"own{number}" for number in range(120)]
                assert [one["client_id"] for one in stored] == expected, name
                await wait_until(lambda member=member: len(member.messages) >= 120)
                assert member.messages == stored, name
                assert not [one for one in member.told if one[0] in ("refused", "error")], name
        log = politely.log_path.read_text()
        for trouble in ('"level":"ERROR"', '"level":"WARNING"', "[ERROR]", "Traceback"):
            assert trouble not in log, "gunicorn's stop is none"
    finally:
        for process in (politely, server):
            await asyncio.to_thread(process.terminate)
            print(f"--- {process.module} ---\n{process.log_tail()}")
