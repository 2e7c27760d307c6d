"""The HTTP server under the application: what its connections share, and how it stops."""

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Any

from aiohttp import http_writer, web, web_protocol
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from server.core.bodies import BodyDeadlines
from server.core.connection import Connection
from server.core.limits import KEYS
from server.core.metrics import Metrics
from server.core.services import SERVICES
from server.core.sockets import Sockets
from server.settings import Settings

SLICE = 64 * 1024
"""Bytes of an answer that are handed to the transport at once, and that its client has to take
within `write_seconds`."""
TURN_SECONDS = 0.002
"""How long a turn of the event loop parses what waits of known addresses, and then of others."""
PARTS = {True: 16, False: 4}
"""How many parts it parses at most, of addresses that lately sent a valid token and of others: each
may be a request, whose answer takes longer than its parsing."""
KNOWN_SECONDS = 900.0
"""How long an address is known after its last valid token."""
BODY_BUFFER = 64 * 1024
"""Bytes of a body that wait for whoever reads it; twice as many before the client has to wait."""
FORCED_SECONDS = 0.5
"""aiohttp waits twice this long for what has not ended by itself."""
FOREVER = 366 * 86_400.0
ERROR = web_protocol.ERROR._replace(version=HttpVersion11)
"""Stands for a request that cannot be read."""


Line = OrderedDict[str, deque[Connection]]


class AnswerWriter(http_writer.StreamWriter):
    """Writes an answer in slices, each of which the client has to take in time.

    aiohttp would hand a whole body to the transport, which keeps it for a client that reads
    nothing for as long as the connection lasts.
    """

    _protocol: Connection
    _body = 0

    async def write(self, chunk: Any, *, drain: bool = True, LIMIT: int = SLICE) -> None:
        """Send a part of the body. Raises ConnectionError where the client takes too long."""
        self._body = len(chunk)
        view = chunk if self._body <= SLICE else memoryview(chunk)
        for start in range(0, self._body, SLICE):
            await super().write(view[start : start + SLICE], drain=False)
            await self.drain()

    async def write_eof(self, chunk: bytes = b"") -> None:
        """Send the last part of the body. Raises ConnectionError as `write` does."""
        if len(chunk) > SLICE:
            await self.write(chunk)
            chunk = b""
        await super().write_eof(chunk)

    async def drain(self) -> None:
        """Wait until the client has taken what was written.

        Raises ConnectionError where that takes longer than `write_seconds`. What is held for news
        has its own rule for a reader that stalls.
        """
        connection = self._protocol
        transport = connection.transport
        if transport is None or not connection.writing_paused or connection.held:
            await super().drain()
            return
        size = max(self._body, transport.get_write_buffer_size())
        try:
            with connection.server.unread.waiting(connection, size):
                async with asyncio.timeout(connection.server.settings.write_seconds or None):
                    await super().drain()
        except TimeoutError:
            connection.cut_off("did not take its answer in time")
            raise ConnectionResetError("the client does not read its answer") from None


