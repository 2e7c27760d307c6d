"""A message that crossed the wire, and the patterns by which news travels."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from tui.common.language import _

Direction = Literal["in", "out"]


class Pattern(StrEnum):
    """How news travels from the server to this client."""

    REST = "REST"
    LONG_POLL = "long poll"
    SSE = "SSE"
    WEBSOCKET = "WebSocket"
    SHORT_POLL = "short poll"


ROUND_TRIPS = {
    Pattern.REST: _("first byte"),
    Pattern.LONG_POLL: _("first answer"),
    Pattern.SSE: _("opening"),
    Pattern.WEBSOCKET: "ping",
    Pattern.SHORT_POLL: _("first byte"),
}
"""What a pattern's `latencies` are: from a request's leaving to the first byte of its answer, where
that was not held, to that of a stream; from a ping to its answer."""


BODY_KEPT = 4096
"""Bytes or characters of a body that are kept: many frames are."""
SECRET = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})
"""Headers whose values are not kept."""
NOT_KEPT = _("(not kept)")


def head_text(line: str, headers: Iterable[tuple[str | bytes, str | bytes]]) -> str:
    """The head of a request or an answer as it is shown: without what would let others in."""
    lines = [line]
    for raw_name, raw_value in headers:
        name = raw_name if isinstance(raw_name, str) else raw_name.decode("latin-1")
        value = raw_value if isinstance(raw_value, str) else raw_value.decode("latin-1")
        lines.append(f"{name}: {NOT_KEPT if name.lower() in SECRET else value}")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Contents:
    """What is kept of a message besides its size. A body is cut at `BODY_KEPT`."""

    head: str = ""
    body: str | bytes = ""
    took_ms: float | None = None
    """Of an answer: from the request's leaving to its first byte."""
    exchange: int = 0
    """Which request with its answer, stream or socket of the app it belongs to; 0: the meter's
    newest."""

    @classmethod
    def of(
        cls, head: str, body: str | bytes, took_ms: float | None = None, exchange: int = 0
    ) -> "Contents":
        """With as much of the body as is kept."""
        return cls(head, body if len(body) <= BODY_KEPT else body[:BODY_KEPT], took_ms, exchange)


NOTHING = Contents()


@dataclass(frozen=True, slots=True)
class Frame:
    """One message that crossed the wire, or several heartbeats with nothing else between them.

    `at` is `time.time()`, `size` is in bytes; `meter` is "" for heartbeats of several meters.
    """

    at: float
    meter: str
    pattern: Pattern
    direction: Direction
    what: str
    size: int
    heartbeats: int = 0
    """How many it stands for; 0 for any other message."""
    age_ms: float | None = None
    """Of the news in it, when it arrived."""
    replayed: bool = False
    contents: Contents = NOTHING
    exchange: int = 0

    @property
    def words(self) -> str:
        """What it says; of heartbeats, how many."""
        if not self.heartbeats:
            return f"↺ {self.what}" if self.replayed else self.what
        return f"♥ {self.heartbeats} {self.what}s" if self.heartbeats > 1 else f"♥ {self.what}"
