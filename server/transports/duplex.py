"""A connection that goes both ways: its lane out, and the pace at which it may send."""

import asyncio
import json
import math
import re
import socket
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from server.core.errors import Problem, too_many
from server.core.limits import KEYS, GrowingDelay
from server.realtime.event import Event
from server.settings import Settings
from server.text import fault
from server.transports.connections import End

FRAME_BYTES = 64 * 1024
"""What a client may send at once."""
BUFFER = 64 * 1024
"""Bytes that may wait for a client in this process; beyond, it is catching up."""
KERNEL_BUFFER = 64 * 1024
CLOSE_SECONDS = 5.0
"""How long a client may take to read what is left for it, and to answer a close."""
HARD_BYTES = 2 * FRAME_BYTES
"""Beyond this a frame is not even read to its end."""
BURST_SECONDS = 5
"""Seconds' worth of frames that may come at once: who was away has some to send again."""
SHORT_BYTES = 4 * 1024
"""A frame counts once, and once more for each of these."""
PATIENCE = 120
"""Frames that are refused one after the other before the connection is ended."""
PATIENCE_SECONDS = 60
"""In which an account that has used up as many refusals has them all again."""
AWAY_SECONDS = 30.0
"""An account's longest wait until its next connection after one that sent too fast."""
RETRY_MS = (500, 2500)


def bound(transport: asyncio.Transport) -> None:
    """Let at most BUFFER bytes wait for its client here, and KERNEL_BUFFER in the kernel."""
    transport.set_write_buffer_limits(high=BUFFER)
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)


_CLIENT_ID = re.compile(r'"client_id"\s{0,8}+:\s{0,8}+("(?:[^"\\]|\\.){0,640}+")')
"""Up to 64 characters, of which each may be written as two escapes of five parts."""


class CloseCode:
    """Why a WebSocket was ended; a problem of status 4xx is 4000 and that status."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL = 1002
    POLICY = 1008
    TOO_LARGE = 1009
    FAILED = 1011
    TRY_AGAIN_LATER = 1013
    UNAUTHORIZED = 4401
    STALLED = 4408


CODES = {
    End.EXPIRED: (CloseCode.UNAUTHORIZED, "token-expired"),
    End.REVOKED: (CloseCode.UNAUTHORIZED, "session-ended"),
    End.DRAINING: (CloseCode.GOING_AWAY, "going-away"),
    End.RELEASED: (CloseCode.GOING_AWAY, "going-away"),
    End.RESET: (CloseCode.NORMAL, "reset"),
    End.OVER: (CloseCode.NORMAL, "over"),
    End.STALLED: (CloseCode.STALLED, "no-progress"),
    End.FAILED: (CloseCode.FAILED, "failed"),
    End.TOO_LARGE: (CloseCode.TOO_LARGE, "too-large"),
    End.TOO_FAST: (CloseCode.POLICY, "too-fast"),
}


def code_of(problem: Problem) -> int:
    """The close code that says what the problem's status would have said."""
    if problem.status in (429, 503):
        return CloseCode.TRY_AGAIN_LATER
    return 4000 + problem.status if problem.status < 500 else CloseCode.FAILED


@dataclass(slots=True, eq=False)
class Said:
    """One thing a client is told: its name, and its JSON text. `encoded` is as an event's."""

    name: str
    text: str
    encoded: dict[str, Any] = field(default_factory=dict)


def error(code: str, detail: str, **more: object) -> Said:
    """A frame was not taken, and why."""
    members = {"type": "error", "code": code, "detail": detail} | more
    return Said("error", json.dumps(members, ensure_ascii=False, separators=(",", ":")))


Translate = Callable[[Event], Iterable[Said]]
"""What an event tells this client."""


class Lane(ABC):
    """The way out to one client, bounded. Several subscriptions may share it."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()

    def end(self, why: End) -> None:
        """Let the connection be ended."""
        if not self.ended.done():
            self.ended.set_result(why)

    @property
    @abstractmethod
    def open(self) -> bool:
        """Whether the client can still be told anything."""

    @property
    @abstractmethod
    def behind(self) -> bool:
        """Whether so much waits for the client that no more should be added."""

    @abstractmethod
    def say(self, said: Said) -> None:
        """Send it, whether behind or not: for short answers to what the client sent."""

    @abstractmethod
    async def ready(self) -> None:
        """Waits until the client is not behind; one without any progress is ended.

        Raises ConnectionError where it is gone.
        """

    def sink(self, translate: Translate, reset: Callable[[], None]) -> "LaneSink":
        """A subscription's sink on this lane; `reset` is called when its cursor is no good."""
        return LaneSink(self, translate, reset)


class LaneSink:
    """A lane as the sink of one subscription."""

    def __init__(self, lane: Lane, translate: Translate, reset: Callable[[], None]) -> None:
        self._lane = lane
        self._translate = translate
        self.reset = reset

    def write(self, event: Event) -> bool:
        """Say what the event tells; False while too much waits already."""
        if not self._lane.open or self._lane.behind:
            return False
        for said in self._translate(event):
            self._lane.say(said)
        return True

    async def ready(self) -> None:
        """See `Lane.ready`."""
        await self._lane.ready()

    def fail(self) -> None:
        """End; the client comes back with its cursor."""
        self._lane.end(End.FAILED)


