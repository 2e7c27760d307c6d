"""A message that crossed the wire, and the patterns by which news travels."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Direction = Literal["in", "out"]


class Pattern(StrEnum):
    """How news travels from the server to this client."""

    REST = "REST"
    LONG_POLL = "long poll"
    SSE = "SSE"
    WEBSOCKET = "WebSocket"
    SHORT_POLL = "short poll"


ROUND_TRIPS = {
    Pattern.REST: "first byte",
    Pattern.LONG_POLL: "first answer",
    Pattern.SSE: "opening",
    Pattern.WEBSOCKET: "ping",
    Pattern.SHORT_POLL: "first byte",
}
"""What a pattern's `latencies` are: from a request's leaving to the first byte of its answer, where
that was not held, to that of a stream; from a ping to its answer."""


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

    @property
    def words(self) -> str:
        """What it says; of heartbeats, how many."""
        if not self.heartbeats:
            return f"↺ {self.what}" if self.replayed else self.what
        return f"♥ {self.heartbeats} {self.what}s" if self.heartbeats > 1 else f"♥ {self.what}"
