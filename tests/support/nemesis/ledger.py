"""What the database says was to be delivered, and the comparison of each history with it."""

import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from typing import Any

from server.realtime.state_topic import CHECKS
from support.nemesis.history import Delivery, Stretch
from support.nemesis.readers import (
    LocationReader,
    LogReader,
    OrdersReader,
    Reader,
    StatusReader,
)

Rows = Callable[[str], Awaitable[Sequence[Mapping[str, Any]]]]


@dataclass
class Verdict:
    """What one check of some readers found."""

    events: int = 0
    deliveries: int = 0
    lost: int = 0
    repeated: int = 0
    out_of_order: int = 0
    foreign: int = 0
    resets: int = 0
    undone: int = 0
    """Deliveries of what a failover has lost, each followed by a `reset`."""
    worst: float = 0.0
    """Seconds from an event's time to its delivery, at most."""
    latest: str = ""
    """The reader of that delivery."""
    blamed: dict[str, str] = field(default_factory=dict)
    """The readers with something wrong, and what."""

    def blame(self, reader: Reader, what: str, text: str) -> None:
        """Count a fault of that kind."""
        setattr(self, what, getattr(self, what) + 1)
        self.blamed.setdefault(reader.name, f"{what}: {text}"[:400])

    @property
    def wrong(self) -> int:
        """The sum that has to be zero."""
        return self.lost + self.repeated + self.out_of_order + self.foreign


@dataclass(frozen=True)
class Logged:
    """An event in the database."""

    type: str
    data: Any
    at: float


