"""A transaction of SQLite, whose function runs whole in the thread of its connection."""

import asyncio
import contextvars
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from server.core.database import Transaction, inside, refused
from server.core.queries import Parameters, Row

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")


class SqliteConnection(sqlite3.Connection):
    """A connection that runs every statement with one cursor, so the rows of one have to be read
    before the next.

    Python keeps a weak reference to each of a connection's last 200 cursors: with five connections
    some thousand small objects, all over the memory that a crowd has used.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._cursor = self.cursor()

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run a statement; its rows are the cursor's."""
        return self._cursor.execute(sql, parameters)


class SqliteTransaction(Transaction):
    """A transaction. Its methods are coroutines that end without waiting."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    async def fetch(self, sql: str, parameters: Parameters) -> Sequence[Row]:
        """Run a statement; returns all its rows."""
        cursor = self._connection.execute(sql, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    async def execute(self, sql: str, parameters: Parameters) -> int:
        """Run a statement; returns the number of rows it changed."""
        return self._connection.execute(sql, parameters).rowcount


class Statement(SqliteTransaction):
    """One statement, which needs no transaction to see one state of the database."""

    __slots__ = ("_made",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._made = False

    async def fetch(self, sql: str, parameters: Parameters) -> Sequence[Row]:
        """Run the statement; returns all its rows."""
        if self._made:
            raise RuntimeError("a second statement might see a later state: use `read`")
        self._made = True
        return await super().fetch(sql, parameters)


class Write(Generic[ResultT]):
    """A transaction in the queue: its function, and the future of its result."""

    __slots__ = ("announced", "context", "fn", "future", "outcome")

    def __init__(self, fn: Callable[[Transaction], Awaitable[ResultT]]) -> None:
        self.fn = fn
        self.context = contextvars.copy_context()
        self.future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self.outcome: ResultT | BaseException | None = None
        self.announced: list[Any] = []


def run_on_snapshot(
    connection: sqlite3.Connection, fn: Callable[[Transaction], Awaitable[ResultT]]
) -> ResultT:
    connection.execute("BEGIN")
    try:
        return run_whole(fn, SqliteTransaction(connection))
    finally:
        if connection.in_transaction:  # some errors end it by themselves
            connection.execute("ROLLBACK")


def commit_batch(batch: list[Write[Any]], connection: sqlite3.Connection) -> None:
    """Run the batch in one commit. Raises where the whole batch fails.

    A savepoint for each transaction would undo it alone, but SQLite then copies every page before
    it changes it, which takes longer than the change. So only if one fails after a change is the
    batch undone, and run again with savepoints.
    """
    if not _commit(batch, connection, savepoints=False):
        _commit(batch, connection, savepoints=True)


def _commit(batch: list[Write[Any]], connection: sqlite3.Connection, *, savepoints: bool) -> bool:
    """False where the batch needs savepoints: then nothing is committed."""
    if connection.in_transaction:  # left by an interrupted commit
        connection.execute("ROLLBACK")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for job in batch:
            tx = SqliteTransaction(connection)
            job.announced = []
            changes = connection.total_changes
            if savepoints:
                connection.execute("SAVEPOINT one")
            try:
                job.outcome = job.context.run(run_whole, job.fn, tx)
                job.announced = tx.announced
            except Exception as error:
                if not connection.in_transaction:  # a full disk fails the whole batch
                    raise
                if savepoints:
                    connection.execute("ROLLBACK TO one")
                elif connection.total_changes != changes:
                    return False
                job.outcome = error
                if isinstance(error, sqlite3.OperationalError):
                    log_error(error)
                    job.outcome = refused()
            if not connection.in_transaction:
                raise sqlite3.OperationalError("the transaction ended before its commit")
            if savepoints:
                connection.execute("RELEASE one")
        connection.execute("COMMIT")
        return True
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def run_whole(fn: Callable[[Transaction], Awaitable[ResultT]], tx: Transaction) -> ResultT:
    """Run `fn` to its end. Raises RuntimeError where it waits for anything."""
    outer = inside.set(True)
    steps = fn(tx).__await__()
    try:
        next(steps)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    except asyncio.CancelledError as error:  # callers would take it for their own cancellation
        raise sqlite3.OperationalError("cancelled inside of a transaction") from error
    finally:
        inside.reset(outer)
        if (close := getattr(steps, "close", None)) is not None:
            close()
    raise RuntimeError("a transaction awaits nothing but itself")


def log_error(error: BaseException) -> None:
    logger.error(
        "database: %s",
        str(error) or type(error).__name__,
        exc_info=None if isinstance(error, sqlite3.OperationalError) else error,
    )
