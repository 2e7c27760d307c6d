"""Keeps the driver list current: read at the start, on request, and where no stream does."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui.common.client.errors import ClientError
from tui.common.client.retry import retry
from tui.common.format import message_for
from tui.employee.drivers.model import DriverList

if TYPE_CHECKING:
    from tui.common.client.api import Api

LEAST_SECONDS = 5.0
"""Between two readings for drivers without a stream."""


class DriversFeed:
    """Runs until cancelled; `changed` is called with each answer or error."""

    def __init__(self, api: "Api", driver_list: DriverList, changed: Callable[[], None]) -> None:
        self.loaded = False
        """Whether the list has been read at least once."""
        self.error = ""
        """Why the last reading failed; "" if it did not."""
        self.over = False
        """Whether it is read again only on request."""
        self.repeats = False
        """Whether to read it regularly, since some drivers have no stream."""
        self._api = api
        self._driver_list = driver_list
        self._changed = changed
        self._requested = asyncio.Event()

    def reload(self) -> None:
        """Read it again now."""
        self._requested.set()

    async def run(self) -> None:
        """Read, and read again when it is time."""
        while True:
            try:
                page = await retry(
                    self._api.drivers_on_duty, on_error=self._on_error, sleep=self._pause
                )
            except ClientError:
                await self._pause(None)
                continue
            self._driver_list.update(page)
            self.loaded, self.error, self.over = True, "", False
            self._changed()
            seconds = max(LEAST_SECONDS, page.interval_seconds)
            while not await self._pause(seconds) and not self.repeats:
                pass

    def _on_error(self, error: ClientError, wait: float | None) -> None:
        self.error = message_for(error)
        self.over = wait is None
        self._changed()

    async def _pause(self, seconds: float | None) -> bool:
        """Wait for so long, or for a request; whether there was one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._requested.wait()
        requested = self._requested.is_set()
        self._requested.clear()
        return requested
