"""Who is in which room: leases that run out by themselves where a process was killed."""

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from datetime import timedelta
from itertools import islice

from server.core.auth import Identity
from server.core.clock import now
from server.core.database import Database, Transaction
from server.core.errors import Problem
from server.core.lifecycle import Component, SupervisedTask
from server.core.logging import log_failure
from server.features.accounts.service import actor
from server.features.chat.names import Names
from server.features.chat.room_state import Lease, put_state, read_state, state_topic_of
from server.realtime.state_topic import States

logger = logging.getLogger(__name__)

LINGER_SECONDS = 1.0
"""How long somebody whose connection broke still counts as there: most come back at once."""
ROOMS_A_WRITE = 100
ROOMS_AT_ONCE = 20
"""Of an account that has a new name, those told at once; further ones wait for the renewal, as
nobody should make so many writes of one request."""


class Presence(Component):
    """The leases this process holds, renewed three times before they would run out.

    Whoever renews also removes what others have let run out, so that one who was at a process
    that was killed leaves every room in which there is somebody to notice.
    """

    def __init__(
        self, database: Database, states: States, names: Names, lease_seconds: float
    ) -> None:
        self._database = database
        self._states = states
        self._names = names
        names.on_change = self._renamed
        self._lease = timedelta(seconds=lease_seconds)
        self._pause = lease_seconds / 3
        self._holder = secrets.token_hex(6)
        self._connections: Counter[tuple[str, str]] = Counter()
        self._held: dict[str, dict[str, Identity]] = {}
        self._rooms: dict[str, set[str]] = {}
        """The same, by account."""
        self._leaving: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.tasks = (SupervisedTask("renewal of presence", self._renew_for_ever),)

    async def close(self) -> None:
        """Give up every lease. The database must still be open."""
        await super().close()
        for timer in self._leaving.values():
            timer.cancel()
        self._leaving.clear()
        for task in self._tasks:
            task.cancel()
        held, self._held = [*self._held], {}
        with contextlib.suppress(Problem):
            await self._renew(held)

    @contextlib.contextmanager
    def being_in(
        self, chat_id: str, who: Identity, linger: float = LINGER_SECONDS
    ) -> Iterator[None]:
        """A connection of that account is in the room for as long as this lasts, and `linger`
        seconds more."""
        account_id = who.account_id
        place = chat_id, account_id
        self._connections[place] += 1
        if (leaving := self._leaving.pop(place, None)) is not None:
            leaving.cancel()
        held = self._held.setdefault(chat_id, {})
        come, held[account_id] = account_id not in held, who
        if come:
            self._rooms.setdefault(account_id, set()).add(chat_id)
            self._start(self._renew([chat_id]))
        try:
            yield
        finally:
            self._connections[place] -= 1
            if not self._connections[place]:
                del self._connections[place]
                loop = asyncio.get_running_loop()
                self._leaving[place] = loop.call_later(linger, self._leave, chat_id, account_id)

    def _renamed(self, account_id: str) -> None:
        if rooms := self._rooms.get(account_id):
            self._start(self._renew([*islice(rooms, ROOMS_AT_ONCE)]))

    def _leave(self, chat_id: str, account_id: str) -> None:
        del self._leaving[chat_id, account_id]
        here = self._held.get(chat_id, {})
        if account_id not in here:
            return
        del here[account_id]
        if not here:
            del self._held[chat_id]
        self._rooms[account_id].discard(chat_id)
        if not self._rooms[account_id]:
            del self._rooms[account_id]
        self._start(self._renew([chat_id]))

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            rooms = [*self._held]
            for start in range(0, len(rooms), ROOMS_A_WRITE):
                try:
                    await self._renew(rooms[start : start + ROOMS_A_WRITE])
                except Exception as error:
                    log_failure(logger, error, "renewing presence failed; it will be tried again")

    async def _renew(self, rooms: Sequence[str]) -> None:
        """Make what the database says of those rooms true; news only where somebody came or went.

        Who is held is looked at inside the transaction: writes are run in the order of this.
        """

        async def fn(tx: Transaction) -> None:
            until = now() + self._lease
            for chat_id in rooms:
                held = self._held.get(chat_id, {})
                before = await read_state(tx, self._states, chat_id)
                here = [actor(self._names.now(who)) for who in held.values()]
                mine = [Lease(who=who, holder=self._holder, until=until) for who in here]
                after = before.with_leases_of(self._holder, mine)
                if after.present != before.present:
                    await put_state(tx, self._states, chat_id, after)
                elif after.leases:
                    topic = state_topic_of(chat_id)
                    await self._states.keep(tx, topic, after.model_dump_json())

        await self._database.write(fn)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name="presence")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # The next renewal makes up for it.
            logger.warning("telling who is there failed: %s", task.exception())
