"""Numbered SQL migrations, run once however many processes start together."""

import asyncio
import hashlib
import sqlite3
import time
from importlib import resources
from pathlib import Path

BUSY_SECONDS = 60.0


class MigrationError(Exception):
    """A database this version cannot serve, in words."""


def migrations() -> list[tuple[int, str, str]]:
    """Every migration: number, name and SQL, in order."""
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


async def migrate(path: Path) -> list[str]:
    """Bring that SQLite file up to date; gives the names of what was run. Raises MigrationError."""
    return await asyncio.to_thread(_migrate, path)


def _migrate(path: Path) -> list[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
    except (OSError, sqlite3.Error) as error:
        raise MigrationError(f"{path}: {error}; choose another TIFFIN_DATA_DIR") from error
    try:
        _write_ahead(connection)
        connection.execute("BEGIN IMMEDIATE")  # the others wait here, then find nothing to do
        try:
            ran = _run(connection)
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
            # For this statement alone SQLite does not wait by itself.
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= deadline:
                raise
            time.sleep(0.01)


def _run(connection: sqlite3.Connection) -> list[str]:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations"
        " (number INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL)"
    )
    done = dict(connection.execute("SELECT number, digest FROM migrations").fetchall())
    known = migrations()
    newer = set(done) - {number for number, _, _ in known}
    if newer:
        raise MigrationError(
            f"this database was written by a newer Tiffin (migration {max(newer)});"
            " update the server, or point TIFFIN_DATABASE_URL at another file"
        )
    ran = []
    for number, name, script in known:
        digest = hashlib.sha256(script.encode()).hexdigest()
        if number in done:
            if done[number] != digest:
                raise MigrationError(f"{name} was changed after this database had run it")
            continue
        for statement in statements(script):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO migrations (number, name, digest) VALUES (?, ?, ?)", (number, name, digest)
        )
        ran.append(name)
    return ran
