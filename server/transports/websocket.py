"""WebSocket: frames are encoded once, and written straight to every client's transport."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from aiohttp import WSMessage, WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WebSocketError

from server.core.addresses import network_key
from server.core.auth import Gate, Identity
from server.core.connection import TURN, Connection
from server.core.errors import Problem
from server.core.logging import log_failure
from server.core.parse_queue import ParseQueue
from server.core.routing import IDENTITY, identity_of, mark_held
from server.core.services import service
from server.core.streaming import StreamConnection
from server.settings import Settings
from server.transports.connections import Connections, End, Slot
from server.transports.counted_websocket import (
    FRAME_COST,
    QUEUE_BYTES,
    REASONS,
    TURN_BYTES,
    CountedWebSocket,
    CountingReader,
    Pongs,
    accepting_headers,
    check_upgrade,
    text_frame,
)
from server.transports.frame_limits import AccountLimits, FrameLimit, FrameLimits
from server.transports.heartbeat import Heartbeat
from server.transports.outbox import (
    CODES,
    FRAME_BYTES,
    CloseCode,
    Frame,
    Outbox,
    client_id_in,
    code_of,
    error,
)
from server.transports.outlet import CLOSE_SECONDS, limit_buffers

logger = logging.getLogger(__name__)

PING = b"\x89\x00"


class Handler(Protocol):
    """What handles a connection's frames while it is open."""

    async def receive(self, text: str) -> None:
        """Act on a text frame; what this raises ends the connection."""
        ...

    def close(self) -> None:
        """The connection has ended."""
        ...


Attend = Callable[[Outbox, Identity], Awaitable[Handler]]
"""Begins to handle a connection. It should not keep the request, which takes far more memory."""


