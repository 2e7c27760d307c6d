"""Leases: what one process does for all, until it ends or is killed."""

import asyncio
import contextlib
import logging
import secrets
import time
from datetime import timedelta

from server.core.clock import from_text, now, to_text
from server.core.database import Database, Transaction
from server.core.errors import Problem
from server.core.lifecycle import Component, SupervisedTask
from server.core.logging import log_failure
from server.core.queries import Row, load_queries

logger = logging.getLogger(__name__)

_queries = load_queries(__file__, "leases.sql")

SHORTEST_PAUSE = 0.05


class Lease(Component):
    """The right to do something that processes on one database do one at a time.

    Its holder renews it three times before it would expire, and gives it up on closing. Others
    take it over once it has expired, by the database's clock, so `seconds` after a kill at most.
    A process that was suspended may for a moment believe that it still holds it: what is done
    under a lease does no harm when two processes do it.
    """

    def __init__(self, database: Database, name: str, seconds: float) -> None:
        self._database = database
        self._name = name
        self._seconds = seconds
        self._holder = secrets.token_hex(6)
        self._until = 0.0
        """Until when this process holds it, by `time.monotonic`."""
        self._taken = asyncio.Event()
        self._pause = seconds / 3
        self.tasks = (SupervisedTask(f"lease of {name}", self._renew_for_ever),)

    @property
    def held(self) -> bool:
        """Whether this process holds it."""
        return time.monotonic() < self._until

    async def wait(self) -> None:
        """Return once this process holds it."""
        while not self.held:
            self._taken.clear()
            await self._taken.wait()

    async def open(self) -> None:
        """Take it if it is free, and keep trying."""
        with contextlib.suppress(Problem):  # the database cannot be written to: later, then
            await self._renew()
        await super().open()

    async def close(self) -> None:
        """Give it up, so that another process need not wait until it expires."""
        await super().close()
        if self.held:
            self._until = 0.0
            own = {"name": self._name, "holder": self._holder}
            with contextlib.suppress(Problem):
                await self._database.write(lambda tx: _queries.give_lease_up(tx, **own))

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(max(SHORTEST_PAUSE, self._pause))
            try:
                await self._renew()
            except Exception as error:
                log_failure(logger, error, f"the lease of {self._name} failed; it is tried again")

    async def _renew(self) -> None:
        """Renew it, or take it if nobody holds it."""
        asked_at, self._pause = time.monotonic(), self._seconds / 3
        found: Row | None = await self._database.look_up(
            lambda tx: _queries.lease(tx, name=self._name)
        )
        left = (from_text(found["until"]) - now()).total_seconds() if found else 0.0
        if left > 0 and found is not None and found["holder"] != self._holder:
            self._pause = min(self._pause, left)
            return

        async def fn(tx: Transaction) -> int:
            moment = now()
            taken: int = await _queries.take_lease(
                tx,
                name=self._name,
                holder=self._holder,
                until=to_text(moment + timedelta(seconds=self._seconds)),
                now=to_text(moment),
            )
            return taken

        if await self._database.write(fn):
            self._until = asked_at + self._seconds
            self._taken.set()
