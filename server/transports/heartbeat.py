"""One heartbeat for every stream of the process."""

import asyncio
import logging
from collections.abc import Callable, Iterable

from server.core.lifecycle import Component, SupervisedTask

logger = logging.getLogger(__name__)

SLICES = 10
"""Parts of an interval, so that ten thousand streams are not written to in one tick."""
TOGETHER = 50
"""Members of a slice from which on others go elsewhere, whatever their group."""


class Heartbeat(Component):
    """Calls each member once every `interval` seconds."""

    def __init__(self, interval: float) -> None:
        self._pause = interval / SLICES
        self._slices: list[dict[Callable[[], None], None]] = [{} for _ in range(SLICES)]
        self.tasks = (SupervisedTask("heartbeat", self._beat),)

    def add(self, beat: Callable[[], None], group: str) -> None:
        """Add a member. Those of a group are called together, so that an app with several streams
        wakes up once an interval."""
        members = self._slices[hash(group) % SLICES]
        if len(members) >= TOGETHER:
            members = min(self._slices, key=len)
        members[beat] = None

    def remove(self, beat: Callable[[], None]) -> None:
        """Remove a member; harmless if it is none."""
        for members in self._slices:
            members.pop(beat, None)

    async def _beat(self) -> None:
        while True:
            for members in self._slices:
                await asyncio.sleep(self._pause)
                _call(tuple(members))


def _call(members: Iterable[Callable[[], None]]) -> None:
    """In a function of its own, as a variable of the task would keep the last one in memory."""
    for beat in members:
        try:
            beat()
        except Exception:  # one connection's error must not stop the others' heartbeat
            logger.exception("a heartbeat failed")
