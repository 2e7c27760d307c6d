"""A topic as one process knows it: its head, and who listens here."""

import asyncio
import time
from abc import ABC, abstractmethod

from server.realtime.event import Event
from server.realtime.log import Stretch
from server.realtime.subscription import Subscription

AT_ONCE = 100
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
        self.left_at: float | None = None
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
    def present(self) -> int:
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
        self.left_at = None

    def leave(self, subscription: Subscription) -> None:
        """The opposite; harmless if it was not there."""
        self.subscriptions.pop(subscription, None)

    def receive(self, event: Event) -> None:
        """An event from the broker: the next one, one that is known, or the far side of a gap."""
        if self._open and self._fits(event):
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
    async def load(self, cursor: int) -> Stretch:
        """The same from the database."""

    @abstractmethod
    def forget(self) -> None:
        """What is stored was rewritten: read it again when somebody asks."""

    @abstractmethod
    def cool(self) -> None:
        """Drop what was encoded of the events kept: nobody has read them for a while."""

    @abstractmethod
    def _fits(self, event: Event) -> bool:
        """Whether it may follow what is known."""

    @abstractmethod
    async def _fill(self) -> None:
        """Read on to `_wanted`, then forget the task."""

    def _advance(self, event: Event) -> None:
        self.head = event.seq
        if self._delivering is None:
            if len(self.subscriptions) > AT_ONCE:
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
