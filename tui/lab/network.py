"""The network between readers and server: a TCP proxy in this process, with dials, that counts."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Protocol, cast

from tui.lab.connection import FIN, RST, SOCKET_BUFFER_BYTES, Conditions, Connection
from tui.lab.dials import Dials, Weather, is_within, next_change

LEAST_WAIT_SECONDS = 0.005
PROBE_SECONDS = 0.05
"""Between two looks at how late this process's own timers are."""


class Tap(Protocol):
    """Sees what crosses the network, as it passes the clients' sockets; times are those of
    `time.monotonic`."""

    def begun(self, at: float) -> None:
        """The run has begun: what was before does not count."""
        ...

    def connected(self, pattern: str, at: float) -> None:
        """A client has made a TCP connection."""
        ...

    def passed(self, pattern: str, at: float, *, up: bool, data: bytes) -> None:
        """These bytes have passed at once, to the server or from it."""
        ...

    def late(self, at: float, seconds: float) -> None:
        """A timer of this process came so late: by as much anything here may have been late."""
        ...


class Link:
    """A pattern's way through the network: one port, and what all its connections carry.

    Bytes are counted as they pass the client's sockets, heads and frames included; a packet is one
    read or one write, which is about what a segment or a few carry.
    """

    def __init__(self, network: Network, pattern: str) -> None:
        self._network = network
        self.pattern = pattern
        self.port = 0
        self.connections = 0
        self.refused = 0
        self.cuts = 0
        self.bytes_up = 0
        self.bytes_down = 0
        self.packets_up = 0
        self.packets_down = 0
        self.open: set[Connection] = set()
        """Connections of which a socket is left."""

    def cut(self) -> None:
        """Cut all its connections now; new ones are let through."""
        end = RST if self._network.dials.reset else FIN
        for connection in tuple(self.open):
            self.cuts += 1
            connection.cut(end)

    def opened(self, connection: Connection) -> bool:
        """A client has connected; returns whether it may."""
        self.connections += 1
        self.open.add(connection)
        if self._network.tap is not None:
            self._network.tap.connected(self.pattern, connection.active_at)
        if self._network.is_cut:
            self.refused += 1
            connection.cut(RST)
            return False
        return True

    def passed(self, at: float, *, up: bool, data: bytes) -> None:
        """Bytes have passed the client's socket."""
        size = len(data)
        if up:
            self.bytes_up += size
            self.packets_up += 1
        else:
            self.bytes_down += size
            self.packets_down += 1
        if self._network.tap is not None:
            self._network.tap.passed(self.pattern, at, up=up, data=data)

    def changed(self, connection: Connection) -> None:
        """One of a connection's sockets is gone."""
        if connection.is_over:
            self.open.discard(connection)
            self._network.on_closed()


