"""What one process has of the log: its connections to the file, a broker, a hub; and sinks."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from server.core.database import Transaction
from server.core.databases import database_at
from server.realtime.broker import Broker, MemoryBroker
from server.realtime.event import Cursor, Event
from server.realtime.hub import Hub
from server.realtime.log import EventLog, LogPage
from support.server_process import new_database
from support.waiting import wait_until

TOPIC = "restaurant:res_1"
OpenNode = Callable[..., Awaitable["Node"]]


class CountingLog(EventLog):
    """The log, and how often it was read."""

    reads = 0

    async def read(self, topic: str, after: int, limit: int) -> LogPage:
        self.reads += 1
        return await super().read(topic, after, limit)

    async def newest(self, topic: str, count: int) -> LogPage:
        self.reads += 1
        return await super().newest(topic, count)


class Node:
    """Everything a process needs to append and to subscribe."""

    def __init__(
        self, path: Path, broker: Broker | None = None, sweep_seconds: float = 0.05
    ) -> None:
        self.path = path
        self.where = new_database(path)
        self.database = database_at(self.where)
        self.log = CountingLog(self.database)
        self.broker = broker or MemoryBroker()
        self.hub = Hub(self.database, self.log, self.broker, sweep_seconds)

    async def open(self) -> "Node":
        await self.database.open()
        await self.hub.open()
        # The sweep at the start would bring what a test appends without announcing it.
        await wait_until(lambda: self.hub._known is not None, every=0, what="the first sweep")
        return self

    async def close(self) -> None:
        await self.hub.close()
        await self.database.close()

    async def append(
        self, topic: str = TOPIC, *, count: int = 1, subject: str = "", data: str = "{}"
    ) -> list[Event]:
        """That many events in one transaction."""

        async def fn(tx: Transaction) -> list[Event]:
            return [
                await self.log.append(tx, topic, "changed", data, subject) for _ in range(count)
            ]

        return await self.database.write(fn)

    async def be_another(self) -> None:
        """As after a failure of PostgreSQL: every new connection finds another instance."""
        sql = "UPDATE meta SET value = 'another' WHERE name = 'instance'"
        await self.database.write(lambda tx: tx.execute(sql, {}))
        self.database.instance = "another"

    @property
    def channel(self) -> str:
        """The beginning of the names of its channels on Redis."""
        return f"tiffin:{self.log.epoch}:{self.database.instance}:"

    def cursor(self, seq: int, topic: str = TOPIC) -> str:
        return str(Cursor(self.log.epoch, topic, seq))


class ListSink:
    """A reader with room for this many events, until it is given more."""

    def __init__(self, room: int | None = None) -> None:
        self.events: list[Event] = []
        self.resets = 0
        self.failures = 0
        self.room = room
        self.most_waiting = 0
        self._roomy = asyncio.Event()

    @property
    def seqs(self) -> list[int]:
        return [event.seq for event in self.events]

    def write(self, event: Event) -> bool:
        assert not self.resets, "an event after the reset"
        if self.room is not None:
            if self.room == 0:
                self._roomy.clear()
                return False
            self.room -= 1
        self.events.append(event)
        return True

    async def ready(self) -> None:
        if self.room == 0:
            await self._roomy.wait()

    def give(self, room: int | None) -> None:
        self.room = room
        self._roomy.set()

    def reset(self) -> None:
        self.resets += 1

    def fail(self) -> None:
        self.failures += 1