class Unread:
    """What answers keep in memory while they wait for their clients; `most` in bytes, 0 is no
    limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._total = 0
        self._waiting: dict[Connection, int] = {}

    @contextlib.contextmanager
    def waiting(self, connection: Connection, size: int) -> Iterator[None]:
        """Count an answer. Beyond the limit, those that have waited longest are cut off."""
        self._waiting[connection] = size
        self._total += size
        while self._most and self._total > self._most and len(self._waiting) > 1:
            longest = next(iter(self._waiting))
            self._total -= self._waiting.pop(longest)
            longest.cut_off("waited longest while too many answers were unread")
        try:
            yield
        finally:
            self._total -= self._waiting.pop(connection, 0)


def _parse_some(line: Line, most: int) -> None:
    """Parse the next parts, one of each address in turn."""
    ends = time.perf_counter() + TURN_SECONDS
    for _ in range(most):
        if not line or time.perf_counter() > ends:
            return
        address, waiting = line.popitem(last=False)
        connection = waiting.popleft()
        if waiting:
            line[address] = waiting
        connection.waits = False
        connection.parse_next()


class Server(web.Server):
    """Makes the connections, and ends them when the server stops."""

    def __init__(
        self, app: web.Server, *, settings: Settings, deadlines: BodyDeadlines, **more: Any
    ) -> None:
        self._make_request_of_app = app.request_factory
        super().__init__(
            app.request_handler,
            request_factory=self._request,
            handler_cancellation=app.handler_cancellation,
            keepalive_timeout=settings.idle_seconds or FOREVER,
            read_bufsize=BODY_BUFFER,
            lingering_time=0,  # `Connection` does it
            **more,
        )
        self.settings = settings
        self.unread = Unread(settings.unread_mb * 1024 * 1024)
        self.sockets = Sockets(settings)
        self._deadlines = deadlines
        self._lines: dict[bool, Line] = {True: OrderedDict(), False: OrderedDict()}
        """What waits to be parsed, of each address in its order, known addresses and others apart;
        the addresses take turns: one with a thousand connections holds up itself alone."""
        self._known: OrderedDict[str, float] = OrderedDict()
        """When an address last sent a valid token, those of the latest last."""
        self._parsed = 0
        """Parts that were parsed at once since the last turn."""
        self._called = False

    def note_known(self, address: str) -> None:
        """A request with a valid token came from there: for a while its requests go first."""
        self._known[address] = time.monotonic()
        self._known.move_to_end(address)
        if len(self._known) > KEYS:
            self._known.popitem(last=False)

    def may_parse(self, address: str) -> bool:
        """Whether a part that has just been read may be parsed at once; then it counts."""
        known = self._is_known(address)
        if self._lines[known] or self._parsed >= PARTS[known]:
            return False
        self._parsed += 1
        self._call()
        return True

    def line_up(self, connection: Connection) -> None:
        """Parse what that connection has read, in turn with the others."""
        if connection.waits:
            return
        connection.waits = True
        address = connection.address_key
        self._lines[self._is_known(address)].setdefault(address, deque()).append(connection)
        self._call()

    def _is_known(self, address: str) -> bool:
        return time.monotonic() - self._known.get(address, float("-inf")) < KNOWN_SECONDS

    def _call(self) -> None:
        if not self._called:
            self._called = True
            self._loop.call_soon(self._parse_in_turn)

    def _parse_in_turn(self) -> None:
        self._called = False
        self._parsed = 0
        try:
            for known, line in self._lines.items():
                _parse_some(line, PARTS[known])
        finally:
            if any(self._lines.values()):
                self._call()

    def __call__(self) -> Connection:
        """The protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def pre_shutdown(self) -> None:
        """End what is idle; what has begun goes on."""
        self._deadlines.draining = True
        for connection in self.connections:
            assert isinstance(connection, Connection)
            connection.drain()

    async def finish(self, seconds: float) -> None:
        """Wait at most so long for what has begun, half of it for bodies that still arrive."""
        tasks = {one._task_handler for one in self.connections if one._task_handler is not None}
        if not tasks:
            return
        _, left = await asyncio.wait(tasks, timeout=seconds / 2)
        self._deadlines.stop()
        if left:
            await asyncio.wait(left, timeout=seconds / 2)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        assert isinstance(protocol, Connection)
        if message is web_protocol.ERROR:
            message = ERROR
        protocol.payload, protocol.chunked = payload, message.chunked
        answer = AnswerWriter(protocol, self._loop)
        return self._make_request_of_app(message, payload, protocol, answer, task)


class Runner(web.AppRunner):
    """Runs an application on `Server`, alone or in a gunicorn worker."""

    __slots__ = ("_settings",)

    def __init__(self, app: web.Application, settings: Settings) -> None:
        # A handler whose client has gone is cancelled; the middleware writes the access log.
        super().__init__(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=FORCED_SECONDS
        )
        self._settings = settings

    async def _make_server(self) -> web.Server:
        server = Server(
            await super()._make_server(),
            settings=self._settings,
            deadlines=self.app[SERVICES][BodyDeadlines],
            access_log=None,
            loop=asyncio.get_running_loop(),
        )
        metrics = self.app[SERVICES][Metrics]
        metrics.gauge(
            "open_connections", "Connections, idle ones too.", lambda: server.sockets.open
        )
        return server

    async def shutdown(self) -> None:
        """End the streams, and let finish what has begun."""
        assert isinstance(self.server, Server)
        finished = self.server.finish(self._settings.shutdown_seconds)
        await asyncio.gather(super().shutdown(), finished)
