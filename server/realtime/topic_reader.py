"""A sink that follows a topic for as long as its process lives, and what needs one."""

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

AGAIN_SECONDS = 1.0


class TopicReader(Component, ABC):
    """A sink that takes up its topic again whatever happens; there is always room in it."""

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
        """Events may have been missed until here, where it follows again."""

    async def open(self) -> None:
        """Start from now."""
        self._subscription = await self._hub.subscribe(self._topic, None, self)

    async def close(self) -> None:
        """The hub ends the subscription."""

    async def ready(self) -> None:
        """At once."""
        return

    def reset(self) -> None:
        """What was told meanwhile is unknown: start again from now."""
        logger.warning("the topic %s was lost; following it again", self._topic)
        if self._subscription is not None:
            self._subscription.close()
        task = asyncio.create_task(self._follow_again(), name=f"follow {self._topic}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def fail(self) -> None:
        """As after a reset."""
        self.reset()

    async def _follow_again(self) -> None:
        while True:
            try:
                await self.open()
                # Only now: what happened before would be missed by what is done about the loss.
                self.on_gap()
                return
            except Problem:  # the database is out of reach
                pass
            except Exception:
                logger.exception("following %s failed; it will be tried again", self._topic)
            await asyncio.sleep(AGAIN_SECONDS)


class RewriteReader(TopicReader):
    """Follows `REWRITES`: the hub forgets its copies of the topics named there.

    What is read from the log later has been rewritten already.
    """

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub, REWRITES)

    def write(self, event: Event) -> bool:
        """Forget that topic's events."""
        self._hub.drop_ring(json.loads(event.data)["topic"])
        return True

    def on_gap(self) -> None:
        """Any topic may have been rewritten."""
        self._hub.drop_rings()
