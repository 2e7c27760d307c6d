"""A stream of events that says whether it is alive, judged by what is heard of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.common.client.errors import ApiError, ClientTrouble, NoStream, SignedOut
from tui.common.client.reconnect import Backoff, in_short, is_final
from tui.common.client.sse import EventStream
from tui.common.client.wire import State

if TYPE_CHECKING:
    from tui.common.client.exchange import Exchange
    from tui.common.client.session import Session
    from tui.common.client.sse_parser import ServerSentEvent
    from tui.common.client.wire import Meter

GAPS_TO_TELL = 2
"""Between heartbeats, before their interval is known: one may be short, as the beat before it had
been held up."""
HELD_BACK = "the stream is held back on its way"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a stream may stay silent, and how soon one that did is tried again; in seconds."""

    first_sound: float = 2.0
    """From asking to the first byte of the body, before it is in doubt."""
    silence: float = 18.0
    """Before it is given up: 3 s more than a server may have between two heartbeats."""
    late: float = 3.0
    """More than the server's heartbeat, once that is known."""
    settled: float = 0.25
    """What is heard later than this after the first sound was not part of it."""
    again: float = 15.0
    """After a refusal, or where nothing came through; doubles from time to time."""
    again_at_most: float = 120.0


class WatchedStream(EventStream):
    """An `EventStream` whose reader may turn elsewhere while it is not alive.

    `on_alive` is called once it is heard, `on_doubt` with words at every loss or refusal, and when
    nothing has been heard for a while after asking; a stream that the server has ended (it drains,
    or the token ran out) has as long to come back. Only `SignedOut` is final here: whether a
    refusal is the server's last word or some proxy's is found out elsewhere.

    One that was held back before has to be heard twice, some time apart, to be believed.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        meter: Meter,
        *,
        on_alive: Callable[[], None],
        on_doubt: Callable[[str], None],
        patience: Patience | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__(session, path, meter, backoff=backoff)
        self.alive = False
        self._on_alive = on_alive
        self._on_doubt = on_doubt
        self._patience = patience or Patience()
        self._again = Backoff(self._patience.again, self._patience.again_at_most)
        self._on_trial = False
        self._asked_at: float | None = None
        self._first_at: float | None = None
        self._doubted = False
        self._doubting: asyncio.TimerHandle | None = None
        self._listening: asyncio.TimerHandle | None = None
        self._beat_at: float | None = None
        self._gaps = 0
        self._longest_gap = 0.0

    async def __anext__(self) -> ServerSentEvent:
        try:
            return await super().__anext__()
        except BaseException:
            self._rest()
            raise

    async def aclose(self) -> None:
        """End for good and close the connection."""
        self._rest()
        await super().aclose()

    async def _begin(self) -> Exchange:
        self._asked_at = self._first_at = self._beat_at = None
        self._expect()
        return await super()._begin()

    def _sent(self) -> None:
        if self._asked_at is None:
            self._asked_at = self._now()
            self._listen()

    def _note_open(self, state: State) -> None:
        """The head alone proves nothing; `_sound` says when the stream stands."""

    def _sound(self, *, heartbeat: bool) -> None:
        now = self._now()
        if self._first_at is None:
            self._first_at = now
            self._on_trial = self._on_trial or self._is_late()
        if heartbeat:
            self._beat(now)
        self._listen()
        if self.alive or (self._on_trial and now - self._first_at < self._patience.settled):
            return
        self._rest()
        self.alive = True
        self._on_trial = False
        self._again.reset()
        super()._note_open(State.LIVE)
        self._on_alive()

    def _gives_up(self, trouble: ClientTrouble) -> bool:
        return isinstance(trouble, SignedOut)

    def _delay(self, trouble: ClientTrouble) -> float:
        unheard = self._unheard()
        self._on_trial = self._on_trial or unheard
        self._doubt(in_short(trouble))
        if unheard or isinstance(trouble, NoStream) or is_final(trouble):
            retry_after = trouble.retry_after if isinstance(trouble, ApiError) else None
            return self._again.lost(retry_after)
        return super()._delay(trouble)

    def _delay_after_end(self) -> float:
        if self._unheard():
            self._doubt(HELD_BACK)
            self._on_trial = True
            return self._again.lost()
        return super()._delay_after_end()

    async def _wait(self, detail: str, delay: float) -> None:
        if self.alive:
            self.alive = False
            self._expect()
        await super()._wait(detail, delay)

    def _drop(self) -> None:
        super()._drop()
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    def _is_late(self) -> bool:
        """Whether the first sound should have come by now."""
        return (
            self._asked_at is not None and self._now() - self._asked_at > self._patience.first_sound
        )

    def _unheard(self) -> bool:
        """Whether the connection that is over brought nothing that could be believed."""
        return not self.alive and self._is_late()

    def _expect(self) -> None:
        """From now on it has so long to be heard, unless it is in doubt anyway."""
        if self._doubting is None and not self._doubted:
            loop = asyncio.get_running_loop()
            seconds = self._patience.first_sound
            self._doubting = loop.call_later(
                seconds, self._doubt, f"nothing came for {seconds:g} s"
            )

    def _doubt(self, words: str) -> None:
        self._rest()
        self._doubted = True
        self._on_doubt(words)

    def _rest(self) -> None:
        """Neither alive nor in doubt, and nothing is expected."""
        self.alive = self._doubted = False
        if self._doubting is not None:
            self._doubting.cancel()
            self._doubting = None

    def _listen(self) -> None:
        """From now on it may be silent for so long."""
        if self._listening is not None:
            self._listening.cancel()
        seconds = self._patience.silence
        if self._gaps >= GAPS_TO_TELL:
            seconds = min(seconds, self._longest_gap + self._patience.late)
        loop = asyncio.get_running_loop()
        self._listening = loop.call_later(seconds, self._give_up, seconds)

    def _give_up(self, seconds: float) -> None:
        self._gaps, self._longest_gap = 0, 0.0  # it may be another server's by now
        self._on_trial = True
        self._lose(
            NoStream(
                f"Nothing has come for {seconds:.0f} seconds, not even a heartbeat. Something "
                f"between here and the server at {self._session.base_url} holds the stream back.",
                f"nothing came for {seconds:.0f} s",
            )
        )

    def _beat(self, now: float) -> None:
        if self._beat_at is not None:
            self._gaps += 1
            self._longest_gap = max(self._longest_gap, now - self._beat_at)
        self._beat_at = now

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
