"""A real database for each test, and what is logged."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from server.core.database import Database
from server.core.databases import database_at
from server.core.logging import configure_logging, flush_logs
from support.server_process import new_database

OpenDatabase = Callable[[], Awaitable[Database]]


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    return tmp_path / "tiffin.sqlite3"


@pytest.fixture
async def open_database(database_path: Path) -> AsyncIterator[OpenDatabase]:
    """Opens the file, as many times as needed, as several processes would."""
    opened: list[Database] = []

    async def open_one() -> Database:
        database = database_at(new_database(database_path))
        await database.open()
        opened.append(database)
        return database

    yield open_one
    for database in opened:
        await database.close()


@pytest.fixture
async def database(open_database: OpenDatabase) -> Database:
    return await open_database()


class Logged(io.StringIO):
    """The log so far: a thread writes it."""

    def getvalue(self) -> str:
        flush_logs(5)
        return super().getvalue()


@pytest.fixture
def logged() -> io.StringIO:
    """The lines of the structured log, as written."""
    stream = Logged()
    configure_logging("INFO", stream)
    return stream
