"""Server-sent events: encoded once, written straight to every reader's transport."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Annotated

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web import BaseRequest
from aiohttp_sse import EventSourceResponse
from pydantic import BeforeValidator

from server.core.auth import Gate, Identity
from server.core.connection import KERNEL_BUFFER, Connection
from server.core.errors import Problem
from server.core.logging import log_failure
from server.core.routing import Header, identity_of, mark_held
from server.core.services import service
from server.core.streaming import StreamConnection
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.state_topic import STATE
from server.realtime.topic import Subscription
from server.settings import Settings
from server.transports.connections import Connections, End, Slot
from server.transports.heartbeat import Heartbeat
from server.transports.outlet import BUFFER, CLOSE_SECONDS, limit_buffers

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
During = Callable[["SseStream"], AbstractContextManager[object]]
"""Entered while a stream is open, with that."""
ALLOWED_SECONDS = 1.0
"""How old the answer of an Allowed may be: the process may have been suspended since."""


class EventSource(EventSourceResponse):
    """aiohttp-sse's headers and dead-peer detection, without a ping task of its own.

    The connection closes after the stream.
    """

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers; `request`'s transport is written to directly from then on."""
        if self.prepared:  # aiohttp asks once more at the end, when the transport may be gone
            return self._payload_writer
        self._set_tcp_user_timeout(request)
        self.headers["Connection"] = "close"
        self.force_close()
        if request.version >= (1, 1):  # before, the end of the connection ends the stream
            self.enable_chunked_encoding()
        return await web.StreamResponse.prepare(self, request)


def encode(hub: Hub, event: Event) -> bytes:
    """The event as `text/event-stream`; made once and kept with the event."""
    text: bytes | None = event.encoded.get("sse")
    if text is None:
        data = event.data.replace("\n", "\ndata: ")
        cursor = hub.log.cursor_of(event)
        # Readers ignore a field that they do not know.
        head = f"id: {cursor}\nevent: {event.type}\nlogged_at: {event.at}\n"
        text = f"{head}data: {data}\n\n".encode()
        event.encoded["sse"] = text
    return text


