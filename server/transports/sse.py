"""Server-sent events: encoded once, written straight to every reader's transport."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web import BaseRequest
from aiohttp_sse import EventSourceResponse
from pydantic import BeforeValidator

from server.core.auth import Gate
from server.core.connection import KERNEL_BUFFER
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
from server.transports.outlet import BUFFER, CLOSE_SECONDS, RETRY_MS, Outlet

logger = logging.getLogger(__name__)

STATE_KERNEL_BUFFER = 16 * 1024
"""Only the newest state is worth anything, so few bytes should be on their way."""
RESET = b"event: reset\ndata: {}\n\n"
COMMENT = b": keep-alive\n\n"

NO_CURSOR = "-"
LONGEST_CURSOR = 1024


def _cursor(cursor: object) -> object:
    """An empty cursor is none. One that cannot be a cursor gets a reset, as an expired one does: a
    reader sends back what it was sent."""
    if not isinstance(cursor, str):
        return cursor
    cursor = cursor.strip()
    usable = cursor.isascii() and len(cursor) <= LONGEST_CURSOR
    return (cursor or None) if usable else NO_CURSOR


After = Annotated[str | None, BeforeValidator(_cursor)]
"""A route's parameter: the cursor to go on from."""
LastEventId = Annotated[After, Header("Last-Event-ID")]
"""The same, as browsers send it when they reconnect: newer than `after`, so it wins."""
Until = Callable[[], Awaitable[str]]
"""Returns when the stream is over, with the reason as JSON text."""
Allowed = Callable[[], Awaitable[bool]]
"""Whether the reader may still get events, asked before each one."""
ALLOWED_SECONDS = 1.0
"""How old the answer of an Allowed may be: the process may have been suspended since."""


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
    """The event as `text/event-stream`; made once and kept with the event."""
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
    """An event stream as a subscription's sink."""

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
        self.ended: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._outlet = Outlet(
            request.transport,
            writer,
            stalled_seconds,
            0 if newest_only else BUFFER,
            STATE_KERNEL_BUFFER if newest_only else KERNEL_BUFFER,
        )
        self._transport = self._outlet.transport
        self._hub = hub
        self._chunked = request.version >= (1, 1)
        self._allowed = allowed
        self._allowed_at = -ALLOWED_SECONDS

    def write(self, event: Event) -> bool:
        """Hand it to the transport. False while too many bytes wait there, before `ready` has
        asked whether the reader is allowed to get it, and once the stream ends: after a revocation
        this reader may get nothing more."""
        # A closed transport of uvloop's raises when it is written to.
        if self._transport.is_closing() or self._outlet.backlogged or self.ended.done():
            return False
        if self._allowed is not None:
            if time.monotonic() - self._allowed_at >= ALLOWED_SECONDS:
                return False
            self._allowed_at = -ALLOWED_SECONDS
        if self._chunked:
            data: bytes | None = event.encoded.get("sse chunk")
            if data is None:
                data = event.encoded["sse chunk"] = chunk(encode(self._hub, event))
        else:
            data = encode(self._hub, event)
        self._transport.write(data)
        return True

    def send_cursor(self, subscription: Subscription) -> None:
        """Tell a reader without a cursor where it begins: it may be cut before its first event."""
        self._send(f"id: {self._hub.cursor_of(subscription)}\n\n".encode())

    def send_out_of_band(self, type: str, data: str) -> None:
        """Send what is no event of the topic: it moves no cursor, and a backlogged reader misses
        it."""
        if not self.ended.done() and not self._outlet.backlogged:
            self._send(f"event: {type}\ndata: {data}\n\n".encode())

    def send_comment(self) -> None:
        """Send a heartbeat, unless the reader is backlogged."""
        if not self.ended.done() and not self._outlet.backlogged:
            self._send(COMMENT)

    async def ready(self) -> None:
        """Returns once the reader has read what waits, and is allowed to get more; drops one that
        reads nothing for `stalled_seconds`. A reader that is no longer allowed waits for its end.

        Raises ConnectionError where the reader has gone or the stream has ended.
        """
        if self.ended.done():
            raise ConnectionResetError("the stream has ended")
        if self._outlet.backlogged or self._allowed is None:
            await self._drain()
        if self._transport.is_closing():
            raise ConnectionResetError("the reader has gone")
        if self._allowed is not None:
            asked_at = time.monotonic()
            try:
                allowed = await self._allowed()
            except Problem as problem:  # unknown for now, so the reader has to come back
                raise ConnectionError(problem.detail) from None
            if not allowed:
                await self.ended
                raise ConnectionResetError("the stream has ended")
            self._allowed_at = asked_at

    async def _drain(self) -> None:
        try:
            await self._outlet.drain()
        except TimeoutError:
            self.end(End.STALLED)
            self.abort()

    def reset(self) -> None:
        """Tell the reader to read the snapshot again, and end."""
        self._send(RESET)
        self.end(End.RESET)

    def finish(self, data: str) -> None:
        """Send a last event `end` with that JSON text, and end."""
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

    def flush_on_drain(self) -> None:
        """Make the writer's last drain wait until nothing is left here."""
        if not self._transport.is_closing():
            self._transport.set_write_buffer_limits(high=0)

    def _send(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(chunk(data) if self._chunked else data)


During = Callable[[SseSink], contextlib.AbstractContextManager[object]]
"""Entered while a stream is open, with its sink."""


async def stream(
    request: web.Request,
    topic: str,
    after: str | None,
    *,
    until: Until | None = None,
    allowed: Allowed | None = None,
    during: During = contextlib.nullcontext,
) -> web.StreamResponse:
    """Answer with the topic's events after the cursor `after` (without one: from now), for as
    long as the token holds, the reader stays and `until` has not returned.

    What `until` returns, JSON text, is the data of a last event `end`. The end of a right to read
    may reach this process later than an event does, so `allowed` is asked before each event; where
    it says no, `until` must return soon. `during` may send the reader something out of band.
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
        # Registered first and checked then, so no revocation falls in between.
        await service(request, Gate).check(identity)
        response = EventSource(send_timeout=stalled_seconds)
        writer = await response.prepare(request)
        assert writer is not None
        if request.method == "HEAD":
            await response.write_eof()
            return response
        await response.write(f"retry: {random.randint(*RETRY_MS)}\n\n".encode())  # noqa: S311
        newest_only, group = topic.startswith(STATE), identity.session_id
        sink = SseSink(
            request, writer, hub, stalled_seconds, newest_only=newest_only, allowed=allowed
        )
        for why in pending:
            sink.end(why)
        with during(sink), service(request, Heartbeat).calling(sink.send_comment, group):
            try:
                subscription = await hub.subscribe(topic, after, sink)
            except Problem as problem:  # the response has begun, so it can only end
                logger.warning("a stream of %s could not begin: %s", topic, problem)
            else:
                if after is None:
                    sink.send_cursor(subscription)
                try:
                    async with _watched(until, sink):
                        await sink.ended
                finally:
                    subscription.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                sink.flush_on_drain()
                await response.write_eof()
        except TimeoutError:
            sink.abort()  # else aiohttp would wait for this reader for ever
        except ConnectionError:
            pass
    return response


@contextlib.asynccontextmanager
async def _watched(until: Until | None, sink: SseSink) -> AsyncIterator[None]:
    """While inside, `until` runs, and the stream ends when it returns."""
    if until is None:
        yield
        return
    watch = asyncio.ensure_future(until())

    def done(watch: asyncio.Future[str]) -> None:
        if not watch.cancelled():
            failure = watch.exception()
            if failure is None:
                sink.finish(watch.result())
                return
            log_failure(logger, failure, "watching for the end of a stream failed")
        sink.fail()  # nothing else would end the stream

    watch.add_done_callback(done)
    try:
        yield
    finally:
        watch.cancel()
