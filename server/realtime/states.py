"""State topics: one row each, of which only the newest matters."""

from collections.abc import Callable

from server.core.clock import now, to_text
from server.core.database import Database, Transaction
from server.core.queries import load_queries
from server.realtime.event import Event

_queries = load_queries(__file__, "states.sql")

STATE = "state/"
"""Begins the name of every state topic, so that each process knows it for one."""


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
        """The topic's state from now on, published after the commit.

        `data` is JSON text, or what makes it of the new `seq`, which counts up from 1.
        """
        assert topic.startswith(STATE), topic
        text, at = data if isinstance(data, str) else "", to_text(now())
        seq = await _queries.put_state(
            tx, topic=topic, type=type, subject=subject, data=text, at=at
        )
        if not isinstance(data, str):
            text = data(seq)
            await self.keep(tx, topic, text)
        event = Event(topic, seq, type, subject, text, at)
        tx.announce(event)
        return event

    async def keep(self, tx: Transaction, topic: str, data: str) -> None:
        """Other data for the present state, which nobody is told: not news, but worth knowing."""
        await _queries.keep_state(tx, topic=topic, data=data)

    async def drop(self, tx: Transaction, topic: str) -> None:
        """Forget the topic; it must not come again, as it would count from 1."""
        await _queries.drop_state(tx, topic=topic)

    async def newest(self, tx: Transaction, topic: str) -> Event | None:
        """The topic's state; None where nothing was ever put."""
        row = await _queries.state(tx, topic=topic)
        return Event(**row) if row else None

    async def read(self, topic: str) -> Event | None:
        """The same in a transaction of its own."""
        return await self._database.read(lambda tx: self.newest(tx, topic))
