"""A primary stream that tells its owner whether it is heard."""

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

ROUND_TRIPS = 4
"""A connection, its TLS, the request and its answer."""
GAPS_TO_TELL = 2
"""Between heartbeats, before their interval is known: one may be short, as the beat before it had
been held up."""
HELD_BACK = "the stream is held back on its way"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a stream may stay silent, and how soon one that did is tried again; in seconds."""

    first_sound: float = 2.0
    """From asking to the first byte of the body, before it is in doubt; or four round trips."""
    prompt: float = 1.0
    """Until then the first byte is here where nothing holds it back; what comes later may be let go
    by what follows it, and has to be heard once more. Or four round trips."""
    silence: float = 18.0
    """Before it is given up: 3 s more than a server may have between two heartbeats."""
    late: float = 3.0
    """More than the server's heartbeat, once that is known."""
    settled: float = 0.25
    """What is heard later than this after the first sound was not part of it."""
    again: float = 15.0
    """After a refusal, or where nothing came through; doubles from time to time."""
    again_at_most: float = 120.0


class HealthListener(Protocol):
    """Who has another way to the news."""

    AT_ONCE: ClassVar[bool]
    """Whether a loss is told at once, instead of leaving it a moment to come back."""

    def begins(self) -> None:
        """A connection is about to be asked for."""

    def alive(self) -> None:
        """The stream is heard."""

    def doubts(self, words: str, error: ClientError | None, *, blocked: bool) -> None:
        """It is not, for that reason; `blocked` where something on the way is in doubt."""


