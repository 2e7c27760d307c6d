"""The cluster of `make cluster`, with a relay on each way between two of its processes."""

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from support.relay import WHOLE, Relay, relay_to
from support.server_process import JWT_SECRET, UNLIMITED
from support.waiting import PATIENCE, wait_until
from tools.cluster.cluster import MASTERS, Cluster
from tools.cluster.gunicorn import Gunicorn
from tools.cluster.postgres import USER, PostgresServer
from tools.cluster.service import ServiceProcess

DISK_BYTES = 1024 * 1024 * 1024
"""Of the file system that PostgreSQL has to itself, where this user may mount one."""
SETTINGS = {
    **{f"TIFFIN_{name.upper()}": str(value) for name, value in UNLIMITED.items()},
    "TIFFIN_MAX_STREAMS_PER_ACCOUNT": "1000",
    "TIFFIN_HEARTBEAT_SECONDS": "1.5",
    "TIFFIN_ACCESS_TOKEN_SECONDS": "86400",
    "TIFFIN_DATABASE_SECONDS": "3",
    "TIFFIN_LOG_LEVEL": "INFO",
    "TIFFIN_JWT_SECRET": JWT_SECRET,
}
"""Short waits, so that a fault is over soon."""
HEALTHY_SECONDS = 120.0
CLOCK = """
import os, time
seconds, nanoseconds, ahead = time.time, time.time_ns, float(os.environ["CLOCK_AHEAD"])
time.time = lambda: seconds() + ahead
time.time_ns = lambda: nanoseconds() + int(ahead * 1e9)
"""
"""Python imports it before anything else; the server asks for the time in no other way."""


class BreakableCluster(Cluster):
    """Its masters reach PostgreSQL and Redis through relays; or they share a file of SQLite's."""

    def __init__(self, folder: Path, relays: Mapping[str, Relay], *, sqlite: bool) -> None:
        super().__init__(folder)
        self.relays = relays
        self._loop = asyncio.get_running_loop()
        self.sqlite = sqlite
        self.disk: Path | None = None
        """The folder of the database's data."""
        self.mounted = False
        """Whether that is a small file system of its own."""

    def standby(self, *, synchronous: bool) -> PostgresServer:
        """A standby of PostgreSQL, which is stopped for a moment to be copied."""
        primary = self.postgres
        standby = PostgresServer(primary.folder.parent / f"postgres-{os.urandom(3).hex()}")
        self.redirect("postgres", 0)
        primary.stop()
        standby.data.parent.mkdir()
        shutil.copytree(primary.data, standby.data)
        (standby.data / "standby.signal").touch()
        for path in (standby.folder, standby.data, *standby.data.rglob("*")):
            if USER is not None:
                shutil.chown(path, USER)
        standby.data.chmod(0o700)
        address = f"host=127.0.0.1 port={primary.port} user=tiffin application_name=standby"
        standby.options = {"primary_conninfo": address}
        waits = {"synchronous_standby_names": "standby", "synchronous_commit": "remote_apply"}
        primary.options = waits if synchronous else {}
        primary.start()
        self._start(standby)
        self.services.insert(0, self.services.pop())  # stopped after the masters
        self.redirect("postgres", primary.port)
        return standby

    def fail_over(self, standby: PostgresServer) -> None:
        """The primary is gone for good; the standby takes over."""
        primary = self.postgres
        primary.kill()
        if not standby.running:
            standby.start()
        standby.promote()
        standby.options = {}
        self.postgres = standby
        self.services.remove(primary)
        self.redirect("postgres", standby.port)
        shutil.rmtree(primary.data)

    def redirect(self, service: str, port: int) -> None:
        """Where new connections to that service lead; 0: nowhere. Called in a thread."""
        for name, relay in self.relays.items():
            if name.startswith(service):
                relay.target = f"tcp://127.0.0.1:{port or 1}"
                self._loop.call_soon_threadsafe(relay.cut)

    @property
    def where(self) -> Path | str:
        """The database's folder or URL."""
        return self.file.parent if self.sqlite else self.postgres.url("tiffin")

    @property
    def file(self) -> Path:
        """SQLite's."""
        assert self.disk is not None
        return self.disk / "tiffin.sqlite3"

    def _start_database(self) -> str:
        self.disk = self._make_folder()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", self.disk]
        done = subprocess.run(mount, capture_output=True, check=False)
        self.mounted = done.returncode == 0
        if self.sqlite:
            return f"sqlite:///{self.file}"
        return self._start_postgres(self.disk / "postgres")

    def _own_settings(self, name: str) -> dict[str, str]:
        redis = self.relays[f"redis {name}"]
        redis.target = f"tcp://127.0.0.1:{self.redis.port}"
        settings = {
            **SETTINGS,
            **super()._own_settings(name),
            "TIFFIN_REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
        }
        if not self.sqlite:
            postgres = self.relays[f"postgres {name}"]
            postgres.target = f"tcp://127.0.0.1:{self.postgres.port}"
            url = f"postgresql://tiffin@127.0.0.1:{postgres.port}/tiffin"
            settings["TIFFIN_DATABASE_URL"] = url
        return settings


