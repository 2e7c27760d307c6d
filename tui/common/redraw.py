"""When panels are drawn: soon after a change, at most 20 times a second, and never for nothing."""

import asyncio
import time
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING

from tui.common.dialogs.base import Dialog
from tui.common.panel import Panel, moment_in

if TYPE_CHECKING:
    from textual.app import App
    from textual.message_pump import MessagePump

    from tui.common.client.meter import Wire

BUSY_SHARE = 0.12
STEP = 0.04
"""Of one core. Beyond the first one frame in two is skipped, with each step one more."""
MAX_SKIPPED = 4
FRAME_SECONDS = 0.05
WEIGHT = 0.2
"""Of the newest frame in the share; more after a rest, as the share is of the time that passes."""
SUSTAINED_FRAMES = 20
"""For how many frames it has to be busy: opening a page is no rush."""


class Throttle:
    """Asked at every frame whether to paint; frames may pause. While `busy`, a frame paints only
    one panel, since a key waits until the painting is done.
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
        self._busy_frames = 0
        self._skipped = 0

    @property
    def busy(self) -> bool:
        """Whether the thread has been using more than its share for a while."""
        return self._busy_frames > SUSTAINED_FRAMES

    def due(self) -> bool:
        """Whether to paint now."""
        now, used = self._wall(), self._cpu()
        passed = now - self._asked_at
        if passed > 0:
            weight = 1 - (1 - WEIGHT) ** max(1.0, passed / FRAME_SECONDS)
            self._share += weight * ((used - self._used) / passed - self._share)
        self._asked_at, self._used = now, used
        self._busy_frames = self._busy_frames + 1 if self._share > BUSY_SHARE else 0
        skips = 1 + int((self._share - BUSY_SHARE) / STEP) if self.busy else 0
        if self._skipped < min(MAX_SKIPPED, skips):
            self._skipped += 1
            return False
        self._skipped = 0
        return True


WIRE_LINES_SECONDS = 0.25
"""Least time between two redraws of the wire lines: figures need not be as quick as panels."""


class Redraw:
    """Frames while something waits to be drawn; between that nothing runs. Not with a timer of
    Textual's, which wakes once more after it was paused.

    What only crosses the wire waits a moment for what may follow; heartbeats, for half a minute or
    the next frame, unless somebody watches them.
    """

    def __init__(
        self, wire: "Wire", panels: Callable[[], Sequence[Panel]], wire_drawn: Callable[[], None]
    ) -> None:
        """`wire_drawn` is called when the wire lines have been drawn anew."""
        self._wire = wire
        self._panels = panels
        self._wire_drawn = wire_drawn
        self._throttle = Throttle()
        self._owner: MessagePump | None = None
        self._next: asyncio.TimerHandle | None = None
        self._drawn_at = 0.0
        """`time.monotonic()` of the last frame."""
        self._revision = self._state_revision = -1
        self._lines_waiting = False
        self._lines_drawn_at = 0.0
        self._lines_at = inf
        """`time.monotonic()` at which a wire line changes with time."""
        self._requested_within = inf
        """The least seconds that the wire has asked for since it was last drawn."""
        self._in_frame = False

    def start(self, owner: "MessagePump") -> None:
        """Draw from now on, as long as the app of `owner` runs."""
        self._owner = owner
        self._wire.on_change = self._request_within
        self.request()

    def stop(self) -> None:
        """Draw no more."""
        self._wire.on_change = lambda _: None
        self._owner = None
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def request(self) -> None:
        """Draw what needs it, soon."""
        self._schedule(self._drawn_at + FRAME_SECONDS)

    def request_panel(self, panel: Panel) -> None:
        """Draw that panel when it may be drawn again."""
        self._schedule(max(_due_at(panel), self._drawn_at + FRAME_SECONDS))

    def _request_within(self, seconds: float) -> None:
        """Draw what has crossed the wire within so many seconds."""
        if seconds >= self._requested_within:  # as with most of 1,000 events a second
            return
        self._requested_within = seconds
        if seconds and not any(panel.watches_wire for panel in self._panels()):
            self._schedule(moment_in(0, seconds))
        else:
            self.request()

    def _schedule(self, at: float) -> None:
        """Draw the next frame at that time, unless it is due earlier. A frame schedules the next
        one at its end, for all that it has changed itself."""
        if self._owner is None or self._in_frame:
            return
        if self._next is not None and self._next.when() <= at:
            return
        if self._next is not None:
            self._next.cancel()
        loop = asyncio.get_running_loop()
        self._next = loop.call_at(at, self._owner.call_next, self._on_frame)

    def request_all(self, _: object = None) -> None:
        """Draw all panels, soon."""
        for panel in self._panels():
            panel.needs_redraw = True

    def _on_frame(self) -> None:
        self._next = None
        if self._owner is None or not self._owner.app.is_running:  # widgets go first
            return
        self._drawn_at = time.monotonic()
        if not self._throttle.due():
            self.request()
            return
        self._in_frame = True
        try:
            self._draw(self._owner.app)
        finally:
            self._in_frame = False
        at = min([_due_at(panel) for panel in self._panels()] + [self._lines_due_at()])
        if self._wire.revision != self._revision:
            at = 0.0
        if at < inf:
            self._schedule(max(at, self._drawn_at + FRAME_SECONDS))

    def _draw(self, app: "App[object]") -> None:
        wire = self._wire
        if wire.state_revision != self._state_revision:  # a panel may say that its news is old
            self._state_revision = wire.state_revision
            self.request_all()
        if wire.revision != self._revision:
            self._revision = wire.revision
            self._requested_within = inf
            self._lines_waiting = True
            for panel in self._panels():
                panel.on_wire_changed()
        drawn = self._draw_panels()
        if time.monotonic() >= self._lines_due_at():
            self._draw_lines()
            drawn = True
        if drawn:
            self._draw_dialogs(app)

    def _draw_panels(self) -> bool:
        """Whether any needed it."""
        now = time.monotonic()
        ready = [panel for panel in self._panels() if _due_at(panel) <= now]
        if self._throttle.busy and ready:
            ready = [min(ready, key=lambda panel: panel.redrawn_at)]
        for panel in ready:
            followers = panel.followers if panel.needs_redraw else ()
            panel.needs_redraw = False
            panel.redraw_at = None
            panel.redrawn_at = now
            panel.redraw()
            for follower in followers:
                follower.needs_redraw = True
        return bool(ready)

    @staticmethod
    def _draw_dialogs(app: "App[object]") -> None:
        for screen in app.screen_stack:
            if isinstance(screen, Dialog) and screen.is_mounted:
                screen.redraw()

    def _lines_due_at(self) -> float:
        waiting = self._lines_drawn_at + WIRE_LINES_SECONDS if self._lines_waiting else inf
        return min(waiting, self._lines_at)

    def _draw_lines(self) -> None:
        self._lines_waiting = False
        moments = [panel.update_wire_line() for panel in self._panels()]
        self._lines_drawn_at = time.monotonic()
        self._lines_at = min((one for one in moments if one is not None), default=inf)
        self._wire_drawn()


def _due_at(panel: Panel) -> float:
    """`time.monotonic()` from which to draw it."""
    if panel.needs_redraw:
        return panel.redrawn_at + panel.REDRAW_SECONDS
    return inf if panel.redraw_at is None else panel.redraw_at
