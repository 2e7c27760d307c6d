"""PostgreSQL: each transaction on a connection of its own, READ COMMITTED."""

import asyncio
import contextlib
import logging
import random
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import asyncpg

from server.core.clock import set_ahead
from server.core.database import Database, Transaction, inside, moved_words, public_request, refused
from server.core.errors import Problem, unavailable
from server.core.migrate import MigrationError
from server.core.postgres_migrate import CONNECT_SECONDS, START_LOCK
from server.core.queries import Parameters, Row

logger = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")

UNANSWERED_SECONDS = 1.0
"""How much longer than PostgreSQL itself allows a statement this waits for its answer."""
CLOCK_SECONDS = 10.0
"""How often its clock is compared with this machine's."""
ATTEMPTS = 20
"""How often a transaction is tried that others have made fail."""
USE_LOCK = 0x7469_6666_6975
"""The advisory lock that every connection of a server shares, and a move holds alone."""
_SHARE = "SELECT pg_try_advisory_lock_shared($1)"
BEING_MOVED = "the database is being moved to another one"
_CLAIM = """
INSERT INTO meta (name, value) VALUES ('instance', $1)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""
_STATE = """
SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8 AS at,
    CASE WHEN pg_is_in_recovery() THEN ''
    ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS timeline,
    (SELECT value FROM meta WHERE name = 'instance') AS instance,
    (SELECT value FROM meta WHERE name = 'moved_to') AS moved_to
"""
_RETRIED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    # Another transaction has inserted or deleted the row since this one has looked for it.
    asyncpg.UniqueViolationError,
    asyncpg.ForeignKeyViolationError,
)
_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.CannotConnectNowError,
    asyncpg.InternalClientError,  # of a connection that ends just as it is made
)
_PARAMETER = re.compile(r"'[^']*'|--[^\n]*|(?<!:):([a-z_][a-z0-9_]*)")
_HINT = re.compile(r"/\*\+ (?:FIRST (SELECT .*?)|(FOR .*?)) \*/", re.DOTALL)
"""A lock that a write takes: by a statement before this one, so that this one sees what the lock
has waited for, or by a clause. To SQLite, which has one writer at a time, it is a comment."""
_FIRST_TIMELINE = "00000001"
"""PostgreSQL begins another one whenever a standby takes over, or a backup is put back."""
_COUNT = re.compile(r"(\d+)$")


class PostgresTransaction(Transaction):
    """A transaction on a connection; a `read` takes no locks."""

    __slots__ = ("_read", "connection")

    def __init__(self, connection: asyncpg.Connection, *, read: bool) -> None:
        super().__init__()
        self.connection = connection
        self._read = read

    async def fetch(self, sql: str, parameters: Parameters) -> Sequence[Row]:
        """Run a statement; returns all its rows."""
        *locks, (text, names) = _statements(sql, self._read)
        for lock, its_names in locks:
            await self.connection.fetch(lock, *[parameters[name] for name in its_names])
        values = [parameters[name] for name in names]
        return [dict(row) for row in await self.connection.fetch(text, *values)]

    async def execute(self, sql: str, parameters: Parameters) -> int:
        """Run a statement; returns the number of rows it changed."""
        [(text, names)] = _statements(sql, self._read)
        values = [parameters[name] for name in names]
        status = await self.connection.execute(text, *values)
        count = _COUNT.search(status)
        return int(count[1]) if count else 0


@lru_cache(maxsize=1024)
def _statements(sql: str, read: bool) -> list[tuple[str, tuple[str, ...]]]:
    """The statement, numbered, after those that take its locks."""
    locks = [] if read else [found[1] for found in _HINT.finditer(sql) if found[1]]
    own = _HINT.sub("" if read else lambda found: found[2] or "", sql)
    return [numbered(text) for text in (*locks, own)]


def numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """The statement with `$1` for its first parameter, and the parameters' names in order."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return found[0]
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _PARAMETER.sub(number, sql), tuple(names)


