"""The bell for new orders that nobody has looked at."""

from collections.abc import Callable

ALARM_SECONDS = 4.0
"""Between two rings."""


class Alarm:
    """Rings by `ring` for new orders that nobody has looked at, again and again."""

    def __init__(self, ring: Callable[[], None], every: float = ALARM_SECONDS) -> None:
        self.muted = False
        self._ring = ring
        self._every = every
        self._known: frozenset[str] = frozenset()
        self._next = 0.0

    def update(self, unseen: frozenset[str], now: float) -> None:
        """Ring at once for an order that has just come, then every so many seconds."""
        if unseen - self._known:
            self._next = now
        self._known = unseen
        if not unseen or now < self._next:
            return
        self._next = now + self._every
        self.ring_once()

    def ring_once(self) -> None:
        """Ring, unless muted."""
        if not self.muted:
            self._ring()
