"""Keeps the roster as the server has it: read at the start, when asked, and where it must be."""

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
"""Between two readings for the sake of drivers whom no stream shows."""


class DriversFeed:
    """Runs until cancelled; `changed` is called with each answer, good or bad."""

    def __init__(self, api: "Api", driver_list: DriverList, changed: Callable[[], None]) -> None:
        self.loaded = False
        """Whether the roster has been read at least once."""
        self.error = ""
        """Why it could not be read the last time, in words."""
        self.over = False
        """Whether it is not tried again by itself."""
        self.again = False
        """Whether to read it every so often: there are drivers whom no stream shows."""
        self._api = api
        self._roster = driver_list
        self._changed = changed
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Read it once more, now."""
        self._asked.set()

    async def run(self) -> None:
        """Read, and read again whenever it is time."""
        while True:
            try:
                page = await retry(
                    self._api.drivers_on_duty, on_error=self._on_error, sleep=self._pause
                )
            except ClientError:
                await self._pause(None)
                continue
            self._roster.read(page)
            self.loaded, self.error, self.over = True, "", False
            self._changed()
            seconds = max(LEAST_SECONDS, page.interval_seconds)
            while not await self._pause(seconds) and not self.again:
                pass

    def _on_error(self, error: ClientError, wait: float | None) -> None:
        self.error = message_for(error)
        self.over = wait is None
        self._changed()

    async def _pause(self, seconds: float | None) -> bool:
        """So long, or until somebody asks; whether somebody did."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        asked = self._asked.is_set()
        self._asked.clear()
        return asked
