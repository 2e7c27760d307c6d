"""The event log: changes append to it in their transaction, readers read it from any cursor."""

import json
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import NamedTuple

from server.core.clock import now, to_text
from server.core.database import Database, Transaction
from server.core.errors import unavailable
from server.core.queries import Row, load_queries
from server.realtime.event import Event, check_of, cursor_text

_queries = load_queries(__file__, "log.sql")

REWRITES = "rewrites"
"""The topic of rewritten topics: `{"topic": name}`."""

TRIMMED_AT_ONCE = 200
"""Events that a transaction drops at most: other writes wait for it."""
HEADS_PER_QUERY = 400
"""Topics named in one statement; SQLite allows 32,766 parameters, PostgreSQL's drivers as many."""


CHANGES_AT_ONCE = 1000
"""Changed topics that are read one by one; beyond, each open topic is asked for instead."""


class Position(NamedTuple):
    """How many changes of topics and of state topics are known."""

    topics: int
    states: int


@dataclass(frozen=True, slots=True)
class LogPage:
    """Events of a topic with its head, the `seq` before its first event, and the head's check, in
    one snapshot."""

    head: int
    trimmed: int
    events: Sequence[Event]
    check: str = ""

    def continues(self, cursor: int) -> bool:
        """Whether these events follow that `seq` without a gap."""
        if not self.trimmed <= cursor <= self.head:
            return False
        return cursor == self.head or any(event.seq == cursor + 1 for event in self.events)


