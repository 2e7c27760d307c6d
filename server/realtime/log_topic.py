"""A topic of the log in one process: its recent events, and how gaps are filled."""

import asyncio
import logging
from collections import OrderedDict, deque

from server.core.logging import log_failure
from server.realtime.event import Event
from server.realtime.log import EventLog, LogPage
from server.realtime.topic import Topic

logger = logging.getLogger(__name__)

RING = 256
"""Recent events kept a topic: most of those who come back find theirs here."""
PAGE = 256
"""Events a read of the log brings, at most."""
PAGE_BYTES = 256 * 1024
"""What it is to bring, by what the one before has brought: a reader takes 64 KiB at a time."""


class RingMemory:
    """What the recent events of all topics of a process take in memory, and the bounds of that.

    `max_per_topic` and `most` are bytes, 0 is no bound. Beyond `most`, the topic in which nothing
    has happened for the longest time loses its recent events, which can be read from the log.
    """

    def __init__(self, max_per_topic: int, most: int) -> None:
        self.max_per_topic = max_per_topic
        self.bytes = 0
        self._most = most
        self._topics: OrderedDict[LogTopic, None] = OrderedDict()

    def add(self, topic: "LogTopic", size: int) -> None:
        """The topic keeps an event of that size more."""
        self.bytes += size
        self._topics[topic] = None
        self._topics.move_to_end(topic)
        while self._most and self.bytes > self._most:
            next(iter(self._topics)).drop_ring()

    def remove(self, topic: "LogTopic", size: int) -> None:
        """The topic has let go of all it kept."""
        self.bytes -= size
        self._topics.pop(topic, None)


class LogTopic(Topic):
    """The ring is contiguous and ends at `head`; a gap is filled from the log, once for all."""

    def __init__(self, name: str, log: EventLog, rings: RingMemory) -> None:
        super().__init__(name)
        self._log = log
        self._rings = rings
        self._ring: deque[Event] = deque()
        self._bytes = 0
        self._page = PAGE
        self._warm = 0
        """The `seq` of the first event of the ring that may have something `encoded`; 0: none."""
        self._loads: dict[tuple[int, int], asyncio.Task[LogPage]] = {}

    @property
    def start_seq(self) -> int:
        """After everything there is."""
        return self.head

    async def open(self) -> None:
        """Read the head and the recent events. The broker must be delivering already."""
        stretch = await self._log.newest(self.name, RING)
        self.head = stretch.head
        first = stretch.head - len(stretch.events) + 1
        if [event.seq for event in stretch.events] == list(range(first, stretch.head + 1)):
            for event in stretch.events:
                self._keep(event)
        self._open = True
        self.hint(self._wanted)

    def close(self) -> None:
        """Stop filling, and keep nothing."""
        super().close()
        self.drop_ring()
        for task in self._loads.values():
            task.cancel()

    def recent(self, cursor: int) -> list[Event] | None:
        """The events after that `seq`, or None where the ring does not reach back to it."""
        missing = self.head - cursor
        if missing == 0:
            return []
        if missing < 0 or missing > len(self._ring):
            return None
        self._warm = min(self._warm or cursor + 1, cursor + 1)
        return [self._ring[i] for i in range(len(self._ring) - missing, len(self._ring))]

    async def load(self, cursor: int) -> LogPage:
        """A page of the log that holds the event after that `seq`; one read for all who ask."""
        size = self._page
        start = cursor // size * size
        task = self._loads.get((start, size))
        joined = task is not None
        if task is None:
            task = asyncio.create_task(self._read(start, size), name="load")
            self._loads[start, size] = task
            task.add_done_callback(lambda _: self._loads.pop((start, size), None))
        stretch = await asyncio.shield(task)
        if joined and stretch.head < cursor:  # begun before the cursor's event was written
            stretch = await self._read(start, size)
        self.hint(stretch.head)
        return stretch

    async def _read(self, after: int, count: int) -> LogPage:
        """So many events after that `seq`; how large they are says how many the next read asks
        for."""
        stretch = await self._log.read(self.name, after, count)
        if stretch.events:
            average = sum(event.size for event in stretch.events) // len(stretch.events)
            self._page = max(1, min(PAGE, PAGE_BYTES // average))
        return stretch

    def drop_ring(self) -> None:
        """Keep no recent events: whoever asks for them reads them from the log."""
        self._ring.clear()
        self._rings.remove(self, self._bytes)
        self._bytes = 0

    def drop_encoded(self) -> None:
        """Drop what was encoded of events that were given out since the last time."""
        if self._warm and self._ring:
            first = self._ring[0].seq
            for i in range(max(0, self._warm - first), len(self._ring)):
                self._ring[i].encoded.clear()
        self._warm = 0

    def _is_next(self, event: Event) -> bool:
        return event.seq == self.head + 1

    def _advance(self, event: Event) -> None:
        self._keep(event)
        self._warm = self._warm or event.seq
        super()._advance(event)

    def _keep(self, event: Event) -> None:
        """Keep it as the newest, and of those before it what there is room for."""
        self._ring.append(event)
        self._bytes += event.size
        added = event.size
        most = self._rings.max_per_topic
        while len(self._ring) > RING or (most and self._bytes > most and len(self._ring) > 1):
            dropped = self._ring.popleft().size
            self._bytes -= dropped
            added -= dropped
        self._rings.add(self, added)

    def _skip_to(self, seq: int) -> None:
        """What lies before is gone: whoever has not had it yet finds that out by reading on, and
        who waits for a subject is told to look again, as it may have been about that."""
        self.head = seq
        self.drop_ring()
        for subscription in tuple(self.subscriptions):
            if subscription.live:
                subscription.catch_up()
        for futures in self.waiters.values():
            for future in futures:
                if not future.done():
                    future.set_result(None)

    async def _fill(self) -> None:
        wanted = self._wanted
        try:
            while self._wanted > self.head:
                # Whoever asks for more from here on may mean what this read is too early to see.
                wanted, self._wanted = self._wanted, self.head
                before = self.head
                stretch = await self._read(before, self._page)
                if self.head == before < stretch.head and not stretch.continues(before):
                    first = stretch.events[0].seq if stretch.events else stretch.head + 1
                    self._skip_to(first - 1)
                for event in stretch.events:
                    if event.seq == self.head + 1:
                        self._advance(event)
                self._wanted = max(self._wanted, stretch.head)
        except asyncio.CancelledError:
            self._wanted = max(self._wanted, wanted)
            raise
        except Exception as error:
            self._wanted = max(self._wanted, wanted)
            words = "filling a gap in %s failed; the sweep will try again"
            log_failure(logger, error, words, self.name)
        finally:
            self._filling = None