class Ledger:
    """A copy of the log, which keeps what is trimmed, and of the states and orders."""

    def __init__(self, rows: Rows) -> None:
        """`rows` are those of a statement."""
        self._rows = rows
        self.topics: dict[str, dict[int, Logged]] = {}
        self.trimmed: dict[str, int] = {}
        """The last `seq` of each topic that a trim has dropped."""
        self.states: dict[str, tuple[int, Any]] = {}
        self.orders: dict[str, tuple[str, int, str, str]] = {}
        """Customer, version, status and note of each."""
        self.messages: Counter[str] = Counter()
        """How often each `client_id` is stored."""
        self.announcements: Counter[str] = Counter()
        """How often each title is stored."""
        self.refreshed_at = 0.0
        """When that began, in seconds since 1970."""
        self._base: dict[str, int] = {}
        """The `seq` from which on each topic is read again: before, it has been compared."""

    async def refresh(self) -> None:
        """Read what has come since the last check."""
        self.refreshed_at, topics = time.time(), dict(self.topics)
        rows = [
            row
            for row in await self._rows("SELECT name, seq, trimmed FROM topics")
            if row["name"].startswith(("restaurant:", "announcements:", "chat:"))
        ]
        heads = {row["name"]: row["seq"] for row in rows}
        self.trimmed = {row["name"]: row["trimmed"] for row in rows}
        for topic, head in heads.items():
            base = self._base.get(topic, 0)
            known = self.topics.get(topic, {})
            found = await self._rows(
                "SELECT seq, type, data, at FROM events"
                f" WHERE topic = '{topic}' AND seq > {base} ORDER BY seq"
            )
            read = {row["seq"]: _logged(row) for row in found}
            first = min(read, default=head + 1)
            # What a trim has dropped stays known; what a failover has undone does not.
            kept = {seq: event for seq, event in known.items() if seq <= base or seq < first}
            topics[topic] = kept | read
        self.topics = topics
        self.states = {
            row["topic"]: (row["seq"], json.loads(row["data"]))
            for row in await self._rows("SELECT topic, seq, data FROM states")
        }
        self.orders = {
            row["id"]: (row["customer_id"], row["version"], row["status"], row["note"] or "")
            for row in await self._rows("SELECT id, customer_id, version, status, note FROM orders")
        }
        messages = await self._rows("SELECT client_id FROM chat_messages")
        self.messages = Counter(row["client_id"] for row in messages)
        titles = await self._rows("SELECT title FROM announcements")
        self.announcements = Counter(row["title"] for row in titles)

    def head(self, topic: str) -> int:
        """The last `seq` of a topic of the log."""
        return max(self.topics.get(topic, ()), default=0)

    def behind(self, reader: Reader, then: "Ledger | None" = None) -> str:
        """What this reader does not have of what was there `then`; empty where it has all."""
        then, reached = then or self, reader.history.reached
        if isinstance(reader, LogReader):
            undone = self._undone(reader)
            if undone is not None:
                return f"{reader.name}: {undone} was undone"
            head = then.head(reader.topic)
            return "" if reached >= head else f"{reader.name}: {reached} of {head}"
        if isinstance(reader, LocationReader):
            head = min(self.seq(reader.topic), then.seq(reader.topic))
            return "" if reached >= head else f"{reader.name}: {reached} of {head}"
        if isinstance(reader, OrdersReader):
            late = [
                order
                for order, (customer, version, _, _) in then.orders.items()
                if customer == reader.account_id and reader.versions.get(order, 0) < version
            ]
            return f"{reader.name}: {late}" if late or reached == -2 else ""
        assert isinstance(reader, StatusReader)
        if reader.order_id is None or reader.order_id not in then.orders:
            return ""
        version = then.orders[reader.order_id][1]
        # A change of the driver alone has a version, and wakes nobody who waits for a status.
        status = then.orders[reader.order_id][2]
        right = reached >= version or reader.status == status
        return "" if right else f"{reader.name}: {reached} of {version}"

    def seq(self, topic: str) -> int:
        """How often a state has changed."""
        return self.states.get(topic, (0, None))[0]

    def copy(self) -> "Ledger":
        """As it is now."""
        return copy(self)

    def check(
        self,
        taken: Sequence[tuple[Reader, list[Stretch]]],
        *,
        may_reset: bool,
        may_undo: bool,
    ) -> Verdict:
        """Compare what each reader has got since the last check, which is in the database by now.

        `may_reset`: a `reset` is right here, though never a gap. `may_undo`: what was delivered
        may be missing in the database, if a `reset` came after it.
        """
        verdict = Verdict()
        for topic, known in self.topics.items():
            verdict.events += sum(seq > self._base.get(topic, 0) for seq in known)
        reached: dict[str, int] = {}
        for reader, stretches in taken:
            for stretch, following in zip_longest(stretches, stretches[1:]):
                verdict.deliveries += len(stretch.got)
                if stretch.reset:
                    verdict.resets += 1
                    if not (may_reset or self._is_forgotten(reader, stretch, following)):
                        verdict.blame(reader, "lost", "a reset that nobody was to get")
                if isinstance(reader, LogReader):
                    self._check_log(verdict, reader, stretch, may_undo=may_undo)
                else:
                    self._check_states(verdict, reader, stretch, may_undo=may_undo)
            if stretches:
                last = stretches[-1].reached
                reached[reader.topic] = min(last, reached.get(reader.topic, last))
        for topic in self.topics:
            self._base[topic] = min(self.head(topic), reached.get(topic, self.head(topic)))
        return verdict

    def _is_forgotten(self, reader: Reader, stretch: Stretch, following: Stretch | None) -> bool:
        """Whether the customer's orders have changed so often meanwhile that the cursor is no
        longer known, as no history of them is kept: a `reset` is right then."""
        head = following.start if following else self.states.get(reader.topic, (0, {}))[0]
        return isinstance(reader, OrdersReader) and head - stretch.reached >= CHECKS

    def _undone(self, reader: LogReader) -> Delivery | None:
        """The reader's last delivery, where the database has another event there."""
        last = reader.history.stretches[-1] if reader.history.stretches else None
        if last is None or last.reset or not last.got:
            return None
        delivery = last.got[-1]
        if delivery.at >= self.refreshed_at or self._stored(reader, delivery) is not None:
            return None
        return None if self._trimmed_unread(reader.topic, delivery.seq) else delivery

    def _trimmed_unread(self, topic: str, seq: int) -> bool:
        """Whether a trim has dropped it before it was read here: its transaction took longer than
        the trim leaves. Only its number can be compared."""
        return seq <= self.trimmed.get(topic, 0) and seq not in self.topics.get(topic, {})

    def _stored(self, reader: Reader, delivery: Delivery) -> Logged | None:
        """The stored event, if it is the one that was delivered."""
        stored = self.topics.get(reader.topic, {}).get(delivery.seq)
        if stored is None or (stored.type, stored.data) != (delivery.type, delivery.data):
            return None
        return stored

    def _check_log(
        self, verdict: Verdict, reader: LogReader, stretch: Stretch, *, may_undo: bool
    ) -> None:
        """Every event from the snapshot's on, once, in order, and as it is stored."""
        expected, seen = stretch.start + 1, set[int]()
        for delivery in stretch.got:
            stored = self._stored(reader, delivery)
            if delivery.seq in seen or delivery.seq <= stretch.start:
                verdict.blame(reader, "repeated", f"{delivery.seq}")
            elif delivery.seq < expected:
                verdict.blame(reader, "out_of_order", f"{delivery.seq} after {expected - 1}")
            elif delivery.seq > expected:
                for missing in range(expected, delivery.seq):
                    verdict.blame(reader, "lost", f"{missing}, before {delivery.seq}")
            if stored is None and may_undo and stretch.reset:
                verdict.undone += 1
            elif stored is None:
                if not self._trimmed_unread(reader.topic, delivery.seq):
                    verdict.blame(reader, "foreign", f"{delivery}")
            elif delivery.at - stored.at > verdict.worst:
                verdict.worst, verdict.latest = delivery.at - stored.at, reader.name
            seen.add(delivery.seq)
            expected = max(expected, delivery.seq + 1)

    def _check_states(
        self, verdict: Verdict, reader: Reader, stretch: Stretch, *, may_undo: bool
    ) -> None:
        """Never backwards, never another's; the newest, where it is the last."""
        last: dict[str, tuple[int, Any]] = {}
        for delivery in stretch.got:
            subject, number = _number(delivery)
            if not self._owns(reader, delivery):
                verdict.blame(reader, "foreign", f"{delivery}")
            before, data = last.get(subject, (-1, None))
            if number < before and not may_undo:  # a poll of a state has no cursor to reset
                verdict.blame(reader, "out_of_order", f"{number} after {before}: {delivery}")
            if number == before and data == delivery.data:
                verdict.blame(reader, "repeated", f"{delivery}")
            last[subject] = number, delivery.data
        if isinstance(reader, LocationReader) and stretch.got and not stretch.reset:
            seq, data = self.states.get(reader.topic, (0, {}))
            newest = stretch.got[-1]
            if newest.seq == seq and any(newest.data[key] != data[key] for key in ("lat", "lng")):
                verdict.blame(reader, "foreign", f"{newest} instead of {data}")

    def _owns(self, reader: Reader, delivery: Delivery) -> bool:
        if isinstance(reader, LocationReader):
            return bool(delivery.data["driver_id"] == reader.driver_id)
        if isinstance(reader, OrdersReader):
            return bool(delivery.data["customer"]["id"] == reader.account_id)
        return True  # a StatusReader asks for one order, and `follow` compares it


def _number(delivery: Delivery) -> tuple[str, int]:
    """What the state is of, and which of its states it is."""
    if delivery.type == "location":
        return delivery.data["driver_id"], delivery.seq
    if delivery.type == "order":
        return delivery.data["id"], delivery.data["version"]
    return delivery.data["order_id"], delivery.data["version"]


def _logged(row: Mapping[str, Any]) -> Logged:
    at = datetime.fromisoformat(row["at"]).timestamp()
    return Logged(row["type"], json.loads(row["data"]), at)
