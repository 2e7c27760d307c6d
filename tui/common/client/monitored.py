"""A primary stream that reports whether it is healthy, so that a fallback can stand in for it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

from tui.common.client.errors import ApiError, ClientError, NoStream, SignedOut
from tui.common.client.meter import State
from tui.common.client.request import RequestContext
from tui.common.client.retry import Backoff, is_permanent, short_message
from tui.common.client.sse import EventStream, ServerSentEvent
from tui.common.client.stream import ConnectionT, ItemT, Stream
from tui.common.language import _

ROUND_TRIPS = 4
"""A connection, its TLS, the request and its answer."""
GAPS_TO_LEARN = 2
"""Between heartbeats, before their interval is known: a late heartbeat makes one gap short."""
HELD_BACK = _("the stream is held back on its way")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a stream may stay silent, and when a blocked one is tried again; in seconds."""

    first_sound: float = 2.0
    """From asking to the first byte of the body, before the stream is suspect; or four round
    trips."""
    prompt: float = 1.0
    """A first byte that comes later may have been held back and let go by what followed it: the
    stream is on probation. Or four round trips."""
    silence: float = 18.0
    """Without a byte, before the connection is dropped: 3 s more than between two heartbeats."""
    late: float = 3.0
    """The same, on top of the server's own heartbeat interval once that is known."""
    settled: float = 0.25
    """On probation, what comes this much later than the first byte proves that bytes pass."""
    again: float = 15.0
    """Until a blocked stream is tried again; doubles from time to time."""
    again_at_most: float = 120.0


class HealthListener(Protocol):
    """Who has another way to the same items."""

    NEWEST_ONLY: ClassVar[bool]
    """Whether to report each loss at once, instead of leaving the stream a moment to come back."""

    def on_connecting(self) -> None:
        """A connection is about to be opened."""

    def on_healthy(self) -> None:
        """Bytes come through."""

    def on_suspect(self, reason: str, error: ClientError | None, *, blocked: bool) -> None:
        """They do not; `blocked` where something on the way is the likely cause."""


