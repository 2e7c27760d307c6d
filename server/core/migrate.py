"""Numbered SQL migrations, run once even if several processes start together."""

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

BUSY_SECONDS = 60.0

Migration = tuple[int, str, str]
"""Its number, name and SQL."""


class MigrationError(Exception):
    """A database that this version cannot serve."""


@cache
def migrations() -> list[Migration]:
    """Every migration, in order."""
    found = []
    for file in resources.files("server.core").joinpath("migrations").iterdir():
        if file.name.endswith(".sql"):
            number, _, _ = file.name.partition("_")
            found.append((int(number), file.name, file.read_text(encoding="utf-8")))
    return sorted(found)


def statements(script: str) -> list[str]:
    """The single statements of a script."""
    found, pending = [], ""
    for row in script.splitlines(keepends=True):
        pending += row
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    rest = [row for row in pending.splitlines() if row.strip() and not row.startswith("--")]
    if rest:
        raise MigrationError(f"a migration ends in the middle of a statement: {pending.strip()!r}")
    return found


async def migrate_sqlite(path: Path) -> list[str]:
    """Bring that SQLite file up to date; returns the migrations it ran. Raises MigrationError."""
    return await asyncio.to_thread(_migrate, path)


def check_version(connection: sqlite3.Connection) -> None:
    """Raises MigrationError for a database of a newer version."""
    _missing(connection, migrations())


def _migrate(path: Path) -> list[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
    except (OSError, sqlite3.Error) as error:
        raise MigrationError(f"{path}: {error}; choose another TIFFIN_DATA_DIR") from error
    try:
        _write_ahead(connection)
        known = migrations()
        # First without a lock, so that a server starts even with a full disk or a waiting writer.
        if not _missing(connection, known):
            return []
        connection.execute("BEGIN IMMEDIATE")  # other processes wait here, then have nothing to run
        try:
            ran = _run(connection, known)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except sqlite3.DatabaseError as error:
        raise MigrationError(f"{path}: {error}") from error
    finally:
        connection.close()
    return ran


def _write_ahead(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            # SQLite's own timeout does not apply to this statement.
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)


def _missing(connection: sqlite3.Connection, known: list[Migration]) -> list[Migration]:
    """Those that have not run."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchall():
        return known
    done = dict(connection.execute("SELECT number, digest FROM migrations").fetchall())
    return missing_migrations(done, known)


def missing_migrations(done: Mapping[int, str], known: list[Migration]) -> list[Migration]:
    """Those that are not `done`. Raises MigrationError where unknown ones are, or others."""
    newer = set(done) - {number for number, _, _ in known}
    if newer:
        raise MigrationError(
            f"this database was written by a newer Tiffin (migration {max(newer)});"
            " update the server, or point TIFFIN_DATABASE_URL at another database"
        )
    for number, name, script in known:
        if number in done and done[number] != digest_of(script):
            raise MigrationError(f"{name} was changed after this database had run it")
    return [migration for migration in known if migration[0] not in done]


def _run(connection: sqlite3.Connection, known: list[Migration]) -> list[str]:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations"
        " (number INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL)"
    )
    missing = _missing(connection, known)
    for number, name, script in missing:
        for statement in statements(script):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO migrations (number, name, digest) VALUES (?, ?, ?)",
            (number, name, digest_of(script)),
        )
    return [name for _, name, _ in missing]


def digest_of(script: str) -> str:
    """A digest of a migration."""
    return hashlib.sha256(script.encode()).hexdigest()