class MonitoredStream(Stream[ConnectionT, ItemT]):
    """A primary stream that tells its owner whether it is heard. Mixed into one of another kind.

    The owner is told `alive` once it is heard, and `doubts` with the reason when it is refused,
    when a connection brought nothing, and when nothing has been heard for a while after asking or
    after a loss; a stream that the server has ended (it drains, or the token ran out) has as long
    to come back. Only `SignedOut` is final here: whether a refusal is the server's last word or
    some proxy's, the poll finds out.
    """

    def watch(self, owner: HealthListener, timeouts: Timeouts) -> Self:
        """From before it is read on: tell that owner."""
        self._owner = owner
        self._timeouts = timeouts
        self._again = Backoff(timeouts.again, timeouts.again_at_most)
        self.alive = False
        self._on_trial = False
        self._asked_at: float | None = None
        self._first_at: float | None = None
        self._doubted = False
        self._unreachable = False
        """Whether the last attempt did not even get as far as asking."""
        self._doubting: asyncio.TimerHandle | None = None
        self._listening: asyncio.TimerHandle | None = None
        self._beat_at: float | None = None
        self._gaps = 0
        self._longest_gap = 0.0
        return self

    async def __anext__(self) -> ItemT:
        try:
            return await super().__anext__()
        except BaseException:
            self._rest()
            raise

    async def aclose(self) -> None:
        """End for good and close the connection."""
        self._rest()
        await super().aclose()

    async def _open_connection(self) -> ConnectionT:
        self._owner.begins()
        self._asked_at = self._first_at = self._beat_at = None
        self._expect()
        return await super()._open_connection()

    def _on_sent(self) -> None:
        if self._asked_at is None:
            self._asked_at = _now()
            self._unreachable = False
            self._expect()
            self._restart_silence_timer()

    def _set_open(self, state: State) -> None:
        """The head alone proves nothing; `_on_received` says when the stream stands."""

    def _on_received(self, *, heartbeat: bool) -> None:
        now = _now()
        if self._first_at is None:
            self._first_at = now
            self._on_trial = self._on_trial or self._is_late(self._timeouts.prompt)
        if heartbeat:
            self._on_heartbeat(now)
        self._restart_silence_timer()
        if self.alive or (self._on_trial and now - self._first_at < self._timeouts.settled):
            return
        self._rest()
        self.alive = True
        self._on_trial = False
        self._again.reset()
        super()._set_open(State.LIVE)
        self._owner.alive()

    def _gives_up_on(self, error: ClientError) -> bool:
        return isinstance(error, SignedOut)

    def _delay(self, error: ClientError) -> float:
        self._unreachable = self._asked_at is None
        unheard = self._unheard()
        self._on_trial = self._on_trial or unheard
        blocked = unheard or isinstance(error, NoStream) or is_permanent(error)
        if blocked or self._owner.AT_ONCE:
            self._doubt(short_message(error), error, blocked=blocked)
        if blocked:
            retry_after = error.retry_after if isinstance(error, ApiError) else None
            return self._again.lost(retry_after)
        return super()._delay(error)

    def _delay_after_end(self) -> float:
        if self._unheard():
            self._doubt(HELD_BACK, blocked=True)
            self._on_trial = True
            return self._again.lost()
        return super()._delay_after_end()

    async def _wait(self, detail: str, delay: float) -> None:
        if self.alive:
            self.alive = False
            # The first wait is what the server asks for; a longer one would be felt.
            self._expect(delay if self._backoff.attempt <= 1 else 0.0)
        await super()._wait(detail, delay)

    def _drop(self) -> None:
        super()._drop()
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    def _at_least(self, seconds: float) -> float:
        """So long, or four round trips."""
        return max(seconds, ROUND_TRIPS * self._session.round_trip)

    def _is_late(self, seconds: float) -> bool:
        """Whether it was asked for longer ago than that."""
        return self._asked_at is not None and _now() - self._asked_at > self._at_least(seconds)

    def _unheard(self) -> bool:
        """Whether the connection that is over brought nothing that could be believed."""
        return not self.alive and self._is_late(self._timeouts.first_sound)

    def _expect(self, delay: float = 0.0) -> None:
        """It has so long to be heard after `delay`, unless it is in doubt anyway."""
        if self._doubting is None and not self._doubted:
            seconds = self._at_least(self._timeouts.first_sound)
            self._doubting = asyncio.get_running_loop().call_later(
                delay + seconds, self._miss, f"nothing came for {seconds:.3g} s"
            )

    def _miss(self, words: str) -> None:
        """It was not heard in time. Where it could not even be asked, a poll cannot be either."""
        self._doubting = None
        if not self._unreachable:
            self._doubt(words)

    def _doubt(self, words: str, error: ClientError | None = None, *, blocked: bool = True) -> None:
        self._rest()
        self._doubted = True
        self._owner.doubts(words, error, blocked=blocked)

    def _rest(self) -> None:
        """Neither alive nor in doubt, and nothing is expected."""
        self.alive = self._doubted = False
        if self._doubting is not None:
            self._doubting.cancel()
            self._doubting = None

    def _restart_silence_timer(self) -> None:
        """From now on it may be silent for so long."""
        if self._listening is not None:
            self._listening.cancel()
        seconds = self._timeouts.silence
        if self._gaps >= GAPS_TO_TELL:
            seconds = min(seconds, self._longest_gap + self._timeouts.late)
        loop = asyncio.get_running_loop()
        self._listening = loop.call_later(seconds, self._on_silence, seconds)

    def _on_silence(self, seconds: float) -> None:
        self._gaps, self._longest_gap = 0, 0.0  # it may be another server's by now
        self._on_trial = True
        self._fail_connection(
            NoStream(
                f"Nothing has come for {seconds:.0f} seconds, not even a heartbeat. Something "
                f"between here and the server at {self._session.base_url} holds the stream back.",
                f"nothing came for {seconds:.0f} s",
            )
        )

    def _on_heartbeat(self, now: float) -> None:
        if self._beat_at is not None:
            self._gaps += 1
            self._longest_gap = max(self._longest_gap, now - self._beat_at)
        self._beat_at = now


class MonitoredEventStream(MonitoredStream[RequestContext, ServerSentEvent], EventStream):
    """The events of a path, as a primary stream."""


def _now() -> float:
    return asyncio.get_running_loop().time()
