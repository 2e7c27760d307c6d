"""A topic as one process knows it, and its subscriptions: each a cursor and a sink, live or
catching up."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from typing import Protocol

from server.core.logging import log_failure
from server.realtime.event import Cursor, Event, check_of
from server.realtime.log import LogPage

logger = logging.getLogger(__name__)


class Sink(Protocol):
    """Where a subscription's events go: a connection, a page, in a test a list."""

    def write(self, event: Event) -> bool:
        """Accept the event, or give False where there is no room."""
        ...

    async def ready(self) -> None:
        """Returns once there is room. Raises ConnectionError where the reader has gone."""
        ...

    def reset(self) -> None:
        """The cursor cannot be honoured: tell the reader, and end."""
        ...

    def fail(self) -> None:
        """The events cannot be read now: end, so that the reader reconnects."""
        ...


class _NoSink:
    """The sink of a closed subscription, which would else refer to its reader in a circle: a crowd
    that has left would stay in memory until the next collection."""

    def write(self, event: Event) -> bool:
        return False

    async def ready(self) -> None:
        raise ConnectionResetError("the subscription is closed")

    def reset(self) -> None:
        pass

    def fail(self) -> None:
        pass


_NO_SINK = _NoSink()


class Subscription:
    """Writes every event of the topic after `cursor` to the sink, each once and in order.

    While it is live, the topic offers each new event. While it is catching up, its own task reads
    on from the cursor, and the topic offers nothing.
    """

    __slots__ = ("_task", "closed", "cursor", "live", "sink", "topic")

    def __init__(self, topic: "Topic", cursor: int, sink: Sink) -> None:
        self.topic = topic
        self.cursor = cursor
        self.sink = sink
        self.live = False
        self.closed = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Go live at once where the topic's recent events reach back far enough, else catch up."""
        if not self._go_live():
            self.catch_up()

    def offer(self, event: Event) -> None:
        """The topic's next event, while live."""
        if event.seq > self.cursor:
            fits = event.seq == self.cursor + 1 or not self.topic.gapless
            self.advance([event] if fits else None)

    def advance(self, events: list[Event] | None) -> None:
        """Write the events up to the topic's head, while live; catch up where there is no room, or
        where they are None, which is no longer in memory."""
        try:
            written = events is not None and self._write(events)
        except Exception:  # one reader's error must not reach the next ones
            logger.exception("a reader of %s failed", self.topic.name)
            self.live = False
            self.sink.fail()
            return
        if not written:
            self.catch_up()

    def catch_up(self) -> None:
        """Stop being live, and catch up in a task."""
        self.live = False
        if self._task is None and not self.closed:
            self._task = asyncio.create_task(self._run(), name="catch-up")

    def close(self) -> None:
        """No more events."""
        self.closed = True
        self.live = False
        self.sink = _NO_SINK
        self.topic.leave(self)
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def reset(self) -> None:
        """Close, and tell the reader that its cursor cannot be honoured."""
        sink = self.sink
        self.close()
        sink.reset()

    def _write(self, events: list[Event]) -> bool:
        """Write these; False where the sink is full."""
        for event in events:
            if event.seq <= self.cursor:
                continue
            if not self.sink.write(event):
                return False
            self.cursor = event.seq
        return True

    def _go_live(self) -> bool:
        """Has no await, so that no event falls between comparing and going live."""
        events = self.topic.recent(self.cursor)
        if events is None or not self._write(events):
            return False
        self.live = True
        return True

    async def _run(self) -> None:
        try:
            while not self.closed:
                await self.sink.ready()
                if self.closed or self._go_live():
                    return
                if self.topic.recent(self.cursor) is not None:
                    await asyncio.sleep(0)  # a sink may be ready, and full again, without waiting
                    continue
                page = await self.topic.load(self.cursor)
                if not page.continues(self.cursor):
                    self.sink.reset()
                    return
                self._write([event for event in page.events if event.seq <= self.topic.head])
                del page  # a slow reader should not keep a page in memory
        except asyncio.CancelledError:
            if not self.closed:  # not by `close`, and nothing else would end this reader
                self.sink.fail()
            raise
        except ConnectionError:
            self.sink.fail()
        except Exception as error:
            log_failure(logger, error, "catching up on %s failed", self.topic.name)
            self.sink.fail()
        finally:
            self._task = None


