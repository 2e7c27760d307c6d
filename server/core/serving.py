"""The HTTP server under the application: how long a connection may take, and what it may hold."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, cast

from aiohttp import http_writer, web, web_protocol
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from server.core.arrivals import ARRIVALS, Arrivals
from server.core.errors import Problem
from server.core.ids import new_id
from server.core.middleware import METRICS
from server.core.routing import HELD
from server.core.sockets import Sockets
from server.settings import Settings

logger = logging.getLogger(__name__)

SLICE = 64 * 1024
"""Bytes of an answer that are handed to the transport at once, and that its client has to take
within `write_seconds`."""
KERNEL_BUFFER = 64 * 1024
"""Bytes of an answer that may wait in the kernel, which would take megabytes by itself."""
TURN = 8 * 1024
"""Bytes of a request that are parsed at once: 256 KB of chunks of a byte each, which one read may
bring, would take 30 ms."""
CHUNKED_TURN = 1024
"""The same of a chunked body: the work goes with the number of chunks."""
BODY_BUFFER = 64 * 1024
"""Bytes of a body that wait for whoever reads it; twice as many before the client has to wait."""
LINGER_SECONDS = 2.0
"""How long the rest of a body is still read after its answer, once the server stops: a connection
closed at once would take the answer with it."""
REFUSED_SECONDS = 1.0
"""For the same reason, how long a connection that is refused may take to read why."""
FORCED_SECONDS = 0.5
"""aiohttp waits twice this long for what has not ended by itself."""
FOREVER = 366 * 86_400.0


class AnswerWriter(http_writer.StreamWriter):
    """Writes an answer in slices, each of which the client has to take in time.

    aiohttp would hand a whole body to the transport, which keeps it for a client that reads
    nothing for as long as the connection lasts.
    """

    _protocol: "Connection"
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
    def waiting(self, connection: "Connection", size: int) -> Iterator[None]:
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


class Connection(web_protocol.RequestHandler):
    """A client's connection.

    It has to send a whole head in time, first and after each answer, and is refused where there
    are too many already.
    """

    __slots__ = ("_address", "_head", "_lingers", "_rest", "_timer", "chunked", "payload", "server")

    def __init__(self, server: "Server", **more: Any) -> None:
        super().__init__(server, **more)
        # A head that waits for its turn takes memory: two are enough for a client that pipelines.
        self._max_msg_queue_size, self._msg_queue_resume_size = 2, 1
        self.server = server
        self.payload = EMPTY_PAYLOAD
        """The body of the request that is answered."""
        self.chunked = False
        """Whether it comes in chunks."""
        self._head = 0
        self._rest = b""
        """What was read and waits for its turn to be parsed."""
        self._address: str | None = None
        self._lingers = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def held(self) -> bool:
        """Whether a request waits for news here."""
        request = self._current_request
        return request is not None and bool(request.get(HELD))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it, or say why not and close it."""
        transport = cast(asyncio.Transport, transport)  # uvloop's is like one, and is none
        transport.set_write_buffer_limits(high=0)  # drained means: all of it is the kernel's
        peer = transport.get_extra_info("peername")
        connection: socket.socket | None = transport.get_extra_info("socket")
        if not peer and connection is not None and connection.family != socket.AF_UNIX:
            self._close = True
            transport.abort()  # reset before it was accepted: whose it was can't be told any more
            return
        host = str(peer[0]) if isinstance(peer, tuple) else ""
        refusal = self.server.sockets.admit(host)
        if refusal is not None:
            self._close = True  # whatever it sends is not looked at
            transport.write(_bare_answer(refusal))
            self._lingers = self.server.sockets.linger()
            if self._lingers:
                transport.write_eof()
                self._timer = self._loop.call_later(REFUSED_SECONDS, transport.abort)
            else:
                transport.close()
            return
        self._address = host
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        super().connection_made(transport)
        if self.server.settings.head_seconds:
            self._timer = self._loop.call_later(self.server.settings.head_seconds, self._late)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give its place back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lingers:
            self._lingers = False
            self.server.sockets.lingering -= 1
        if self._address is not None:
            self.server.sockets.release(self._address)
            self._address = None
        self.payload = EMPTY_PAYLOAD
        self._rest = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what was read, a part at a time: others have their turn in between."""
        if self._rest:
            self._rest += data
            return
        chunked = self.chunked and not self.payload.is_eof()
        turn = CHUNKED_TURN if chunked else TURN
        self._rest = data[turn:]
        self._parse(data[:turn])
        if self._rest:
            self._pause_transport_reading()
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        data, self._rest = self._rest, b""
        self.data_received(data)
        if not (self._rest or self._reading_paused or self._buffer_paused):
            self._resume_transport_reading()

    def _resume_transport_reading(self) -> None:
        if not self._rest:
            super()._resume_transport_reading()

    def _parse(self, data: bytes) -> None:
        """Read on; a head has an end, though aiohttp only bounds its lines."""
        body = self._messages[-1][1] if self._messages else self.payload
        if self._upgraded or not body.is_eof():
            super().data_received(data)
            return
        count = self._request_count
        super().data_received(data)
        self._head = self._head + len(data) if count == self._request_count else 0
        most = self.server.settings.head_kb * 1024
        if most and self._head > most and self.transport is not None:
            if not self._request_in_progress and not self._messages:
                self.transport.write(_bare_answer(Problem(431, "The request's head is too long.")))
            self.force_close()

    def cut_off(self, why: str) -> None:
        """Drop a connection whose client does not read."""
        if self.transport is not None:
            logger.info("cut off: the client %s", why, extra={"fields": {"remote": self._address}})
            self.transport.abort()

    def drain(self) -> None:
        """The server stops: an idle connection ends now, another after the request it is at."""
        if self._request_in_progress or self._messages:
            self._lingering_time = LINGER_SECONDS
        else:
            self.close()

    def _late(self) -> None:
        """No head has come since the connection was made."""
        self._timer = None
        if not self._request_count:
            self.force_close()


class Server(web.Server):
    """Makes the connections, and ends them when the server stops."""

    def __init__(
        self, app: web.Server, *, settings: Settings, arrivals: Arrivals, **more: Any
    ) -> None:
        self._make_request_of_app = app.request_factory
        super().__init__(
            app.request_handler,
            request_factory=self._request,
            handler_cancellation=app.handler_cancellation,
            keepalive_timeout=settings.idle_seconds or FOREVER,
            read_bufsize=BODY_BUFFER,
            **more,
        )
        self.settings = settings
        self.unread = Unread(settings.unread_mb * 1024 * 1024)
        self.sockets = Sockets(settings)
        self._arrivals = arrivals

    def __call__(self) -> Connection:
        """The protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def pre_shutdown(self) -> None:
        """End what is idle; what has begun goes on."""
        self._arrivals.draining = True
        for connection in self.connections:
            assert isinstance(connection, Connection)
            connection.drain()

    async def finish(self, seconds: float) -> None:
        """Wait at most so long for what has begun, half of it for bodies that still arrive."""
        tasks = {one._task_handler for one in self.connections if one._task_handler is not None}
        if not tasks:
            return
        _, left = await asyncio.wait(tasks, timeout=seconds / 2)
        self._arrivals.stop()
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
            arrivals=self.app[ARRIVALS],
            access_log=None,
            loop=asyncio.get_running_loop(),
        )
        metrics = self.app[METRICS]
        metrics.gauge(
            "open_connections", "Connections, idle ones too.", lambda: server.sockets.open
        )
        return server

    async def shutdown(self) -> None:
        """End the streams, and let finish what has begun."""
        assert isinstance(self.server, Server)
        finished = self.server.finish(self._settings.shutdown_seconds)
        await asyncio.gather(super().shutdown(), finished)


def _bare_answer(problem: Problem) -> bytes:
    """An answer to a request that is not waited for."""
    body = json.dumps(problem.body(new_id("req"))).encode()
    lines = [
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in problem.headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
