"""Ephemeral topics: their events go to the present subscriptions, and are stored nowhere."""

from dataclasses import replace
from datetime import timedelta

from server.core.clock import now, to_text
from server.realtime.event import Event
from server.realtime.log import LogPage
from server.realtime.topic import Topic

EPHEMERAL = "ephemeral/"
"""The prefix of ephemeral topics' names."""
MAX_AGE = timedelta(seconds=60)
"""Older events are replays; the clocks of several machines differ by less."""


class EphemeralTopic(Topic):
    """Events are numbered as they arrive; a reader without room misses them.

    Only the broker carries them, so without Redis they stay within their process.
    """

    gapless = False

    @property
    def start_seq(self) -> int:
        """After the last event: there is no history."""
        return self.head

    async def open(self, recent: bool) -> None:
        """Nothing to read."""
        self._open = True

    def receive(self, event: Event) -> None:
        """Every event is new, unless it is old: then somebody replays it, as it has no `seq` to be
        recognised by."""
        if event.at >= to_text(now() - MAX_AGE):
            self._advance(replace(event, seq=self.head + 1))

    def hint(self, seq: int) -> None:
        """Nothing to read."""

    def recent(self, cursor: int) -> list[Event]:
        """Nothing: events are not kept."""
        return []

    async def load(self, cursor: int) -> LogPage:
        """Nothing."""
        return LogPage(cursor, 0, ())

    def drop_ring(self) -> None:
        """Nothing to drop."""

    def drop_encoded(self) -> None:
        """Nothing to drop."""

    def _is_next(self, event: Event) -> bool:
        return True

    async def _read_on(self) -> None:
        """There are no gaps."""
