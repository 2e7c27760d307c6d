"""A topic as one process knows it, and its subscriptions: a cursor and a sink each, live or
catching up."""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from typing import Protocol

from server.core.logging import log_failure
from server.realtime.event import Event
from server.realtime.log import LogPage

logger = logging.getLogger(__name__)


class Sink(Protocol):
    """Where a subscription's events go: a connection, a queue, in a test a list."""

    def write(self, event: Event) -> bool:
        """Take the event; False where there is no room, and then it was not taken."""
        ...

    async def ready(self) -> None:
        """Returns once there is room. Raises ConnectionError where there never will be."""
        ...

    def reset(self) -> None:
        """The cursor cannot be honoured: tell the reader, and end."""
        ...

    def fail(self) -> None:
        """The events cannot be had now: end, so that the reader comes back."""
        ...


class Subscription:
    """Every event of the topic after `cursor`, each once and in order, into the sink.

    Live, the topic brings each event as it comes. Catching up, a task of the subscription's own
    reads on from the cursor, and the topic leaves it alone.
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
        """Go live at once where the topic's ring reaches back far enough, else catch up."""
        if not self._go_live():
            self.catch_up()

    def offer(self, event: Event) -> None:
        """The topic's next event, while live."""
        if event.seq > self.cursor:
            fits = event.seq == self.cursor + 1 or not self.topic.gapless
            self._give([event] if fits else None)

    def advance(self) -> None:
        """Whatever lies between the cursor and the topic's head, while live."""
        if self.live and self.cursor < self.topic.head:
            self._give(self.topic.recent(self.cursor))

    def catch_up(self) -> None:
        """Leave the live ones, and come back to them from a task."""
        self.live = False
        if self._task is None and not self.closed:
            self._task = asyncio.create_task(self._run(), name="catch-up")

    def close(self) -> None:
        """No more events."""
        self.closed = True
        self.live = False
        self.topic.leave(self)
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _give(self, events: list[Event] | None) -> None:
        """Write these; where there is no room, or None are to be had, catch up."""
        try:
            taken = events is not None and self._take(events)
        except Exception:  # one reader's trouble must not become that of those after it
            logger.exception("a reader of %s failed", self.topic.name)
            self.live = False
            self.sink.fail()
            return
        if not taken:
            self.catch_up()

    def _take(self, events: list[Event]) -> bool:
        """Write these; False where the sink is full."""
        for event in events:
            if event.seq <= self.cursor:
                continue
            if not self.sink.write(event):
                return False
            self.cursor = event.seq
        return True

    def _go_live(self) -> bool:
        """Without an await, so that nothing can come between comparing and going live."""
        events = self.topic.recent(self.cursor)
        if events is None or not self._take(events):
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
                    await asyncio.sleep(0)  # a sink may be ready at once, and full again
                    continue
                stretch = await self.topic.load(self.cursor)
                if not stretch.continues(self.cursor):
                    self.sink.reset()
                    return
                self._take([event for event in stretch.events if event.seq <= self.topic.head])
                del stretch  # nobody is to keep a page in memory by reading slowly
        except asyncio.CancelledError:
            if not self.closed:  # not by us, and nobody would ever wake this reader again
                self.sink.fail()
            raise
        except ConnectionError:
            self.sink.fail()
        except Exception as error:
            log_failure(logger, error, "catching up on %s failed", self.topic.name)
            self.sink.fail()
        finally:
            self._task = None


DIRECT_READERS = 100
"""Readers that an event is written to in one go; more get it in slices."""
SLICE_SECONDS = 0.0005
"""How long a slice may hold the loop. What else there is to do has its turn in between."""


class Topic(ABC):
    """What the topics of the log and state topics have in common."""

    gapless = True
    """Whether a reader needs every event; else the newest will do."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.head = 0
        self.subscriptions: dict[Subscription, None] = {}
        self.waiters: dict[str, dict[asyncio.Future[Event | None], None]] = {}
        self.idle_since: float | None = None
        self._open = False
        self._wanted = 0
        self._filling: asyncio.Task[None] | None = None
        self._delivering: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nobody listens here any more."""
        return not self.subscriptions and not self.waiters

    @property
    @abstractmethod
    def start_seq(self) -> int:
        """The `seq` after which a reader without a cursor begins."""

    @abstractmethod
    async def open(self) -> None:
        """Read how far it has come. The broker must be delivering already."""

    def close(self) -> None:
        """Stop filling and delivering."""
        for task in (self._filling, self._delivering):
            if task is not None:
                task.cancel()

    def join(self, subscription: Subscription) -> None:
        """Events are offered to it from now on, while it is live."""
        self.subscriptions[subscription] = None
        self.idle_since = None

    def leave(self, subscription: Subscription) -> None:
        """The opposite; harmless if it was not there."""
        self.subscriptions.pop(subscription, None)

    def receive(self, event: Event) -> None:
        """An event from the broker: the next one, one that is known, or the far side of a gap."""
        if self._open and self._is_next(event):
            self._advance(event)
        else:
            self.hint(event.seq)

    def hint(self, seq: int) -> None:
        """The topic is said to reach that far."""
        self._wanted = max(self._wanted, seq)
        if self._open and self._wanted > self.head and self._filling is None:
            self._filling = asyncio.create_task(self._fill(), name=f"fill {self.name}")

    @abstractmethod
    def recent(self, cursor: int) -> list[Event] | None:
        """What a reader at that `seq` needs now, or None where that is not to be had from here."""

    @abstractmethod
    async def load(self, cursor: int) -> LogPage:
        """The same from the database."""

    @abstractmethod
    def drop_ring(self) -> None:
        """What is stored was rewritten: read it again when somebody asks."""

    @abstractmethod
    def drop_encoded(self) -> None:
        """Drop what was encoded of the events kept: nobody has read them for a while."""

    @abstractmethod
    def _is_next(self, event: Event) -> bool:
        """Whether it may follow what is known."""

    @abstractmethod
    async def _fill(self) -> None:
        """Read on to `_wanted`, then forget the task."""

    def _advance(self, event: Event) -> None:
        self.head = event.seq
        if self._delivering is None:
            if len(self.subscriptions) > DIRECT_READERS:
                self._delivering = asyncio.create_task(self._deliver(), name=f"deliver {self.name}")
            else:
                for subscription in tuple(self.subscriptions):
                    if subscription.live:
                        subscription.offer(event)
        for future in self.waiters.get(event.subject, ()):
            if not future.done():
                future.set_result(event)

    async def _deliver(self) -> None:
        """Bring everybody who is live to the head, however often that moves meanwhile.

        Who is live and waits for a turn is behind the head until then, and nowhere else.
        """
        try:
            head = -1
            while head != self.head:
                head = self.head
                until = time.monotonic() + SLICE_SECONDS
                for subscription in tuple(self.subscriptions):
                    subscription.advance()
                    if time.monotonic() >= until:
                        await asyncio.sleep(0)
                        until = time.monotonic() + SLICE_SECONDS
        finally:
            self._delivering = None
