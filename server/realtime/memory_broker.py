"""The broker of a process on its own: there is nobody else to tell."""

from collections.abc import Callable, Sequence

from server.core.lifecycle import SupervisedTask
from server.realtime.event import Event


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

    async def open(self, epoch: str) -> None:
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