class Network:
    """One port for each pattern, and dials for all of them alike.

    `async with Network(PRESETS["train"].dials, seed=7) as network`, then `listen` for each pattern.
    With the same seed the same happens at the same time of the run, whatever the pattern sends.
    """

    def __init__(self, dials: Dials | None = None, seed: int = 1, tap: Tap | None = None) -> None:
        self._conditions = Conditions(dials or Dials(), Weather(seed), time.monotonic())
        self.tap = tap
        self.links: dict[str, Link] = {}
        self.begun = asyncio.Event()
        """Set once the run has begun."""
        self._in_cut = False
        self._cuts = 0
        self._servers: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._probe: asyncio.TimerHandle | None = None
        self._closed = asyncio.Event()

    async def __aenter__(self) -> Network:
        self._tick()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def listen(self, pattern: str, host: str, port: int) -> Link:
        """Open a port on loopback that leads to that server; `Link.port` is its number."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # IPv4 where there is both: of a name such as localhost, most servers have that.
        family, _, _, _, address = min(found, key=lambda one: one[0] is not socket.AF_INET)
        target = family, cast("tuple[str, int]", address)
        link = Link(self, pattern)
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            listener.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        self._servers.append(
            await loop.create_server(
                lambda: Connection(self._conditions, target, link).client, sock=listener
            )
        )
        link.port = listener.getsockname()[1]
        self.links[pattern] = link
        return link

    def begin(self) -> None:
        """The run begins now: the schedule of cuts, stalls and weather starts over."""
        self._conditions.began = time.monotonic()
        if self.tap is not None:
            self.tap.begun(self._conditions.began)
            self._probe_in(self.tap)
        self._cuts = 0
        self.begun.set()
        self._tick()

    def turn(self, dials: Dials) -> None:
        """Set the dials. Where another HTTP proxy comes in between, all connections are cut."""
        replaced = dials.rewrites != self.dials.rewrites
        self._conditions.dials = dials
        self._cuts = self._cuts_by(time.monotonic() - self._conditions.began)
        if replaced:
            self.cut()
        self._tick()
        for connection in self._open():
            connection.flush()

    @property
    def began(self) -> float | None:
        """When the run began, by `time.monotonic`; None before."""
        return self._conditions.began if self.begun.is_set() else None

    @property
    def dials(self) -> Dials:
        """As they are set now."""
        return self._conditions.dials

    @property
    def is_cut(self) -> bool:
        """Whether new connections are refused."""
        return self.dials.cut or self._in_cut

    @property
    def is_stalled(self) -> bool:
        """Whether all that is under way waits."""
        return self._conditions.stalled

    def cut(self) -> None:
        """Cut all connections now; they may come back at once."""
        for link in self.links.values():
            link.cut()

    async def close(self) -> None:
        """Close all ports and connections, and wait until they are gone."""
        for timer in (self._timer, self._probe):
            if timer is not None:
                timer.cancel()
        for server in self._servers:
            server.close()
        for connection in self._open():
            connection.cut(RST)
        while self._open():
            self._closed.clear()
            await self._closed.wait()

    def on_closed(self) -> None:
        """A connection is gone."""
        self._closed.set()

    def _tick(self) -> None:
        """Do what the schedule says, and come back when it says the next thing."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        dials, now = self.dials, time.monotonic()
        at = now - self._conditions.began
        stall_every, cut_every = self._scheduled
        waits = []
        if stall_every:
            waits.append(next_change(at, stall_every, dials.stall_for) - at)
        stalled = dials.stall or is_within(at, stall_every, dials.stall_for)
        if cut_every:
            waits.append(next_change(at, cut_every, dials.cut_for) - at)
        self._in_cut = is_within(at, cut_every, dials.cut_for)
        cuts = self._cuts_by(at)
        if cuts > self._cuts or self.is_cut:
            self.cut()
        self._cuts = cuts
        if dials.idle:
            waits.append(dials.idle)
            for connection in self._open():
                left = connection.active_at + dials.idle - now
                if left <= 0:
                    connection.cut(FIN)
                else:
                    waits.append(left)
        if stalled is not self._conditions.stalled:
            self._conditions.stalled = stalled
            for connection in self._open():
                connection.flush()
        if waits:
            wait = max(LEAST_WAIT_SECONDS, min(waits))
            self._timer = asyncio.get_running_loop().call_later(wait, self._tick)

    def _probe_in(self, tap: Tap) -> None:
        """Look in a while how late that is."""
        due = time.monotonic() + PROBE_SECONDS

        def probe() -> None:
            now = time.monotonic()
            tap.late(now, now - due)
            self._probe_in(tap)

        if self._probe is not None:
            self._probe.cancel()
        self._probe = asyncio.get_running_loop().call_later(PROBE_SECONDS, probe)

    @property
    def _scheduled(self) -> tuple[float, float]:
        """Every how many seconds it stalls and cuts; before the run begins it does neither."""
        dials = self.dials
        return (dials.stall_every, dials.cut_every) if self.begun.is_set() else (0.0, 0.0)

    def _cuts_by(self, at: float) -> int:
        """How many cuts were scheduled up to that time of the run."""
        cut_every = self._scheduled[1]
        return int(at // cut_every) if cut_every else 0

    def _open(self) -> list[Connection]:
        return [connection for link in self.links.values() for connection in link.open]
