"""Databases that do not wait for the disk."""

from server.core.database import Database
from server.core.sqlite import SqliteDatabase


async def spare_the_disk(database: Database) -> None:
    """Leave out the fsync of each commit, for property tests, which commit thousands of times.

    Other readers of the file see the same; only a power failure would make a difference. The
    tests' PostgreSQL never does one.
    """
    for connection in database._opened if isinstance(database, SqliteDatabase) else ():
        await connection.execute_fetchall("PRAGMA synchronous=OFF")
