"""State topics: one row each, the newest event and no history."""

from collections.abc import Callable
from typing import NamedTuple

from server.core.clock import now, to_text
from server.core.database import Database, Transaction
from server.core.queries import load_queries
from server.realtime.event import Cursor, Event, check_of
from server.realtime.log import LogPage
from server.realtime.topic import Topic

_queries = load_queries(__file__, "states.sql")

STATE = "state/"
"""The prefix of state topics' names."""
DROPPED = f"{STATE}dropped"
"""The state topic that changes whenever another one is deleted."""


CHECKS = 32
"""Changes back to which a cursor of a state can be honoured."""
_CHECK = 8
"""Characters of each."""


class Changes(NamedTuple):
    """How often a state has changed, and the checks of its last CHECKS changes."""

    seq: int
    checks: str
    at: str = ""
    """When it last changed."""

    def check_at(self, seq: int) -> str | None:
        """The check of the change of that `seq`; empty where it is no longer known, None where
        there is no such change yet."""
        start = (self.seq - seq) * _CHECK
        return self.checks[start : start + _CHECK] if start >= 0 else None


class States:
    """The `states` table: the newest event of each state topic, and no history."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(
        self,
        tx: Transaction,
        topic: str,
        type: str,
        data: str | Callable[[int], str],
        subject: str = "",
    ) -> Event:
        """Set the topic's state, and publish it after the commit.

        `data` is JSON text, or a function that makes it from the new `seq`, which counts from 1.
        """
        assert topic.startswith(STATE), topic
        text, at = data if isinstance(data, str) else "", to_text(now())
        seq = await self._put(tx, topic, type, text, subject, at)
        if not isinstance(data, str):
            text = data(seq)
            await self.replace_data(tx, topic, text)
        event = Event(topic, seq, type, subject, text, at)
        tx.announce(event)
        return event

    async def replace_data(self, tx: Transaction, topic: str, data: str) -> None:
        """Replace the state's data without publishing it."""
        await _queries.replace_state_data(tx, topic=topic, data=data)

    async def drop(self, tx: Transaction, topic: str) -> None:
        """Delete the topic; its name must not be used again, as `seq` would begin at 1."""
        # Keeps the highest number of a change: one that is used again is not seen by a sweep.
        await self._put(tx, DROPPED, "", "{}", "", "")
        await _queries.drop_state(tx, topic=topic)

    async def changes(self, tx: Transaction, topic: str) -> Changes:
        """How often the topic has changed."""
        row = await _queries.checks(tx, topic=topic)
        return Changes(row["seq"], row["checks"], row["at"]) if row else Changes(0, "")

    async def newest(self, tx: Transaction, topic: str) -> Event | None:
        """The topic's state; None where nothing was ever put."""
        row = await _queries.state(tx, topic=topic)
        return Event(**row) if row else None

    async def read(self, topic: str) -> Event | None:
        """The same in a transaction of its own."""
        return await self._database.look_up(lambda tx: self.newest(tx, topic))

    async def _put(
        self, tx: Transaction, topic: str, type: str, data: str, subject: str, at: str
    ) -> int:
        return int(
            await _queries.put_state(
                tx,
                topic=topic,
                type=type,
                subject=subject,
                data=data,
                at=at,
                seq_check=check_of(at),
                kept=CHECKS * _CHECK,
            )
        )


class StateTopic(Topic):
    """A reader that is behind gets the newest event only."""

    gapless = False

    def __init__(self, name: str, states: States) -> None:
        super().__init__(name)
        self._states = states
        self._newest: Event | None = None

    @property
    def start_seq(self) -> int:
        """Before the first event, so that a reader gets the present state."""
        return 0

    async def open(self, recent: bool) -> None:
        """Read the present state. The broker must be delivering already."""
        newest = await self._states.read(self.name)
        if newest is not None:
            self._newest, self.head, self.check = newest, newest.seq, check_of(newest.at)
        self._open = True
        self.hint(self._wanted)

    async def honours(self, cursor: Cursor) -> bool:
        """A reader that is behind gets the newest event whatever it has seen."""
        if cursor.seq > self.head:
            await self.load(cursor.seq)
        return cursor.seq != self.head or cursor.fits(self.check)

    async def compare(self) -> None:
        """See `Topic.compare`: a later state is right, whatever came before it."""
        newest = await self._states.read(self.name)
        head, check = (newest.seq, check_of(newest.at)) if newest is not None else (0, "")
        if head < self.head or (head == self.head and check != self.check):
            self._newest = newest
            self._begin_anew(head, check)

    def recent(self, cursor: int) -> list[Event] | None:
        """The newest event, if the reader does not have it; None for a cursor beyond it."""
        if cursor > self.head:
            return None
        if self._newest is None or cursor == self.head:
            return []
        self.touched.add(self)
        return [self._newest]

    async def load(self, cursor: int) -> LogPage:
        """Check a cursor that is beyond this process's head against the database; no events, as
        `recent` has the newest once it is known here."""
        newest = await self._states.read(self.name)
        head = newest.seq if newest is not None else 0
        if newest is not None and head > self.head:
            self._advance(newest)
        return LogPage(cursor if cursor <= head else head, 0, ())

    def drop_ring(self) -> None:
        """Nothing to do: a state is replaced, never rewritten."""

    def drop_encoded(self) -> None:
        """Drop what is encoded of the newest event."""
        if self._newest is not None:
            self._newest.encoded.clear()

    def _is_next(self, event: Event) -> bool:
        return event.seq > self.head

    def _advance(self, event: Event) -> None:
        self._newest = event
        super()._advance(event)

    async def _read_on(self) -> None:
        newest = await self._states.read(self.name)
        if newest is not None and newest.seq > self.head:
            self._advance(newest)