class Pace:
    """How fast one connection, or one account, may send: so many frames a second, some at once; 0
    is no limit.

    `spare` more may come at once. `refusals` is how often an account may be refused.
    """

    whole: "Pace | None" = None
    """That of all connections of the account together, which counts too."""

    def __init__(self, per_second: float, spare: int = 0, refusals: "Pace | None" = None) -> None:
        self.refusals = refusals
        self._per_second = per_second
        self._most = per_second * BURST_SECONDS + spare
        self._left = self._most
        self._at = asyncio.get_running_loop().time()
        self._refused = 0

    def take(self, size: int = 0) -> int:
        """Count a frame of so many bytes, as several where it is long: the work goes with the size.

        0 where it may pass, else the milliseconds after which it will.
        """
        if not self._per_second:
            return 0
        now = asyncio.get_running_loop().time()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        cost = min(1 + size // SHORT_BYTES, max(1, self._most))
        if self._left < cost:
            wait = max(1, round((cost - self._left) / self._per_second * 1000))
        elif self.whole is None or not (wait := self.whole.take(size)):
            self._left -= cost
            if self._left >= self._most / 2:
                self._refused = 0
            return 0
        self._refused += 1
        if self.whole is not None and self.whole.refusals and self.whole.refusals.take():
            self._refused = PATIENCE + 1
        return wait

    @property
    def limit(self) -> float:
        """Frames a second; 0 is no limit."""
        return self._per_second

    @property
    def exhausted(self) -> bool:
        """Whether it goes on and on, whatever it is told."""
        return self._refused > PATIENCE

    def refusal(self, milliseconds: int, named: str | None) -> Said:
        """What to say to a frame that came too early; `named` is its `client_id`."""
        account = self.whole.limit if self.whole is not None else 0
        return error(
            "rate_limited",
            f"Too fast: at most {self._per_second:g} frames a second"
            + (f", and {account:g} over all of an account's connections" if account else "")
            + ". This one was not taken; send it again a little later.",
            **({"client_id": named} if named else {}),
            retry_after_ms=milliseconds,
        )


class AccountPace:
    """How fast an account may send over all its connections, and what it may be refused."""

    def __init__(self, settings: Settings, cut_off: Callable[[], None]) -> None:
        times = settings.sockets_at_full_pace
        frames = settings.frames_per_second * times
        refusals = Pace(PATIENCE / PATIENCE_SECONDS if frames else 0, spare=PATIENCE)
        self.taken = Pace(frames, refusals=refusals)
        self.messages = Pace(frames, spare=2 * PATIENCE)
        """Those that are parsed, to be taken or refused in words."""
        self.others = Pace(settings.control_frames_per_second * times)
        self.cut_off = cut_off
        """A connection is ended since it sent too fast."""

    def join(self, lane: Lane, pace: Pace) -> None:
        """What the lane's client sends at that pace counts here too."""
        pace.whole = self.taken
        lane.ended.add_done_callback(self._ended)

    def _ended(self, ended: "asyncio.Future[End]") -> None:
        if not ended.cancelled() and ended.result() is End.TOO_FAST:
            self.cut_off()


class AccountPaces:
    """The pace of each account in this process, through both doors. It outlives the account's
    connections, as otherwise who is cut off would come back for as much again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._paces: OrderedDict[str, AccountPace] = OrderedDict()
        self._away = GrowingDelay(1 if settings.sockets_at_full_pace else 0, AWAY_SECONDS)

    def of(self, key: str) -> AccountPace:
        """The pace of the account."""
        pace = self._paces.pop(key, None) or AccountPace(self._settings, lambda: self._cut_off(key))
        self._paces[key] = pace
        if len(self._paces) > KEYS:
            self._paces.popitem(last=False)
        return pace

    def admit(self, key: str) -> AccountPace:
        """The pace of an account that connects.

        Raises Problem 429 where a connection of its was cut off just now.
        """
        if wait := self._away.seconds_left(key):
            raise too_many(
                "A connection of this account has sent too many frames."
                f" Connect again in {math.ceil(wait)} s.",
                wait,
            )
        return self.of(key)

    def _cut_off(self, key: str) -> None:
        if not self._away.seconds_left(key):  # many that are cut off together count once
            self._away.begin_attempt(key)


def client_id_in(text: str | None) -> str | None:
    """By what name the client knows the frame, if it has one, whatever else is wrong with it.

    It is looked for, not parsed for: reading 64 KB of JSON takes milliseconds, which is too dear
    for a frame that is refused.
    """
    found = _CLIENT_ID.search(text or "")
    try:
        return client_id_of({"client_id": json.loads(found[1])}) if found else None
    except ValueError:
        return None


def client_id_of(sent: object) -> str | None:
    """The same of a frame that was read."""
    name = sent.get("client_id") if isinstance(sent, dict) else None
    return name if isinstance(name, str) and len(name) <= 64 and fault(name) is None else None
