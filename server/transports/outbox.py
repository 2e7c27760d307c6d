"""The way out to a client that also sends: its frames, how many may wait, and its close codes."""

import asyncio
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from server.core.errors import Problem
from server.realtime.event import Event
from server.realtime.log import EventLog
from server.text import fault
from server.transports.connections import End

FRAME_BYTES = 64 * 1024
"""The longest frame a client may send."""

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
class Frame:
    """One message to a client: its name, and its JSON text.

    `encoded` keeps what a transport made of it, as that of an event does.
    """

    name: str
    text: str
    encoded: dict[str, Any] = field(default_factory=dict)


def error(code: str, detail: str, **more: object) -> Frame:
    """Tells a client that its frame was refused, and why."""
    members = {"type": "error", "code": code, "detail": detail} | more
    return Frame("error", json.dumps(members, ensure_ascii=False, separators=(",", ":")))


class Outbox(ABC):
    """The frames on their way to one client, bounded. Several subscriptions may share it."""

    __slots__ = ()

    ended: asyncio.Future[End]
    """Why it has ended, once it has."""

    def end(self, why: End) -> None:
        """Have the connection ended."""
        if not self.ended.done():
            self.ended.set_result(why)

    @property
    @abstractmethod
    def open(self) -> bool:
        """Whether frames still reach the client."""

    @property
    @abstractmethod
    def backlogged(self) -> bool:
        """Whether so much waits for the client that no more should be added."""

    @abstractmethod
    def send(self, frame: Frame) -> None:
        """Send it, even when backlogged: for short answers to what the client sent."""

    @abstractmethod
    async def ready(self) -> None:
        """Returns once the client is no longer backlogged; one that reads nothing is ended.

        Raises ConnectionError where it has gone.
        """


def frames_of(log: EventLog, event: Event) -> Iterable[Frame]:
    """An event of the log as one frame: its type, its cursor and its data; made once."""
    found: tuple[Frame] | None = event.encoded.get("frames")
    if found is None:
        text = f'{{"type":"{event.type}","cursor":"{log.cursor_of(event)}",{event.data[1:]}'
        found = event.encoded["frames"] = (Frame(event.type, text),)
    return found


Translate = Callable[[Event], Iterable[Frame]]
"""The frames that a client gets of an event."""


class OutboxSink:
    """A subscription's sink that sends its events to an outbox as frames.

    `reset` is called where the cursor cannot be honoured.
    """

    __slots__ = ("_outbox", "_translate", "reset")

    def __init__(self, outbox: Outbox, translate: Translate, reset: Callable[[], None]) -> None:
        self._outbox = outbox
        self._translate = translate
        self.reset = reset

    def write(self, event: Event) -> bool:
        """Send the event's frames; False while too much waits already."""
        if not self._outbox.open or self._outbox.backlogged:
            return False
        for frame in self._translate(event):
            self._outbox.send(frame)
        return True

    async def ready(self) -> None:
        """See `Outbox.ready`."""
        await self._outbox.ready()

    def fail(self) -> None:
        """End the connection; the client comes back with its cursor."""
        self._outbox.end(End.FAILED)


def client_id_in(text: str | None) -> str | None:
    """The frame's `client_id`, if it has one, whatever else is wrong with the frame.

    A search finds it, not a parser: parsing 64 KB of JSON takes milliseconds, too long for a frame
    that is refused.
    """
    found = _CLIENT_ID.search(text or "")
    try:
        return client_id_of({"client_id": json.loads(found[1])}) if found else None
    except ValueError:
        return None


def client_id_of(sent: object) -> str | None:
    """The same of a frame that was parsed."""
    name = sent.get("client_id") if isinstance(sent, dict) else None
    return name if isinstance(name, str) and len(name) <= 64 and fault(name) is None else None