def chunk(data: bytes) -> bytes:
    """A chunk of HTTP/1.1's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class SseStream(StreamConnection):
    """An event stream: a subscription's sink, and the connection that it writes to.

    It has no task of its own: callbacks end it.
    """

    __slots__ = (
        "_allowed",
        "_allowed_at",
        "_behind_until",
        "_chunked",
        "_during",
        "_ended",
        "_heartbeat",
        "_hub",
        "_slot",
        "_stalled_seconds",
        "_subscription",
        "_timer",
        "_watch",
    )

    def __init__(
        self, request: web.Request, stalled_seconds: float, allowed: Allowed | None
    ) -> None:
        super().__init__()
        self._hub, self._heartbeat = service(request, Hub), service(request, Heartbeat)
        self._stalled_seconds = stalled_seconds
        self._chunked = request.version >= (1, 1)
        self._allowed = allowed
        self._allowed_at = -ALLOWED_SECONDS
        self._behind_until = 0
        """The topic's head when the reader came back, until it has that event."""
        self._ended: End | None = None
        self._slot: Slot | None = None
        self._subscription: Subscription | None = None
        self._during: AbstractContextManager[object] | None = None
        self._watch: asyncio.Future[str] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def hold(self, connections: Connections, identity: Identity) -> None:
        """Take a slot, see `Connections.hold`."""
        self._slot = connections.hold(identity, self.end)

    def begin(self, newest_only: bool, group: str, during: During | None) -> None:
        """Write the first block; the connection is its own by now."""
        limit_buffers(
            self.transport,
            0 if newest_only else BUFFER,
            STATE_KERNEL_BUFFER if newest_only else KERNEL_BUFFER,
        )
        self._send_retry(End.FAILED)
        self._heartbeat.add(self.send_comment, group)
        if during is not None:
            self._during = during(self)
            self._during.__enter__()

    async def follow(self, topic: str, after: str | None, until: Until | None) -> None:
        """Subscribe; an end that came before takes effect then, as a reader that has closed its
        side may still be told to reset."""
        try:
            self._subscription = await self._hub.subscribe(topic, after, self)
        except Problem as problem:  # the response has begun, so it can only end
            logger.warning("a stream of %s could not begin: %s", topic, problem)
            self._ended = self._ended or End.FAILED
        else:
            # A reader without a cursor has to know where it begins: it may be cut before its first
            # event. One with a cursor learns that it has got what it missed.
            head = self._subscription.topic.head
            if after is None or self._subscription.cursor == head:
                self._send(f"id: {self._hub.cursor_of(self._subscription)}\n\n".encode())
            else:
                self._behind_until = head
        if self._ended is not None:
            self._finish()
        elif until is not None:
            self._watch = asyncio.ensure_future(until())
            self._watch.add_done_callback(self._end_with)

    def write(self, event: Event) -> bool:
        """Hand it to the transport. False while too many bytes wait there, before `ready` has
        asked whether the reader is allowed to get it, and once the stream ends: after a revocation
        this reader may get nothing more."""
        # A closed transport of uvloop's raises when it is written to.
        if self.full or self._ended is not None or self.transport.is_closing():
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
        self.transport.write(data)
        if self._behind_until and event.seq >= self._behind_until:
            self._behind_until = 0
            self._send(f"id: {self._hub.log.cursor_of(event)}\n\n".encode())
        return True

    def send_out_of_band(self, type: str, data: str) -> None:
        """Send what is no event of the topic: it moves no cursor, and a backlogged reader misses
        it."""
        if not self.full and self._ended is None:
            self._send(f"event: {type}\ndata: {data}\n\n".encode())

    def send_comment(self) -> None:
        """Send a heartbeat, unless the reader is backlogged."""
        if not self.full and self._ended is None:
            self._send(COMMENT)

    async def ready(self) -> None:
        """Returns once the reader has read what waits, and is allowed to get more; drops one that
        reads nothing for `stalled_seconds`. A reader that is no longer allowed waits for its end.

        Raises ConnectionError where the reader has gone or the stream has ended.
        """
        try:
            await self.drain(self._stalled_seconds)
        except TimeoutError:
            self.end(End.STALLED)
            self.abort()
        if self._ended is not None or self.transport.is_closing():
            raise ConnectionResetError("the stream has ended")
        if self._allowed is not None:
            asked_at = time.monotonic()
            try:
                allowed = await self._allowed()
            except Problem as problem:  # unknown for now, so the reader has to come back
                raise ConnectionError(problem.detail) from None
            if not allowed:
                await asyncio.get_running_loop().create_future()  # cancelled by the end
            self._allowed_at = asked_at

    def reset(self) -> None:
        """Tell the reader to read the snapshot again, and end."""
        self._send(RESET)
        self.end(End.RESET)

    def fail(self) -> None:
        """End; the reader comes back with its cursor."""
        self.end(End.FAILED)

    def end_wait(self) -> None:
        """End: the reader has closed its side."""
        self.end(End.RELEASED)

    def end(self, why: End) -> None:
        """End the stream, and then the connection, once."""
        if self._ended is None:
            self._ended = why
            if self._subscription is not None:
                self._finish()

    @property
    def status(self) -> int:
        """499 where the client has left."""
        return 499 if self._ended is None else 200

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give everything back."""
        super().connection_lost(exc)
        self._ended = self._ended or End.RELEASED
        self._stop()
        self.release()

    def release(self) -> None:
        """Give back its slot."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._slot is not None:
            self._slot.release()
            self._slot = None

    def _finish(self) -> None:
        self._stop()
        if self.transport.is_closing():
            return
        if self._ended is End.DRAINING:
            self._send_retry(End.DRAINING)
        if self._chunked:
            self.transport.write(b"0\r\n\r\n")
        self.transport.close()
        # Else it would wait for ever for a reader that does not read.
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def _stop(self) -> None:
        """Get nothing more."""
        self._heartbeat.remove(self.send_comment)
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        if self._during is not None:
            self._during.__exit__(None, None, None)
            self._during = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _end_with(self, watch: asyncio.Future[str]) -> None:
        """End with what `until` has returned as the data of a last event `end`."""
        if self._ended is not None:
            return
        if not watch.cancelled():
            failure = watch.exception()
            if failure is None:
                self._send(f"event: end\ndata: {watch.result()}\n\n".encode())
                self.end(End.OVER)
                return
            log_failure(logger, failure, "watching for the end of a stream failed")
        self.fail()  # nothing else would end the stream

    def _send_retry(self, end: End) -> None:
        """Say how long to wait after such an end of the stream before connecting again."""
        self._send(f"retry: {end.retry_ms}\n\n".encode())

    def _send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(chunk(data) if self._chunked else data)


async def stream(
    request: web.Request,
    topic: str,
    after: str | None,
    *,
    until: Until | None = None,
    allowed: Allowed | None = None,
    during: During | None = None,
) -> web.StreamResponse:
    """Answer with the topic's events after the cursor `after` (without one: from now), for as
    long as the token holds, the reader stays and `until` has not returned.

    This returns once the stream has begun, and the connection closes after its end. What `until`
    returns, JSON text, is the data of a last event `end`. The end of a right to read may reach
    this process later than an event does, so `allowed` is asked before each event; where it says
    no, `until` must return soon. `during` may send the reader something out of band.
    """
    identity, settings = identity_of(request), service(request, Settings)
    sink = SseStream(request, settings.stalled_reader_seconds, allowed)
    mark_held(request, sink.end_wait)
    sink.hold(service(request, Connections), identity)
    try:
        # Registered first and checked then, so no revocation falls in between.
        await service(request, Gate).check(identity)
        response = EventSource(send_timeout=settings.stalled_reader_seconds)
        await response.prepare(request)
        if request.method == "HEAD":
            await response.write_eof()
            return response
        connection = request.protocol
        assert isinstance(connection, Connection)
        connection.hand_over(sink)
        try:
            sink.begin(topic.startswith(STATE), identity.session_id, during)
            await sink.follow(topic, after, until)
        except BaseException:
            sink.abort()
            raise
    finally:
        if not sink.open:
            sink.release()
    return response
