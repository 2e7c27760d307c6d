"""Says elsewhere on the screen what has changed on the board: badge, edge, card, bar, toasts."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from server.features.orders.schemas import OrderStatus
from tui.employee.kitchen import format as kitchen_text

if TYPE_CHECKING:
    from tui.employee.kitchen.panel import KitchenPanel


class Announcer:
    """Told the time some times a second; says only what reads differently from the last time."""

    def __init__(self, panel: "KitchenPanel") -> None:
        self._panel = panel
        self._told: tuple[object, ...] = ()
        self._struck: frozenset[str] = frozenset()

    def tell(self, now: datetime) -> None:
        """All of it."""
        self._tell_struck()
        panel, board, bell = self._panel, self._panel.board, self._panel.bell
        told = kitchen_text.told(board, bell, now)
        if told == self._told:
            return
        self._told = told
        panel.set_badge(board.count(OrderStatus.PLACED), kitchen_text.note(board, bell, now))
        panel.set_summary(kitchen_text.summary(board, now))
        panel.services.set_headline(kitchen_text.headline(board, now))

    def _tell_struck(self) -> None:
        """A toast and a ring for each order that somebody has called off."""
        struck = self._panel.board.struck
        for order_id in struck - self._struck:
            order = self._panel.board.order(order_id)
            if order is not None:
                self._panel.say(kitchen_text.words_for_struck(order), error=True)
                self._panel.bell.ring_once()
        self._struck = struck


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
