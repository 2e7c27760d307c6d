"""What a network does to what goes through it: dials, presets, and the weather of a seed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import ceil
from typing import Literal

KILO = 1000
SEGMENT_BYTES = 1448
"""What one TCP segment carries over Ethernet, with time stamps."""
RETRANSMIT_SECONDS = 0.2
"""The least time after which TCP sends again what was not acknowledged; doubled each time."""
RETRANSMITS = 6
SLOT_SECONDS = 0.01
"""The weather changes this often: what leaves in the same slot has the same fate."""


@dataclass(frozen=True, slots=True)
class Dials:
    """All that can be turned while a run goes on; the defaults pass everything on as it comes.

    Times are seconds, rates bytes a second. 0 turns a dial off. Each connection has the line to
    itself.
    """

    delay: float = 0.0
    """One way. A connection's first bytes wait for a round trip more, as TCP's handshake does."""
    jitter: float = 0.0
    """Up to this much is added to the delay, evenly; the order is kept."""
    up: float = 0.0
    down: float = 0.0
    loss: float = 0.0
    """The share of segments that are lost. TCP shows that as a stall of 200 ms, of 400 ms where
    the segment is lost again, and so on; fast retransmission inside of a bulk transfer is not
    modelled."""
    window: int = 256 * 1024
    """Bytes that may be under way in a direction of a connection before its sender is paused."""
    stall: bool = False
    """Everything waits, and no connection is lost."""
    stall_every: float = 0.0
    stall_for: float = 0.0
    cut: bool = False
    """Every connection is cut, and a new one is refused."""
    cut_every: float = 0.0
    cut_for: float = 0.0
    """How long new connections are refused after such a cut."""
    reset: bool = True
    """Cut with a reset; otherwise with an orderly end (FIN)."""
    half_open: bool = False
    """What is sent vanishes without a reset, and what it was sent over stays dead."""
    idle: float = 0.0
    """A connection that is silent for so long is ended."""
    buffer: int = 0
    """A proxy holds each answer until it has so many bytes of its body, or the end."""
    websocket: Literal["pass", "refuse", "strip"] = "pass"
    """A proxy that does not know WebSocket answers 426, or drops the request to upgrade."""
    bad_gateway: int = 0
    """A proxy answers every n-th request of a connection with a 502; with 1, each."""
    http10: bool = False
    """A proxy answers in HTTP/1.0: nothing chunked, no upgrade, one answer for each connection."""

    def __post_init__(self) -> None:
        """Raises ValueError in words."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int | float) and value < 0:
                raise ValueError(f"{field.name} cannot be less than 0.")
        if self.loss >= 1:
            raise ValueError("loss is a share below 1.")
        if self.window < 1:
            raise ValueError("window must be at least 1 byte.")
        for every, held in (("stall_every", "stall_for"), ("cut_every", "cut_for")):
            if getattr(self, every) and getattr(self, held) >= getattr(self, every):
                raise ValueError(f"{held} must be less than {every}.")

    @property
    def rewrites(self) -> tuple[object, ...]:
        """What a proxy that understands HTTP does; empty where there is none."""
        http = (self.buffer, self.websocket, self.bad_gateway, self.http10)
        return () if http == (0, "pass", 0, False) else http


@dataclass(frozen=True, slots=True)
class Preset:
    """A network with a name that people know."""

    dials: Dials
    reason: str


PRESETS: dict[str, Preset] = {
    "none": Preset(Dials(), "Nothing in between: loopback, for the floor of every figure."),
    "office": Preset(
        Dials(delay=0.005, jitter=0.003, up=12_500 * KILO, down=12_500 * KILO),
        "A wired office near the server: 100 Mbit/s, a round trip of 10 ms and a little.",
    ),
    "train": Preset(
        Dials(
            delay=0.04,
            jitter=0.04,
            up=625 * KILO,
            down=2_500 * KILO,
            loss=0.005,
            cut_every=40,
            cut_for=10,
        ),
        "4G from a moving train: every 40 s a tunnel of 10 s takes all connections along.",
    ),
    "3g": Preset(
        Dials(
            delay=0.15,
            jitter=0.1,
            up=8 * KILO,
            down=48 * KILO,
            loss=0.02,
            stall_every=30,
            stall_for=8,
        ),
        "3G in a lift: 384 kbit/s down, 64 up; every 30 s the doors close for 8 s, and all waits.",
    ),
    "hotel": Preset(
        Dials(delay=0.03, jitter=0.12, up=60 * KILO, down=125 * KILO, loss=0.03, idle=30),
        "Hotel Wi-Fi: 1 Mbit/s shared by a floor, lossy, and its gateway ends what is idle for "
        "30 s.",
    ),
    "proxy": Preset(
        Dials(delay=0.01, jitter=0.005, buffer=4096, websocket="refuse", idle=60),
        "A corporate proxy: it collects 4 kB of an answer before it passes it on, knows no "
        "WebSocket, and ends what is idle for 60 s.",
    ),
    "offline": Preset(Dials(cut=True), "Aeroplane mode: every connection is refused at once."),
}


class Weather:
    """Chance as a function of the seed and the time alone.

    Whatever leaves in the same hundredth of a second in the same direction has the same fate, so
    all patterns suffer alike, however many segments and connections each of them has.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def delay(self, dials: Dials, at: float, size: int, *, up: bool) -> float:
        """Seconds that this many bytes take which leave at that time of the run."""
        way = 0 if up else 1
        delay = dials.delay
        if dials.jitter:
            delay += dials.jitter * self._chance(at, way)
        if dials.loss:
            lost = 1 - (1 - dials.loss) ** ceil(size / SEGMENT_BYTES)
            retransmit = RETRANSMIT_SECONDS
            for _ in range(RETRANSMITS):
                if self._chance(at, 2 + way) >= lost:
                    break
                at += retransmit
                delay += retransmit
                retransmit *= 2
                lost = dials.loss  # one segment is sent again
        return delay

    def _chance(self, at: float, channel: int) -> float:
        """Evenly from [0, 1), by the SplitMix64 generator's mixing function."""
        slot = int(at / SLOT_SECONDS)
        mask = 0xFFFFFFFFFFFFFFFF
        mixed = (self._seed * 0x9E3779B97F4A7C15 + slot * 0xD1342543DE82EF95 + channel) & mask
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> shift)) * factor & mask
        return (mixed ^ (mixed >> 31)) / 2**64


def is_within(at: float, every: float, held: float) -> bool:
    """Whether the time of the run is in one of the intervals that begin at `every`, `2 * every`…"""
    return bool(every) and at >= every and at % every < held


def next_change(at: float, every: float, held: float) -> float:
    """The next time of the run at which such an interval begins or ends."""
    start = at - at % every
    if start >= every and at - start < held:
        return start + held
    return start + every
