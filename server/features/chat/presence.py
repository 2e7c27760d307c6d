"""Who is in which room: leases, which expire where a process is killed."""

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
from server.features.chat.names import CurrentNames
from server.features.chat.room_state import Lease, put_state, read_state, state_topic_of
from server.realtime.state_topic import States

logger = logging.getLogger(__name__)

LINGER_SECONDS = 1.0
"""How long somebody whose connection broke still counts as present: most reconnect at once."""
ROOMS_PER_WRITE = 100
ROOMS_AT_ONCE = 20
"""Rooms that learn at once of an account's new name. The others wait for the renewal: one request
should not cause so many writes."""


class Presence(Component):
    """The leases this process holds. It renews each about three times before it would expire.

    A renewal also removes expired leases of other processes. So when a process is killed, its
    clients disappear from every room in which somebody else is present.
    """

    def __init__(
        self, database: Database, states: States, names: CurrentNames, lease_seconds: float
    ) -> None:
        self._database = database
        self._states = states
        self._names = names
        names.on_change = self._renamed
        self._lease = timedelta(seconds=lease_seconds)
        self._pause = lease_seconds / 3
        self._holder = secrets.token_hex(6)
        self._connections: Counter[tuple[str, str]] = Counter()
        self._present: dict[str, dict[str, Identity]] = {}
        """By chat and account."""
        self._rooms: dict[str, set[str]] = {}
        """The chats by account."""
        self._leaving: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.tasks = (SupervisedTask("renewal of presence", self._renew_for_ever),)

    async def close(self) -> None:
        """Release every lease. The database must still be open."""
        await super().close()
        for timer in self._leaving.values():
            timer.cancel()
        self._leaving.clear()
        for task in self._tasks:
            task.cancel()
        rooms, self._present = [*self._present], {}
        with contextlib.suppress(Problem):
            await self._renew(rooms)

    @contextlib.contextmanager
    def lease(self, chat_id: str, who: Identity, linger: float = LINGER_SECONDS) -> Iterator[None]:
        """A connection of that account is in the room for as long as this lasts, and `linger`
        seconds more."""
        account_id = who.account_id
        key = chat_id, account_id
        self._connections[key] += 1
        if (leaving := self._leaving.pop(key, None)) is not None:
            leaving.cancel()
        present = self._present.setdefault(chat_id, {})
        is_new, present[account_id] = account_id not in present, who
        if is_new:
            self._rooms.setdefault(account_id, set()).add(chat_id)
            self._start(self._renew([chat_id]))
        try:
            yield
        finally:
            self._connections[key] -= 1
            if not self._connections[key]:
                del self._connections[key]
                loop = asyncio.get_running_loop()
                self._leaving[key] = loop.call_later(linger, self._leave, chat_id, account_id)

    def _renamed(self, account_id: str) -> None:
        if rooms := self._rooms.get(account_id):
            self._start(self._renew([*islice(rooms, ROOMS_AT_ONCE)]))

    def _leave(self, chat_id: str, account_id: str) -> None:
        del self._leaving[chat_id, account_id]
        present = self._present.get(chat_id, {})
        if account_id not in present:
            return
        del present[account_id]
        if not present:
            del self._present[chat_id]
        self._rooms[account_id].discard(chat_id)
        if not self._rooms[account_id]:
            del self._rooms[account_id]
        self._start(self._renew([chat_id]))

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._pause)
            rooms = [*self._present]
            for start in range(0, len(rooms), ROOMS_PER_WRITE):
                try:
                    await self._renew(rooms[start : start + ROOMS_PER_WRITE])
                except Exception as error:
                    log_failure(logger, error, "renewing presence failed; it will be tried again")

    async def _renew(self, rooms: Sequence[str]) -> None:
        """Store the leases for those rooms, and publish where somebody came or went.

        They are read inside the transaction, so that the last write has the newest.
        """

        async def fn(tx: Transaction) -> None:
            until = now() + self._lease
            for chat_id in rooms:
                accounts = self._present.get(chat_id, {}).values()
                present = [actor(self._names.current(account)) for account in accounts]
                leases = [Lease(who=who, holder=self._holder, until=until) for who in present]
                before = await read_state(tx, self._states, chat_id)
                after = before.with_leases_of(self._holder, leases)
                if after.present != before.present:
                    await put_state(tx, self._states, chat_id, after)
                elif after.leases:
                    topic = state_topic_of(chat_id)
                    await self._states.replace_data(tx, topic, after.model_dump_json())

        await self._database.write(fn)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name="presence")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # The next renewal repairs it.
            logger.warning("updating presence failed: %s", task.exception())
