"""How many frames a connection, and all connections of an account, may send."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable

from server.core.errors import too_many
from server.core.limits import KEYS, GrowingDelay
from server.settings import Settings
from server.transports.connections import End
from server.transports.outbox import Frame, Outbox, error

BURST_SECONDS = 5
"""Seconds' worth of frames that may come at once: a client that was offline has some to send."""
SHORT_BYTES = 4 * 1024
"""A frame counts once, and once more for each of these."""
MAX_REFUSALS = 120
"""Frames that are refused one after the other before the connection is ended."""
REFUSALS_SECONDS = 60
"""An account that has used up MAX_REFUSALS has them all again after this long."""
LONGEST_LOCKOUT_SECONDS = 30.0
"""How long an account waits at most before it may connect again after it sent too fast."""


class FrameLimit:
    """A token bucket of frames for one connection, or for one account; 0 a second is no limit.

    `extra_burst` more may come at once. `refusals` counts how often an account may be refused.
    """

    __slots__ = ("_burst", "_filled_at", "_refused", "_tokens", "per_second", "refusals", "shared")

    def __init__(
        self, per_second: float, extra_burst: int = 0, refusals: "FrameLimit | None" = None
    ) -> None:
        self.shared: FrameLimit | None = None
        """The limit of all connections of the account together, which counts too."""
        self.per_second = per_second
        self.refusals = refusals
        self._burst = per_second * BURST_SECONDS + extra_burst
        self._tokens = self._burst
        self._filled_at = asyncio.get_running_loop().time()
        self._refused = 0

    def consume(self, size: int = 0) -> int:
        """Count a frame of so many bytes: a long one counts several times, as it is more work.

        Gives 0 where it may pass, else the milliseconds after which it may.
        """
        if not self.per_second:
            return 0
        now = asyncio.get_running_loop().time()
        elapsed = now - self._filled_at
        self._tokens = min(self._burst, self._tokens + elapsed * self.per_second)
        self._filled_at = now
        cost = min(1 + size // SHORT_BYTES, max(1, self._burst))
        if self._tokens < cost:
            wait = max(1, round((cost - self._tokens) / self.per_second * 1000))
        elif self.shared is None or not (wait := self.shared.consume(size)):
            self._tokens -= cost
            if self._tokens >= self._burst / 2:
                self._refused = 0
            return 0
        self._refused += 1
        if self.shared is not None and self.shared.refusals and self.shared.refusals.consume():
            self._refused = MAX_REFUSALS + 1
        return wait

    @property
    def exhausted(self) -> bool:
        """Whether it was refused so often that the connection has to end."""
        return self._refused > MAX_REFUSALS

    def refusal(self, milliseconds: int, client_id: str | None) -> Frame:
        """The answer to a frame that came too early."""
        account = self.shared.per_second if self.shared is not None else 0
        return error(
            "rate_limited",
            f"Too fast: at most {self.per_second:g} frames a second"
            + (f", and {account:g} over all of an account's connections" if account else "")
            + ". This one was not taken; send it again a little later.",
            **({"client_id": client_id} if client_id else {}),
            retry_after_ms=milliseconds,
        )


class AccountLimits:
    """How many frames an account may send over all its connections, and how many refusals it
    gets."""

    def __init__(self, settings: Settings, on_cut_off: Callable[[], None]) -> None:
        times = settings.sockets_at_full_pace
        per_second = settings.frames_per_second * times
        refusals = FrameLimit(
            MAX_REFUSALS / REFUSALS_SECONDS if per_second else 0, extra_burst=MAX_REFUSALS
        )
        self.accepted = FrameLimit(per_second, refusals=refusals)
        self.messages = FrameLimit(per_second, extra_burst=2 * MAX_REFUSALS)
        """Those that are parsed, whether they are then accepted or refused with a reason."""
        self.others = FrameLimit(settings.control_frames_per_second * times)
        self.on_cut_off = on_cut_off
        """To be called where a connection is ended because it sent too fast."""

    def add(self, outbox: Outbox, limit: FrameLimit) -> None:
        """What that connection sends counts here too."""
        limit.shared = self.accepted
        outbox.ended.add_done_callback(self._on_ended)

    def _on_ended(self, ended: asyncio.Future[End]) -> None:
        if not ended.cancelled() and ended.result() is End.TOO_FAST:
            self.on_cut_off()


class FrameLimits:
    """The limits of each account in this process, for WebSocket and Socket.IO together.

    They outlive the account's connections: else an account that is cut off would connect again
    and have a fresh burst.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._accounts: OrderedDict[str, AccountLimits] = OrderedDict()
        self._lockouts = GrowingDelay(
            1 if settings.sockets_at_full_pace else 0, LONGEST_LOCKOUT_SECONDS
        )

    def of(self, key: str) -> AccountLimits:
        """The limits of the account."""
        limits = self._accounts.pop(key, None) or AccountLimits(
            self._settings, lambda: self._lock_out(key)
        )
        self._accounts[key] = limits
        if len(self._accounts) > KEYS:
            self._accounts.popitem(last=False)
        return limits

    def admit(self, key: str) -> AccountLimits:
        """The limits of an account that connects.

        Raises Problem 429 where one of its connections was cut off a moment ago.
        """
        if wait := self._lockouts.seconds_left(key):
            raise too_many(
                "A connection of this account has sent too many frames."
                f" Connect again in {math.ceil(wait)} s.",
                wait,
            )
        return self.of(key)

    def _lock_out(self, key: str) -> None:
        if not self._lockouts.seconds_left(key):  # connections cut off together count once
            self._lockouts.begin_attempt(key)
