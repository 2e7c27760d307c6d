"""What a run of the lab records: what was appended, what arrived, and what was exchanged for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

SHORT_POLL = "short-poll"
LONG_POLL = "long-poll"
SSE = "sse"
WEBSOCKET = "websocket"
SOCKETIO = "socketio"
PATTERNS = (SHORT_POLL, LONG_POLL, SSE, WEBSOCKET, SOCKETIO)
"""Their names in records, results and on the command line, in the order in which they are shown."""
SSE_FALLBACK = "sse-fallback"
"""The stream of the apps, which polls while something on the way holds its events back."""
SSE_NO_CURSOR = "sse-no-cursor"
"""A stream that comes back without saying what it has had."""
READERS = (*PATTERNS, SSE_FALLBACK, SSE_NO_CURSOR)
"""All that can read a run: the patterns, and two of them in another way."""
LTE_TAIL_SECONDS = 11.576
"""See `tui.lab.statistics`."""
NO_PROMISE = frozenset({SHORT_POLL, SSE_NO_CURSOR})
"""Those that may miss events: short polling brings states. All others bring every event, once and
in order."""
PROMISES = frozenset(PATTERNS) - NO_PROMISE
"""The patterns that do."""

Shape = Literal["steady", "poisson", "burst", "hand"]
Pace = Literal["pause", "rate"]
"""Of short polls: a fixed pause after each answer, or a fixed rate."""


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody else's server, measured in place of the product."""

    url: str
    rate: float | None
    """Events a second that the lab publishes there, on average; None: it only listens."""
    numbered: frozenset[str]
    """The patterns whose events have the numbers that the lab gave them."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run: everything that a run needs to be repeated."""

    experiment: str = "patterns"
    network: str = "none"
    """The preset's name."""
    seconds: float = 20.0
    """How long events are appended."""
    readers: int = 1
    """Of each pattern."""
    seed: int = 1
    rate: float = 1.0
    """Events a second, on average."""
    shape: Shape = "poisson"
    size: int = 64
    """Bytes of padding in an event."""
    poll_seconds: float = 1.0
    """Between an answer to a short poll and the next one; or, at the pace `rate`, between a short
    poll and the next one."""
    poll_pace: Pace = "pause"
    patterns: tuple[str, ...] = PATTERNS
    """Some of `READERS`."""
    isolated: bool = False
    """Whether each pattern has a server process of its own, for CPU and memory."""
    radio_tail: float = LTE_TAIL_SECONDS
    """Seconds that a phone's radio stays on after a packet, for the estimate of its time."""
    target: Target | None = None
    """None: the product. Otherwise size and shape say nothing, and isolated is False."""


@dataclass(frozen=True, slots=True)
class Appended:
    """An event at its source. All times here are seconds of the lab's `time.monotonic`."""

    seq: int
    """From 1, without gaps."""
    committed: float
    """When it was stamped, inside of the transaction that commits it."""
    payload: int
    """Bytes of its data as JSON."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event, or of short polling the newest one, in a reader's hands."""

    pattern: str
    reader: int
    """From 0, within its pattern."""
    seq: int
    committed: float
    received: float
    replayed: bool
    """It was committed before this connection stood, after another one was lost."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An event of somebody else's server in a reader's hands, as far as it says."""

    pattern: str
    reader: int
    received: float
    payload: int
    """Bytes of its data."""
    seq: int | None
    sent: float | None
    replayed: bool


@dataclass(frozen=True, slots=True)
class Exchange:
    """A step of a request or of a connection that lasts (a stream, a socket).

    `started`: its request has left; `answered`: the answer's head is there; `ended`: by itself, or
    closed by us; `failed`: refused, cut or not answered. The bytes are those that the client
    library counts: heads and bodies without chunk marks; the proxy counts what goes over the wire.
    """

    pattern: str
    reader: int
    number: int
    """Which of the reader's requests and connections, from 1; its steps have the same."""
    kind: Literal["request", "connection"]
    state: Literal["started", "answered", "ended", "failed"]
    at: float
    up: int
    """Bytes sent so far."""
    down: int
    """Bytes received so far."""
    what: str = ""
    """Method and path, the status, or what went wrong."""


class Sink(Protocol):
    """Takes a run's records as they come, on the event loop: it must be quick and not block.

    `appended` may come after the event's first arrival: the lab reads the run's log for it.
    """

    def appended(self, record: Appended) -> None:
        """The source has appended an event."""
        ...

    def arrived(self, record: Arrival) -> None:
        """A reader has got an event."""
        ...

    def exchanged(self, record: Exchange) -> None:
        """A request or a connection has gone a step further."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a pattern kept of its promise: every event, once and in order."""

    readers: int
    connected: int
    """Readers that the server has ever answered through the network, which may let none pass."""
    lost: int
    """Events that readers did not get, counted once for each: also not after the network was
    lifted at the end of the run. Of what promises none, those it has not seen."""
    repeated: int
    unordered: int
    """Events that came after a later one."""
    late: int
    """Events that came only once the network was lifted; they are in no other figure."""
    errors: tuple[str, ...]
    """Why readers gave up, in words, each once."""
    counted: bool = True
    """Whether events have numbers; otherwise nothing is known of those lost, repeated, unordered
    and late."""

    def kept(self, pattern: str) -> bool:
        """Whether the pattern kept what it promises."""
        broken = self.repeated or self.unordered or self.errors
        return not (broken or (pattern not in NO_PROMISE and self.lost))


@dataclass(frozen=True, slots=True)
class Cost:
    """What the server process of a pattern used; of isolated runs, and of runs of one pattern."""

    cpu_seconds: float
    """From when its readers were connected to the end."""
    idle_cpu: float
    """Seconds of CPU a second that it used before, without readers; 0 where nobody looked."""
    seconds: float
    """From when its readers were connected to the end."""
    memory: tuple[tuple[int, int], ...]
    """How many readers were connected, and its bytes of memory then, several times from the half of
    them on, before anything was sent; empty where the system does not say or readers were few."""
    threads_before: int
    threads_connected: int
    held: int
    """Readers whose streams and polls it held once they were connected."""

    @property
    def held_cpu(self) -> float:
        """Seconds of CPU a second from when its readers were connected to the end."""
        return self.cpu_seconds / self.seconds


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has shown apart from the records that went to its sink."""

    plan: Plan
    run_id: str
    began: float
    """When the source began, by the lab's `time.monotonic`; it went on for `plan.seconds`."""
    began_wall: float
    """The same in seconds since 1970."""
    events: int
    """That the source appended; of a target to which the lab only listens 0, as nobody knows."""
    clock_error: float
    """By how many seconds the age of an event may be wrong; 0 where both share one clock."""
    busy: float
    """CPU seconds a second of the lab's own process while the source went on."""
    verdicts: Mapping[str, Verdict]
    costs: Mapping[str, Cost]
    """Empty where a process serves several patterns."""
    notes: tuple[str, ...] = ()
    """What else has to be known of the figures."""

    @property
    def kept(self) -> bool:
        """Whether each pattern kept what it promises."""
        return all(verdict.kept(pattern) for pattern, verdict in self.verdicts.items())
