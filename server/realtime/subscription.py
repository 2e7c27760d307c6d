"""A subscription: a cursor and a sink, live or catching up."""

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from server.core.logging import log_failure
from server.realtime.event import Event

if TYPE_CHECKING:
    from server.realtime.topic import Topic

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
