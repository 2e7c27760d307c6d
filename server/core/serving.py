"""The HTTP server under the application: how it writes answers, and how it stops."""

import asyncio
import contextlib
import select
from collections.abc import Iterator
from typing import Any, cast

from aiohttp import http_writer, web, web_protocol
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from server.core.bodies import BodyDeadlines
from server.core.connection import Connection
from server.core.metrics import Metrics
from server.core.parse_queue import ParseQueue
from server.core.services import SERVICES
from server.core.sockets import Sockets
from server.core.streaming import Streams
from server.settings import Settings

SLICE = 64 * 1024
"""Bytes of an answer that are written to the transport at once, and that the client has to read
within `write_seconds`."""
BODY_BUFFER = 64 * 1024
"""Bytes of a body that are buffered; at twice as many, reading from the client pauses."""
FORCED_SECONDS = 0.5
"""aiohttp waits twice this long for what has not ended."""
LAST_REQUESTS_SECONDS = 1.0
QUIET_SECONDS = 0.05
"""A server that stops answers what still comes over connections that it has kept open, at most so
long, and until none has come for so long."""
ACCEPTING_TURNS = 4
"""Of the event loop, until who has connected is among its connections; uvloop needs fewer."""
FOREVER = 366 * 86_400.0
ERROR = web_protocol.ERROR._replace(version=HttpVersion11)
"""aiohttp's stand-in for an unreadable request, as HTTP/1.1."""


class AnswerWriter(http_writer.StreamWriter):
    """Writes an answer in slices, each of which the client has to read in time.

    aiohttp would write a whole body to the transport, which keeps it in memory for as long as the
    connection of a client that reads nothing.
    """

    _protocol: Connection

    def __init__(
        self,
        protocol: Connection,
        loop: asyncio.AbstractEventLoop,
        unread: "Unread",
        seconds: float | None,
    ) -> None:
        """A client has so many `seconds` for each slice; None is no limit."""
        super().__init__(protocol, loop)
        self._unread = unread
        self._seconds = seconds
        self._body = 0

    async def write(self, chunk: Any, *, drain: bool = True, LIMIT: int = SLICE) -> None:
        """Send a part of the body. Raises ConnectionError where the client reads too slowly."""
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
        """Wait until the client has read what was written.

        Raises ConnectionError where that takes too long. Streams have their own limit.
        """
        connection = self._protocol
        transport = connection.transport
        if transport is None or not connection.writing_paused or connection.held:
            await super().drain()
            return
        size = max(self._body, transport.get_write_buffer_size())
        try:
            with self._unread.waiting(connection, size):
                async with asyncio.timeout(self._seconds):
                    await super().drain()
        except TimeoutError:
            connection.cut_off("did not take its answer in time")
            raise ConnectionResetError("the client does not read its answer") from None


class Unread:
    """Answers that clients have not read yet: at most `most` bytes in all; 0 is no limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._total = 0
        self._waiting: dict[Connection, int] = {}

    @contextlib.contextmanager
    def waiting(self, connection: Connection, size: int) -> Iterator[None]:
        """Count an answer. Beyond the limit, those that have waited longest are aborted."""
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


class Server(web.Server):
    """Makes the connections, and closes them when the server stops."""

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
        self.sockets = Sockets(settings)
        self.streams = Streams(self.sockets)
        self._settings = settings
        self._unread = Unread(settings.unread_mb * 1024 * 1024)
        self._parse_queue = ParseQueue(self._loop)
        self._deadlines = deadlines

    def __call__(self) -> Connection:
        """The protocol of a new connection."""
        return Connection(
            self,
            self._settings,
            self.sockets,
            self.streams,
            self._parse_queue,
            loop=self._loop,
            **self._kwargs,
        )

    async def wind_down(self, until: float) -> None:
        """Answer the requests that are on their way, until then by the loop's clock at most; each
        answer closes its connection.

        A proxy that has just sent one over an idle connection would get no answer, and it does not
        send a POST again. After that the proxy has found that no new connection is accepted.
        """
        self._deadlines.draining = True
        loop, answered = asyncio.get_running_loop(), self.requests_count
        quiet_at = loop.time() + QUIET_SECONDS
        while loop.time() < min(quiet_at, until):
            if not any(cast(Connection, one).idle for one in self.connections):
                return
            await asyncio.sleep(QUIET_SECONDS / 10)
            if self.requests_count > answered:
                answered, quiet_at = self.requests_count, loop.time() + QUIET_SECONDS

    def pre_shutdown(self) -> None:
        """Close idle connections; requests that have begun go on."""
        self._deadlines.draining = True
        for connection in self.connections:
            assert isinstance(connection, Connection)
            connection.drain()

    async def finish(self, seconds: float) -> None:
        """Wait at most so long for streams and requests that have begun, half of it for bodies."""
        streams = asyncio.create_task(self.streams.closed(), name="streams")
        tasks = {one._task_handler for one in self.connections if one._task_handler is not None}
        _, left = await asyncio.wait({streams, *tasks}, timeout=seconds / 2)
        self._deadlines.stop()
        if left:
            await asyncio.wait(left, timeout=seconds / 2)
        streams.cancel()

    async def shutdown(self, timeout: float | None = None) -> None:
        """Close what is left."""
        self.streams.abort()
        await super().shutdown(timeout)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        assert isinstance(protocol, Connection)
        if message is web_protocol.ERROR:
            message = ERROR
        protocol.payload, protocol.chunked = payload, message.chunked
        seconds = self._settings.write_seconds or None
        answer = AnswerWriter(protocol, self._loop, self._unread, seconds)
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

    async def cleanup(self) -> None:
        """Stop. Who has connected is accepted first: the kernel would reset that connection."""
        if isinstance(self.server, Server):
            loop, waiting = asyncio.get_running_loop(), select.poll()
            for listener in (site._server for site in self.sites if site._server is not None):
                for one in cast(asyncio.Server, listener).sockets:
                    waiting.register(one, select.POLLIN)
            until = loop.time() + LAST_REQUESTS_SECONDS
            while waiting.poll(0) and loop.time() < until:
                for _ in range(ACCEPTING_TURNS):
                    await asyncio.sleep(0)
            for site in self.sites:
                await site.stop()
            await self.server.wind_down(until)
        await super().cleanup()

    async def shutdown(self) -> None:
        """End the streams, and let requests that have begun finish."""
        assert isinstance(self.server, Server)
        finished = self.server.finish(self._settings.shutdown_seconds)
        await asyncio.gather(super().shutdown(), finished)
