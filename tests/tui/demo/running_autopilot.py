"""An autopilot that runs during a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from server.features.accounts.schemas import Credentials
from support.town import PASSWORD
from tui.demo.autopilot.__main__ import Autopilot

QUICK = 0.01
"""A pace at which every driver is as fast as allowed."""


@asynccontextmanager
async def running_autopilot(url: str, email: str, pace: float = QUICK) -> AsyncIterator[Autopilot]:
    """The autopilot of the employee with that address, and `PASSWORD`."""
    pilot = Autopilot(url, Credentials(email=email, password=PASSWORD), set(), pace)
    job = asyncio.create_task(pilot.run())
    try:
        yield pilot
    finally:
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job
        await pilot.close()
