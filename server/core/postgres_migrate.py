"""Migrations of a PostgreSQL database."""

import re
from importlib import resources
from urllib.parse import urlsplit

import asyncpg

from server.core.migrate import (
    MigrationError,
    digest_of,
    migrations,
    missing_migrations,
    statements,
)

CONNECT_SECONDS = 5.0
START_LOCK = 0x7469_6666_696E
"""The advisory lock of processes that start."""
_TYPES = (
    (re.compile(r"\bTEXT\b"), 'TEXT COLLATE "C"'),
    (re.compile(r"\bREAL\b"), "DOUBLE PRECISION"),
    (re.compile(r"\bINTEGER\b"), "BIGINT"),
)
_OWN = resources.files("server.core").joinpath("postgres.sql")


async def migrate_postgres(url: str) -> list[str]:
    """Bring that database up to date; returns the migrations it ran. Raises MigrationError."""
    try:
        connection = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise MigrationError(f"PostgreSQL at {place_of(url)}: {error}") from error
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", START_LOCK)
            return await _migrate(connection)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"PostgreSQL at {place_of(url)}: {error}") from error
    finally:
        await connection.close()


async def _migrate(connection: asyncpg.Connection) -> list[str]:
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations"
        " (number BIGINT PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL)"
    )
    done = {
        row["number"]: row["digest"]
        for row in await connection.fetch("SELECT number, digest FROM migrations")
    }
    missing = missing_migrations(done, migrations())
    for number, name, script in missing:
        for statement in statements(script):
            await connection.execute(_translated(statement))
        await connection.execute(
            "INSERT INTO migrations (number, name, digest) VALUES ($1, $2, $3)",
            number,
            name,
            digest_of(script),
        )
    if missing:
        await connection.execute(_OWN.read_text(encoding="utf-8"))
    return [name for _, name, _ in missing]


def _translated(statement: str) -> str:
    """The statement with PostgreSQL's types: SQLite's have 64 bits, and its texts are compared
    by their bytes."""
    for pattern, type in _TYPES:
        statement = pattern.sub(type, statement)
    return statement


def place_of(url: str) -> str:
    """Host, port and database, without user and password."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2] or 'a socket'}{parts.path}"
