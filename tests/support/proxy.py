"""A small HTTP proxy in front of a server, with the faults that real proxies have."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from urllib.parse import urlsplit

HEAD_BYTES = 64 * 1024
PIECE_BYTES = 64 * 1024
BAD_GATEWAY = (
    b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 24\r\n\r\n"
    b"<h1>502 Bad Gateway</h1>"
)
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Write = Callable[[bytes], None]


@dataclass(frozen=True)
class Head:
    """The head of a request or response, as received."""

    raw: bytes

    @property
    def words(self) -> list[str]:
        """The words of its first line."""
        return self.raw.partition(b"\r\n")[0].decode().split(" ")

    def header(self, name: str) -> str:
        """A header's value in lower case; "" if it is missing."""
        for line in self.raw.decode("latin-1").split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.lower() == name:
                return value.strip().lower()
        return ""

    def without(self, name: str) -> bytes:
        """The head without that header."""
        lines = self.raw.split(b"\r\n")
        return b"\r\n".join(
            line for line in lines if line.partition(b":")[0].lower() != name.encode()
        )


class Outcome(Enum):
    """What may follow a response on the same connection."""

    MORE = auto()
    LAST = auto()
    UPGRADED = auto()
    """Another protocol, such as WebSocket: bytes in both directions."""


