"""A real PostgreSQL, and a new database of it for each test."""

import atexit
import contextlib
import hashlib
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import asyncpg

from server.core.databases import migrate
from support.waiting import in_a_thread
from tools.cluster.postgres import PostgresServer

ISOLATION = os.environ.get("TIFFIN_TEST_ISOLATION", "read committed")
"""What transactions are by default; with `serializable`, the tests that still fail do so for
another reason than a lock that is missing."""


@cache
def shared_server() -> PostgresServer:
    """One cluster for all tests of this process, with a migrated database to copy."""
    options = {"fsync": "off", "default_transaction_isolation": ISOLATION}
    server = PostgresServer(Path(tempfile.mkdtemp(prefix="tiffin-postgres-")), options)
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
