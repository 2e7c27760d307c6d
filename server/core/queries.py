"""Named SQL queries: `.sql` files through aiosql."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import aiosql

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


class _Adapter:
    """aiosql's driver protocol over an Executor.

    aiosql's own adapter for aiosqlite switches to the database's thread three times for each query;
    a transaction is in that thread already. It claims to be synchronous so that aiosql returns its
    coroutines as they are: every query is awaited.
    """

    is_aio_driver = False

    def process_sql(self, query_name: str, op_type: Any, sql: str) -> str:
        return sql

    async def select(
        self, conn: Executor, query_name: str, sql: str, parameters: Any, record_class: Any
    ) -> Sequence[Row]:
        return await conn.fetch(sql, parameters)

    async def select_one(
        self, conn: Executor, query_name: str, sql: str, parameters: Any, record_class: Any
    ) -> Row | None:
        rows = await conn.fetch(sql, parameters)
        return rows[0] if rows else None

    async def select_value(
        self, conn: Executor, query_name: str, sql: str, parameters: Any
    ) -> Any | None:
        rows = await conn.fetch(sql, parameters)
        return next(iter(rows[0].values())) if rows else None

    def select_cursor(self, *_: Any) -> Any:
        raise NotImplementedError("cursors are not supported")

    async def insert_update_delete(
        self, conn: Executor, query_name: str, sql: str, parameters: Any
    ) -> int:
        return await conn.execute(sql, parameters)

    async def insert_update_delete_many(
        self, conn: Executor, query_name: str, sql: str, parameters: Any
    ) -> None:
        for one in parameters:
            await conn.execute(sql, one)

    async def insert_returning(
        self, conn: Executor, query_name: str, sql: str, parameters: Any
    ) -> Row | None:
        return await self.select_one(conn, query_name, sql, parameters, None)

    async def execute_script(self, conn: Executor, sql: str) -> str:
        raise NotImplementedError("scripts belong in migrations")


class Queries(Protocol):
    """The queries of one file, by name: `await queries.order_by_id(tx, id=...)`."""

    def __getattr__(self, name: str) -> Callable[..., Any]: ...


def load_queries(beside: str, name: str = "queries.sql") -> Queries:
    """The queries of the file of that name beside a module (`load_queries(__file__)`)."""
    adapter: Any = _Adapter
    loaded: Any = aiosql.from_path(
        str(Path(beside).with_name(name)), adapter, mandatory_parameters=False
    )
    return cast(Queries, loaded)
