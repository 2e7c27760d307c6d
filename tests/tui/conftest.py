"""What the tests of the apps share: Textual's pilot waits until an app has nothing to do."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from textual import app, pilot

WINDOW_SECONDS = 0.02
CALM_SECONDS = 0.001
"""Of processor time in a window, in which an app may be taken to rest."""


@pytest.fixture(scope="session", autouse=True)
def patient_pilot() -> Iterator[None]:
    """The pilot waits also where a busy machine leaves the app no time to do anything.

    Textual looks at the processor time alone: an app that has much to do and does not get to it
    seems to rest, and what it has not done yet is missing from the screen.
    """
    with pytest.MonkeyPatch.context() as patch:
        for module in (app, pilot):
            patch.setattr(module, "wait_for_idle", wait_for_idle)
        yield


async def wait_for_idle(min_sleep: float = WINDOW_SECONDS, max_sleep: float = 1) -> None:
    """Return after a window without work, neither done nor ready. At most as many windows as fit
    into `max_sleep`, however long they last: an app may be busy with what comes again and again."""
    loop, began_at = asyncio.get_running_loop(), time.monotonic()
    for _ in range(round(max_sleep / WINDOW_SECONDS)):
        worked = time.process_time()
        await asyncio.sleep(WINDOW_SECONDS)
        rests = time.process_time() - worked < CALM_SECONDS and not loop._ready  # type: ignore[attr-defined]
        if rests and time.monotonic() - began_at > min_sleep:
            return
