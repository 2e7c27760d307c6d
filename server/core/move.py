"""A move: all rows of a database into an empty one, of the same kind or the other."""

import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import asyncpg

from server.core.backup import NEW_EPOCH, CopyError, check_unused, new_epoch
from server.core.clock import now, to_text
from server.core.database import MOVED, moved_words
from server.core.databases import Where, migrate
from server.core.file_lock import UseLock
from server.core.migrate import migrations, statements
from server.core.postgres import USE_LOCK, numbered
from server.core.postgres_migrate import CONNECT_SECONDS, place_of

ROWS = 1000
"""Rows in memory at a time."""
REPORT_SECONDS = 2.0
UNCOUNTED = {("topics", "changed"), ("states", "changed")}
"""Columns that each database fills by itself."""
MARK = "INSERT INTO meta (name, value) VALUES ('moved_to', :place)"

_ERRORS = (OSError, sqlite3.Error, asyncpg.PostgresError, asyncpg.InterfaceError)

Values = tuple[Any, ...]
Report = Callable[[str], None]


@dataclass(frozen=True)
class Table:
    """A table, with the columns that its rows are compared by."""

    name: str
    columns: tuple[str, ...]
    compared: tuple[int, ...]


class Sum:
    """How many rows, and a checksum that does not depend on their order."""

    def __init__(self, table: Table) -> None:
        self.count = self.total = 0
        self._compared = table.compared

    def add(self, rows: Sequence[Values]) -> None:
        """Count these."""
        self.count += len(rows)
        for row in rows:
            text = repr([row[i] for i in self._compared]).encode()
            self.total += int.from_bytes(blake2b(text, digest_size=8).digest())


class End(ABC):
    """One end of a move: a database that nobody else uses, in one transaction."""

    place: str
    """What it is called in messages."""

    @abstractmethod
    async def open(self) -> None:
        """Lock out everybody else. Raises CopyError where that is impossible."""

    @abstractmethod
    async def begin(self) -> None:
        """Begin the transaction, on the migrated database."""

    @abstractmethod
    async def execute(self, sql: str, **parameters: Any) -> list[Values]:
        """Run a statement; returns its rows."""

    @abstractmethod
    def rows(self, table: Table) -> AsyncIterator[Sequence[Values]]:
        """All its rows, ROWS at a time."""

    @abstractmethod
    async def insert(self, table: Table, rows: Sequence[Values]) -> None:
        """Add these."""

    @abstractmethod
    async def commit(self) -> None:
        """Commit."""

    @abstractmethod
    async def close(self) -> None:
        """Give the locks back; what is not committed is undone."""


class SqliteEnd(End):
    """An SQLite file. No other task runs beside a move, so its statements wait in this thread."""

    def __init__(self, path: Path, *, new: bool) -> None:
        self._path, self._new = path, new
        self.place = f"sqlite:///{path}"
        self._use: UseLock | None = None
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """See End."""
        if not self._new and not self._path.exists():
            raise CopyError(f"there is no database at {self._path}")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._use = UseLock(self._path)
        if not self._use.alone():
            raise CopyError(f"a server uses {self._path}: stop all its processes first")
        check_unused(self._path)

    async def begin(self) -> None:
        """See End."""
        self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("PRAGMA foreign_keys=ON")
        self._connection.execute("BEGIN IMMEDIATE")

    async def execute(self, sql: str, **parameters: Any) -> list[Values]:
        """See End."""
        assert self._connection is not None
        return self._connection.execute(sql, parameters).fetchall()

    async def rows(self, table: Table) -> AsyncIterator[Sequence[Values]]:
        """See End."""
        assert self._connection is not None
        with closing(self._connection.execute(_select(table))) as cursor:
            while rows := cursor.fetchmany(ROWS):
                yield rows

    async def insert(self, table: Table, rows: Sequence[Values]) -> None:
        """See End."""
        assert self._connection is not None
        marks = ", ".join("?" * len(table.columns))
        self._connection.executemany(
            f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({marks})",  # noqa: S608
            rows,
        )

    async def commit(self) -> None:
        """See End."""
        assert self._connection is not None
        self._connection.execute("COMMIT")

    async def close(self) -> None:
        """See End."""
        if self._connection is not None:
            self._connection.close()
        if self._use is not None:
            self._use.close()


