"""A passing topic: told to whoever listens now, and kept nowhere."""

from dataclasses import replace
from datetime import timedelta

from server.core.clock import now, to_text
from server.realtime.event import Event
from server.realtime.log import LogPage
from server.realtime.topic import Topic

EPHEMERAL = "ephemeral/"
"""Begins the name of every passing topic, so that each process knows it for one."""
MAX_AGE = timedelta(seconds=60)
"""What is older tells nothing any more; the clocks of several machines differ."""


class EphemeralTopic(Topic):
    """Events are numbered as they arrive here; a reader that has no room misses them.

    The broker is all that carries them, so without Redis they stay within their process.
    """

    gapless = False

    @property
    def start_seq(self) -> int:
        """After everything: there is no history."""
        return self.head

    async def open(self) -> None:
        """Nothing to read."""
        self._open = True

    def receive(self, event: Event) -> None:
        """Whatever comes is new, but for what is sent once more much later: it has no `seq` to be
        known by."""
        if event.at >= to_text(now() - MAX_AGE):
            self._advance(replace(event, seq=self.head + 1))

    def hint(self, seq: int) -> None:
        """There is nothing to be found anywhere."""

    def recent(self, cursor: int) -> list[Event]:
        """Nothing: what has passed is gone."""
        return []

    async def load(self, cursor: int) -> LogPage:
        """Nothing."""
        return LogPage(cursor, 0, ())

    def drop_ring(self) -> None:
        """Nothing is remembered."""

    def drop_encoded(self) -> None:
        """Nothing is kept."""

    def _is_next(self, event: Event) -> bool:
        return True

    async def _fill(self) -> None:
        """There are no gaps."""
