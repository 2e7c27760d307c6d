"""Tells when the board may be old because its stream is away."""

import time
from typing import TYPE_CHECKING

from tui.common.client.wire import State
from tui.common.text import plain

if TYPE_CHECKING:
    from tui.common.client.wire import Meter

PATIENCE_SECONDS = 1.5
"""A line that is back by then is not worth words."""


class LineWatch:
    """Asked now and then; remembers since when the line has been away."""

    def __init__(self) -> None:
        self._lost_at: float | None = None
        self._since = ""

    def words(self, meter: "Meter", now: float) -> str:
        """What to say above the board at monotonic time `now`; "" while all is well."""
        if meter.state in (State.LIVE, State.WAITING):
            self._lost_at = None
            return ""
        if self._lost_at is None:
            self._lost_at, self._since = now, time.strftime("%H:%M")
        if meter.state is State.DOWN:
            return plain(f"✕ No news since {self._since}, and none will come: {meter.detail}")
        if now - self._lost_at < PATIENCE_SECONDS:
            return ""
        return f"◌ No news since {self._since}; what you see may be old."
