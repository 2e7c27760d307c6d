"""Server-sent events: encoded once, written straight to every reader's transport."""

import asyncio
import contextlib
import logging
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web import BaseRequest
from aiohttp_sse import EventSourceResponse
from pydantic import BeforeValidator

from server.core.auth import Gate
from server.core.errors import Problem
from server.core.logging import log_failure
from server.core.routing import Header, identity_of, mark_held
from server.core.services import service
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.state_topic import STATE
from server.realtime.topic import Subscription
from server.settings import Settings
from server.transports.connections import Connections, End
from server.transports.heartbeat import Heartbeat

logger = logging.getLogger(__name__)

BUFFER = 64 * 1024
"""Bytes that may wait for a reader in this process; beyond, it is catching up."""
KERNEL_BUFFER = 64 * 1024
STATE_KERNEL_BUFFER = 16 * 1024
"""Of a state only the newest is worth anything, so that little is ever under way."""
EOF_SECONDS = 5.0
RETRY_MS = (500, 2500)
RESET = b"event: reset\ndata: {}\n\n"
COMMENT = b": keep-alive\n\n"

NO_CURSOR = "-"
LONGEST_CURSOR = 1024


def _sent(cursor: object) -> object:
    """Nothing is no cursor, and what can be none gets a reset as one that is gone does: a reader
    sends back whatever it was told."""
    if not isinstance(cursor, str):
        return cursor
    cursor = cursor.strip()
    usable = cursor.isascii() and len(cursor) <= LONGEST_CURSOR
    return (cursor or None) if usable else NO_CURSOR


After = Annotated[str | None, BeforeValidator(_sent)]
"""A door's parameter: the cursor to go on from."""
LastEventId = Annotated[After, Header("Last-Event-ID")]
"""The same, as a reader that comes back sends it by itself: newer than `after`, so it wins."""
Until = Callable[[], Awaitable[str]]
"""Returns when there is nothing more to tell, with the reason as JSON text."""
Allowed = Callable[[], Awaitable[bool]]
"""Whether the reader may still be told anything, asked anew before each event."""
ALLOWED_SECONDS = 1.0
"""How old such an answer may be: the process may have been stopped since it asked."""


class EventSource(EventSourceResponse):
    """aiohttp-sse's headers and dead-peer detection, without a ping task of its own."""

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers; `request`'s transport is written to directly from then on."""
        if self.prepared:  # aiohttp asks once more at the end, when the transport may be gone
            return self._payload_writer
        self._set_tcp_user_timeout(request)
        self.enable_chunked_encoding_if_possible(request)
        return await web.StreamResponse.prepare(self, request)

    def enable_chunked_encoding_if_possible(self, request: BaseRequest) -> None:
        """HTTP/1.0 knows no chunks: there the end of the connection ends the stream."""
        if request.version >= (1, 1):
            self.enable_chunked_encoding()
        else:
            self.headers["Connection"] = "close"
            self.force_close()  # also where the client would rather keep it


def encode(hub: Hub, event: Event) -> bytes:
    """The event as `text/event-stream` has it; made once and kept with the event."""
    text: bytes | None = event.encoded.get("sse")
    if text is None:
        data = event.data.replace("\n", "\ndata: ")
        cursor = hub.log.cursor_of(event)
        text = f"id: {cursor}\nevent: {event.type}\ndata: {data}\n\n".encode()
        event.encoded["sse"] = text
    return text


