"""A topic of the log in one process: its recent events, and how gaps are filled."""

import asyncio
import logging
from collections import deque

from server.realtime.event import Event
from server.realtime.log import EventLog, Stretch
from server.realtime.topic import Topic

logger = logging.getLogger(__name__)

RING = 256
"""Recent events kept a topic: most of those who come back find theirs here."""
PAGE = 256
"""Events a read of the log brings."""


class LogTopic(Topic):
    """The ring is contiguous and ends at `head`; a gap is filled from the log, once for all."""

    def __init__(self, name: str, log: EventLog) -> None:
        super().__init__(name)
        self._log = log
        self._ring: deque[Event] = deque(maxlen=RING)
        self._loads: dict[int, asyncio.Task[Stretch]] = {}

    @property
    def present(self) -> int:
        """After everything there is."""
        return self.head

    async def open(self) -> None:
        """Read the head and the recent events. The broker must be delivering already."""
        stretch = await self._log.newest(self.name, RING)
        self.head = stretch.head
        first = stretch.head - len(stretch.events) + 1
        if [event.seq for event in stretch.events] == list(range(first, stretch.head + 1)):
            self._ring.extend(stretch.events)
        self._open = True
        self.hint(self._wanted)

    def close(self) -> None:
        """Stop filling."""
        super().close()
        for task in self._loads.values():
            task.cancel()

    def recent(self, cursor: int) -> list[Event] | None:
        """The events after that `seq`, or None where the ring does not reach back to it."""
        missing = self.head - cursor
        if missing == 0:
            return []
        if missing < 0 or missing > len(self._ring):
            return None
        return [self._ring[i] for i in range(len(self._ring) - missing, len(self._ring))]

    async def load(self, cursor: int) -> Stretch:
        """A page of the log that holds the event after that `seq`; one read for all who ask."""
        page = cursor // PAGE * PAGE
        task = self._loads.get(page)
        joined = task is not None
        if task is None:
            task = asyncio.create_task(self._log.read(self.name, page, PAGE), name="load")
            self._loads[page] = task
            task.add_done_callback(lambda _: self._loads.pop(page, None))
        stretch = await asyncio.shield(task)
        if joined and stretch.head < cursor:  # begun before the cursor's event was written
            stretch = await self._log.read(self.name, page, PAGE)
        self.hint(stretch.head)
        return stretch

    def forget(self) -> None:
        """The stored events were rewritten: read them again when somebody asks."""
        self._ring.clear()

    def _fits(self, event: Event) -> bool:
        return event.seq == self.head + 1

    def _advance(self, event: Event) -> None:
        self._ring.append(event)
        super()._advance(event)

    def _skip_to(self, seq: int) -> None:
        """What lies before is gone: whoever has not had it yet finds that out by reading on."""
        self.head = seq
        self._ring.clear()
        for subscription in tuple(self.subscriptions):
            if subscription.live:
                subscription.catch_up()
        for futures in self.waiters.values():
            for future in futures:
                future.cancel()

    async def _fill(self) -> None:
        wanted = self._wanted
        try:
            while self._wanted > self.head:
                # Whoever asks for more from here on may mean what this read is too early to see.
                wanted, self._wanted = self._wanted, self.head
                before = self.head
                stretch = await self._log.read(self.name, before, PAGE)
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
        except Exception:
            self._wanted = max(self._wanted, wanted)
            logger.exception("filling a gap in %s failed; the sweep will try again", self.name)
        finally:
            self._filling = None
