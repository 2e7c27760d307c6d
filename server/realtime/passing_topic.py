"""A passing topic: told to whoever listens now, and kept nowhere."""

from dataclasses import replace
from datetime import timedelta

from server.core.clock import now, to_text
from server.realtime.event import Event
from server.realtime.log import Stretch
from server.realtime.topic import Topic

PASSING = "passing/"
"""Begins the name of every passing topic, so that each process knows it for one."""
PASSES = timedelta(seconds=60)
"""What is older tells nothing any more; the clocks of several machines differ."""


class PassingTopic(Topic):
    """Events are numbered as they arrive here; a reader that has no room misses them.

    The broker is all that carries them, so without Redis they stay within their process.
    """

    gapless = False

    @property
    def present(self) -> int:
        """After everything: there is no history."""
        return self.head

    async def open(self) -> None:
        """Nothing to read."""
        self._open = True

    def receive(self, event: Event) -> None:
        """Whatever comes is new, but for what is sent once more much later: it has no `seq` to be
        known by."""
        if event.at >= to_text(now() - PASSES):
            self._advance(replace(event, seq=self.head + 1))

    def hint(self, seq: int) -> None:
        """There is nothing to be found anywhere."""

    def recent(self, cursor: int) -> list[Event]:
        """Nothing: what has passed is gone."""
        return []

    async def load(self, cursor: int) -> Stretch:
        """Nothing."""
        return Stretch(cursor, 0, ())

    def forget(self) -> None:
        """Nothing is remembered."""

    def cool(self) -> None:
        """Nothing is kept."""

    def _fits(self, event: Event) -> bool:
        return True

    async def _fill(self) -> None:
        """There are no gaps."""
