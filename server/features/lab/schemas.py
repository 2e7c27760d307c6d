"""What the lab's runs, their events and their costs look like on the wire."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from server.features.shared.schemas import Timestamp, Whole, Wire

EVENT = "lab.event"
"""The type of a run's events."""


class Shape(StrEnum):
    """How a run's events follow each other, at the same rate on average."""

    STEADY = "steady"
    """At equal intervals."""
    POISSON = "poisson"
    """At random: what comes next does not depend on what came before."""
    BURST = "burst"
    """Ten at once, and then nothing for as long as ten take."""
    HAND = "hand"
    """None by itself: each is asked for, whatever the rate."""


class RunState(StrEnum):
    """Where a run stands."""

    WAITING = "waiting"
    """Held: it begins when it is told to."""
    RUNNING = "running"
    ENDED = "ended"
    STOPPED = "stopped"
    FAILED = "failed"
    """Its process ended or could not write, or nobody began it in time."""

    @property
    def active(self) -> bool:
        """Whether events are still to come."""
        return self in (RunState.WAITING, RunState.RUNNING)


Rate = Annotated[float, Field(gt=0, le=100_000)]
Size = Annotated[int, Field(ge=0, le=16 * 1024 * 1024)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Seed = Annotated[int, Field(ge=0, lt=2**53)]


class Source(Wire):
    """The source of a run: the same values give the same schedule. The server's limits are lower
    than those here."""

    rate: Rate
    """Events a second, on average."""
    shape: Shape
    size: Size
    """Bytes of padding in each event."""
    seconds: Seconds
    seed: Seed
    held: bool
    """Whether it waits until it is begun, so that readers can connect before."""


class NewRun(Source):
    """A run to be started."""

    rate: Rate = 1.0
    shape: Shape = Shape.POISSON
    size: Size = 64
    seconds: Seconds = 20.0
    seed: Seed = 1
    held: bool = False


class Clock(Wire):
    """The server's clocks as it answered, in seconds: its monotonic one, and since 1970."""

    monotonic: float
    wall: float


class Run(Wire):
    """A run of the lab."""

    id: str
    source: Source
    state: RunState
    started_at: Timestamp
    """When it was begun, or while it waits, made."""
    begun: Clock | None
    """The server's clocks as it began; null before."""
    cursor: str
    """Before its first event."""
    seq: Whole
    """Of its newest event, 0 before the first."""
    clock: Clock


class LabEvent(Wire):
    """An event of a run. The times are of the moment at which its transaction wrote it."""

    seq: Whole
    """From 1, without gaps."""
    monotonic: float
    wall: float
    padding: str


class Latest(Wire):
    """The state of a run that short polling reads: its newest event."""

    state: RunState
    newest: LabEvent | None


class Costs(Wire):
    """What the process that answers has used since it began."""

    process: Whole
    """Its id: costs of two answers can be compared if it is the same."""
    cpu_seconds: float
    """Of all its threads."""
    resident_bytes: Whole | None
    """Memory; null where the system does not say."""
    threads: Whole
    held: Whole
    """Streams and held polls now."""
