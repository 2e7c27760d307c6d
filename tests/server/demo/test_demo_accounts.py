"""Who may log in to a demo, and that its accounts and sessions end with it."""

import json
import socket
import sqlite3
from pathlib import Path

import argon2
import pytest
from aiohttp import web

from server.app import create_app
from server.settings import SettingsError
from server.urls import is_loopback
from support.command import run_command
from support.live_server import running_server, settings_for
from support.rest import Rest
from support.server_process import StartServer
from support.town import open_restaurant

PUBLISHED = "tiffin-demo"
"""The password that every account of earlier demos had."""
KITCHEN = "robin@thai-basil.tiffin.example"


def change(data_dir: Path, script: str) -> None:
    with sqlite3.connect(data_dir / "tiffin.sqlite3") as database:
        database.executescript(script)
    database.close()


def accounts_in(data_dir: Path) -> dict[str, str]:
    accounts = json.loads((data_dir / "demo-accounts.json").read_text())
    return {account["email"]: account["password"] for account in accounts}


async def start_error(data_dir: Path, demo: bool) -> str:
    """Why a server refuses to start on that data."""
    runner = web.AppRunner(create_app(settings_for(data_dir, demo=demo)))
    try:
        with pytest.raises(SettingsError) as error:
            await runner.setup()
    finally:
        await runner.cleanup()
    return str(error.value)


async def refusal(data_dir: Path, *arguments: str) -> str:
    """The one line that the server process prints before it ends."""
    code, output = await run_command(data_dir, "--port", "0", *arguments)
    assert code == 2
    [message] = output.splitlines()
    return message


async def test_a_production_server_refuses_a_demos_data(
    data_dir: Path, start_server: StartServer
) -> None:
    start_server(demo=True).terminate()
    message = await refusal(data_dir)
    assert "holds a demo's town" in message
    assert "TIFFIN_DATA_DIR" in message
    assert "--demo" in message


async def test_a_demo_refuses_a_database_with_other_accounts(data_dir: Path) -> None:
    async with running_server(settings_for(data_dir)) as server:
        await open_restaurant(data_dir, server.url)
    assert "accounts that are not a demo's" in await start_error(data_dir, demo=True)
    async with running_server(settings_for(data_dir)) as server, Rest(server.url) as nobody:
        await nobody.register("ada@example.org")


async def test_a_demos_accounts_and_sessions_end_with_it(data_dir: Path) -> None:
    async with (
        running_server(settings_for(data_dir, demo=True), copied=False) as demo,
        Rest(demo.url) as nobody,
    ):
        email, password = next(iter(accounts_in(data_dir).items()))
        people = [
            await nobody.another().demo("customer"),
            await nobody.another().demo("employee"),
            await nobody.another().log_in(email, password),
        ]
    change(data_dir, "DELETE FROM meta WHERE name = 'demo_town'")
    async with running_server(settings_for(data_dir)) as real, Rest(real.url) as nobody:
        (await nobody.post("/auth/demo", {"role": "employee"})).must(404)
        for email, password in accounts_in(data_dir).items():
            body = {"email": email, "password": password}
            (await nobody.post("/auth/login", body)).must(401)
        for person in people:
            held = nobody.another()
            held.token, token = person.token, person.grant["refresh_token"]
            (await held.get("/me")).must(401)
            (await held.get("/announcements/stream")).must(401)
            (await held.post("/auth/logout", {"refresh_token": token})).must(401)
            (await held.post("/auth/refresh", {"refresh_token": token})).must(401)


async def test_every_demo_has_its_own_passwords(data_dir: Path, tmp_path: Path) -> None:
    folders = (data_dir, tmp_path / "other")
    for folder in folders:
        for _ in range(2):  # a second start keeps them
            async with (
                running_server(settings_for(folder, demo=True), copied=False) as server,
                Rest(server.url) as nobody,
            ):
                found = accounts_in(folder)
                employee = await nobody.another().log_in(KITCHEN, found[KITCHEN])
                assert employee.grant["account"]["role"] == "employee"
                for email in ("maya@tiffin.example", "ana@tiffin.example", KITCHEN):
                    body = {"email": email, "password": PUBLISHED}
                    (await nobody.post("/auth/login", body)).must(401)
    one, two = (set(accounts_in(folder).values()) for folder in folders)
    assert not one & two


