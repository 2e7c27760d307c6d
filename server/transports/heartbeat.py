"""One heartbeat for every stream of the process."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator

from server.core.lifecycle import Component, SupervisedTask

logger = logging.getLogger(__name__)

SLICES = 10
"""Parts of an interval: ten thousand streams are not all written to in one tick of the loop."""


class Heartbeat(Component):
    """Calls each member once every `interval` seconds."""

    def __init__(self, interval: float) -> None:
        self._pause = interval / SLICES
        self._slices: list[dict[Callable[[], None], None]] = [{} for _ in range(SLICES)]
        self._next = 0
        self.tasks = (SupervisedTask("heartbeat", self._beat),)

    @contextlib.contextmanager
    def beating(self, comment: Callable[[], None]) -> Iterator[None]:
        """A member for as long as this lasts."""
        self._next = (self._next + 1) % SLICES
        members = self._slices[self._next]
        members[comment] = None
        try:
            yield
        finally:
            del members[comment]

    async def _beat(self) -> None:
        while True:
            for members in self._slices:
                await asyncio.sleep(self._pause)
                for comment in tuple(members):
                    try:
                        comment()
                    except Exception:  # one connection's trouble must not silence the others
                        logger.exception("a heartbeat failed")
