"""Request bodies that are still arriving, and what becomes of them when the server stops."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from server.core.errors import unavailable


class Arrivals:
    """The deadlines of the bodies this process is receiving.

    `draining` is set once the process has been told to stop: every answer then ends its connection.
    """

    def __init__(self) -> None:
        self.draining = False
        self._stopped = False
        self._deadlines: set[asyncio.Timeout] = set()

    @contextlib.asynccontextmanager
    async def within(self, seconds: float) -> AsyncIterator[None]:
        """A body may take so many seconds.

        Raises TimeoutError after them, and Problem 503 where the server stops waiting before.
        """
        try:
            async with asyncio.timeout(0 if self._stopped else seconds) as deadline:
                self._deadlines.add(deadline)
                try:
                    yield
                finally:
                    self._deadlines.discard(deadline)
        except TimeoutError:
            if not self._stopped:
                raise
            raise unavailable(
                "The server is shutting down, and not all of the request has come. Send it again.",
                1,
            ) from None

    def stop(self) -> None:
        """Wait no longer for any body, from now on."""
        self._stopped = True
        now = asyncio.get_running_loop().time()
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(now)
