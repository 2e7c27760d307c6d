"""A database as one version of the server has left it, as JSON, for later versions to read.

`TIFFIN_FREEZE=1` makes `tests/server/test_frozen.py` write the present version's: once a release,
before it. What is written stays as it is.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from server.core import migrate as migrating
from server.core.database import Transaction
from server.core.databases import migrate, opened_database
from support.server_process import where_for

Rows = dict[str, list[dict[str, Any]]]
"""The rows of each table."""
LATER = "2999-01-01T00:00:00.000Z"
"""When what would have expired by the time of a test expires."""
EXPIRING = ("sessions", "refresh_tokens", "idempotency")
# Parents before their children.
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'migrations'"


def newest_migration() -> int:
    """The number of this version's last migration."""
    return migrating.migrations()[-1][0]


async def stored(tx: Transaction) -> Rows:
    """Every row of an SQLite file."""
    names = [str(table["name"]) for table in await tx.fetch(TABLES, {})]
    return {
        name: [dict(row) for row in await tx.fetch(f"SELECT * FROM {name}", {})] for name in names
    }


async def store(tx: Transaction, rows: Rows) -> None:
    """Put these in the place of what the tables have."""
    for table, contents in rows.items():
        await tx.execute(f"DELETE FROM {table}", {})
        for row in contents:
            values = ", ".join(f":{column}" for column in row)
            await tx.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({values})", row)


async def freeze(database: Path, known: dict[str, Any]) -> str:
    """The JSON of every row of an SQLite file, and of what is `known` of it."""

    async with opened_database(database) as opened:
        rows = await opened.read(stored)
    for table in EXPIRING:
        for row in rows[table]:
            row["expires_at"] = LATER
    frozen = {"migration": newest_migration(), "known": known, "rows": rows}
    return json.dumps(frozen, indent=1, ensure_ascii=False) + "\n"


async def thaw(frozen: dict[str, Any], data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the database of a server whose data is there, as that version has left it. The server
    that starts on it runs the later migrations."""
    where = where_for(data_dir / "tiffin.sqlite3")
    until = [one for one in migrating.migrations() if one[0] <= frozen["migration"]]
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "migrations", lambda: until)
        patch.setattr("server.core.postgres_migrate.migrations", lambda: until)
        if isinstance(where, str):
            await _empty(where)
        await migrate(where)

    async with opened_database(where) as opened:
        await opened.write(lambda tx: store(tx, frozen["rows"]))


async def _empty(url: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()