class Stage:
    """What faults act on."""

    def __init__(self, cluster: BreakableCluster, relays: Mapping[str, Relay]) -> None:
        self.cluster = cluster
        self.relays = relays
        self.redis = cluster.redis
        self.masters: Sequence[Gunicorn] = cluster.masters
        self.clients = relays["clients"]
        self.doors = [relays["clients"].port, cluster.masters[0].port, cluster.masters[1].port]
        """Ports that clients connect to: nginx through a relay, and both masters."""
        if cluster.nginx is not None:
            self.clients.target = cluster.url
            self.doors.insert(1, cluster.nginx.port)
        else:
            self.clients.target = cluster.masters[0].url

    def relays_to(self, service: str) -> list[Relay]:
        """Those of both masters; or those of the clients."""
        return [relay for name, relay in self.relays.items() if name.startswith(service)]

    @property
    def services(self) -> list[ServiceProcess]:
        """The database, Redis, nginx and the masters."""
        found: list[ServiceProcess] = [] if self.cluster.sqlite else [self.cluster.postgres]
        found += [self.redis] + ([self.cluster.nginx] if self.cluster.nginx is not None else [])
        return [*found, *self.masters]

    def workers(self, master: Gunicorn) -> list[psutil.Process]:
        """The workers of that master."""
        return psutil.Process(master.pid).children()

    async def rows(self, sql: str) -> Sequence[Mapping[str, Any]]:
        """The rows of that statement, as soon as the database answers."""
        if self.cluster.sqlite:
            return await self.in_thread(_sqlite_rows, self.cluster.file, sql)

        async def ask() -> tuple[Sequence[Mapping[str, Any]]] | None:
            try:
                async with asyncio.timeout(PATIENCE):
                    connection = await asyncpg.connect(self.cluster.postgres.url("tiffin"))
                    try:
                        return (await connection.fetch(sql),)
                    finally:
                        await connection.close()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                return None

        found = await wait_until(ask, HEALTHY_SECONDS, what="PostgreSQL answers")
        assert found is not None
        return found[0]

    async def in_thread(self, work: Any, *arguments: Any, **more: Any) -> Any:
        """Run what blocks; the relays go on meanwhile."""
        return await asyncio.to_thread(work, *arguments, **more)

    async def fill_disk(self, seconds: float) -> None:
        """Leave the database no byte of its file system."""
        assert self.cluster.mounted, "this user may not mount one"
        assert self.cluster.disk is not None
        ballast = self.cluster.disk / "ballast"
        try:
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(ballast.parent).free)
                while file.seek(0, os.SEEK_END) and file.write(b"\0" * 4096):
                    pass
            await asyncio.sleep(seconds)
        finally:
            ballast.unlink()

    async def limit_files(self, seconds: float) -> None:
        """Let the database's files not grow beyond 64 KiB."""
        await self.in_thread(self._limit_files, str(64 * 1024))
        await asyncio.sleep(seconds)
        await self.in_thread(self._limit_files, "unlimited")

    def _limit_files(self, size: str) -> None:
        """For all processes that write them, and those that they start from now on."""

        def limit(pid: int, user: str | None) -> None:
            # As the user that it runs as: in a container root may not do it to others.
            command = ["prlimit", f"--fsize={size}:", "--pid", str(pid)]
            subprocess.run(command, check=False, capture_output=True, user=user)  # it may be gone

        for service in self.masters if self.cluster.sqlite else [self.cluster.postgres]:
            limit(service.pid, service.user)
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(service.pid).children(recursive=True):
                    limit(child.pid, service.user)

    def put_ahead(self, number: int, seconds: float) -> None:
        """Restart that master with its clock so far ahead."""
        master = self.masters[number]
        folder = master.folder / "clock"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(CLOCK)
        master.environment |= {"PYTHONPATH": str(folder), "CLOCK_AHEAD": str(seconds)}
        master.stop()
        master.start()

    async def heal(self) -> None:
        """Everything runs again, and each master has all its workers and services."""
        for relay in self.relays.values():
            relay.heal()
        for service in self.services:
            if not service.running:
                await asyncio.to_thread(service.end, signal.SIGKILL)
                await asyncio.to_thread(service.start)
            with contextlib.suppress(psutil.NoSuchProcess):
                service.thaw()

        async def healthy() -> bool:
            for master in self.masters:
                workers = self.workers(master)
                if len(workers) < master.workers or not await asyncio.to_thread(master.answers):
                    return False
            return True

        await wait_until(healthy, HEALTHY_SECONDS, what="both masters are ready again")


@asynccontextmanager
async def staged(folder: Path, *, sqlite: bool) -> AsyncIterator[Stage]:
    """The cluster, on PostgreSQL or SQLite, until the block ends."""
    names = ["clients", *(f"{one} {name}" for one in ("postgres", "redis") for name in MASTERS)]
    async with contextlib.AsyncExitStack() as stack:
        relays = {
            name: await stack.enter_async_context(relay_to("tcp://127.0.0.1:1", WHOLE))
            for name in names
        }
        cluster = BreakableCluster(folder, relays, sqlite=sqlite)
        try:
            await asyncio.to_thread(cluster.__enter__)
            yield Stage(cluster, relays)
        finally:
            await asyncio.to_thread(cluster.__exit__)


def _sqlite_rows(file: Path, sql: str) -> Sequence[Mapping[str, Any]]:
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as one:
        one.row_factory = sqlite3.Row
        return one.execute(sql).fetchall()
