"""A state topic in one process: the newest event and nothing before it."""

import asyncio
import logging

from server.core.logging import log_failure
from server.realtime.event import Event
from server.realtime.log import Stretch
from server.realtime.states import States
from server.realtime.topic import Topic

logger = logging.getLogger(__name__)


class StateTopic(Topic):
    """Whoever is behind gets the newest; what lay between is of no use to anybody."""

    gapless = False

    def __init__(self, name: str, states: States) -> None:
        super().__init__(name)
        self._states = states
        self._newest: Event | None = None

    @property
    def present(self) -> int:
        """Before everything: the state that there is comes first."""
        return 0

    async def open(self) -> None:
        """Read the present state. The broker must be delivering already."""
        newest = await self._states.read(self.name)
        if newest is not None:
            self.head, self._newest = newest.seq, newest
        self._open = True
        self.hint(self._wanted)

    def recent(self, cursor: int) -> list[Event] | None:
        """The newest, if the reader has not had it; None for a reader from the future."""
        if cursor > self.head:
            return None
        return [self._newest] if self._newest is not None and cursor < self.head else []

    async def load(self, cursor: int) -> Stretch:
        """Whether the state has come as far as a reader who claims to know more than this
        process; no events, as `recent` has the newest once it is known here."""
        newest = await self._states.read(self.name)
        head = newest.seq if newest is not None else 0
        if newest is not None and head > self.head:
            self._advance(newest)
        return Stretch(cursor if cursor <= head else head, 0, ())

    def forget(self) -> None:
        """Nothing: a state is replaced, never rewritten."""

    def cool(self) -> None:
        """Of the newest, encode anew for whoever comes next."""
        if self._newest is not None:
            self._newest.encoded.clear()

    def _fits(self, event: Event) -> bool:
        return event.seq > self.head

    def _advance(self, event: Event) -> None:
        self._newest = event
        super()._advance(event)

    async def _fill(self) -> None:
        try:
            while self._wanted > self.head:
                wanted, self._wanted = self._wanted, self.head
                newest = await self._states.read(self.name)
                if newest is not None and newest.seq > self.head:
                    self._advance(newest)
        except asyncio.CancelledError:
            self._wanted = max(self._wanted, wanted)
            raise
        except Exception as error:
            self._wanted = max(self._wanted, wanted)
            log_failure(logger, error, "reading %s failed; the sweep will try again", self.name)
        finally:
            self._filling = None
