"""The bell for new orders: rings again and again until somebody has looked."""

from collections.abc import Callable

RING_EVERY = 4.0
"""Seconds between two rings."""


class Bell:
    """Told the time and how many orders wait to be looked at; rings by `ring`."""

    def __init__(self, ring: Callable[[], None], every: float = RING_EVERY) -> None:
        self.muted = False
        self._ring = ring
        self._every = every
        self._known: frozenset[str] = frozenset()
        self._next = 0.0

    def tick(self, unseen: frozenset[str], now: float) -> None:
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
