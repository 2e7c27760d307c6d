"""How much is painted at once: little enough to leave the processor to keys and streams."""

import time
from collections.abc import Callable

BUSY_SHARE = 0.12
STEP = 0.04
"""Of one core. Beyond the first one beat in two is skipped, with each step one more."""
MAX_SKIPPED = 4
WEIGHT = 0.2
"""Of the newest beat in the share."""
SUSTAINED_TICKS = 20
"""Beats that it has to be too much for: opening a page is no rush."""


class Throttle:
    """Asked with every beat whether to paint. While `busy`, a beat is for one panel alone: a key
    has to wait for whatever is being painted.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.perf_counter,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        """Clocks in seconds: of the wall, and of the processor time of the thread that asks."""
        self._wall = wall
        self._cpu = cpu
        self._asked_at = wall()
        self._used = cpu()
        self._share = 0.0
        self._busy_ticks = 0
        self._skipped = 0

    @property
    def busy(self) -> bool:
        """Whether the thread has been using more than its share for a while."""
        return self._busy_ticks > SUSTAINED_TICKS

    def due(self) -> bool:
        """Whether to paint now."""
        now, used = self._wall(), self._cpu()
        passed = now - self._asked_at
        if passed > 0:
            self._share += WEIGHT * ((used - self._used) / passed - self._share)
        self._asked_at, self._used = now, used
        self._busy_ticks = self._busy_ticks + 1 if self._share > BUSY_SHARE else 0
        skips = 1 + int((self._share - BUSY_SHARE) / STEP) if self.busy else 0
        if self._skipped < min(MAX_SKIPPED, skips):
            self._skipped += 1
            return False
        self._skipped = 0
        return True