@dataclass
class Proxy:
    """`url` leads to the server behind it.

    The mode may be changed at any time; it also applies to responses in progress, and what was held
    back is released. `requests` counts requests by path, `methods` by method and path; `refused`
    counts the 502s.
    """

    target: str
    url: str = ""
    requests: Counter[str] = field(default_factory=Counter)
    methods: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: int = 0
    cuts: int = 0
    _every: int = 0
    _counted: int = 0
    _lifetime: float | None = None
    _hold_head: bool = False
    _hold_body: bool = False
    _pieces: int = 0
    _stall: int | None = None
    _no_upgrade: bool = False
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)
    _connections: dict[Writer, asyncio.TimerHandle | None] = field(default_factory=dict)

    def passing(self) -> None:
        """Pass everything on as it arrives."""
        self._set()

    def buffering(
        self, *, head_passes: bool = False, pieces: int = 0, cut_after: float | None = None
    ) -> None:
        """Hold each response back until its body is complete, or pass the head and the first pieces
        of the body and hold the rest. Can be combined with cutting."""
        self._set(hold_body=True, hold_head=not head_passes, pieces=pieces, lifetime=cut_after)

    def cutting(self, seconds: float) -> None:
        """Cut every connection this long after it was made; existing ones, from now."""
        self._set(lifetime=seconds)

    def failing(self, every: int) -> None:
        """Answer every n-th request with a 502; with `every=1`, each."""
        self._set(every=every)

    def without_upgrade(self) -> None:
        """Drop requests to upgrade, as many proxies do: no WebSocket gets through."""
        self._set(no_upgrade=True)

    def stalling(self, after: int) -> None:
        """Read at most this many bytes of a request's body; the rest after the mode changes."""
        self._set(stall=after)

    def cut(self) -> None:
        """Cut every connection now."""
        for writer in tuple(self._connections):
            self._cut(writer)

    @property
    def connections(self) -> int:
        """The number of connected clients."""
        return len(self._connections)

    def _set(
        self,
        *,
        hold_body: bool = False,
        hold_head: bool = False,
        pieces: int = 0,
        lifetime: float | None = None,
        every: int = 0,
        stall: int | None = None,
        no_upgrade: bool = False,
    ) -> None:
        self._stall, self._no_upgrade = stall, no_upgrade
        self._hold_body, self._hold_head = hold_body, hold_head
        self._pieces, self._lifetime = pieces, lifetime
        self._every, self._counted = every, 0
        for writer in self._connections:
            self._limit(writer)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _limit(self, writer: Writer) -> None:
        timer = self._connections.get(writer)
        if timer is not None:
            timer.cancel()
        self._connections[writer] = (
            None
            if self._lifetime is None
            else asyncio.get_running_loop().call_later(self._lifetime, self._cut, writer)
        )

    def _cut(self, writer: Writer) -> None:
        self.cuts += 1
        writer.transport.abort()

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """One client's connection, and its own connection to the server."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self._limit(writer)
        target = ""
        far_reader: Reader | None = None
        far_writer: Writer | None = None
        asking = asyncio.create_task(read_head(reader))
        try:
            while (request := await asking) is not None:
                body = await self._body(reader, int(request.header("content-length") or 0))
                # Read on at once: this is how it notices that the client has left.
                asking = asyncio.create_task(read_head(reader))
                if self._refuses(request):
                    writer.write(BAD_GATEWAY)
                    continue
                if far_reader is None or far_reader.at_eof() or target != self.target:
                    if far_writer is not None:
                        far_writer.close()
                    target = self.target
                    address = urlsplit(target)
                    try:
                        far_reader, far_writer = await asyncio.open_connection(
                            address.hostname, address.port, limit=HEAD_BYTES
                        )
                    except OSError:
                        far_reader = far_writer = None
                        writer.write(BAD_GATEWAY)
                        continue
                assert far_writer is not None
                head = request.without("upgrade") if self._no_upgrade else request.raw
                far_writer.write(head + body)
                answering = asyncio.create_task(self._answer(request, far_reader, writer))
                await asyncio.wait({answering, asking}, return_when=asyncio.FIRST_COMPLETED)
                if not answering.done() and asking.result() is None:
                    answering.cancel()
                    break
                outcome = await answering
                if outcome is Outcome.UPGRADED:
                    asking.cancel()
                    await asyncio.wait({asking})
                    await _tunnel(reader, writer, far_reader, far_writer)
                if outcome is not Outcome.MORE:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            asking.cancel()
            timer = self._connections.pop(writer)
            if timer is not None:
                timer.cancel()
            for one in (writer, far_writer):
                if one is not None:
                    one.close()
                    with contextlib.suppress(OSError):
                        await one.wait_closed()

    async def _body(self, reader: Reader, length: int) -> bytes:
        start = b""
        changed = self._changed  # now: the mode may change while the start arrives
        if self._stall is not None and length > self._stall:
            start = await reader.readexactly(self._stall)
            await changed.wait()
        return start + await reader.readexactly(length - len(start))

    def _refuses(self, request: Head) -> bool:
        method, target = request.words[:2]
        path = urlsplit(target).path
        self.requests[path] += 1
        self.methods[method, path] += 1
        self._counted += 1
        refused = bool(self._every) and self._counted % self._every == 0
        self.refused += refused
        return refused

    async def _answer(self, request: Head, far_reader: Reader, writer: Writer) -> Outcome:
        """Pass one response on."""
        head = await read_head(far_reader)
        if head is None:
            return Outcome.LAST
        if head.words[1] == "101":
            writer.write(head.raw)
            return Outcome.UPGRADED
        passing = _Passing(self, writer)
        passing.take(head.raw)
        holding = asyncio.create_task(passing.let_go())
        try:
            whole = await read_body(request, head, far_reader, passing.take)
        finally:
            holding.cancel()
        passing.flush()
        await writer.drain()
        more = whole and "close" not in (head.header("connection"), request.header("connection"))
        return Outcome.MORE if more else Outcome.LAST


class _Passing:
    """One response on its way through: pieces pass at once, or wait while they have to."""

    def __init__(self, proxy: Proxy, writer: Writer) -> None:
        self._proxy = proxy
        self._writer = writer
        self._held = b""
        self._taken = -1  # the head does not count as a piece of the body

    def take(self, data: bytes) -> None:
        if self._taken < 0:
            hold = self._proxy._hold_head
        else:
            hold = self._proxy._hold_body and self._taken >= self._proxy._pieces
        self._taken += 1
        if self._held or hold:
            self._held += data
        else:
            self._writer.write(data)

    async def let_go(self) -> None:
        """Pass on what is held whenever the mode changes to one that holds nothing."""
        while True:
            changed = self._proxy._changed
            if not self._proxy._hold_body:
                self.flush()
            await changed.wait()

    def flush(self) -> None:
        self._writer.write(self._held)
        self._held = b""


async def read_head(reader: Reader) -> Head | None:
    """The next head; None at the end of the connection."""
    try:
        return Head(await reader.readuntil(b"\r\n\r\n"))
    except (asyncio.IncompleteReadError, OSError):
        return None


async def read_body(request: Head, head: Head, reader: Reader, take: Write) -> bool:
    """Pass the body to `take`, piece by piece as it was framed; returns whether its end was marked
    by something other than the end of the connection."""
    if request.words[0] == "HEAD" or head.words[1] in ("204", "304"):
        return True
    if head.header("transfer-encoding") == "chunked":
        size = -1
        while size:
            line = await reader.readuntil(b"\r\n")
            size = int(line.partition(b";")[0], 16)
            take(line + await reader.readexactly(size + 2))
        return True
    if length := head.header("content-length"):
        left = int(length)
        while left:
            piece = await reader.readexactly(min(left, PIECE_BYTES))
            left -= len(piece)
            take(piece)
        return True
    while piece := await reader.read(PIECE_BYTES):
        take(piece)
    return False


async def _tunnel(reader: Reader, writer: Writer, far_reader: Reader, far_writer: Writer) -> None:
    """Pass bytes in both directions until either side ends."""
    ways = [
        asyncio.create_task(_pass_on(reader, far_writer)),
        asyncio.create_task(_pass_on(far_reader, writer)),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)


async def _pass_on(source: Reader, target: Writer) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(PIECE_BYTES):
            target.write(piece)
            await target.drain()


@asynccontextmanager
async def proxy_to(url: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the server at that address, on a free port; at first it passes everything
    on."""
    proxy = Proxy(url)
    listener = socket.create_server(("127.0.0.1", 0))
    # What the proxy does not read, the kernel should not buffer either.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE_BYTES)
    server = await asyncio.start_server(proxy.serve, sock=listener, limit=HEAD_BYTES)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        proxy.passing()
        proxy.cut()
        if proxy._serving:
            await asyncio.wait(proxy._serving)
