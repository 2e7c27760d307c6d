"""A topic of the log in one process: its recent events, and how gaps are filled."""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Sequence

from server.core.logging import log_failure
from server.realtime.event import Cursor, Event, check_of
from server.realtime.log import EventLog, LogPage
from server.realtime.topic import Topic

logger = logging.getLogger(__name__)

RING = 256
"""Recent events kept per topic: enough for most readers that reconnect."""
PAGE = 256
"""Events per read of the log, at most."""
PAGE_BYTES = 256 * 1024
"""Bytes per read, estimated from the read before: a reader accepts 64 KiB at a time."""


class RingMemory:
    """The memory that the recent events of all topics take, and its limits.

    `max_per_topic` and `max_total` are bytes, 0 is no limit. Beyond `max_total`, the topic that
    has been quiet for the longest time loses its recent events, which can be read from the log.
    """

    def __init__(self, max_per_topic: int, max_total: int) -> None:
        self.max_per_topic = max_per_topic
        self.bytes = 0
        self._max_total = max_total
        self._topics: OrderedDict[LogTopic, None] = OrderedDict()

    def add(self, topic: "LogTopic", size: int) -> None:
        """The topic keeps `size` bytes more."""
        self.bytes += size
        self._topics[topic] = None
        self._topics.move_to_end(topic)
        while self._max_total and self.bytes > self._max_total:
            next(iter(self._topics)).drop_ring()

    def remove(self, topic: "LogTopic", size: int) -> None:
        """The topic has dropped its `size` bytes."""
        self.bytes -= size
        self._topics.pop(topic, None)


