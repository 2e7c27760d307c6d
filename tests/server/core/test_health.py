"""What the server reports about itself."""

import asyncio
import socket
import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest

from server.core import health
from server.core.database import Database
from server.core.health import AdminListener, Readiness
from server.core.metrics import Metrics
from server.transports.connections import Connections
from support.live_server import LiveServer, running_server, settings_for, sqlite_only
from support.rest import Rest
from support.waiting import PATIENCE, wait_until
from tools.cluster.redis_server import RedisServer
from tools.ports import free_port

VERSION = version("tiffin")
PARTS = ("database", "broker", "connections", "tasks", "blobs", "worker")


async def test_without_redis_a_server_is_degraded_and_only_operators_are_told_why(
    data_dir: Path, own_redis: RedisServer
) -> None:
    redis = own_redis
    settings = settings_for(data_dir, redis_url=redis.url, admin_port=0)
    async with (
        running_server(settings) as server,
        Rest(server.url) as rest,
        Rest(f"http://127.0.0.1:{server.services[AdminListener].port}") as admin,
    ):

        async def whole() -> bool:
            found = (await rest.get("//readyz")).must(200).json
            return bool(found == {"status": "ok", "parts": dict.fromkeys(PARTS, "ok")})

        await wait_until(whole)
        redis.kill()

        async def degraded() -> bool:
            found = (await rest.get("//readyz")).must(200).json
            return bool(found["status"] == "degraded")

        await wait_until(degraded)
        parts = dict.fromkeys(PARTS, "ok") | {"broker": "not ok"}
        assert (await rest.get("//readyz")).must(200).json["parts"] == parts
        told = (await admin.get("//readyz")).must(200).json
        assert told["status"] == "degraded"
        assert f"127.0.0.1:{redis.port}" in told["parts"]["broker"]
        for path in ("//healthz", "/restaurants"):
            (await admin.get(path)).must(404)
        names = []
        for one in (rest, admin):
            text = (await one.get("//metrics")).must(200).body.decode()
            assert '\ntiffin_part_ok{part="broker"} 0.0' in text
            assert '\ntiffin_part_ok{part="database"} 1.0' in text
            for private in (str(redis.port), str(data_dir), socket.gethostname(), VERSION):
                assert private not in text
            names.append({line.split()[2] for line in text.splitlines() if line[0] == "#"})
        assert names[0] == names[1]


async def test_each_process_takes_the_next_admin_port(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As the workers of a gunicorn do; the place of one that ends is taken by the next."""
    taken = socket.create_server(("127.0.0.1", free_port()))
    first = taken.getsockname()[1]
    listeners = [AdminListener(first, Readiness(), Metrics()) for _ in range(3)]
    with taken:
        for one in listeners[:2]:
            await one.open()
    ports = [one.port for one in listeners[:2]]
    assert ports == sorted({*ports}), "each has its own, in the order of their start"
    assert first not in ports
    await listeners[0].close()
    await listeners[2].open()
    assert listeners[2].port == first, "the lowest that is free"
    await listeners[1].close()
    await listeners[2].close()
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as full:
        patch.setattr(health, "ADMIN_PORTS", 1)
        without = AdminListener(full.getsockname()[1], Readiness(), Metrics())
        await without.open()
        await without.close()
    assert without.port is None
    assert "no admin listener" in caplog.text


async def test_a_redis_that_refuses_messages_is_reported(
    data_dir: Path, own_redis: RedisServer
) -> None:
    """Listening is not enough; the sweep carries on, so everything still works."""
    rights = ("on", "nopass", "allchannels", "+@all", "-publish")
    assert own_redis.command("ACL", "SETUSER", "mute", *rights) == "+OK"
    settings = settings_for(data_dir, redis_url=own_redis.url.replace("//", "//mute:x@"))
    async with running_server(settings) as server, Rest(server.url) as rest:

        async def degraded() -> bool:
            found = (await rest.get("//readyz")).must(200).json
            why = (await server.parts())["broker"]
            return bool(found["status"] == "degraded" and "PUBLISH" in why)

        await wait_until(degraded)


@sqlite_only
async def test_readiness_does_not_wait_for_a_lock_that_a_writer_waits_for(
    live_server: LiveServer, rest: Rest
) -> None:
    database = live_server.services[Database]
    connection = sqlite3.connect(database.path, isolation_level=None, check_same_thread=False)
    with closing(connection) as other:
        # Not in this loop: the server's own maintenance may be writing.
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        sql = "UPDATE meta SET value = value"
        writing = asyncio.create_task(database.write(lambda tx: tx.execute(sql, {})))
        assert (await rest.get("//readyz")).must(200).json["parts"]["database"] == "ok"
        assert not writing.done()
        other.execute("COMMIT")
    await writing


async def test_a_draining_server_is_not_ready(live_server: LiveServer, rest: Rest) -> None:

    live_server.services[Connections].drain()
    answer = (await rest.get("//readyz")).must(503).json
    assert answer["status"] == "not ready"
    assert answer["parts"]["connections"] == "not ok"
    assert (await live_server.parts())["connections"] == "draining"
    (await rest.get("//healthz")).must(200)


async def test_parts_are_checked_once_a_second_however_many_requests_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "REMEMBERED_SECONDS", PATIENCE)
    asked, may_answer = 0, asyncio.Event()

    async def database() -> str:
        nonlocal asked
        asked += 1
        await may_answer.wait()
        return "ok"

    readiness = Readiness({"database": database})
    callers = [asyncio.create_task(readiness.parts()) for _ in range(20)]
    await wait_until(lambda: asked)
    callers[0].cancel()
    may_answer.set()
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*callers[1:]) == [{"database": "ok"}] * 19
        await readiness.parts()
        assert asked == 1
        monkeypatch.setattr(health, "REMEMBERED_SECONDS", 0)
        readiness = Readiness({"database": database})
        await readiness.parts()
        await readiness.parts()
    assert asked == 3


async def test_a_part_that_does_not_answer_delays_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)

    async def blobs() -> str:
        await asyncio.Event().wait()
        return "ok"

    async def database() -> str:
        lost: asyncio.Future[str] = asyncio.Future()
        lost.cancel()
        return await lost

    async def broker() -> str:
        return "ok"

    async with asyncio.timeout(PATIENCE):
        checks = {"blobs": blobs, "database": database, "broker": broker}
        parts = await Readiness(checks).parts()
    assert parts == {
        "blobs": "no answer within 0.05 s",
        "database": "cancelled",
        "broker": "ok",
    }
