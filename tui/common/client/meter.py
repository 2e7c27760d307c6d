"""The meter every stream writes and every panel reads: what goes over the wire, and when."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from math import inf

from tui.common.client.clock import ServerClock
from tui.common.client.figures import AGES_KEPT, LATENCIES_KEPT, Figures, LastMinute, Outage
from tui.common.client.frame import NOTHING, ROUND_TRIPS, Contents, Direction, Frame, Pattern
from tui.common.language import _

__all__ = ["ROUND_TRIPS", "Frame", "Meter", "Pattern", "PatternTotals", "State", "Wire"]

FRAMES_KEPT = 2000
STATE_SECONDS = 0.0
TRAFFIC_SECONDS = 0.5
HEARTBEAT_SECONDS = 30.0
"""Within how long a screen shows that a state has changed, that something has crossed the wire, and
that only bytes and heartbeats have."""
CUT = _("cut by you")
"""What a meter says of a connection that its user has dropped."""
WHAT_LONG = 500
"""Characters kept of a frame's description: the server chooses it, and many frames are kept."""


class State(StrEnum):
    """Where a stream stands right now."""

    IDLE = "idle"
    CONNECTING = "connecting"
    LIVE = "live"
    """The stream is open."""
    WAITING = "waiting"
    """The server holds our request, or the next one is not due yet."""
    RETRY = "retry"
    """Lost; it comes back by itself."""
    DOWN = "down"
    """It does not come back by itself."""


@dataclass(frozen=True, slots=True)
class PatternTotals:
    """All meters of one pattern together."""

    pattern: Pattern
    connections: int
    figures: Figures


