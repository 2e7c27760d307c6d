"""The time that old data is judged by: it follows the clock, but never leaps with it."""

import time
from datetime import datetime, timedelta

from server.core.clock import from_text, now, to_text
from server.core.database import Database, Transaction
from server.core.queries import load_queries

_queries = load_queries(__file__, "retention.sql")

AT_ONCE = timedelta(hours=1)
"""A difference that no retention is so short as to mind is made up for at once."""
SPEED = 6
"""Seconds made up for in a second. With a clock that is wrong for a day, less is lost than the
week that events are kept; after a month without a server it takes five days to delete again what
is due, which harms nobody."""


class Retention:
    """What is deleted by its age is as old as this says.

    A machine that starts with its clock 60 days ahead would else delete everything in its first
    minute. How far this has come is stored, so that a restart is no leap either.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reached: datetime | None = None
        self._asked_at = 0.0

    async def open(self) -> None:
        """Read how far it has come; a database that is new begins with the clock."""

        async def fn(tx: Transaction) -> str | None:
            found: str | None = await _queries.reached(tx)
            return found

        found = await self._database.read(fn)
        self._reached = from_text(found) if found else now()
        self._asked_at = time.monotonic()

    def now(self) -> datetime:
        """The present time, or an earlier one where the clock has leapt ahead."""
        assert self._reached is not None, "not opened"
        clock, asked_at = now(), time.monotonic()
        most = timedelta(seconds=SPEED * (asked_at - self._asked_at))
        self._reached += max(-most, min(clock - self._reached, most))
        self._asked_at = asked_at
        return min(clock, self._reached + AT_ONCE)

    async def keep(self) -> None:
        """Store how far it has come."""
        self.now()
        assert self._reached is not None
        reached = to_text(self._reached)
        await self._database.write(lambda tx: _queries.keep_reached(tx, reached=reached))
