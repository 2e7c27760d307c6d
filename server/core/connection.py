"""A client's connection: its time limits, and how fast what it sends is parsed."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web, web_protocol
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from server.core.addresses import network_key
from server.core.errors import Problem, malformed
from server.core.ids import new_request_id
from server.core.middleware import as_problem, problem_bytes, problem_response
from server.core.parse_queue import ParseQueue
from server.core.routing import END_WAIT, HELD, IDENTITY
from server.core.sockets import Sockets
from server.core.streaming import STREAM, StreamConnection, Streams
from server.settings import Settings

logger = logging.getLogger(__name__)

KERNEL_BUFFER = 64 * 1024
"""Bytes of an answer that may wait in the kernel; its default is megabytes."""
TURN = 8 * 1024
"""Bytes of a request that are parsed at once. One read may bring 256 KB of one-byte chunks, which
would take 30 ms."""
CHUNKED_TURN = 1024
"""The same of a chunked body: the cost grows with the number of chunks."""
FRAMED = 6 * 1024
"""After so many bytes of a chunked body, at most a third may be framing, which means chunks of ten
bytes on average: smaller ones cost far more to parse than to send."""
LINGER_SECONDS = 2.0
LINGER_BYTES = 256 * 1024
"""How long, and how much of, the rest of a request is read after its answer: if the connection were
closed at once, the client might lose the answer."""
NO_BYTES = memoryview(b"")
READ_REFUSAL_SECONDS = 1.0
"""For the same reason, how long a refused connection stays open, so that the client reads why."""
NEW_SECONDS = 1.0
"""How long a connection that was made just as the server stops may take to send its request."""
UNREADABLE = (
    "This is not an HTTP/1.1 request, or a line of its head is longer than 8190 bytes. The"
    " connection is closed."
)


class Connection(web_protocol.RequestHandler):
    """A client's connection.

    It is refused where there are too many, and closed where no head arrives in time.
    """

    __slots__ = (
        "_address",
        "_answered",
        "_dropped",
        "_ended",
        "_framing",
        "_handed_over",
        "_head",
        "_lingers",
        "_rest",
        "_settings",
        "_sockets",
        "_streams",
        "_timer",
        "_wire",
        "address_key",
        "chunked",
        "half_closed",
        "parse_queue",
        "payload",
        "queued",
    )

    def __init__(
        self,
        server: web.Server,
        settings: Settings,
        sockets: Sockets,
        streams: Streams,
        parse_queue: ParseQueue,
        **more: Any,
    ) -> None:
        super().__init__(server, **more)
        # A head that waits for its turn takes memory: two are enough for a client that pipelines.
        self._max_msg_queue_size, self._msg_queue_resume_size = 2, 1
        self._settings = settings
        self._sockets, self._streams = sockets, streams
        self.parse_queue = parse_queue
        self.payload = EMPTY_PAYLOAD
        """The body of the request that is being answered."""
        self.chunked = False
        """Whether that body is chunked."""
        self.queued = False
        self._answered = 0
        self._head = 0
        self._wire = self._framing = 0
        """Bytes of a chunked body as sent, and those of them that are framing."""
        self._rest = NO_BYTES
        """Bytes that were read and wait to be parsed."""
        self.half_closed = False
        """Whether the client has closed its side and waits for answers."""
        self._ended = False
        """Whether further bytes are dropped: the request was unreadable, or too slow."""
        self._dropped = 0
        self._address: str | None = None
        self.address_key = ""
        """The client's address, or its network where that stands for one client."""
        self._lingers = False
        self._handed_over = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def held(self) -> bool:
        """Whether a request is held for news."""
        request = self._current_request
        return request is not None and bool(request.get(HELD))

    @property
    def idle(self) -> bool:
        """Whether every request that has arrived is answered; aiohttp misses those that it has
        taken from its queue and not begun."""
        return self._request_count == self._answered and not self._rest

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept it, or say why not and close it."""
        transport = cast(asyncio.Transport, transport)  # uvloop's is like one, and is none
        transport.set_write_buffer_limits(high=0)  # drained means: all of it is the kernel's
        peer = transport.get_extra_info("peername")
        connection: socket.socket | None = transport.get_extra_info("socket")
        if not peer and connection is not None and connection.family != socket.AF_UNIX:
            self._close = True
            transport.abort()  # reset before it was accepted, so its address is unknown
            return
        host = str(peer[0]) if isinstance(peer, tuple) else ""
        self.parse_queue.mark_accepted()
        refusal = self._sockets.admit(host)
        if refusal is not None:
            self._close = True  # what it sends is ignored
            self._lingers = self._sockets.linger()
            if self._lingers:
                transport.write(problem_bytes(refusal))
                transport.write_eof()
                self._timer = self._loop.call_later(READ_REFUSAL_SECONDS, transport.abort)
            else:
                # libuv accepts all that wait, so this has to be quicker than connecting.
                transport.abort()
            return
        self._address, self.address_key = host, network_key(host)
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER)
        super().connection_made(transport)
        if self._settings.head_seconds:
            self._timer = self._loop.call_later(self._settings.head_seconds, self._late)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop counting it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lingers:
            self._lingers = False
            self._sockets.lingering -= 1
        if self._address is not None:
            self._sockets.release(self._address)
            self._address = None
        self.payload = EMPTY_PAYLOAD
        self._rest = NO_BYTES
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what was read in parts, so that other connections have their turn in between."""
        if self._ended or self._close or self._force_close:
            self._dropped += len(data)
            if self._dropped > LINGER_BYTES:
                self._pause_transport_reading()
            return
        if self._rest:
            self._rest = memoryview(bytes(self._rest) + data) if data else self._rest
        elif not data or (
            len(data) <= self._turn() and self.parse_queue.may_parse(self.address_key)
        ):
            self._parse(data)
            return
        else:
            self._rest = memoryview(data)
        self._pause_transport_reading()
        self.parse_queue.add(self)

    def eof_received(self) -> bool:  # type: ignore[override] # aiohttp leaves the choice out
        """The client has closed its side: whether it is still answered.

        It may also have gone, which only a write would reveal, so a held request is answered now.
        """
        taken = self._payload_parser is not None  # a WebSocket
        if taken or self.ssl_context or self.idle:
            return False  # TLS cannot be closed by half
        self.half_closed = True
        body, _ = self._arriving()
        if not (body.is_eof() or self._ended):
            self._end(malformed("The body is shorter than its headers say."), body)
        if self._current_request is not None and END_WAIT in self._current_request:
            self._current_request[END_WAIT]()
        return True

    def hand_over(self, stream: StreamConnection) -> None:
        """Give the transport to the stream that answers the present request, and be freed.

        Raises ConnectionResetError where the client has gone.
        """
        transport, request, address = self.transport, self._current_request, self._address
        if transport is None or transport.is_closing() or request is None or address is None:
            raise ConnectionResetError("the client has gone")
        request[STREAM] = stream
        unparsed = self._message_tail + bytes(self._rest)
        stream.take_over(transport, self.writing_paused, address, self._streams)
        if unparsed:
            stream.data_received(unparsed)
        self._handed_over = True
        self.transport = self._address = None
        self._task_handler = None  # else `connection_lost` would cancel it
        self.connection_lost(None)

    def parse_next(self) -> None:
        """Parse the next part of what was read, unless a buffer is full."""
        if not self._rest or self._reading_paused or self._buffer_paused:
            return
        turn = self._turn()
        data, self._rest = bytes(self._rest[:turn]), self._rest[turn:] or NO_BYTES
        self._parse(data)
        if not (self._reading_paused or self._buffer_paused):
            self._resume_transport_reading()

    def _turn(self) -> int:
        body, chunked = self._arriving()
        return CHUNKED_TURN if chunked and not body.is_eof() else TURN

    def _resume_transport_reading(self) -> None:
        if self._rest:
            self.parse_queue.add(self)
        elif self._dropped <= LINGER_BYTES:
            super()._resume_transport_reading()

    def _arriving(self) -> tuple[StreamReader, bool]:
        """The body of the last request, and whether it is chunked."""
        if not self._messages:
            return self.payload, self.chunked
        message, body = self._messages[-1]
        return body, isinstance(message, RawRequestMessage) and message.chunked

    def _parse(self, data: bytes) -> None:
        """Parse a part. A head is limited as a whole, of which aiohttp only limits the lines."""
        body, chunked = self._arriving()
        count = self._request_count
        if self._upgraded:
            super().data_received(data)
            return
        if not body.is_eof():
            known = body.total_raw_bytes
            super().data_received(data)
            self._end_if_unreadable(body)
            if chunked and not (self._ended or body.is_eof()):
                self._wire += len(data)
                self._framing += len(data) - (body.total_raw_bytes - known)
                if self._wire > FRAMED and self._framing * 3 > self._wire:
                    words = "The body's chunks are too small: send at least 16 bytes in each."
                    self._end(malformed(words), body)
            return
        self._wire = self._framing = 0
        super().data_received(data)
        if self._request_count and self._timer is not None:  # a head has arrived
            self._timer.cancel()
            self._timer = None
        self._end_if_unreadable(body)
        self._head = self._head + len(data) if count == self._request_count else 0
        most = self._settings.head_kb * 1024
        if most and self._head > most and not self._ended:
            self._end(Problem(431, "The request's head is too long."), body)

    def _end_if_unreadable(self, body: StreamReader) -> None:
        """Replace aiohttp's error, which quotes what was sent, and ignore what follows."""
        if not self._messages:
            return
        error = self._messages[-1][0]
        if isinstance(error, web_protocol._ErrInfo) and not self._ended:
            self._messages.pop()
            self._request_count -= 1
            kind = type(error.exc).__name__
            fields = {"remote": self._address}
            logger.info("not HTTP, from a client: %s", kind, extra={"fields": fields})
            words = UNREADABLE if body.is_eof() else "The body is not what its headers announce."
            self._end(malformed(words), body)

    def _end(self, problem: Problem, body: StreamReader) -> None:
        """Ignore what else arrives, and answer the request with that problem."""
        self._ended = True
        self._rest = NO_BYTES
        if not body.is_eof():
            body.set_exception(problem)  # raised by whatever reads the body
            return
        self._request_count += 1
        self._messages.append((web_protocol._ErrInfo(problem.status, problem, ""), EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _make_error_handler(
        self, err_info: web_protocol._ErrInfo
    ) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            error = err_info.exc
            problem = error if isinstance(error, Problem) else malformed(UNREADABLE)
            return _answer(problem)

        return handler

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """An error outside of the middleware. Raises ConnectionError after an answer's start."""
        super().handle_error(request, status, exc, message)
        words = (
            "Something went wrong on the server. Its logs have the details under this request id."
        )
        return _answer(Problem(status, words))

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer, then read the rest of the request within limits."""
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = _answer(as_problem(resp))  # before the middleware, such as 417
        if IDENTITY in request:
            self.parse_queue.mark_known(self.address_key)
        if self._handed_over:
            return resp, True
        resp, gone = await super().finish_response(request, resp, start_time)
        self._answered += 1
        body = request._payload
        self._end_if_unreadable(body)  # what came after an upgrade that was refused
        if gone or self.half_closed:
            pass
        elif not self._messages and (self._ended or not body.is_eof()):
            await self._linger(body)
        elif self._messages:
            await asyncio.sleep(0)  # let others' requests run between those of one connection
        if self.half_closed and self.idle:
            self.close()
        return resp, gone

    async def _linger(self, body: StreamReader) -> None:
        """Read the rest of a body, or give the client time to read the refusal."""
        most = body.total_raw_bytes + LINGER_BYTES if not body.is_eof() else 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                with contextlib.suppress(Problem, web.RequestPayloadError):
                    while not body.is_eof() and body.total_raw_bytes < most:
                        await body.readany()
                if body.is_eof() and not self._ended:
                    return
                self._ended = True
                self._rest = NO_BYTES
                if self.transport is not None and self.transport.can_write_eof():
                    self.transport.write_eof()
                await self._loop.create_future()  # cancelled when the client leaves
        self.close()

    def cut_off(self, why: str) -> None:
        """Abort the connection of a client that does not read."""
        if self.transport is not None:
            logger.info("cut off: the client %s", why, extra={"fields": {"remote": self._address}})
            self.transport.abort()

    def drain(self) -> None:
        """The server stops: close it now if it is idle, else after the present request."""
        if self._waiter is None and not self._request_count and self.transport is not None:
            self._loop.call_later(NEW_SECONDS, self.drain)  # its task has not begun to wait
        elif self.idle:
            self.force_close()  # `close` would leave it open, and ignore what arrives

    def _late(self) -> None:
        """Close it if no head has arrived since it was made."""
        self._timer = None
        if not self._request_count:
            self.force_close()


def _answer(problem: Problem) -> web.Response:
    """An answer made outside of the middleware, which closes the connection."""
    response = problem_response(problem, new_request_id())
    response.force_close()
    return response
