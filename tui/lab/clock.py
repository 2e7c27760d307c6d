"""The server's clock, and what this process's shows at the same time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

PINGS = 8
REFRESH_SECONDS = 30.0


class ServerClock:
    """The server's monotonic clock, seen from here.

    On one machine both are the same clock, and nothing is corrected. Otherwise the offset is taken
    from the quickest of eight requests, and may be wrong by half of its round trip.
    """

    def __init__(self, ask: Callable[[], Awaitable[float]]) -> None:
        """`ask` returns the server's time as it answers."""
        self._ask = ask
        self._offset = 0.0
        self.error = 0.0
        """By how many seconds the offset may be wrong."""

    async def refresh(self) -> None:
        """Measure the offset again. Raises what `ask` does."""
        best: tuple[float, float] | None = None
        for _ in range(PINGS):
            asked_at = time.monotonic()
            theirs = await self._ask()
            round_trip = time.monotonic() - asked_at
            if best is None or round_trip < best[0]:
                best = round_trip, theirs - (asked_at + round_trip / 2)
        assert best is not None
        round_trip, offset = best
        # Two machines that were switched on in the same instant are left out of account.
        shared = abs(offset) <= round_trip / 2
        self._offset, self.error = (0.0, 0.0) if shared else (offset, round_trip / 2)

    def to_local(self, theirs: float) -> float:
        """By this process's `time.monotonic`."""
        return theirs - self._offset
