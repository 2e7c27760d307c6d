"""Deletes what is too old, by a time that follows the clock but never leaps with it."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from server.core.clock import from_text, now, to_text
from server.core.database import Database, Transaction
from server.core.leases import Lease
from server.core.lifecycle import Component, SupervisedTask
from server.core.logging import log_failure
from server.core.queries import load_queries

logger = logging.getLogger(__name__)

_queries = load_queries(__file__, "retention.sql")

Job = Callable[[datetime], Awaitable[object]]
"""Deletes what is too old at that time."""

PAUSE_SECONDS = 600.0
AT_ONCE = timedelta(hours=1)
"""A leap of at most this much is followed at once: no retention period is so short that it
matters."""
SPEED = 6
"""Seconds a second by which a larger leap is followed. If the clock is wrong for a day, fewer days
are lost than the week that events are kept; after a month without a server it takes five days until
everything due is deleted again, which harms nobody."""


class Retention(Component):
    """The time by which the age of data is measured, and the jobs that delete by it.

    Otherwise a machine that starts with its clock 60 days ahead would delete everything in its
    first minute. The time reached is stored, so that a restart is no leap either. One process at a
    time runs the jobs: the one that holds `lease`.
    """

    def __init__(self, database: Database, lease: Lease) -> None:
        self.lease = lease
        self.jobs: list[Job] = []
        self.tasks = (SupervisedTask("upkeep", self._run),)
        self._database = database
        self._reached: datetime | None = None
        self._asked_at = 0.0

    async def open(self) -> None:
        """Read the time reached, and start the jobs; a new database begins with the clock."""

        async def fn(tx: Transaction) -> str | None:
            found: str | None = await _queries.reached(tx)
            return found

        found = await self._database.read(fn)
        self._reached = from_text(found) if found else now()
        self._asked_at = time.monotonic()
        await super().open()

    def now(self) -> datetime:
        """The present time, or an earlier one where the clock has leapt ahead."""
        assert self._reached is not None, "not opened"
        clock, asked_at = now(), time.monotonic()
        most = timedelta(seconds=SPEED * (asked_at - self._asked_at))
        self._reached += max(-most, min(clock - self._reached, most))
        self._asked_at = asked_at
        return min(clock, self._reached + AT_ONCE)

    async def save(self) -> None:
        """Store the time reached."""
        self.now()
        assert self._reached is not None
        reached = to_text(self._reached)
        await self._database.write(lambda tx: _queries.save_reached(tx, reached=reached))

    async def _run(self) -> None:
        while True:
            await self.lease.wait()
            try:
                for job in self.jobs:
                    await job(self.now())
                await self.save()
            except Exception as error:
                log_failure(logger, error, "upkeep failed; it will be tried again")
            await asyncio.sleep(PAUSE_SECONDS)
