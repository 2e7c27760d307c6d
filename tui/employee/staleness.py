"""Tells when the board may be old because its stream is away."""

import time
from typing import TYPE_CHECKING

from textual.widgets import Static

from tui.common.client.meter import State
from tui.common.sanitize import plain

if TYPE_CHECKING:
    from tui.common.client.meter import Meter

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


class TroubleLine(Static):
    """Says one thing in one line; nothing at all while there is nothing to say."""

    DEFAULT_CSS = """
    TroubleLine {
        display: none; height: 1; color: $warning; text-style: bold;
        text-wrap: nowrap; text-overflow: ellipsis;
        &.-shown { display: block; }
    }
    """

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self._words = ""

    def say(self, words: str) -> None:
        """Show `words`; "" takes the line away."""
        if words != self._words:
            self._words = words
            self.update(plain(words))
            self.set_class(bool(words), "-shown")