class Waiters(dict[asyncio.Future[Event | None], None]):
    """Futures that wait for the next event about one subject."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        super().__init__()
        self.known: object = None
        """What all who wait know of the subject, as it was read after the last event; None where
        nobody has told."""

    def wake(self, event: Event | None) -> None:
        """Give it to all of them; None: events were missed."""
        self.known = None
        for future in self:
            if not future.done():
                future.set_result(event)


DIRECT_READERS = 100
"""Up to this many subscriptions get an event at once; more get it in slices."""
SLICE_SECONDS = 0.0005
"""How long a slice may block the loop; other tasks run between slices."""


class Topic(ABC):
    """What log, state and ephemeral topics have in common."""

    gapless = True
    """Whether readers need every event; else the newest is enough."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.head = 0
        self.check = ""
        """The check of the event at `head`."""
        self.subscriptions: dict[Subscription, None] = {}
        self.waiters: dict[str, Waiters] = {}
        self.touched: set[Topic] = set()
        """The topics that have changed since the hub's last sweep, which is all it looks at."""
        self._open = False
        self._wanted = 0
        self._filling: asyncio.Task[None] | None = None
        self._delivering: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether it has no subscription or waiter left."""
        return not self.subscriptions and not self.waiters

    @property
    @abstractmethod
    def start_seq(self) -> int:
        """The `seq` after which a reader without a cursor begins."""

    @abstractmethod
    async def open(self, recent: bool) -> None:
        """Read the head, and with `recent` the events of late. The broker must be delivering
        already."""

    async def load_recent(self, cursor: int) -> None:
        """Have in memory what a reader at that `seq` needs, where it may be missing."""
        return

    async def honours(self, cursor: Cursor) -> bool:
        """Whether the event at that cursor is the one that it names."""
        return True

    def check_at(self, seq: int) -> str:
        """The check of the event of that `seq`; empty where it is not in memory."""
        return self.check if seq == self.head else ""

    async def compare(self) -> None:
        """Compare what is known here with the database, which may have lost some of it: then all
        readers are reset, and those who wait read again."""
        return

    def _begin_anew(self, head: int, check: str) -> None:
        """Go on from what the database has."""
        self.head, self.check, self._wanted = head, check, head
        for subscription in tuple(self.subscriptions):
            subscription.reset()
        for waiting in self.waiters.values():
            waiting.wake(None)

    def close(self) -> None:
        """Stop filling gaps and delivering."""
        for task in (self._filling, self._delivering):
            if task is not None:
                task.cancel()

    def join(self, subscription: Subscription) -> None:
        """Add a subscription."""
        self.subscriptions[subscription] = None

    def leave(self, subscription: Subscription) -> None:
        """Remove it; harmless if it is not there."""
        self.subscriptions.pop(subscription, None)
        self.touched.add(self)

    def receive(self, event: Event) -> None:
        """An event from the broker: the next one, a known one, or one after a gap."""
        if self._open and self._is_next(event):
            self._advance(event)
        else:
            self.hint(event.seq)

    def hint(self, seq: int) -> None:
        """The head may be at `seq` already: read on if it is not known here."""
        self._wanted = max(self._wanted, seq)
        if self._wanted <= self.head:
            return
        self.touched.add(self)
        if self._open and self._filling is None:
            self._filling = asyncio.create_task(self._fill(), name=f"fill {self.name}")

    @abstractmethod
    def recent(self, cursor: int) -> list[Event] | None:
        """The events a reader at that `seq` needs, or None where they are not in memory."""

    @abstractmethod
    async def load(self, cursor: int) -> LogPage:
        """The next of them from the database."""

    @abstractmethod
    def drop_ring(self) -> None:
        """Drop the events in memory: the stored ones were rewritten."""

    @abstractmethod
    def drop_encoded(self) -> None:
        """Drop what is encoded of the events in memory."""

    @abstractmethod
    def _is_next(self, event: Event) -> bool:
        """Whether it can be delivered next."""

    @abstractmethod
    async def _read_on(self) -> None:
        """Read once what comes after the head."""

    async def _fill(self) -> None:
        wanted = self._wanted
        try:
            while self._wanted > self.head:
                # A hint from here on may mean an event that this read does not see yet.
                wanted, self._wanted = self._wanted, self.head
                await self._read_on()
        except BaseException as error:
            self._wanted = max(self._wanted, wanted)
            self.touched.add(self)  # a sweep may have looked at it since the hint
            if isinstance(error, asyncio.CancelledError):
                raise
            words = "filling a gap in %s failed; the sweep will try again"
            log_failure(logger, error, words, self.name)
        finally:
            self._filling = None

    def _advance(self, event: Event) -> None:
        self.head, self.check = event.seq, check_of(event.at)
        self.touched.add(self)
        if self._delivering is None:
            if len(self.subscriptions) > DIRECT_READERS:
                self._delivering = asyncio.create_task(self._deliver(), name=f"deliver {self.name}")
            else:
                for subscription in tuple(self.subscriptions):
                    if subscription.live:
                        subscription.offer(event)
        if (waiting := self.waiters.get(event.subject)) is not None:
            waiting.wake(event)

    async def _deliver(self) -> None:
        """Bring all live subscriptions to the head, also where it moves meanwhile.

        Only here may a live subscription be behind the head.
        """
        try:
            head = -1
            while head != self.head:
                head = self.head
                cursor, events = head, self.recent(head)
                until = time.monotonic() + SLICE_SECONDS
                for subscription in tuple(self.subscriptions):
                    if not subscription.live or subscription.cursor >= head:
                        continue
                    if subscription.cursor != cursor:  # most are at the same one
                        cursor = subscription.cursor
                        events = self.recent(cursor)
                    subscription.advance(events)
                    if time.monotonic() >= until:
                        await asyncio.sleep(0)
                        until = time.monotonic() + SLICE_SECONDS
                        cursor, events = head, []
        finally:
            self._delivering = None
