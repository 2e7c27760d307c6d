"""A real PostgreSQL, and a new database of it for each test."""

import asyncio
import atexit
import contextlib
import hashlib
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import asyncpg

from server.core.databases import migrate
from tools.cluster.postgres import PostgresServer

ISOLATION = os.environ.get("TIFFIN_TEST_ISOLATION", "read committed")
"""What transactions are by default; with `serializable`, the tests that still fail do so for
another reason than a lock that is missing."""


@cache
def shared_server() -> PostgresServer:
    """One cluster for all tests of this process, with a migrated database to copy."""
    folder = Path(tempfile.mkdtemp(prefix="tiffin-postgres-"))
    folder.chmod(0o755)  # the user that it runs as may be another one
    options = {"fsync": "off", "default_transaction_isolation": ISOLATION}
    server = PostgresServer(folder, options)
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


def shared_folder(data_dir: Path) -> Path:
    """The folder of pictures of servers whose data is in that folder."""
    folder = data_dir / "blobs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
