"""Which database a URL means."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from server.core.database import Database
from server.core.migrate import migrate_sqlite
from server.core.sqlite import SqliteDatabase

Where = Path | str
"""An SQLite file, or the URL of a PostgreSQL database."""


def database_at(
    where: Where,
    public_reads: int = 0,
    connections: int = 8,
    seconds: float = 10,
    commit_interval: float = 0.0,
) -> Database:
    """The database there. It answers so many public requests at a time; 0 is any number.

    For `connections` and `seconds`, see PostgresDatabase; for `commit_interval`, SqliteDatabase.
    """
    if isinstance(where, Path):
        return SqliteDatabase(where, public_reads, commit_interval)
    from server.core.postgres import PostgresDatabase

    return PostgresDatabase(where, public_reads, connections, seconds)


async def migrate(where: Where) -> list[str]:
    """Bring the database up to date; returns the migrations it ran. Raises MigrationError."""
    if isinstance(where, Path):
        return await migrate_sqlite(where)
    from server.core.postgres_migrate import migrate_postgres

    return await migrate_postgres(where)


@contextlib.asynccontextmanager
async def opened_database(where: Where) -> AsyncIterator[Database]:
    """The database there, open until the block ends."""
    database = database_at(where)
    await database.open()
    try:
        yield database
    finally:
        await database.close()