def chunk(data: bytes) -> bytes:
    """A chunk of HTTP/1.1's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class SseSink:
    """A connection as a subscription's sink."""

    def __init__(
        self,
        request: web.Request,
        writer: AbstractStreamWriter,
        hub: Hub,
        stalled_seconds: float,
        *,
        newest_only: bool = False,
        allowed: Allowed | None = None,
    ) -> None:
        assert request.transport is not None
        self.ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport = request.transport
        self._writer = writer
        self._hub = hub
        self._chunked = request.version >= (1, 1)
        self._stalled_seconds = stalled_seconds
        self._drained: asyncio.Task[None] | None = None
        self._allowed = allowed
        self._asked_at = -ALLOWED_SECONDS
        self._buffer = 0 if newest_only else BUFFER
        self._transport.set_write_buffer_limits(high=self._buffer)
        connection: socket.socket | None = self._transport.get_extra_info("socket")
        if connection is not None:
            kernel_buffer = STATE_KERNEL_BUFFER if newest_only else KERNEL_BUFFER
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, kernel_buffer)

    def write(self, event: Event) -> bool:
        """Hand it to the transport; False while too many bytes wait there, before `ready` has asked
        whether it may be told, and once it ends: what comes after a revocation may be no more for
        this reader."""
        # A closed transport of uvloop's raises when it is written to.
        if self._transport.is_closing() or self._behind or self.ended.done():
            return False
        if self._allowed is not None:
            if time.monotonic() - self._asked_at >= ALLOWED_SECONDS:
                return False
            self._asked_at = -ALLOWED_SECONDS
        if self._chunked:
            data: bytes | None = event.encoded.get("sse chunk")
            if data is None:
                data = event.encoded["sse chunk"] = chunk(encode(self._hub, event))
        else:
            data = encode(self._hub, event)
        self._transport.write(data)
        return True

    def place(self, subscription: Subscription) -> None:
        """Tell a reader without a cursor where it begins: it may be cut before its first event."""
        self._send(f"id: {self._hub.cursor_of(subscription)}\n\n".encode())

    def aside(self, type: str, data: str) -> None:
        """Tell what is no event of the topic: it moves no cursor, and who is behind misses it."""
        if not self.ended.done() and not self._behind:
            self._send(f"event: {type}\ndata: {data}\n\n".encode())

    def comment(self) -> None:
        """A heartbeat, where the reader is not behind anyway."""
        if not self.ended.done() and not self._behind:
            self._send(COMMENT)

    async def ready(self) -> None:
        """Waits for the reader; one without any progress for so long is cut off. Where it is to be
        asked whether the reader may be told more, asks; if not, waits for the end.

        Raises ConnectionError where it is gone, or has been told the end.
        """
        if self.ended.done():
            raise ConnectionResetError("the stream has ended")
        if self._behind or self._allowed is None:
            await self._until_drained()
        if self._transport.is_closing():
            raise ConnectionResetError("the reader has gone")
        if self._allowed is not None:
            asked_at = time.monotonic()
            try:
                allowed = await self._allowed()
            except Problem as problem:  # nobody can say for now: the reader comes back
                raise ConnectionError(problem.detail) from None
            if not allowed:
                await self.ended
                raise ConnectionResetError("the stream has ended")
            self._asked_at = asked_at

    @property
    def _behind(self) -> bool:
        return self._transport.get_write_buffer_size() > self._buffer

    async def _until_drained(self) -> None:
        # All who wait for a connection of aiohttp's share one future, which a cancelled one of
        # them takes away from the others: so this one is left to wait to its end.
        if self._drained is None or self._drained.done():
            self._drained = asyncio.create_task(self._drain(), name="drain")
        while not self._transport.is_closing():
            before = self._transport.get_write_buffer_size()
            await asyncio.wait({self._drained}, timeout=self._stalled_seconds)
            if self._drained.done():
                break
            if self._transport.get_write_buffer_size() >= before:
                self.end(End.STALLED)
                self._transport.abort()

    async def _drain(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    def reset(self) -> None:
        """Tell the reader to read the snapshot again, and end."""
        self._send(RESET)
        self.end(End.RESET)

    def over(self, data: str) -> None:
        """There is nothing more to tell: say why, as JSON text, and end."""
        self._send(f"event: end\ndata: {data}\n\n".encode())
        self.end(End.OVER)

    def fail(self) -> None:
        """End; the reader comes back with its cursor."""
        self.end(End.FAILED)

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    def end(self, why: End) -> None:
        """Let the handler finish the response."""
        if not self.ended.done():
            self.ended.set_result(why)

    def finish(self) -> None:
        """Nothing may be left here once the response is over: only then is it waited for."""
        if not self._transport.is_closing():
            self._transport.set_write_buffer_limits(high=0)

    def _send(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(chunk(data) if self._chunked else data)


Beside = Callable[[SseSink], contextlib.AbstractContextManager[object]]
"""Goes around a stream, with its sink at hand."""


async def stream(
    request: web.Request,
    topic: str,
    after: str | None,
    *,
    until: Until | None = None,
    allowed: Allowed | None = None,
    beside: Beside = contextlib.nullcontext,
) -> web.StreamResponse:
    """Answer with the topic's events after the cursor `after` (without one: from now), for as
    long as the token holds, the reader stays and `until` has not returned.

    What `until` returns, JSON text, is the data of a last event `end`. What ends a right to read
    may reach this process later than an event does: with `allowed` no event is sent that it was
    not asked about, and where it says no, `until` must return soon. Inside `beside`, somebody else
    may tell the reader something aside.
    """
    identity = identity_of(request)
    hub = service(request, Hub)
    stalled_seconds = service(request, Settings).stalled_reader_seconds
    pending: list[End] = []
    sink: SseSink | None = None

    def end(why: End) -> None:
        if sink is None:
            pending.append(why)
        else:
            sink.end(why)

    mark_held(request, lambda: end(End.RELEASED))
    with service(request, Connections).hold(identity, end):
        # Registered before it is checked: a revocation in between is seen one way or the other.
        await service(request, Gate).check(identity)
        response = EventSource(send_timeout=stalled_seconds)
        writer = await response.prepare(request)
        assert writer is not None
        if request.method == "HEAD":
            await response.write_eof()
            return response
        await response.write(f"retry: {random.randint(*RETRY_MS)}\n\n".encode())  # noqa: S311
        newest_only = topic.startswith(STATE)
        sink = SseSink(
            request, writer, hub, stalled_seconds, newest_only=newest_only, allowed=allowed
        )
        for why in pending:
            sink.end(why)
        with beside(sink), service(request, Heartbeat).beating(sink.comment):
            try:
                subscription = await hub.subscribe(topic, after, sink)
            except Problem as problem:  # no place for it: the answer is under way already
                logger.warning("a stream of %s could not begin: %s", topic, problem)
            else:
                if after is None:
                    sink.place(subscription)
                try:
                    async with _watched(until, sink):
                        await sink.ended
                finally:
                    subscription.close()
        try:
            async with asyncio.timeout(EOF_SECONDS):
                sink.finish()
                await response.write_eof()
        except TimeoutError:
            sink.abort()  # or aiohttp would go on waiting for this reader
        except ConnectionError:
            pass
    return response


@contextlib.asynccontextmanager
async def _watched(until: Until | None, sink: SseSink) -> AsyncIterator[None]:
    """Inside, `until` runs beside the stream and ends it when it returns."""
    if until is None:
        yield
        return
    watch = asyncio.ensure_future(until())

    def done(watch: asyncio.Future[str]) -> None:
        if not watch.cancelled():
            failure = watch.exception()
            if failure is None:
                sink.over(watch.result())
                return
            log_failure(logger, failure, "what ends a stream failed")
        sink.fail()  # without it nothing would end the stream

    watch.add_done_callback(done)
    try:
        yield
    finally:
        watch.cancel()