class LogTopic(Topic):
    """The ring is contiguous and ends at `head`; gaps are filled from the log."""

    def __init__(self, name: str, log: EventLog, rings: RingMemory) -> None:
        super().__init__(name)
        self._log = log
        self._rings = rings
        self._ring: deque[Event] = deque()
        self._bytes = 0
        self._drops = 0
        """How often the ring was dropped."""
        self._loaded = False
        self._loading: asyncio.Task[None] | None = None
        self._page = PAGE
        self._warm = 0
        """The `seq` of the first event of the ring that may have something `encoded`; 0: none."""
        self._loads: dict[tuple[int, int], asyncio.Task[LogPage]] = {}
        self._checks: dict[int, asyncio.Task[str | None]] = {}

    @property
    def start_seq(self) -> int:
        """After the last event."""
        return self.head

    async def open(self, recent: bool) -> None:
        """Read the head, and with `recent` the recent events. The broker must be delivering
        already."""
        page = await self._log.newest(self.name, RING if recent else 0)
        self.head, self.check, self._loaded = page.head, page.check, recent
        self._keep_older(page.events)
        self._open = True
        self.hint(self._wanted)

    async def load_recent(self, cursor: int) -> None:
        """Read the recent events, once, for a reader that is behind; those that come together share
        the read. Held requests and readers from now on need none of them."""
        if self._loaded or cursor < 0 or self.recent(cursor) is not None:
            return
        if self._loading is None:
            self._loading = asyncio.create_task(self._read_ring(), name=f"recent {self.name}")
        await asyncio.shield(self._loading)

    async def _read_ring(self) -> None:
        drops = self._drops
        try:
            page = await self._log.newest(self.name, RING)
        except Exception as error:
            log_failure(logger, error, "reading the recent events of %s failed", self.name)
            return  # readers catch up from the log
        finally:
            self._loading = None
        self._loaded = True
        if drops == self._drops:  # else it may be out of date
            self._keep_older(page.events)

    def close(self) -> None:
        """Stop filling gaps, and drop everything."""
        super().close()
        self.drop_ring()
        for task in (self._loading, *self._loads.values(), *self._checks.values()):
            if task is not None:
                task.cancel()

    async def honours(self, cursor: Cursor) -> bool:
        """Whether the event at that cursor is the one that it names; readers at the same one share
        the read."""
        if cursor.fits(self.check_at(cursor.seq)):
            return True
        task = self._checks.get(cursor.seq)
        if task is None:
            seq = cursor.seq
            task = asyncio.create_task(self._log.read_check(self.name, seq), name="check")
            self._checks[seq] = task
            task.add_done_callback(lambda _: self._checks.pop(seq))
        return cursor.fits(await asyncio.shield(task))

    async def compare(self) -> None:
        """See `Topic.compare`: the event at `head` tells of all before it."""
        if Cursor("", self.name, self.head, self.check).fits(
            await self._log.read_check(self.name, self.head)
        ):
            return
        page = await self._log.newest(self.name, RING)
        self.drop_ring()
        self._begin_anew(page.head, page.check)
        self._keep_older(page.events)

    def check_at(self, seq: int) -> str:
        """The check of the event of that `seq`; empty where it is not in memory."""
        index = len(self._ring) - 1 - (self.head - seq)
        if 0 <= index < len(self._ring):
            return check_of(self._ring[index].at)
        return super().check_at(seq)

    def recent(self, cursor: int) -> list[Event] | None:
        """The events after that `seq`, or None where the ring does not reach back to it."""
        missing = self.head - cursor
        if missing == 0:
            return []
        if missing < 0 or missing > len(self._ring):
            return None
        self._warm = min(self._warm or cursor + 1, cursor + 1)
        self.touched.add(self)
        return [self._ring[i] for i in range(len(self._ring) - missing, len(self._ring))]

    async def load(self, cursor: int) -> LogPage:
        """A page of the log with the event after that `seq`; concurrent readers share one read."""
        size = self._page
        start = cursor // size * size
        task = self._loads.get((start, size))
        joined = task is not None
        if task is None:
            task = asyncio.create_task(self._load(start, size), name="load")
            self._loads[start, size] = task
        page = await asyncio.shield(task)
        if joined and page.head < cursor:  # it began before the cursor's event was written
            page = await self._read(start, size)
        self.hint(page.head)
        return page

    async def _load(self, start: int, size: int) -> LogPage:
        """One read that is shared. Nobody finds it once it is over: readers still behind would get
        its page again and again, without ever waiting, and nothing else would run."""
        try:
            return await self._read(start, size)
        finally:
            del self._loads[start, size]

    async def _read(self, after: int, count: int) -> LogPage:
        """Read events after that `seq`, and adjust the next read's count to their size."""
        page = await self._log.read(self.name, after, count)
        if page.events:
            average = sum(event.size for event in page.events) // len(page.events)
            self._page = max(1, min(PAGE, PAGE_BYTES // average))
        return page

    def drop_ring(self) -> None:
        """Drop the recent events: readers get them from the log."""
        self._ring.clear()
        self._drops += 1
        self._rings.remove(self, self._bytes)
        self._bytes = 0

    def drop_encoded(self) -> None:
        """Drop what is encoded of the events given out since the last call."""
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
        """Keep it as the newest, and drop the oldest beyond the limits."""
        self._ring.append(event)
        self._bytes += event.size
        added = event.size
        most = self._rings.max_per_topic
        while len(self._ring) > RING or (most and self._bytes > most and len(self._ring) > 1):
            dropped = self._ring.popleft().size
            self._bytes -= dropped
            added -= dropped
        self._rings.add(self, added)

    def _keep_older(self, events: Sequence[Event]) -> None:
        """Keep those that come before the ring, as far as they are contiguous and fit."""
        added, most = 0, self._rings.max_per_topic
        for event in reversed(events):
            first = self._ring[0].seq if self._ring else self.head + 1
            if event.seq >= first:
                continue
            full = len(self._ring) >= RING or (most and self._bytes + added + event.size > most)
            if event.seq != first - 1 or full:
                break
            self._ring.appendleft(event)
            added += event.size
        if added:
            self._bytes += added
            self._rings.add(self, added)

    def _skip_to(self, seq: int, page: LogPage) -> None:
        """Events before `seq` are trimmed: subscriptions that miss them notice as they catch up,
        and waiters read again, as an event may have been about their subject."""
        self.head, self.check = seq, page.check if seq == page.head else ""
        self.drop_ring()
        for subscription in tuple(self.subscriptions):
            if subscription.live:
                subscription.catch_up()
        for waiting in self.waiters.values():
            waiting.wake(None)

    async def _read_on(self) -> None:
        before = self.head
        page = await self._read(before, self._page)
        if self.head == before < page.head and not page.continues(before):
            first = page.events[0].seq if page.events else page.head + 1
            self._skip_to(first - 1, page)
        for event in page.events:
            if event.seq == self.head + 1:
                self._advance(event)
        self._wanted = max(self._wanted, page.head)
