"""A sink that reads a topic for the life of its process, and the reader of rewritten topics."""

import asyncio
import json
import logging
from abc import ABC, abstractmethod

from server.core.errors import Problem
from server.core.lifecycle import Component
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.log import REWRITES
from server.realtime.topic import Subscription

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


class TopicReader(Component, ABC):
    """A sink that subscribes again whenever its subscription fails; it always has room."""

    def __init__(self, hub: Hub, topic: str) -> None:
        self._hub = hub
        self._topic = topic
        self._subscription: Subscription | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @abstractmethod
    def write(self, event: Event) -> bool:
        """Act on the event; True."""

    @abstractmethod
    def on_gap(self) -> None:
        """Called once it is subscribed again: events may have been missed before."""

    async def open(self) -> None:
        """Subscribe from now."""
        self._subscription = await self._hub.subscribe(self._topic, None, self)

    async def close(self) -> None:
        """The hub ends the subscription."""

    async def ready(self) -> None:
        """At once."""
        return

    def reset(self) -> None:
        """Events may have been missed: subscribe again from now."""
        logger.warning("the subscription to %s was lost; subscribing again", self._topic)
        if self._subscription is not None:
            self._subscription.close()
        task = asyncio.create_task(self._resubscribe(), name=f"resubscribe {self._topic}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def fail(self) -> None:
        """As after a reset."""
        self.reset()

    async def _resubscribe(self) -> None:
        while True:
            try:
                await self.open()
                # Only now, so that no event falls between this and the subscription.
                self.on_gap()
                return
            except Problem:  # the database is out of reach
                pass
            except Exception:
                logger.exception("subscribing to %s failed; it will be tried again", self._topic)
            await asyncio.sleep(RETRY_SECONDS)


class RewriteReader(TopicReader):
    """Reads `REWRITES`: the hub drops its recent events of the topics named there.

    Events that are read from the log afterwards are the rewritten ones.
    """

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub, REWRITES)

    def write(self, event: Event) -> bool:
        """Drop that topic's events."""
        self._hub.drop_ring(json.loads(event.data)["topic"])
        return True

    def on_gap(self) -> None:
        """Any topic may have been rewritten."""
        self._hub.drop_rings()