class EventLog:
    """The `topics` and `events` tables."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.epoch = ""
        self.instance = ""
        """That of the database when the hub last compared its topics with it."""

    async def open(self) -> None:
        """Read the database's epoch, or set one."""

        async def fn(tx: Transaction) -> str:
            await _queries.keep_meta(tx, name="epoch", value=secrets.token_hex(6))
            return str(await _queries.meta_value(tx, name="epoch"))

        self.epoch = await self._database.write(fn)

    @property
    def is_current(self) -> bool:
        """Whether the database is the instance that the hub has compared its topics with."""
        return self.instance == self._database.instance

    async def append(
        self,
        tx: Transaction,
        topic: str,
        type: str,
        data: str | Callable[[int], str],
        subject: str = "",
        at: str | None = None,
    ) -> Event:
        """Append an event (`data` is JSON text, or makes it of the event's `seq`; `at` its time, by
        default now) in the transaction of the change it describes.

        It is published after the commit. Its `seq` counts up by one per topic.
        """
        at = at or to_text(now())
        row = await _queries.count_up(tx, topic=topic, at=at)
        if row["oldest"] is None:  # all before it have been dropped
            await _queries.set_oldest(tx, topic=topic, at=at)
        seq = row["seq"]
        data = data if isinstance(data, str) else data(seq)
        event = Event(topic, seq, type, subject, data, at)
        await _queries.insert_event(
            tx, topic=topic, seq=seq, type=type, subject=subject, data=data, at=at
        )
        tx.announce(event)
        return event

    async def cursor(self, tx: Transaction, topic: str) -> str:
        """The topic's cursor as of this transaction."""
        row = await _queries.topic(tx, topic=topic)
        seq, check = (row["seq"], _check(row, row["seq"])) if row else (0, "")
        return cursor_text(self.epoch, topic, seq, check)

    def cursor_of(self, event: Event) -> str:
        """The cursor of a reader whose last event is this one."""
        return cursor_text(self.epoch, event.topic, event.seq, check_of(event.at))

    async def check_at(self, tx: Transaction, topic: str, seq: int) -> str | None:
        """The check of the topic's event of that `seq`; empty where it is no longer known, None
        where there is no such event yet."""
        row = await _queries.topic_at(tx, topic=topic, seq=seq)
        if row is None or seq > row["seq"]:
            return "" if seq == 0 else None
        return _check(row, seq)

    async def read_check(self, topic: str, seq: int) -> str | None:
        """The same in a transaction of its own."""
        return await self._database.look_up(lambda tx: self.check_at(tx, topic, seq))

    async def changes(
        self, after: Position | None, topics: Collection[str]
    ) -> tuple[Position, dict[str, int]]:
        """The last `seq` of each topic that has changed after that position, state topics too, and
        the position reached.

        Where more than CHANGES_AT_ONCE have, or without a position, that of each of `topics`, those
        that it has by then: one that is added later is expected to be read from there on.
        """

        async def fn(tx: Transaction) -> tuple[Position, dict[str, int]]:
            row = await _queries.last_changes(tx)
            reached = Position(row["topics"], row["states"])
            if after is None:
                return reached, await _heads(tx, list(topics))
            most = CHANGES_AT_ONCE + 1
            found = [
                *await _queries.changed_topics(tx, after=after.topics, limit=most),
                *await _queries.changed_states(tx, after=after.states, limit=most),
            ]
            if len(found) >= most:
                return reached, await _heads(tx, list(topics))
            return reached, {row["name"]: row["seq"] for row in found}

        return await self._database.read(fn)

    async def read(self, topic: str, after: int, limit: int) -> LogPage:
        """The events after that `seq`, at most `limit`, with head and trim mark.

        Raises Problem 503 while the database may lack what is known of it, see `Hub`.
        """

        async def fn(tx: Transaction) -> LogPage:
            row = await _queries.topic(tx, topic=topic)
            if row is None:
                return LogPage(0, 0, ())
            rows = await _queries.events_after(tx, topic=topic, after=after, limit=limit)
            return _page(row, rows)

        page = await self._database.read(fn)
        if self.instance and not self.is_current:
            raise unavailable("The event log is being compared. Try again.", 1)
        return page

    async def newest(self, topic: str, count: int) -> LogPage:
        """The topic's last `count` events, with head and trim mark."""

        async def fn(tx: Transaction) -> LogPage:
            row = await _queries.topic(tx, topic=topic)
            if row is None:
                return LogPage(0, 0, ())
            after = max(row["trimmed"], row["seq"] - count)
            rows = await _queries.events_after(tx, topic=topic, after=after, limit=count)
            return _page(row, rows)

        return await self._database.read(fn)

    async def newest_event(self, topic: str) -> Event | None:
        """The topic's last event, if it is still stored."""
        row = await self._database.look_up(lambda tx: _queries.newest_event(tx, topic=topic))
        return Event(**row) if row else None

    async def trim(self, before: str) -> int:
        """Drop events from before that time (RFC 3339); returns the number of topics changed.

        A topic keeps everything from its first younger event on, even where the clock was set
        back in between. Each transaction drops TRIMMED_AT_ONCE events, so that others get in, and
        leaves topics that others are writing to for later, as it holds the locks of many.
        """
        trimmed: set[str] = set()
        while changed := await self._database.write(partial(self._trim_some, before=before)):
            trimmed |= changed
        return len(trimmed)

    async def _trim_some(self, tx: Transaction, before: str) -> set[str]:
        """Drop the first events of topics of which one has expired; returns these topics."""
        changed, left = set(), TRIMMED_AT_ONCE
        for topic in await _queries.expired(tx, before=before, limit=TRIMMED_AT_ONCE):
            if not left:
                break
            name = topic["name"]
            first = await _queries.first_events(tx, topic=name, limit=left + 1)
            expired = list(takewhile(lambda event: event["at"] < before, first))[:left]
            seq = expired[-1]["seq"] if expired else topic["trimmed"]
            kept = first[len(expired) : len(expired) + 1]
            await _queries.drop_events(tx, topic=name, seq=seq)
            await _queries.mark_trimmed(
                tx,
                topic=name,
                seq=seq,
                seq_check=check_of(expired[-1]["at"]) if expired else topic["trimmed_check"],
                oldest=kept[0]["at"] if kept else None,
            )
            changed.add(name)
            left -= len(expired)
        return changed

    async def rewrite(self, tx: Transaction, subject: str, change: Callable[[str], str]) -> None:
        """Replace the data of every stored event about that subject by `change` of it.

        Every process drops its copies of these topics' events.
        """
        topics = set()
        for row in await _queries.events_about(tx, subject=subject):
            topics.add(row["topic"])
            await _queries.rewrite_event(
                tx, topic=row["topic"], seq=row["seq"], data=change(row["data"])
            )
        for topic in sorted(topics):
            await self.append(tx, REWRITES, "topic.rewritten", json.dumps({"topic": topic}))


def _page(row: Row, rows: Sequence[Row]) -> LogPage:
    events = [Event(**event) for event in rows]
    return LogPage(row["seq"], row["trimmed"], events, _check(row, row["seq"]))


def _check(row: Row, seq: int) -> str:
    """The check of the event of that `seq`, whose time is in the row if it is still stored."""
    if row["at"] is not None:
        return check_of(row["at"])
    return str(row["trimmed_check"]) if seq == row["trimmed"] else ""


async def _heads(tx: Transaction, topics: Sequence[str]) -> dict[str, int]:
    """The last `seq` of each of these topics that has one."""
    found: dict[str, int] = {}
    for start in range(0, len(topics), HEADS_PER_QUERY):
        names = {f"t{i}": name for i, name in enumerate(topics[start : start + HEADS_PER_QUERY])}
        holders = ", ".join(f":{name}" for name in names)
        sql = (
            f"SELECT name, seq FROM topics WHERE name IN ({holders})"  # noqa: S608
            f" UNION ALL SELECT topic AS name, seq FROM states WHERE topic IN ({holders})"
        )
        found |= {row["name"]: row["seq"] for row in await tx.fetch(sql, names)}
    return found