async def test_accounts_of_an_earlier_demo_are_marked_and_lose_its_password(
    data_dir: Path,
) -> None:
    async with running_server(settings_for(data_dir, demo=True), copied=False) as server:
        autopilots = accounts_in(data_dir)
        async with Rest(server.url) as guest:
            await guest.register("robin@guests.tiffin.example")
    (data_dir / "demo-password").unlink()
    published = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PUBLISHED)
    change(
        data_dir,
        "UPDATE accounts SET demo = NULL WHERE email LIKE 'robin@%';"
        f"UPDATE accounts SET password_hash = '{published}' WHERE email LIKE '%tiffin.example';"
        "DELETE FROM migrations WHERE name LIKE '%demo_accounts%';",
    )
    async with (
        running_server(settings_for(data_dir, demo=True), copied=False) as demo,
        Rest(demo.url) as nobody,
    ):
        for email in ("maya@tiffin.example", KITCHEN):
            body = {"email": email, "password": PUBLISHED}
            (await nobody.post("/auth/login", body)).must(401)
        fresh = accounts_in(data_dir)
        assert fresh.keys() == autopilots.keys()
        await nobody.another().log_in(KITCHEN, fresh[KITCHEN])
        maya = await nobody.another().demo("employee")
        assert maya.grant["account"]["email"] == "maya@tiffin.example"
    change(data_dir, "DELETE FROM meta WHERE name = 'demo_town'")
    async with running_server(settings_for(data_dir)) as real, Rest(real.url) as nobody:
        (await nobody.post("/auth/login", {"email": KITCHEN, "password": fresh[KITCHEN]})).must(401)
        # A guest who registered is an ordinary customer.
        await nobody.another().log_in("robin@guests.tiffin.example", PUBLISHED)


def test_only_the_owner_can_read_what_is_in_the_data_folder(
    data_dir: Path, start_server: StartServer
) -> None:
    data_dir.chmod(0o755)
    server = start_server(demo=True)
    kept = {path for path in data_dir.rglob("*") if path != server.log_path}
    assert {path.name for path in kept} >= {"tiffin.sqlite3", "tiffin.sqlite3-wal", "blobs"}
    readable = [path for path in kept if path.stat().st_mode & 0o077]
    assert not readable


async def test_a_demo_that_cannot_write_its_accounts_file_still_runs(data_dir: Path) -> None:
    path = data_dir / "demo-accounts.json"
    async with running_server(settings_for(data_dir, demo=True), copied=False):
        written = path.stat().st_mtime_ns
    async with running_server(settings_for(data_dir, demo=True), copied=False):
        assert path.stat().st_mtime_ns == written  # an unchanged file is not written again
    path.unlink()
    path.mkdir()
    settings = settings_for(data_dir, demo=True)
    async with running_server(settings) as demo, Rest(demo.url) as nobody:
        await nobody.demo("customer")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.0.2.1", False),
        ("fe80::1%eth0", False),
        ("tiffin.example", False),
    ],
)
def test_which_addresses_are_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


async def test_a_demo_is_open_to_other_machines_only_on_request(
    data_dir: Path, start_server: StartServer
) -> None:
    message = await refusal(data_dir, "--demo", "--host", "0.0.0.0")
    assert "0.0.0.0" in message
    assert "--demo-public" in message

    more = {"TIFFIN_HOST": "0.0.0.0", "TIFFIN_DEMO_PUBLIC": "1"}
    server = start_server(demo=True, env=more, host=None)
    warnings = [line for line in server.log_tail().splitlines() if '"level":"WARNING"' in line]
    assert any("this demo is open to every address" in line for line in warnings)


async def test_a_demo_refuses_requests_through_another_address(data_dir: Path) -> None:
    # Under gunicorn the application learns its address only from requests.
    address = _own_address()
    for public, status in ((False, 403), (True, 200)):
        settings = settings_for(data_dir, demo=True, demo_public=public)
        async with running_server(settings) as server:
            async with Rest(server.url) as near:
                await near.demo("employee")
            listener = socket.create_server((address, 0))
            await web.SockSite(server.runner, listener).start()
            async with Rest(f"http://{address}:{listener.getsockname()[1]}") as far:
                # Not by `far.post`: no operation documents that other machines are refused.
                url, role = far.url("/auth/demo"), {"role": "employee"}
                async with far.http.post(url, json=role) as answer:
                    assert answer.status == status
                    assert public or "TIFFIN_DEMO_PUBLIC=1" in (await answer.json())["detail"]


def _own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no network")
        address: str = probe.getsockname()[0]
    return address