class PostgresEnd(End):
    """A PostgreSQL database."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.place = f"postgresql://{place_of(url)}"
        self._connection: asyncpg.Connection | None = None
        self._transaction: Any = None

    async def open(self) -> None:
        """See End."""
        self._connection = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS)
        if not await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", USE_LOCK):
            raise CopyError(f"a server uses {self.place}: stop all its processes first")

    async def begin(self) -> None:
        """See End."""
        assert self._connection is not None
        self._transaction = self._connection.transaction(isolation="repeatable_read")
        await self._transaction.start()

    async def execute(self, sql: str, **parameters: Any) -> list[Values]:
        """See End."""
        assert self._connection is not None
        text, names = numbered(sql)
        found = await self._connection.fetch(text, *[parameters[name] for name in names])
        return [tuple(row) for row in found]

    async def rows(self, table: Table) -> AsyncIterator[Sequence[Values]]:
        """See End."""
        assert self._connection is not None
        cursor = await self._connection.cursor(_select(table))
        while rows := await cursor.fetch(ROWS):
            yield [tuple(row) for row in rows]

    async def insert(self, table: Table, rows: Sequence[Values]) -> None:
        """See End."""
        assert self._connection is not None
        await self._connection.copy_records_to_table(
            table.name, records=rows, columns=table.columns
        )

    async def commit(self) -> None:
        """See End."""
        await self._transaction.commit()

    async def close(self) -> None:
        """See End."""
        if self._connection is not None:
            await self._connection.close()


async def move(source: Where, target: Where, report: Report) -> None:
    """Copy every row of one database to another, compare them, and mark the first as moved.

    The epoch is copied with them, so readers go on at the new place with the cursors they have.
    `report` gets a line now and then. Raises CopyError, MigrationError.
    """
    if source == target:
        raise CopyError("--from and --to are the same database")
    async with _opened(source, new=False) as old, _opened(target, new=True) as new:
        await migrate(source)
        await migrate(target)
        for end in (old, new):
            await end.begin()
            await end.execute("DELETE FROM meta WHERE name = 'instance'")  # it is claimed anew
        for [place] in await old.execute(MOVED):
            raise CopyError(moved_words(place))
        await _refuse_rows(new)
        for table in tables():
            await _move_table(old, new, table, report)
        await new.commit()
        try:
            await old.execute(MARK, place=f"{new.place} on {to_text(now())[:10]}")
            await old.commit()
        except _ERRORS as error:
            raise CopyError(
                f"all rows are in {new.place}, but {old.place} could not be marked as moved"
                f" ({error}): start no server on it"
            ) from error


async def unretire(where: Where) -> None:
    """Let servers use a database again that was moved, with a new epoch. Raises CopyError."""
    async with _opened(where, new=False) as end:
        await migrate(where)
        await end.begin()
        if not await end.execute(MOVED):
            raise CopyError(f"{end.place} was not moved")
        await end.execute("DELETE FROM meta WHERE name = 'moved_to'")
        await end.execute(NEW_EPOCH, epoch=new_epoch())
        await end.commit()


def tables() -> list[Table]:
    """The tables of a migrated database but `migrations`, each after those that it refers to."""
    with closing(sqlite3.connect(":memory:")) as database:
        for _, _, script in migrations():
            for statement in statements(script):
                database.execute(statement)
        names = [
            str(name)
            for (name,) in database.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
            )
        ]
        found: dict[str, Table] = {}
        while left := [name for name in names if name not in found]:
            for name in left:
                keys = database.execute(f"PRAGMA foreign_key_list({name})").fetchall()
                if all(key[2] in found for key in keys):
                    columns = database.execute(f"PRAGMA table_info({name})").fetchall()
                    found[name] = _table(name, [column[1] for column in columns])
        return list(found.values())


def _table(name: str, columns: list[str]) -> Table:
    compared = [i for i, column in enumerate(columns) if (name, column) not in UNCOUNTED]
    return Table(name, tuple(columns), tuple(compared))


def _select(table: Table) -> str:
    return f"SELECT {', '.join(table.columns)} FROM {table.name}"  # noqa: S608


@asynccontextmanager
async def _opened(where: Where, *, new: bool) -> AsyncIterator[End]:
    """That end, open. Errors of the databases become CopyErrors."""
    end = SqliteEnd(where, new=new) if isinstance(where, Path) else PostgresEnd(where)
    try:
        await end.open()
        yield end
    except _ERRORS as error:
        raise CopyError(f"{end.place}: {error}") from error
    finally:
        await end.close()


async def _refuse_rows(new: End) -> None:
    """Raises CopyError unless the database is as migrations leave it; removes their own rows."""
    own = ("upload_turns",)
    for table in tables():
        if table.name not in own and await new.execute(f"SELECT 1 FROM {table.name} LIMIT 1"):  # noqa: S608
            raise CopyError(f"{new.place} is not empty: there are rows in `{table.name}`")
    for name in own:
        await new.execute(f"DELETE FROM {name}")  # noqa: S608


async def _move_table(old: End, new: End, table: Table, report: Report) -> None:
    [(count,)] = await old.execute(f"SELECT COUNT(*) FROM {table.name}")  # noqa: S608
    sent, stored = Sum(table), Sum(table)
    reported = time.monotonic()
    async for rows in old.rows(table):
        sent.add(rows)
        try:
            await new.insert(table, rows)
        except (*_ERRORS, ValueError) as error:
            words = f"{new.place} does not take a row of `{table.name}`: {error}"
            raise CopyError(words) from error
        if time.monotonic() - reported > REPORT_SECONDS:
            reported = time.monotonic()
            report(f"{table.name}: {sent.count:,} of {count:,} rows")
    async for rows in new.rows(table):
        stored.add(rows)
    if (sent.count, sent.total) != (stored.count, stored.total) or sent.count != count:
        raise CopyError(f"`{table.name}` is not the same in {new.place}: nothing was copied")
    if count:
        report(f"{table.name}: {count:,} rows, checksum {sent.total % 2**64:016x}")
