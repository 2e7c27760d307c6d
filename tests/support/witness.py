"""Employees who follow the kitchen and record what arrived, and when."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp

from server.realtime.event import Cursor
from support.rest import Rest
from support.server_process import ServerProcess
from support.town import PASSWORD, Place
from support.two_processes import Logged
from tui.common.client.meter import Pattern, Wire
from tui.common.client.session import Session
from tui.common.client.sse import EventStream, ServerSentEvent, SSEParser

COMES_BACK_AFTER = 0.1
LATEST = 8.0
"""Seconds after its commit by which every reader must have an event: the sweep finds it in half a
second, a reader by itself in fifteen, and the machine may be busy with the fault."""


@dataclass(frozen=True)
class Seen:
    """An event as it arrived; `at` is in seconds since the epoch."""

    seq: int
    type: str
    data: str
    at: float


@dataclass(frozen=True)
class Outage:
    """A time in which a server was down, or `both`: events that were due in that time are due
    after its return."""

    begins: float
    ends: float
    both: bool = False


@dataclass
class Witness:
    """A kitchen stream at one server, from the cursor of its snapshot on, read byte by byte.

    It filters nothing, so that a server that repeats events is found out.
    """

    server: ServerProcess
    place: Place
    email: str
    start: int = -1
    seen: list[Seen] = field(default_factory=list)

    @property
    def reached(self) -> int:
        """The `seq` of the last event that arrived; at first the snapshot's."""
        return self.seen[-1].seq if self.seen else self.start

    async def follow(self) -> None:
        """Read until cancelled."""
        async with Rest(self.server.url) as rest:
            await rest.log_in(self.email, PASSWORD)
            cursor = (await rest.get("/orders")).must(200).json["cursor"]
            async for event in self._events(rest, cursor):
                self.seen.append(
                    Seen(seq_of(event.last_event_id), event.type, event.data, time.time())
                )

    async def _events(self, rest: Rest, cursor: str) -> AsyncIterator[ServerSentEvent]:
        url = rest.url(f"/restaurants/{self.place.id}/orders/stream")
        timeout = aiohttp.ClientTimeout(total=None, sock_read=40)
        self.start = seq_of(cursor)
        while True:
            headers = rest.headers | {"Last-Event-ID": cursor}
            try:
                async with rest.http.get(url, headers=headers, timeout=timeout) as answer:
                    assert answer.status in (200, 503), await answer.text()
                    parser = SSEParser(cursor)
                    async for chunk in answer.content.iter_any():
                        for event in parser.feed(chunk):
                            cursor = event.last_event_id
                            yield event
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(COMES_BACK_AFTER)

    def latest(self, rows: list[Logged], outage: Outage | None = None) -> float:
        """Compare what arrived with the log: everything, once each, in order.

        Returns how late the latest was, in seconds after its commit or the server's return.
        """
        due = [row for row in rows if row.seq > self.start]
        numbers = [seen.seq for seen in self.seen]
        lost = {row.seq for row in due} - set(numbers)
        assert not lost, f"lost {sorted(lost)[:10]} of {len(due)}"
        assert len(set(numbers)) == len(numbers), "an event came twice"
        assert numbers == sorted(numbers), "out of order"
        got = [(seen.seq, seen.type, seen.data) for seen in self.seen]
        assert got == [(row.seq, row.type, row.data) for row in due]

        def since(at: float) -> float:
            due_in_it = outage is not None and outage.begins - LATEST <= at <= outage.ends
            return outage.ends if due_in_it and outage is not None else at

        return max(seen.at - since(row.at) for seen, row in zip(self.seen, due, strict=True))


class AppWitness(Witness):
    """The same through the client library, as the app reads it."""

    async def follow(self) -> None:
        """Read until cancelled."""
        session = Session(self.server.url, Wire())
        try:
            await session.log_in(self.email, PASSWORD)
            cursor = await self._cursor(session)
            self.start = seq_of(cursor)
            meter = session.wire.meter("kitchen", Pattern.SSE)
            path = f"/restaurants/{self.place.id}/orders/stream"
            async with EventStream(session, path, meter, cursor) as stream:
                async for event in stream:
                    self.seen.append(
                        Seen(seq_of(event.last_event_id), event.type, event.data, time.time())
                    )
        finally:
            await session.close()

    async def _cursor(self, session: Session) -> str:
        from tui.common.client.api import Api

        cursor = (await Api(session).orders()).cursor
        assert cursor is not None
        return cursor


def seq_of(cursor: str) -> int:
    """The `seq` a cursor names."""
    parsed = Cursor.parse(cursor)
    assert parsed is not None, f"not a cursor: {cursor!r}"
    return parsed.seq
