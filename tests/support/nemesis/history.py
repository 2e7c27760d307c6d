"""What a client got, in order, and what it did about it."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

NOTES = 400


@dataclass(frozen=True)
class Delivery:
    """An event, or a state, as it arrived; `at` in seconds since 1970."""

    seq: int
    type: str
    data: Any
    at: float


@dataclass
class Stretch:
    """What came after one snapshot: until a `reset`, or until now."""

    start: int
    """The `seq` of the snapshot; 0 for a state, which has none."""
    got: list[Delivery] = field(default_factory=list)
    reset: bool = False

    @property
    def reached(self) -> int:
        """The `seq` of the last delivery."""
        return self.got[-1].seq if self.got else self.start


@dataclass
class History:
    """The stretches since the last check, and notes for whoever looks into a failure."""

    stretches: list[Stretch] = field(default_factory=list)
    notes: deque[str] = field(default_factory=lambda: deque(maxlen=NOTES))
    delivered: int = 0

    def note(self, text: str) -> None:
        """A line for a person, with the time."""
        self.notes.append(f"{time.time():.3f} {text}")

    def begin(self, start: int) -> None:
        """A snapshot has been read."""
        self.note(f"begins at {start}")
        self.stretches.append(Stretch(start))

    def add(self, seq: int, type: str, data: Any) -> None:
        """Something has arrived."""
        self.delivered += 1
        self.note(f"got {seq} {type}")
        self.stretches[-1].got.append(Delivery(seq, type, data, time.time()))

    def reset(self) -> None:
        """The server has said `reset`."""
        self.note("reset")
        self.stretches[-1].reset = True

    @property
    def reached(self) -> int:
        """The `seq` of the last delivery or snapshot; -2 while there is none, or after a reset."""
        if not self.stretches or self.stretches[-1].reset:
            return -2
        return self.stretches[-1].reached

    def take(self) -> list[Stretch]:
        """The stretches up to now; those to come go on from here."""
        taken = self.stretches
        ended = not taken or taken[-1].reset
        self.stretches = [] if ended else [Stretch(taken[-1].reached)]
        return taken