class PostgresDatabase(Database):
    """PostgreSQL. Every transaction has a connection of its own, and is tried again where others
    have made it fail."""

    def __init__(
        self, url: str, public_reads: int = 0, connections: int = 8, seconds: float = 10
    ) -> None:
        """It has at most so many `connections`, of which requests without a token use
        `public_reads` at a time; 0 is any number. A statement, a wait for a connection and a
        pause between two statements of a transaction end after `seconds`."""
        super().__init__()
        self._url = url
        self._public = asyncio.Semaphore(public_reads or connections)
        self._connections = connections
        self._seconds = seconds
        self._pool: asyncpg.Pool | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self._failure = ""
        self._versions = 0
        self._compared_at = 0.0

    async def open(self) -> None:
        """Connect. Raises MigrationError where that is impossible, or the rows were moved."""
        self.closing = False
        joined = await self._join()
        try:
            await self._open_pool()
            await self.refuse_moved()
        finally:
            await joined.close()

    async def _open_pool(self) -> None:
        milliseconds = str(round(self._seconds * 1000))
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._connections,
            statement_cache_size=1024,
            command_timeout=self._seconds + UNANSWERED_SECONDS,
            timeout=CONNECT_SECONDS,
            server_settings={
                "application_name": "tiffin",
                "jit": "off",
                # PostgreSQL ends what a process has left that is frozen or cut off, and with it
                # its locks, for which the others wait.
                "statement_timeout": milliseconds,
                "idle_in_transaction_session_timeout": milliseconds,
            },
            init=self._begin,
            reset=_keep,
        )

    async def close(self) -> None:
        """Finish every transaction that was accepted, then disconnect."""
        self.closing = True
        if self._running:
            await asyncio.wait(self._running)
        if self._pool is not None:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()
            self._pool = None

    async def write(self, fn: Callable[[Transaction], Awaitable[ResultT]]) -> ResultT:
        """See `Database.write`."""
        self.check_outside()
        return await self._shielded(self._write(fn))

    async def read(self, fn: Callable[[Transaction], Awaitable[ResultT]]) -> ResultT:
        """See `Database.read`."""
        self.check_outside()
        async with (
            self._public if public_request.get() else contextlib.nullcontext(),
            self._connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await _run(fn, PostgresTransaction(connection, read=True))

    async def look_up(self, fn: Callable[[Transaction], Awaitable[ResultT]]) -> ResultT:
        """See `Database.look_up`."""
        self.check_outside()
        try:
            async with self._connection() as connection:
                return await _run(fn, PostgresTransaction(connection, read=True))
        except asyncpg.SerializationError:
            return await self.read(fn)  # only where transactions are serializable by default

    async def data_version(self) -> int:
        """Another number each time: asking what has changed costs no more than whether."""
        if time.monotonic() - self._compared_at > CLOCK_SECONDS:
            async with self._connection() as connection:
                await self._read_state(connection)
        self._versions += 1
        return self._versions

    async def state(self) -> str:
        """`ok`, or why changes fail."""
        public_request.set(False)
        sql = "UPDATE meta SET value = value WHERE name = 'epoch'" if self._failure else "SELECT 1"
        try:
            await self.write(lambda tx: tx.execute(sql, {}))
        except Problem:
            return self._failure
        return "ok"

    async def _write(self, fn: Callable[[Transaction], Awaitable[ResultT]]) -> ResultT:
        for attempt in range(1, ATTEMPTS + 1):
            done = False
            try:
                async with self._connection() as connection:
                    began = self.instance
                    tx = PostgresTransaction(connection, read=False)
                    async with connection.transaction():
                        result = await _run(fn, tx)
                        done = True
            except _RETRIED as error:
                if attempt == ATTEMPTS:
                    logger.error("a transaction was tried %d times: %s", attempt, error)
                    raise refused() from error
            except Problem as problem:
                if done:  # the connection was lost during the commit
                    raise _unknown() from problem
                raise
            else:
                break
            await asyncio.sleep(random.uniform(0, 0.005 * attempt))  # noqa: S311
        if tx.announced and began == self.instance:  # else the sweep finds them, if they are there
            try:
                self.publish(tx.announced)
            except Exception:
                logger.exception("publishing failed; the sweep will find these events")
        return result

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        assert self._pool is not None
        try:
            async with self._pool.acquire(timeout=self._seconds) as connection:
                with _given_up(connection):
                    yield connection
        except asyncpg.CharacterNotInRepertoireError:
            raise Problem(422, "Text with a NUL character is not accepted.") from None
        except _UNAVAILABLE as error:
            if isinstance(error, ValueError):  # asyncpg's, of a parameter
                raise
            # The driver's own error only says that the connection had ended by then.
            cause = (isinstance(error, asyncpg.InterfaceError) and error.__context__) or error
            failure = f"{type(cause).__name__}: {cause}"
            if failure != self._failure:  # logged once while it lasts, not with each request
                logger.error("database: %s", failure)
            self._failure = failure
            raise refused() from error
        if self._failure:
            logger.info("database: it answers again")
        self._failure = ""

    async def _join(self) -> asyncpg.Connection:
        """A connection that shares the lock of those who use the database: the first claims an
        instance for them."""
        connection = await asyncpg.connect(self._url, timeout=CONNECT_SECONDS)
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", START_LOCK)
                if await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", USE_LOCK):
                    await connection.execute(_CLAIM, secrets.token_hex(8))
                if not await connection.fetchval(_SHARE, USE_LOCK):
                    raise MigrationError(f"{BEING_MOVED}; start again once that has ended")
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _begin(self, connection: asyncpg.Connection) -> None:
        if not await connection.fetchval(_SHARE, USE_LOCK):
            raise asyncpg.InterfaceError(BEING_MOVED)
        await self._read_state(connection)

    async def _read_state(self, connection: asyncpg.Connection) -> None:
        """Read its clock and instance, which may be another one since all connections were lost.

        Another timeline makes it another one too: a standby that has taken over may lack what was
        committed last, and what comes now has the numbers of that. Raises InterfaceError for a
        standby, which lags.
        """
        before = time.time()
        row = await connection.fetchrow(_STATE)
        set_ahead(row["at"] - (before + time.time()) / 2)
        self._compared_at = time.monotonic()
        if row["moved_to"] is not None and self.instance:  # it was moved since this began
            raise asyncpg.InterfaceError(moved_words(row["moved_to"]))
        if not row["timeline"]:
            raise asyncpg.InterfaceError("it is a standby")
        first = row["timeline"] == _FIRST_TIMELINE  # servers of before know the instance alone
        self.instance = row["instance"] + ("" if first else f".{row['timeline']}")

    async def _shielded(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)


@contextlib.contextmanager
def _given_up(connection: asyncpg.Connection) -> Iterator[None]:
    """A connection that does not answer in time is dropped: to undo the transaction, or cancel the
    statement, would wait as long once more."""
    try:
        yield
    except TimeoutError:
        connection.terminate()
        raise


async def _keep(connection: asyncpg.Connection) -> None:
    """A connection goes back as it is: no transaction leaves anything on it."""


def _unknown() -> Problem:
    return unavailable(
        "The connection to the database was lost while this was saved. Whether it was is not"
        " known: look, or send it again with the same Idempotency-Key.",
        1,
    )


async def _run(fn: Callable[[Transaction], Awaitable[ResultT]], tx: PostgresTransaction) -> ResultT:
    outer = inside.set(True)
    try:
        with _given_up(tx.connection):
            return await fn(tx)
    finally:
        inside.reset(outer)