class WebSocket(StreamConnection, Outbox):
    """A WebSocket, which owns its connection after the handshake. A frame is encoded once for all
    who get it. A task runs only while there are frames to handle."""

    __slots__ = (
        "_code",
        "_handler",
        "_heartbeat",
        "_last_received",
        "_limit",
        "_loop",
        "_parse_queue",
        "_parser",
        "_pongs",
        "_queue",
        "_reading_paused",
        "_rest",
        "_stalled_seconds",
        "_task",
        "_timer",
        "ended",
        "queued",
        "slot",
    )

    status = 101

    def __init__(
        self, request: web.Request, account: AccountLimits, parse_queue: ParseQueue
    ) -> None:
        super().__init__()
        settings = service(request, Settings)
        self._loop = asyncio.get_running_loop()
        self.ended = self._loop.create_future()
        self._queue = WebSocketDataQueue(cast(Any, self), QUEUE_BYTES, loop=self._loop)
        self._parser = CountingReader(self._queue, settings, account)
        self._pongs: Pongs | float = settings.pong_seconds
        self._limit = FrameLimit(settings.frames_per_second)
        account.add(self, self._limit)
        self._parse_queue = parse_queue
        self.queued = False
        self._reading_paused = False
        self._rest = b""
        self._heartbeat = service(request, Heartbeat)
        self._stalled_seconds = settings.stalled_reader_seconds
        self._last_received = self._loop.time()
        self._handler: Handler | None = None
        self.slot: Slot | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._code = 0
        """The close code that was sent."""

    async def begin(self, attend: Attend, identity: Identity) -> None:
        """Handle frames, also those that have come already. The connection is its own by now."""
        limit_buffers(self.transport)
        try:
            self._handler = await attend(self, identity)
        except Problem as problem:
            self.end(End.FAILED)
            self._close(code_of(problem), _reason_of(problem), answered=False)
            self._handle_next()
            return
        except BaseException:
            self.end(End.FAILED)
            self.abort()
            raise
        self._heartbeat.add(self.ping, identity.session_id)
        self.ended.add_done_callback(self._finish)
        self._handle_next()

    @property
    def open(self) -> bool:
        """Until it is ended, or the client has gone."""
        return not self.ended.done() and not self.transport.is_closing()

    @property
    def backlogged(self) -> bool:
        """Whether more than BUFFER bytes wait here."""
        return self.full

    def send(self, frame: Frame) -> None:
        """Write it, unless the connection is ending."""
        if self.open:
            data: bytes | None = frame.encoded.get("ws")
            if data is None:
                data = frame.encoded["ws"] = text_frame(frame.text.encode())
            self.transport.write(data)

    def ping(self) -> None:
        """Send a ping; end a client that has sent nothing for `stalled_seconds`, if only a pong."""
        if not self.open or self.full:
            return
        if self._loop.time() - self._last_received > self._stalled_seconds:
            self.end(End.STALLED)
        else:
            self.transport.write(PING)

    async def ready(self) -> None:
        """Returns once the client has read what waits here."""
        try:
            await self.drain(self._stalled_seconds)
        except TimeoutError:
            self.end(End.STALLED)
        if not self.open:
            raise ConnectionResetError("the client has gone")
        self._last_received = self._loop.time()

    def end_wait(self) -> None:
        """End it: the client has closed its side before it began."""
        self.end(End.RELEASED)

    @property
    def address_key(self) -> str:
        """The client's address, or its network where that stands for one client."""
        return network_key(self._address)

    def data_received(self, data: bytes) -> None:
        """Parse what was read in parts, so that other connections have their turn in between."""
        if self._rest or len(data) > TURN or not self._parse_queue.may_parse(self.address_key):
            self._rest += data
            if not self.transport.is_closing():
                self.transport.pause_reading()
            self._parse_queue.add(self)
        else:
            self._parse(data)

    def parse_next(self) -> None:
        """Parse the next part of what was read, unless too many frames wait."""
        if self._rest and not self._reading_paused:
            data, self._rest = self._rest[:TURN], self._rest[TURN:]
            self._parse(data)
            if not self._reading_paused:
                self.resume_reading()

    def pause_reading(self) -> None:
        """Too many frames wait."""
        self._reading_paused = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """There is room for more."""
        self._reading_paused = False
        if self._rest:
            self._parse_queue.add(self)
        elif not self.transport.is_closing():
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        """The client has gone: it does not close one side only."""
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give everything back."""
        super().connection_lost(exc)
        self._rest = b""
        self._queue._buffer.clear()
        self._queue._protocol = cast(Any, None)  # a circle, which only a collection would find
        self.end(End.OVER)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._handler is None:  # else `_finish` does
            self.release()

    def release(self) -> None:
        """Give back its slot."""
        if self.slot is not None:
            self.slot.release()
            self.slot = None

    def _parse(self, data: bytes) -> None:
        self._parser.feed_data(data)
        self._handle_next()

    def _handle_next(self) -> None:
        if self._task is None and self._unhandled() and (self._handler is not None or self._code):
            self._task = self._loop.create_task(self._handle_all(), name="websocket frames")

    def _unhandled(self) -> bool:
        """Whether a frame waits, or the error of an invalid one."""
        return bool(self._queue._buffer) or self._queue.exception() is not None

    async def _handle_all(self) -> None:
        turn = TURN_BYTES
        try:
            while self._unhandled():
                if turn <= 0:
                    turn = TURN_BYTES
                    await asyncio.sleep(0)
                    continue
                if self.full and not self.ended.done():  # one that does not read is not read from
                    await self.ready()
                message = await self._queue.read()
                turn -= FRAME_COST + (len(message.data) if isinstance(message.data, str) else 0)
                self._last_received = self._loop.time()
                await self._handle(cast(WSMessage, message))
        except WebSocketError as error:
            self._close(error.code, REASONS.get(error.code, b""))
            self.transport.close()
            self.end(End.OVER)
        except ConnectionError:
            self.end(End.FAILED)
        except Exception as failure:
            log_failure(logger, failure, "handling a frame failed")
            self.end(End.FAILED)
        finally:
            self._task = None

    async def _handle(self, message: WSMessage) -> None:
        if message.type is WSMsgType.CLOSE:
            if self._code:  # it answers
                self.transport.close()
            else:
                self._close(CloseCode.NORMAL, b"")
                self.end(End.OVER)
        elif message.type is WSMsgType.PING:
            if not self._code:
                if not isinstance(self._pongs, Pongs):
                    self._pongs = Pongs(self.transport, self._pongs)
                self._pongs.answer(bytes(message.data))
        elif message.type in (WSMsgType.TEXT, WSMsgType.BINARY) and not self.ended.done():
            await self._handle_message(message)

    async def _handle_message(self, message: WSMessage) -> None:
        text = message.data if message.type is WSMsgType.TEXT else None
        size = len(message.data if text is None else text.encode())
        if size > FRAME_BYTES:
            self.send(error("too_large", f"A frame holds {FRAME_BYTES} bytes at most."))
            self.end(End.TOO_LARGE)
        elif wait := self._limit.consume(size):
            self.send(self._limit.refusal(wait, client_id_in(text)))
            if self._limit.exhausted:
                self.end(End.TOO_FAST)
        elif text is None:
            self.send(error("binary", "Send text frames: this connection speaks JSON."))
        elif self._handler is not None:
            await self._handler.receive(text)

    def _finish(self, ended: asyncio.Future[End]) -> None:
        """Stop handling frames and events, and close the connection."""
        self._heartbeat.remove(self.ping)
        if self._task is not None:
            self._task.cancel()
        if self._handler is not None:
            self._handler.close()
            self._handler = None
        if self.transport.is_closing():
            self.release()
        elif not self._code:
            code, reason = CODES[why := ended.result()]
            members: dict[str, object] = {"reason": reason}
            if code in (CloseCode.GOING_AWAY, CloseCode.FAILED):
                members["retry_after_ms"] = why.retry_ms
            self._close(code, json.dumps(members).encode(), answered=False)
            self._handle_next()

    def _close(self, code: int, reason: bytes, *, answered: bool = True) -> None:
        """Send the code, and close the connection, after the client's answer if that is to come;
        drop a client that does not read in CLOSE_SECONDS."""
        if self._code or self.transport.is_closing():
            return
        self._code = code
        self.transport.write(b"\x88%c%b%b" % (2 + len(reason), code.to_bytes(2, "big"), reason))
        if answered:
            self.transport.close()
        self._timer = self._loop.call_later(CLOSE_SECONDS, self.transport.abort)


async def serve(request: web.Request, attend: Attend) -> web.StreamResponse:
    """Serve a WebSocket for as long as the token holds and the client stays. Returns once it has
    begun.

    Raises Problem where it is refused; see `refuse`.
    """
    check_upgrade(request)
    identity = identity_of(request)
    account = service(request, FrameLimits).admit(identity.limit_key)
    connection = request.protocol
    assert isinstance(connection, Connection)
    ws = WebSocket(request, account, connection.parse_queue)
    mark_held(request, ws.end_wait)
    ws.slot = service(request, Connections).hold(identity, ws.end)
    handed_over = False
    try:
        # Registered first and checked then, so no revocation falls in between.
        identity = request[IDENTITY] = await service(request, Gate).check(identity)
        response = web.StreamResponse(status=101, headers=accepting_headers(request))
        await response.prepare(request)
        connection.hand_over(ws)
        handed_over = True
        await ws.begin(attend, identity)
    finally:
        if not handed_over:
            ws.release()
    return response


async def refuse(request: web.Request, problem: Problem) -> web.StreamResponse:
    """Answer with the problem as a close code: a browser's WebSocket shows no other answer.

    Raises the problem itself where the request is no handshake.
    """
    check_upgrade(request, problem)
    mark_held(request)
    identity = request.get(IDENTITY)
    account = service(request, FrameLimits).of(identity.limit_key) if identity is not None else None
    ws = CountedWebSocket(service(request, Settings), account)
    await ws.prepare(request)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await ws.close(code=code_of(problem), message=_reason_of(problem))
    return ws


def _reason_of(problem: Problem) -> bytes:
    """At most the 123 bytes that a close frame takes."""
    members: dict[str, object] = {"reason": problem.kind or str(problem.status)}
    if "Retry-After" in problem.headers:
        members["retry_after_ms"] = int(problem.headers["Retry-After"]) * 1000
    return json.dumps(members).encode()
