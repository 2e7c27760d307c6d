"""Who is in which room: each process holds one lease, which expires where it is killed."""

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
from server.features.chat import presence_store
from server.features.chat.names import CurrentNames
from server.features.chat.room_state import put_present
from server.realtime.state_topic import States

logger = logging.getLogger(__name__)

LINGER_SECONDS = 1.0
"""How long somebody whose connection broke still counts as present: most reconnect at once."""
ROOMS_PER_WRITE = 50
"""Rooms that a transaction updates at most, as other writes wait for it."""
ROOMS_AT_ONCE = 20
"""Rooms that learn at once of an account's new name. The others wait for the renewal: one request
should not cause so many writes."""


class Presence(Component):
    """Who is in rooms through this process, and the lease under which their rows count.

    Not a `core.leases.Lease`, which one of several processes holds: each holds its own, and renews
    it in the transaction of the rows that depend on it.

    Only the lease is renewed, about three times before it would expire, so that a renewal costs
    the same however many rooms there are. Each also removes expired leases of other processes: the
    clients of a killed one disappear from their rooms.
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
        self._process = secrets.token_hex(6)
        self._connections: Counter[tuple[str, str]] = Counter()
        self._present: dict[str, dict[str, Identity]] = {}
        """By chat and account."""
        self._rooms: dict[str, set[str]] = {}
        """The chats by account."""
        self._outdated: set[str] = set()
        """Chats whose stored rows may differ from `_present`: the next renewal writes them."""
        self._leaving: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.tasks = (SupervisedTask("renewal of presence", self._renew_for_ever),)

    async def close(self) -> None:
        """End the lease and empty its rooms. The database must still be open."""
        await super().close()
        for timer in self._leaving.values():
            timer.cancel()
        self._leaving.clear()
        for task in self._tasks:
            task.cancel()
        self._present = {}
        with contextlib.suppress(Problem):
            # First, so that another process empties the rooms that this one does not get to.
            await self._database.write(lambda tx: presence_store.end_lease(tx, self._process))
            await self._remove(self._process)

    @contextlib.contextmanager
    def connected(self, chat_id: str, who: Identity, linger: float) -> Iterator[None]:
        """A connection of that account is in the room while this lasts, see `leave`."""
        self.enter(chat_id, who)
        try:
            yield
        finally:
            self.leave(chat_id, who.account_id, linger)

    def enter(self, chat_id: str, who: Identity) -> None:
        """A connection of that account is in the room, until it leaves."""
        account_id = who.account_id
        key = chat_id, account_id
        self._connections[key] += 1
        if (leaving := self._leaving.pop(key, None)) is not None:
            leaving.cancel()
        present = self._present.setdefault(chat_id, {})
        is_new, present[account_id] = account_id not in present, who
        if is_new:
            self._rooms.setdefault(account_id, set()).add(chat_id)
            self._start(self._write([chat_id]))

    def leave(self, chat_id: str, account_id: str, linger: float = LINGER_SECONDS) -> None:
        """The connection has left; with its last one, the account leaves `linger` seconds later."""
        key = chat_id, account_id
        self._connections[key] -= 1
        if not self._connections[key]:
            del self._connections[key]
            loop = asyncio.get_running_loop()
            self._leaving[key] = loop.call_later(linger, self._leave, chat_id, account_id)

    def _renamed(self, account_id: str) -> None:
        if rooms := self._rooms.get(account_id):
            self._outdated |= rooms
            self._start(self._write([*islice(rooms, ROOMS_AT_ONCE)]))

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
        self._start(self._write([chat_id]))

    async def _renew_for_ever(self) -> None:
        while True:
            try:
                await self._renew()
            except Exception as error:
                log_failure(logger, error, "renewing presence failed; it will be tried again")
            await asyncio.sleep(self._pause)

    async def _renew(self) -> None:
        async def fn(tx: Transaction) -> list[str]:
            await self._hold(tx)
            return await presence_store.expired_leases(tx, now())

        for process in await self._database.write(fn):
            await self._remove(process)
        rooms = sorted(self._outdated)
        for start in range(0, len(rooms), ROOMS_PER_WRITE):
            await self._write(rooms[start : start + ROOMS_PER_WRITE])

    async def _hold(self, tx: Transaction) -> None:
        """Renew the lease. Where it had expired, others may have emptied this process's rooms."""
        moment = now()
        if not await presence_store.renew_lease(tx, self._process, moment, moment + self._lease):
            self._outdated |= self._present.keys()

    async def _remove(self, process: str) -> None:
        """Remove an expired lease, and publish to its rooms who is left."""

        async def fn(tx: Transaction) -> int:
            rooms = await presence_store.drop_expired_lease(tx, process, now(), ROOMS_PER_WRITE)
            for chat_id in rooms:
                await put_present(tx, self._states, chat_id)
            return len(rooms)

        while await self._database.write(fn) == ROOMS_PER_WRITE:
            pass

    async def _write(self, rooms: Sequence[str]) -> None:
        """Store who is in those rooms through this process, and publish where somebody came or
        went.

        They are read inside the transaction, so that the last write has the newest.
        """

        async def fn(tx: Transaction) -> None:
            await self._hold(tx)
            for chat_id in rooms:
                # A copy at once: this runs in the database's thread.
                accounts = [*self._present.get(chat_id, {}).values()]
                present = [actor(self._names.current(account)) for account in accounts]
                await presence_store.set_presence(tx, chat_id, self._process, present)
                await put_present(tx, self._states, chat_id)

        self._outdated.difference_update(rooms)
        try:
            await self._database.write(fn)
        except BaseException:
            self._outdated.update(rooms)
            raise

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name="presence")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # The next renewal tries again.
            logger.warning("updating presence failed: %s", task.exception())
