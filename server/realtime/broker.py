"""What a broker is: a hint to other processes that something was appended."""

from collections.abc import Callable, Sequence
from typing import Protocol

from server.core.lifecycle import SupervisedTask
from server.realtime.event import Event


class Broker(Protocol):
    """Carries committed events to every process that listens to their topic.

    It may lose, repeat and reorder: the hub and its sweep put that right. It never blocks.
    """

    deliver: Callable[[Event], None]
    """Called with each event that arrives; the hub sets it."""
    reconnected: Callable[[], None]
    """Called when events may have been lost; the hub sets it."""
    rejected: int
    """Messages so far that no process of this server sent."""

    @property
    def tasks(self) -> Sequence[SupervisedTask]:
        """What runs for as long as it is open."""
        ...

    async def open(self, name: str) -> None:
        """Start, or go on, with the processes that open it under the same name; returns also where
        the broker is out of reach."""
        ...

    async def close(self) -> None:
        """Stop, and give everything back."""
        ...

    def publish(self, events: Sequence[Event]) -> None:
        """Send these, in order, without waiting."""
        ...

    async def subscribe(self, topic: str) -> None:
        """Returns once events of the topic arrive, or it is clear that they won't for now."""
        ...

    async def unsubscribe(self, topic: str) -> None:
        """The topic's events are no longer wanted here."""
        ...

    @property
    def state(self) -> str:
        """`ok`, or a description of the error."""
        ...


class MemoryBroker:
    """Hands this process's own events to its hub.

    Other processes on the same database find them by their sweep, half a second later.
    """

    state = "ok"
    tasks: Sequence[SupervisedTask] = ()
    rejected = 0

    def __init__(self) -> None:
        self.deliver: Callable[[Event], None] = lambda event: None
        self.reconnected: Callable[[], None] = lambda: None

    async def open(self, name: str) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        """Nothing to stop."""

    def publish(self, events: Sequence[Event]) -> None:
        """Deliver at once."""
        for event in events:
            self.deliver(event)

    async def subscribe(self, topic: str) -> None:
        """Everything of this process arrives here anyway."""

    async def unsubscribe(self, topic: str) -> None:
        """See `subscribe`."""
