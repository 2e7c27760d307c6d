"""The database, of which SQLite and PostgreSQL are two kinds, and its transactions."""

import contextvars
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from server.core.errors import Problem, unavailable
from server.core.lifecycle import Component
from server.core.migrate import MigrationError
from server.core.queries import Parameters, Row

ResultT = TypeVar("ResultT")

MOVED = "SELECT value FROM meta WHERE name = 'moved_to'"


def moved_words(place: str) -> str:
    """Why a database from which the rows were moved is not served, and what to do."""
    return (
        f"this database was moved to {place}, and changes are made there: set"
        " TIFFIN_DATABASE_URL to that. To go back to this one and give up what has changed there,"
        " run `python -m server unretire`"
    )


public_request: contextvars.ContextVar[bool] = contextvars.ContextVar("public", default=False)
"""Whether the present request needs no token."""

inside: contextvars.ContextVar[bool] = contextvars.ContextVar("inside", default=False)
"""Whether this runs inside of a transaction."""


class Transaction(ABC):
    """A transaction. `announce`d events are published after the commit."""

    __slots__ = ("announced",)

    def __init__(self) -> None:
        self.announced: list[Any] = []

    @abstractmethod
    async def fetch(self, sql: str, parameters: Parameters) -> Sequence[Row]:
        """Run a statement; returns all its rows."""

    @abstractmethod
    async def execute(self, sql: str, parameters: Parameters) -> int:
        """Run a statement; returns the number of rows it changed."""

    def announce(self, event: Any) -> None:
        """Publish this after the commit, in commit order."""
        self.announced.append(event)


def refused() -> Problem:
    """A Problem 503: nothing was changed."""
    return unavailable("The database cannot take this now. Nothing was changed; try again.", 1)


class Database(Component):
    """Runs transactions. `publish` gets what committed ones have announced."""

    def __init__(self) -> None:
        self.publish: Callable[[Sequence[Any]], None] = lambda events: None
        self.closing = False
        self.instance = ""
        """A random name that the processes which use this database have in common. A copy of it has
        another one, and so has this one once no process has used it. It may change while one does.
        """

    async def write(self, fn: Callable[[Transaction], Awaitable[ResultT]]) -> ResultT:
        """Run `fn` in a write transaction, to its end even if the caller is cancelled.

        `fn` awaits nothing but its transaction, and may run in another thread: it changes nothing
        but what is its own. It may be run more than once, as if for the first time, where another
        transaction makes it fail. If it raises, its changes are undone. Raises Problem 503 where
        the database cannot be written to.
        """
        raise NotImplementedError

    async def read(self, fn: Callable[[Transaction], Awaitable[ResultT]]) -> ResultT:
        """Run `fn` on a snapshot of the database, maybe in another thread.

        `fn` awaits nothing but its transaction. Where the caller is cancelled, it is run to its
        end or cancelled too; if it still waits for a connection then, it is dropped, so that
        clients which disconnect at once do not delay others. Raises Problem 503 where the database
        fails.
        """
        raise NotImplementedError

    async def look_up(self, fn: Callable[[Transaction], Awaitable[ResultT]]) -> ResultT:
        """Run `fn`, which makes one statement for a few rows by their keys. Otherwise like `read`,
        and quicker."""
        raise NotImplementedError

    async def data_version(self) -> int:
        """A number that changes when another process may have committed."""
        raise NotImplementedError

    async def state(self) -> str:
        """`ok`, or why changes fail. Waits for no lock that a writer waits for."""
        raise NotImplementedError

    async def refuse_moved(self) -> None:
        """Raises MigrationError where the rows are in another database now, see core/move.py."""
        rows = await self.look_up(lambda tx: tx.fetch(MOVED, {}))
        if rows:
            raise MigrationError(moved_words(rows[0]["value"]))

    def check_outside(self) -> None:
        """Raises RuntimeError inside of a transaction, Problem 503 while this closes."""
        if inside.get():
            raise RuntimeError("a transaction inside a transaction")
        if self.closing:
            raise unavailable("The server is shutting down. Try again.", 2)