class MonitoredStream(Stream[ConnectionT, ItemT]):
    """Mixed into a stream, it tells a listener whether the stream is healthy.

    A stream becomes healthy with its first byte, on probation with a second one some time later. It
    becomes suspect when it is refused, when a connection brought nothing, and when it is not
    healthy within `first_sound` of asking or of a loss; where the server ended it and said when to
    come back, from then. Only `SignedOut` is final here: whether a refusal is the server's or some
    proxy's, the fallback finds out.
    """

    def monitor(self, listener: HealthListener, timeouts: Timeouts) -> Self:
        """Report to this listener; call it before reading."""
        self._listener = listener
        self._timeouts = timeouts
        self._blocked_backoff = Backoff(timeouts.again, timeouts.again_at_most)
        self._healthy = False
        self._suspected = False
        self._probation = False
        self._asked_at: float | None = None
        self._first_byte_at: float | None = None
        self._unreachable = False
        """Whether the last attempt failed before the request was sent."""
        self._suspect_timer: asyncio.TimerHandle | None = None
        self._silence_timer: asyncio.TimerHandle | None = None
        self._heartbeat_at: float | None = None
        self._gaps = 0
        self._longest_gap = 0.0
        return self

    async def __anext__(self) -> ItemT:
        try:
            return await super().__anext__()
        except BaseException:
            self._set_idle()
            raise

    async def aclose(self) -> None:
        """End for good and close the connection."""
        self._set_idle()
        await super().aclose()

    async def _open_connection(self) -> ConnectionT:
        self._listener.on_connecting()
        self._healthy = False
        self._asked_at = self._first_byte_at = self._heartbeat_at = None
        self._start_suspect_timer()
        return await super()._open_connection()

    def _on_sent(self) -> None:
        if self._asked_at is None:
            self._asked_at = _now()
            self._unreachable = False
            self._start_suspect_timer()
            self._restart_silence_timer()

    def _set_open(self, state: State) -> None:
        """The head of an answer proves nothing: `_on_received` says when the stream is open."""

    def _on_received(self, *, heartbeat: bool) -> None:
        now = _now()
        if self._first_byte_at is None:
            self._first_byte_at = now
            self._probation = self._probation or self._waited_longer_than(self._timeouts.prompt)
        if heartbeat:
            self._learn_interval(now)
        self._restart_silence_timer()
        unproven = self._probation and now - self._first_byte_at < self._timeouts.settled
        if self._healthy or unproven:
            return
        self._set_idle()
        self._healthy = True
        self._probation = False
        self._blocked_backoff.reset()
        super()._set_open(State.LIVE)
        self._listener.on_healthy()

    def _gives_up_on(self, error: ClientError) -> bool:
        return isinstance(error, SignedOut)

    def _delay(self, error: ClientError) -> float:
        self._unreachable = self._asked_at is None
        brought_nothing = self._brought_nothing()
        self._probation = self._probation or brought_nothing
        blocked = brought_nothing or isinstance(error, NoStream) or is_permanent(error)
        if blocked or self._listener.NEWEST_ONLY:
            self._suspect(short_message(error), error, blocked=blocked)
        if blocked:
            retry_after = error.retry_after if isinstance(error, ApiError) else None
            return self._blocked_backoff.lost(retry_after)
        return super()._delay(error)

    def _delay_after_end(self) -> float:
        if self._brought_nothing():
            self._suspect(HELD_BACK)
            self._probation = True
            return self._blocked_backoff.lost()
        return super()._delay_after_end()

    async def _wait(self, detail: str, delay: float) -> None:
        if self._healthy:
            self._healthy = False
            # The first wait is what the server asks for; a longer one would be felt.
            self._start_suspect_timer(delay if self._backoff.attempt <= 1 else 0.0)
        await super()._wait(detail, delay)

    def on_resumed(self) -> None:
        """Nothing that was late in a suspend is held against the connection."""
        self._asked_at = None
        self._stop_timers()
        super().on_resumed()

    def _drop(self) -> None:
        super()._drop()
        if self._silence_timer is not None:
            self._silence_timer.cancel()
            self._silence_timer = None

    def _stop_timers(self) -> None:
        for timer in (self._silence_timer, self._suspect_timer):
            if timer is not None:
                timer.cancel()
        self._silence_timer = self._suspect_timer = None

    def _at_least(self, seconds: float) -> float:
        """`seconds`, or four round trips where those take longer."""
        return max(seconds, ROUND_TRIPS * self._session.round_trip)

    def _waited_longer_than(self, seconds: float) -> bool:
        return self._asked_at is not None and _now() - self._asked_at > self._at_least(seconds)

    def _brought_nothing(self) -> bool:
        """Whether the connection that has ended had its time and did not become healthy."""
        return not self._healthy and self._waited_longer_than(self._timeouts.first_sound)

    def _start_suspect_timer(self, delay: float = 0.0) -> None:
        if self._suspect_timer is None and not self._suspected:
            seconds = self._at_least(self._timeouts.first_sound)
            self._suspect_timer = asyncio.get_running_loop().call_later(
                delay + seconds,
                self._on_suspect_timer,
                _("nothing came for {seconds:.3g} s").format(seconds=seconds),
            )

    def _on_suspect_timer(self, reason: str) -> None:
        self._suspect_timer = None
        # a poll would not reach the server either
        if not self._unreachable and not self._meter.is_cut:
            self._suspect(reason)

    def _suspect(
        self, reason: str, error: ClientError | None = None, *, blocked: bool = True
    ) -> None:
        self._set_idle()
        self._suspected = True
        self._listener.on_suspect(reason, error, blocked=blocked)

    def _set_idle(self) -> None:
        """Neither healthy nor suspect, and no timer that would make it so."""
        self._healthy = self._suspected = False
        if self._suspect_timer is not None:
            self._suspect_timer.cancel()
            self._suspect_timer = None

    def _restart_silence_timer(self) -> None:
        if self._silence_timer is not None:
            self._silence_timer.cancel()
        seconds = self._timeouts.silence
        if self._gaps >= GAPS_TO_LEARN:
            seconds = min(seconds, self._longest_gap + self._timeouts.late)
        loop = asyncio.get_running_loop()
        self._silence_timer = loop.call_later(seconds, self._on_silence, seconds)

    def _on_silence(self, seconds: float) -> None:
        if self._session.suspend_watch.check():
            return  # we were the ones who were silent
        self._gaps, self._longest_gap = 0, 0.0  # the next connection may be to another server
        self._probation = True
        self._fail_connection(
            NoStream(
                _(
                    "Nothing has come for {seconds:.0f} seconds, not even a heartbeat. "
                    "Something between here and the server at {base_url} holds the stream back."
                ).format(seconds=seconds, base_url=self._session.base_url),
                _("nothing came for {seconds:.0f} s").format(seconds=seconds),
            )
        )

    def _learn_interval(self, now: float) -> None:
        """Measure the gaps between heartbeats."""
        if self._heartbeat_at is not None:
            self._gaps += 1
            self._longest_gap = max(self._longest_gap, now - self._heartbeat_at)
        self._heartbeat_at = now


class MonitoredEventStream(MonitoredStream[RequestContext, ServerSentEvent], EventStream):
    """The server-sent events of a path, as a primary stream."""


def _now() -> float:
    return asyncio.get_running_loop().time()
