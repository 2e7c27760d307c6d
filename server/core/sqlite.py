"""SQLite: one writer that batches transactions, and readers with snapshots.

A transaction's function runs whole in the thread of its connection, so that it crosses threads
once and not with each statement; a batch of writes does too, its commit included.
"""

import asyncio
import contextlib
import contextvars
import logging
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from server.core.database import Database, Transaction, inside, public_request, refused
from server.core.errors import Problem, unavailable
from server.core.file_lock import FileLock, UseLock
from server.core.migrate import MigrationError
from server.core.sqlite_transaction import (
    SqliteConnection,
    Statement,
    Write,
    commit_batch,
    log_error,
    run_on_snapshot,
    run_whole,
)

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

BATCH = 64
"""Transactions that share a commit, at most, which limits how long the first of them waits."""
READERS = 3
BUSY_SECONDS = 5.0
_OPTIONS: Any = {
    "isolation_level": None,
    "cached_statements": 256,
    "factory": SqliteConnection,
}
PRAGMAS = ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "PRAGMA foreign_keys=ON")
"""Of each connection."""
_READ_ONLY = "PRAGMA query_only=ON"
"""Otherwise a change made in a read would be rolled back silently."""


class SqliteDatabase(Database):
    """SQLite in WAL mode. `publish` gets what committed transactions have announced, in order."""

    def __init__(self, path: Path, public_reads: int = 0, commit_interval: float = 0.0) -> None:
        """Requests without a token use so many readers at a time; 0 is any number. Commits begin
        at least `commit_interval` seconds apart, unless a whole batch waits."""
        super().__init__()
        self.path = path
        self._writer: aiosqlite.Connection | None = None
        self._local: sqlite3.Connection | None = None
        self._lock: FileLock | None = None
        self._use: UseLock | None = None
        self._readers: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        self._public = asyncio.Semaphore(public_reads or READERS)
        self._opened: list[aiosqlite.Connection] = []
        self._queue: deque[Write[Any]] = deque()
        self._idle = asyncio.Event()
        """Set while no write is in the queue or being committed."""
        self._idle.set()
        self._commit_interval = commit_interval
        self._next_commit = 0.0
        self._pause: asyncio.TimerHandle | None = None
        """Runs out when the next commit may begin, while that is waited for."""
        self._failure = ""
        self._trial: asyncio.Task[None] | None = None
        self._reads: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Connect. Raises MigrationError where the file is being replaced, or was moved."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.closing = False
        try:
            await self._join()
            self._lock = FileLock(self.path)
            self._writer = await self._connect()
            for _ in range(READERS):
                reader = await self._connect()
                await reader.execute_fetchall(_READ_ONLY)
                self._readers.put_nowait(reader)
            self._local = sqlite3.connect(self.path, timeout=0, **_OPTIONS)
            for pragma in (*PRAGMAS, _READ_ONLY):
                self._local.execute(pragma)
            await self.refuse_moved()
        except BaseException:
            await self.close()  # a connection is a thread, which would keep the process alive
            raise

    async def close(self) -> None:
        """Finish every write that was accepted, then disconnect."""
        self.closing = True
        if self._pause is not None:
            self._pause.cancel()
            self._commit_next()
        await self._idle.wait()
        if self._reads:
            await asyncio.wait(self._reads)
        for connection in self._opened:
            await connection.close()
        self._opened.clear()
        if self._local is not None:
            self._local.close()
        for lock in (self._lock, self._use):
            if lock is not None:
                lock.close()
        self._writer = self._local = self._lock = self._use = None

    async def _join(self) -> None:
        self._use = UseLock(self.path)
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            if (instance := self._use.join()) is not None:
                self.instance = instance
                return
            if time.monotonic() > deadline:
                raise MigrationError(
                    f"{self.path} is being restored or moved; start again once that has ended"
                )
            await asyncio.sleep(0.01)

    async def _connect(self) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(self.path, timeout=BUSY_SECONDS, **_OPTIONS)
        self._opened.append(connection)
        for pragma in PRAGMAS:
            await connection.execute_fetchall(pragma)
        return connection

    async def write(self, fn: Callable[[Transaction], Awaitable[ResultT]]) -> ResultT:
        """Run `fn` in a write transaction, to its end even if the caller is cancelled.

        `fn` awaits nothing but its transaction, and runs in another thread: it changes nothing but
        what is its own. It may share a commit with others; if it raises, only its own changes are
        undone. If another one raises, it may be run once more, as if for the first time. Raises
        Problem 503 while the database is locked or full.
        """
        if inside.get():
            raise RuntimeError("a write inside a transaction would wait for itself")
        if self.closing or self._writer is None:
            raise unavailable("The server is shutting down. Try again.", 2)
        job = Write(fn)
        self._queue.append(job)
        if self._pause is not None and len(self._queue) >= BATCH:
            self._pause.cancel()
            self._commit_next()
        if self._idle.is_set():
            self._idle.clear()
            asyncio.get_running_loop().call_soon(self._commit_next)  # with others of this moment
        return await job.future  # a caller that is cancelled cancels its future, and no more

    async def read(self, fn: Callable[[Transaction], Awaitable[ResultT]]) -> ResultT:
        """Run `fn` on a snapshot of the database, in another thread.

        `fn` awaits nothing but its transaction. Once begun, it runs to its end even if the caller
        is cancelled. If it still waits for a reader then, it is dropped, so that clients which
        disconnect at once do not delay others. Raises Problem 503 where the database fails.
        """
        self.check_outside()
        begun = False

        async def run() -> ResultT:
            nonlocal begun
            async with self._reader() as connection:
                begun = True
                return await _in_thread(connection, contextvars.copy_context(), fn)

        task = asyncio.create_task(run())
        self._reads.add(task)
        task.add_done_callback(self._reads.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not begun:
                task.cancel()
            raise

    async def look_up(self, fn: Callable[[Transaction], Awaitable[ResultT]]) -> ResultT:
        """Run `fn`, which makes one statement, at once, on the event loop.

        For a few rows by their keys: that takes less time than asking another thread. A reader
        waits for no writer in WAL mode. Otherwise like `read`.
        """
        self.check_outside()
        assert self._local is not None
        try:
            return run_whole(fn, Statement(self._local))
        except sqlite3.OperationalError:
            return await self.read(fn)  # such as a lock that another process holds as it starts

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
        return int(rows[0][0])

    async def state(self) -> str:
        """`ok`, or why changes fail. Waits for no lock that a writer waits for."""
        public_request.set(False)  # readiness does not wait behind a crowd
        await self.read(lambda tx: tx.fetch("SELECT 1 AS one", {}))
        if self._failure and (self._trial is None or self._trial.done()):
            self._trial = asyncio.create_task(self._try(), name="trial write")
        return self._failure or "ok"

    async def _try(self) -> None:
        """A write that changes no value but needs the disk, as there may be no other one that
        notices the end of the failure."""
        sql = "UPDATE meta SET value = value"
        with contextlib.suppress(Problem):
            await self.write(lambda tx: tx.execute(sql, {}))

    def _commit_next(self) -> None:
        """Commit what is in the queue. No task waits for the commit: waking it, and a task for each
        commit, took a third of the time of the way to the thread and back.

        A commit alone takes as long as three changes, so where they come quickly, the next ones
        wait a moment for each other.
        """
        if not self._queue:
            self._idle.set()
            return
        loop = asyncio.get_running_loop()
        early = self._next_commit - loop.time()
        if early > 0 and len(self._queue) < BATCH and not self.closing:
            self._pause = loop.call_later(early, self._commit_next)
            return
        self._pause = None
        self._next_commit = loop.time() + self._commit_interval
        batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        assert self._writer is not None
        commit = _run_in(self._writer, partial(self._commit, batch))
        commit.add_done_callback(partial(self._finish, batch))

    def _commit(self, batch: list[Write[Any]], connection: sqlite3.Connection) -> None:
        assert self._lock is not None
        self._lock.acquire(BUSY_SECONDS)
        try:
            commit_batch(batch, connection)
        finally:
            self._lock.release()

    def _finish(self, batch: list[Write[Any]], commit: asyncio.Future[None]) -> None:
        """Publish what the batch has announced, and give each its result; then go on."""
        error = commit.exception()
        if error is None:
            if self._failure:
                logger.info("database: changes are accepted again")
            self._failure = ""
        else:
            for job in batch:
                job.outcome, job.announced = refused(), []
            failure = f"the last commit failed: {str(error) or type(error).__name__}"
            if failure != self._failure:  # logged once while it lasts, not with each write
                log_error(error)
            self._failure = failure
        events = [event for job in batch for event in job.announced]
        if events:
            try:
                self.publish(events)
            except Exception:
                logger.exception("publishing failed; the sweep will find these events")
        for job in batch:
            _settle(job)
        self._commit_next()


def _run_in(
    connection: aiosqlite.Connection, fn: Callable[[sqlite3.Connection], ResultT]
) -> asyncio.Future[ResultT]:
    """Run `fn` in the connection's thread, which aiosqlite offers for single statements only."""
    future: asyncio.Future[ResultT] = asyncio.get_running_loop().create_future()
    connection._tx.put_nowait((future, partial(fn, connection._conn)))
    return future


async def _in_thread(
    connection: aiosqlite.Connection,
    context: contextvars.Context,
    fn: Callable[[Transaction], Awaitable[ResultT]],
) -> ResultT:
    """Run `fn` on a snapshot, in the connection's thread. Raises Problem 503."""
    try:
        return await _run_in(connection, lambda own: context.run(run_on_snapshot, own, fn))
    except sqlite3.OperationalError as error:
        log_error(error)
        raise refused() from error


def _settle(job: Write[Any]) -> None:
    if job.future.done():
        return
    if isinstance(job.outcome, BaseException):
        job.future.set_exception(job.outcome)
        job.future.exception()  # mark it as retrieved: the caller may be gone
    else:
        job.future.set_result(job.outcome)
