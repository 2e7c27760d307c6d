"""Named SQL queries: `.sql` files, read by aiosql."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, cast

import aiosql
from aiosql.types import SQLOperationType

Row = Mapping[str, Any]
Parameters = Mapping[str, Any]


class Executor(Protocol):
    """Runs queries: a transaction of the database."""

    async def fetch(self, sql: str, parameters: Parameters) -> Sequence[Row]:
        """Run one statement and give all its rows."""
        ...

    async def execute(self, sql: str, parameters: Parameters) -> int:
        """Run one statement and give the number of rows it touched."""
        ...


class Queries(Protocol):
    """The queries of one file, by name: `await queries.order_by_id(tx, id=...)`."""

    def __getattr__(self, name: str) -> Callable[..., Any]: ...


def _rows(sql: str, tx: Executor, **parameters: Any) -> Awaitable[Sequence[Row]]:
    return tx.fetch(sql, parameters)


async def _row(sql: str, tx: Executor, **parameters: Any) -> Row | None:
    rows = await tx.fetch(sql, parameters)
    return rows[0] if rows else None


async def _value(sql: str, tx: Executor, **parameters: Any) -> Any:
    rows = await tx.fetch(sql, parameters)
    return next(iter(rows[0].values())) if rows else None


def _changes(sql: str, tx: Executor, **parameters: Any) -> Awaitable[int]:
    return tx.execute(sql, parameters)


_RUN: Mapping[SQLOperationType, Callable[..., Any]] = {
    SQLOperationType.SELECT: _rows,
    SQLOperationType.SELECT_ONE: _row,
    SQLOperationType.SELECT_VALUE: _value,
    SQLOperationType.INSERT_UPDATE_DELETE: _changes,
}
"""aiosql's own adapter for aiosqlite switches to the database's thread three times for each query,
and a transaction is in that thread already; its functions around an adapter take longer than the
call of a statement."""


def load_queries(beside: str, name: str = "queries.sql") -> Queries:
    """The queries of the file of that name beside a module (`load_queries(__file__)`)."""
    loaded = aiosql.from_path(
        str(Path(beside).with_name(name)), "sqlite3", mandatory_parameters=False
    )
    found = {}
    for query in loaded.available_queries:
        function = getattr(loaded, query)
        if not query.endswith("_cursor"):  # aiosql adds them
            found[query] = partial(_RUN[function.operation], function.sql)
    return cast(Queries, SimpleNamespace(**found))