class Meter:
    """What one stream, or one kind of request, has cost and brought.

    Sizes are of HTTP heads and bodies together, without the framing of chunks, TLS and TCP.
    `bytes` is what arrived, `bytes_sent` what left, `payload` the events' data among that.

    `ages` holds milliseconds from an event's being logged by the server to its receipt, by the
    server's clock; only of what happened since the stream was first opened, as what stood before
    is no news. `latencies` holds milliseconds of round trips, `ROUND_TRIPS` says which: only where
    the server was not meant to wait in between.
    """

    def __init__(self, wire: "Wire", name: str, pattern: Pattern) -> None:
        self._wire = wire
        self.name = name
        self.pattern = pattern
        self.state = State.IDLE
        self.detail = ""
        """The last error in plain words, "" while there is none."""
        self.requests = 0
        self.bytes = 0
        self.bytes_sent = 0
        self.events = 0
        self.payload = 0
        self.ages: deque[float] = deque(maxlen=AGES_KEPT)
        self.latencies: deque[float] = deque(maxlen=LATENCIES_KEPT)
        self.last_event_at: float | None = None
        """`time.monotonic()` of the newest event."""
        self.reconnects = 0
        self.replayed = 0
        self.outage: Outage | None = None
        """The last time without a connection, or the present one."""
        self.retry_at: float | None = None
        """`time.monotonic()` of the next attempt, while there is one to wait for."""
        self.connections = 0
        """Open now."""
        self.exchange = 0
        """The number of its newest request, stream or socket, in the whole app."""
        self.line: Meter = self
        """The meter that is cut together with this one, as a stream's with that of its fallback."""
        self._news_since = 0.0
        """`time.monotonic()` from which on what happens is news."""
        self._requests = LastMinute()
        self._events = LastMinute()
        self._bytes = LastMinute()
        self._cut_until = 0.0
        self._cut_changed = asyncio.Event()

    @property
    def is_cut(self) -> bool:
        """Whether no connection may be opened now, by the user's wish."""
        return self.line._cut_until > time.monotonic()

    @property
    def is_held(self) -> bool:
        """Whether that lasts until `cut(0)`."""
        return self.line._cut_until == inf

    def cut(self, seconds: float) -> None:
        """Have no connection opened for so many seconds, `inf` for until it is called again.

        Those that are open are not closed.
        """
        self.line._cut_until = time.monotonic() + seconds
        self.line._cut_changed.set()
        self._wire.changed()

    async def uncut(self) -> None:
        """Wait while the line is cut, and show that."""
        self._lost()
        while self.is_cut:
            left = self.line._cut_until - time.monotonic()
            self._set(State.RETRY, CUT, None if left == inf else left)
            self.line._cut_changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if left == inf else left):
                    await self.line._cut_changed.wait()

    def set_state(self, state: State, detail: str = "") -> None:
        """Move on to a state that has no next attempt to wait for."""
        self._set(state, detail, None)

    def retrying(self, detail: str, delay: float) -> None:
        """Lost, for the reason given; back in `delay` seconds."""
        self._lost()
        self._set(State.RETRY, detail, delay)

    def set_waiting(self, delay: float) -> None:
        """All is well; the next request is due in `delay` seconds."""
        self._set(State.WAITING, "", delay)

    def sent(self, what: str, size: int, contents: Contents = NOTHING) -> None:
        """A request has left."""
        self.requests += 1
        self._requests.add()
        self._count_sent(size)
        self._record("out", what, size, contents=contents)

    def sent_frame(self, what: str, size: int, contents: Contents = NOTHING) -> None:
        """A message has left over a connection that stands: no request of its own."""
        self._count_sent(size)
        self._record("out", what, size, contents=contents)

    def opened(self) -> None:
        """A connection is now in use; call it before the request is noted."""
        self.connections += 1
        self._wire.exchanges += 1
        self.exchange = self._wire.exchanges
        if self.outage is not None and self.outage.back_at is None:
            self.outage.asked_at = time.monotonic()
        self._wire.changed()

    @property
    def clock_error_ms(self) -> float | None:
        """By how much the ages may be wrong; None while there are none."""
        return self._wire.clock.error_ms

    def closed(self) -> None:
        """A connection is no longer in use."""
        self.connections = max(0, self.connections - 1)
        self._wire.changed()

    def reconnected(self) -> None:
        """The stream is open again after having been lost."""
        self.reconnects += 1
        if self.outage is not None and self.outage.back_at is None:
            self.outage.back_at = time.monotonic()
        self._wire.changed()

    def measured(self, milliseconds: float) -> None:
        """A round trip in which the server was not meant to wait."""
        self.latencies.append(milliseconds)
        self._wire.changed()

    def received(self, size: int) -> None:
        """Bytes arrived, of whatever they are part."""
        self.bytes += size
        self._bytes.add(size)
        self._wire.changed(HEARTBEAT_SECONDS)

    def frame(self, what: str, size: int, contents: Contents = NOTHING) -> None:
        """A message that brought no event; its bytes are counted by `received`."""
        self._record("in", what, size, contents=contents)

    def heartbeat(self, what: str, size: int) -> None:
        """A message that shows only that the connection lives."""
        self._record("in", what, size, heartbeats=1)

    def sent_heartbeat(self, what: str, size: int) -> None:
        """Such a message has left."""
        self._count_sent(size)
        self._record("out", what, size, heartbeats=1)

    def event(
        self,
        what: str,
        size: int,
        *,
        replayed: bool = False,
        payload: int = 0,
        logged_at: datetime | str | None = None,
        contents: Contents = NOTHING,
    ) -> bool:
        """An event, or the answer to a request; its bytes are counted by `received`.

        `payload` is how many of them are its data, `logged_at` when it happened by the server's
        clock. Returns whether it was missed while the connection was lost.
        """
        self.events += 1
        self.payload += payload
        self._events.add()
        now = self.last_event_at = time.monotonic()
        age = self._wire.clock.age_ms(logged_at) if logged_at else None
        if self.outage is not None:
            if self.pattern is Pattern.LONG_POLL and age is not None:
                replayed = replayed or self.outage.is_from_before(age)
            if replayed:
                self.outage.add_replayed(size)
        self.replayed += replayed
        if age is not None and age <= (now - self._news_since) * 1000:
            self.ages.append(age)
        else:
            age = None
        self._record("in", what, size, age_ms=age, replayed=replayed, contents=contents)
        return replayed

    def missed(self, count: int) -> None:
        """So many more events have passed beside the cut line."""
        if self.outage is not None:
            self.outage.counted += count
            self._wire.changed()

    def begin_news(self) -> None:
        """A stream is opened for the first time: what happens from now on is news."""
        self._news_since = time.monotonic()

    @property
    def requests_per_minute(self) -> int:
        """Requests sent in the last 60 seconds."""
        return self._requests.count

    @property
    def events_per_minute(self) -> int:
        """Events that came in the last 60 seconds."""
        return self._events.count

    @property
    def bytes_per_minute(self) -> int:
        """Both ways, in the last 60 seconds."""
        return self._bytes.count

    @property
    def figures(self) -> Figures:
        """Its costs in figures."""
        return Figures.of([self])

    def _count_sent(self, size: int) -> None:
        self.bytes_sent += size
        self._bytes.add(size)

    def _lost(self) -> None:
        if self.outage is None or self.outage.back_at is not None:
            self.outage = Outage(time.monotonic())

    def _set(self, state: State, detail: str, delay: float | None) -> None:
        if (state, detail) != (self.state, self.detail):
            self._wire.state_revision += 1
        self.state, self.detail = state, detail
        self.retry_at = None if delay is None else time.monotonic() + delay
        self._wire.changed(STATE_SECONDS)

    def _record(
        self,
        direction: Direction,
        what: str,
        size: int,
        *,
        heartbeats: int = 0,
        age_ms: float | None = None,
        replayed: bool = False,
        contents: Contents = NOTHING,
    ) -> None:
        if self._wire.meters.get(self.name) is not self:
            return  # a connection of before the log-out, on its way to being closed
        what, now = what[:WHAT_LONG], time.time()
        frame = Frame(
            now,
            self.name,
            self.pattern,
            direction,
            what,
            size,
            heartbeats,
            age_ms,
            replayed,
            contents,
            contents.exchange or self.exchange,
        )
        self._wire.log(frame)


