"""The database: one writer that batches transactions, and readers with snapshots."""

import asyncio
import contextlib
import contextvars
import logging
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import aiosqlite

from server.core.errors import Problem, unavailable
from server.core.lifecycle import Component, SupervisedTask
from server.core.queries import Parameters, Row

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

BATCH = 64
"""Transactions that share a commit, at most, which limits how long the first of them waits."""
READERS = 3
PUBLIC_READERS = READERS - 1
"""How many of them requests without a token use at a time, so that logged-in users never wait
behind a crowd of these."""
BUSY_SECONDS = 5.0

public_request: contextvars.ContextVar[bool] = contextvars.ContextVar("public", default=False)
"""Whether the present request needs no token."""
_writing: contextvars.ContextVar[bool] = contextvars.ContextVar("writing", default=False)


class Transaction:
    """A transaction, as services use it. `announce`d events are published after the commit."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection
        self.announced: list[Any] = []

    async def fetch(self, sql: str, parameters: Parameters) -> Sequence[Row]:
        """Run a statement; gives all its rows."""
        rows: Any = await self._connection.execute_fetchall(sql, dict(parameters))
        return rows  # type: ignore[no-any-return]

    async def execute(self, sql: str, parameters: Parameters) -> int:
        """Run a statement; gives the number of rows it changed."""
        cursor = await self._connection.execute(sql, dict(parameters))
        return cursor.rowcount

    def announce(self, event: Any) -> None:
        """Publish this after the commit, in commit order."""
        self.announced.append(event)


class _Write(Generic[ResultT]):
    """A transaction in the queue: its function, and the future of its result."""

    __slots__ = ("announced", "fn", "future", "outcome")

    def __init__(self, fn: Callable[[Transaction], Awaitable[ResultT]]) -> None:
        self.fn = fn
        self.future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
        self.outcome: ResultT | BaseException | None = None
        self.announced: list[Any] = []


class Database(Component):
    """SQLite in WAL mode. `publish` gets what committed transactions have announced, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.publish: Callable[[Sequence[Any]], None] = lambda events: None
        self._writer: aiosqlite.Connection | None = None
        self._readers: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        self._public = asyncio.Semaphore(PUBLIC_READERS)
        self._opened: list[aiosqlite.Connection] = []
        self._queue: deque[_Write[Any]] = deque()
        self._wake = asyncio.Event()
        self.writer = SupervisedTask("database writer", self._run)
        self.tasks = (self.writer,)
        self._failure = ""
        self._trial: asyncio.Task[None] | None = None
        self._reads: set[asyncio.Task[Any]] = set()
        self._closing = False

    async def open(self) -> None:
        """Connect, and start the writer."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._closing = False
        try:
            self._writer = await self._connect()
            for _ in range(READERS):
                reader = await self._connect()
                # Otherwise a change made in a read would be rolled back silently.
                await reader.execute_fetchall("PRAGMA query_only=ON")
                self._readers.put_nowait(reader)
        except BaseException:
            await self.close()  # a connection is a thread, which would keep the process alive
            raise
        self.writer.start()

    async def close(self) -> None:
        """Finish every write that was accepted, then disconnect."""
        self._closing = True
        self._wake.set()
        await self.writer.stop(grace=None)
        while self._queue:  # the writer has ended early
            _settle(self._queue.popleft(), _unavailable())
        if self._reads:
            await asyncio.wait(self._reads)
        for connection in self._opened:
            await connection.close()
        self._opened.clear()
        self._writer = None

    async def _connect(self) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(
            self.path, isolation_level=None, timeout=BUSY_SECONDS, cached_statements=256
        )
        self._opened.append(connection)
        connection.row_factory = _as_dict  # type: ignore[assignment]
        await connection.execute_fetchall("PRAGMA journal_mode=WAL")
        await connection.execute_fetchall("PRAGMA synchronous=FULL")
        await connection.execute_fetchall("PRAGMA foreign_keys=ON")
        return connection

    async def write(self, fn: Callable[[Transaction], Awaitable[ResultT]]) -> ResultT:
        """Run `fn` in a write transaction, to its end even if the caller is cancelled.

        `fn` awaits nothing but its transaction. It may share a commit with others; if it raises,
        only its own changes are undone. Raises Problem 503 while the database is locked or full.
        """
        if _writing.get():
            raise RuntimeError("a write inside a write would wait for itself")
        if self._closing or self._writer is None:
            raise unavailable("The server is shutting down. Try again.", 2)
        job = _Write(fn)
        self._queue.append(job)
        self._wake.set()
        return await asyncio.shield(job.future)

    async def read(self, fn: Callable[[Transaction], Awaitable[ResultT]]) -> ResultT:
        """Run `fn` on a snapshot of the database.

        Once begun, it runs to its end even if the caller is cancelled. If it still waits for a
        reader then, it is dropped, so that clients which disconnect at once do not delay others.
        """
        if self._closing:
            raise unavailable("The server is shutting down. Try again.", 2)
        begun = False

        async def run() -> ResultT:
            nonlocal begun
            async with self._reader() as connection:
                begun = True
                return await self._read(connection, fn)

        task = asyncio.create_task(run())
        self._reads.add(task)
        task.add_done_callback(self._reads.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not begun:
                task.cancel()
            raise

    async def _read(
        self, connection: aiosqlite.Connection, fn: Callable[[Transaction], Awaitable[ResultT]]
    ) -> ResultT:
        await connection.execute_fetchall("BEGIN")
        try:
            return await fn(Transaction(connection))
        except sqlite3.OperationalError as error:
            _log(error)
            raise _unavailable() from error
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            _log(error)  # the caller must not take it for its own cancellation
            raise _unavailable() from error
        finally:
            if connection.in_transaction:  # some errors end it by themselves
                await connection.execute_fetchall("ROLLBACK")

    @contextlib.asynccontextmanager
    async def _reader(self) -> AsyncIterator[aiosqlite.Connection]:
        async with self._public if public_request.get() else contextlib.nullcontext():
            connection = await self._readers.get()
            try:
                yield connection
            finally:
                self._readers.put_nowait(connection)

    async def data_version(self) -> int:
        """A number that changes when another process has committed.

        It is read on the writer's connection, whose own commits do not change it.
        """
        assert self._writer is not None
        rows: Any = await self._writer.execute_fetchall("PRAGMA data_version")
        return int(rows[0]["data_version"])

    async def state(self) -> str:
        """`ok`, or why changes fail. Waits for no lock that a writer waits for."""
        public_request.set(False)  # readiness does not wait behind a crowd
        await self.read(lambda tx: tx.fetch("SELECT 1 AS one", {}))
        if not self.writer.running:
            return "the writer has ended and is restarted"
        if self._failure and (self._trial is None or self._trial.done()):
            self._trial = asyncio.create_task(self._try(), name="trial write")
        return self._failure or "ok"

    async def _try(self) -> None:
        """A write that changes no value but needs the disk, as there may be no other one that
        notices the end of the failure."""
        sql = "UPDATE meta SET value = value"
        with contextlib.suppress(Problem):
            await self.write(lambda tx: tx.execute(sql, {}))

    async def _run(self) -> None:
        while True:
            if not self._queue:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
                continue
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            try:
                await self._commit(batch)
                if self._failure:
                    logger.info("database: changes are accepted again")
                self._failure = ""
            except (Exception, asyncio.CancelledError) as error:
                for job in batch:
                    job.outcome, job.announced = _unavailable(), []
                if _is_cancelled():
                    for job in batch:
                        _settle(job, job.outcome)
                    raise
                failure = f"the last commit failed: {str(error) or type(error).__name__}"
                if failure != self._failure:  # logged once while it lasts, not with each write
                    _log(error)
                self._failure = failure
            events = [event for job in batch for event in job.announced]
            if events:
                try:
                    self.publish(events)
                except Exception:
                    logger.exception("publishing failed; the sweep will find these events")
            for job in batch:
                _settle(job, job.outcome)

    async def _commit(self, batch: list[_Write[Any]]) -> None:
        """Run the batch in one commit. Raises where the whole batch fails."""
        assert self._writer is not None
        writer = self._writer
        if writer.in_transaction:  # left by an interrupted commit
            await writer.execute_fetchall("ROLLBACK")
        await writer.execute_fetchall("BEGIN IMMEDIATE")
        try:
            for job in batch:
                tx = Transaction(writer)
                await writer.execute_fetchall("SAVEPOINT one")
                within = _writing.set(True)
                try:
                    job.outcome = await job.fn(tx)
                    job.announced = tx.announced
                except (Exception, asyncio.CancelledError) as error:
                    # A full disk fails the whole batch.
                    if not writer.in_transaction or _is_cancelled():
                        raise
                    await writer.execute_fetchall("ROLLBACK TO one")
                    job.outcome = error
                    if isinstance(error, (sqlite3.OperationalError, asyncio.CancelledError)):
                        _log(error)
                        job.outcome = _unavailable()
                finally:
                    _writing.reset(within)
                await writer.execute_fetchall("RELEASE one")
            await writer.execute_fetchall("COMMIT")
        finally:
            if writer.in_transaction:
                await writer.execute_fetchall("ROLLBACK")


@contextlib.asynccontextmanager
async def opened_database(path: Path) -> AsyncIterator[Database]:
    """The database at that path, open until the block ends."""
    database = Database(path)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def _as_dict(cursor: sqlite3.Cursor, row: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def _is_cancelled() -> bool:
    """Whether this task is cancelled, and not only something that it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _settle(job: _Write[Any], outcome: Any) -> None:
    if job.future.done():
        return
    if isinstance(outcome, BaseException):
        job.future.set_exception(outcome)
        job.future.exception()  # mark it as retrieved: the caller may be gone
    else:
        job.future.set_result(outcome)


def _log(error: BaseException) -> None:
    logger.error(
        "database: %s",
        str(error) or type(error).__name__,
        exc_info=None if isinstance(error, sqlite3.OperationalError) else error,
    )


def _unavailable() -> Problem:
    return unavailable("The database cannot take this now. Nothing was changed; try again.", 1)