@dataclass
class Wire:
    """All meters of one app and the log of their frames, newest last.

    `revision` grows with every change, so that a screen can tell whether to draw; `on_change` is
    called then, with the seconds within which it is to be shown. `state_revision` grows when a
    meter's state changes.
    """

    meters: dict[str, Meter] = field(default_factory=dict)
    frames: deque[Frame] = field(default_factory=lambda: deque(maxlen=FRAMES_KEPT))
    revision: int = 0
    state_revision: int = 0
    exchanges: int = 0
    clock: ServerClock = field(default_factory=ServerClock)
    """That of the server which these meters are about."""
    on_change: Callable[[float], object] = lambda _: None

    def changed(self, within: float = TRAFFIC_SECONDS) -> None:
        """Something is different, and is to be shown within so many seconds."""
        self.revision += 1
        self.on_change(within)

    def log(self, frame: Frame) -> None:
        """Add it; heartbeats of one kind become one frame until something else comes."""
        if not frame.heartbeats:
            self.frames.append(frame)
            self.changed()
            return
        for at, last in enumerate(reversed(self.frames), start=1):
            if not last.heartbeats:
                break
            if (last.pattern, last.what) == (frame.pattern, frame.what) and (
                last.direction == frame.direction
            ):
                del self.frames[-at]
                frame = replace(
                    frame,
                    meter=frame.meter if frame.meter == last.meter else "",
                    exchange=frame.exchange if frame.exchange == last.exchange else 0,
                    size=frame.size + last.size,
                    heartbeats=frame.heartbeats + last.heartbeats,
                )
                break
        self.frames.append(frame)
        self.changed(HEARTBEAT_SECONDS)

    def meter(self, name: str, pattern: Pattern) -> Meter:
        """The meter of that name, made on first use; a name keeps its first pattern."""
        meter = self.meters.get(name)
        if meter is None:
            meter = self.meters[name] = Meter(self, name, pattern)
            self.changed()
        return meter

    def clear(self) -> None:
        """Forget all meters and frames: the next account must not see them."""
        self.meters.clear()
        self.frames.clear()
        self.state_revision += 1
        self.changed()

    def totals(self) -> list[PatternTotals]:
        """One row for each pattern in use, in the order of `Pattern`."""
        found = []
        for pattern in Pattern:
            if meters := [one for one in self.meters.values() if one.pattern is pattern]:
                connections = sum(one.connections for one in meters)
                found.append(PatternTotals(pattern, connections, Figures.of(meters)))
        return found
