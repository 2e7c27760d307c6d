"""WebSocket: one task reads, and frames are encoded once and written straight to the transport."""

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from aiohttp import WSMessage, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

from server.core.auth import Gate
from server.core.errors import Problem
from server.core.logging import log_failure
from server.core.routing import IDENTITY, identity_of, mark_held
from server.core.services import service
from server.settings import Settings
from server.transports.connections import Connections, End
from server.transports.counted_websocket import CountedWebSocket, check_upgrade
from server.transports.frame_limits import FrameLimit, FrameLimits
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
from server.transports.outlet import CLOSE_SECONDS, RETRY_MS, Outlet

logger = logging.getLogger(__name__)

PING = b"\x89\x00"

Receive = Callable[[str], Awaitable[None]]
"""Acts on a text frame; what it raises ends the connection."""
Attend = Callable[["WebSocketOutbox"], AbstractAsyncContextManager[Receive]]
"""Lasts as long as the connection: is given its outbox, and gives what handles its frames."""


def text_frame(text: bytes) -> bytes:
    """A text frame as a server sends it: in one piece, unmasked (RFC 6455, 5.2)."""
    size = len(text)
    if size < 126:
        return b"\x81%c%b" % (size, text)
    if size < 65536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), text)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), text)


class WebSocketOutbox(Outbox):
    """A WebSocket's outbox. A frame is encoded once for all who get it."""

    def __init__(
        self, request: web.Request, writer: AbstractStreamWriter, stalled_seconds: float
    ) -> None:
        super().__init__()
        self._outlet = Outlet(request.transport, writer, stalled_seconds)
        self._transport = self._outlet.transport
        self._stalled_seconds = stalled_seconds
        self._loop = asyncio.get_running_loop()
        self._last_received = self._loop.time()

    @property
    def open(self) -> bool:
        """Until it is ended, or the client has gone."""
        return not self.ended.done() and not self._transport.is_closing()

    @property
    def backlogged(self) -> bool:
        """Whether more than BUFFER bytes wait here."""
        return self._outlet.backlogged

    def send(self, frame: Frame) -> None:
        """Write it, unless the connection is ending."""
        if self.open:
            data: bytes | None = frame.encoded.get("ws")
            if data is None:
                data = frame.encoded["ws"] = text_frame(frame.text.encode())
            self._transport.write(data)

    def received(self) -> None:
        """The client has sent something, if only a pong: it is alive and reads."""
        self._last_received = self._loop.time()

    def ping(self) -> None:
        """Send a ping; end a client that has sent nothing for `stalled_seconds`."""
        if not self.open or self.backlogged:
            return
        if self._loop.time() - self._last_received > self._stalled_seconds:
            self.end(End.STALLED)
        else:
            self._transport.write(PING)

    async def ready(self) -> None:
        """Returns once the client has read what waits here."""
        try:
            await self._outlet.drain()
        except TimeoutError:
            self.end(End.STALLED)
        if not self.open:
            raise ConnectionResetError("the client has gone")
        self.received()

    def drop_unsent(self) -> None:
        """Drop the connection if anything waits: the transport would wait for ever for a client
        that does not read."""
        if self._transport.get_write_buffer_size():
            self._transport.abort()


async def serve(request: web.Request, attend: Attend) -> web.StreamResponse:
    """Serve a WebSocket for as long as the token holds and the client stays.

    Raises Problem where it is refused; see `refuse`.
    """
    check_upgrade(request)
    identity, settings = identity_of(request), service(request, Settings)
    account = service(request, FrameLimits).admit(identity.limit_key)
    outbox: WebSocketOutbox | None = None
    pending: list[End] = []

    def end(why: End) -> None:
        if outbox is None:
            pending.append(why)
        else:
            outbox.end(why)

    mark_held(request, lambda: end(End.RELEASED))
    with service(request, Connections).hold(identity, end):
        # Registered first and checked then, so no revocation falls in between.
        request[IDENTITY] = await service(request, Gate).check(identity)
        ws = CountedWebSocket(settings, account)
        writer = await ws.prepare(request)
        outbox = WebSocketOutbox(request, writer, settings.stalled_reader_seconds)
        limit = FrameLimit(settings.frames_per_second)
        account.add(outbox, limit)
        for why in pending:
            outbox.end(why)
        heartbeat = service(request, Heartbeat)
        heartbeat.add(outbox.ping, identity.session_id)
        try:
            async with attend(outbox) as receive:
                await _read_until_ended(ws, outbox, receive, limit)
        except Problem as problem:
            outbox.end(End.FAILED)
            await _close(ws, outbox, code_of(problem), _reason_of(problem))
            return ws
        finally:
            heartbeat.remove(outbox.ping)
        await _end(ws, outbox)
    return ws


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


async def _read_until_ended(
    ws: web.WebSocketResponse, outbox: WebSocketOutbox, receive: Receive, limit: FrameLimit
) -> None:
    """Read until the client leaves or the connection is ended."""
    reading = asyncio.create_task(_read(ws, outbox, receive, limit), name="websocket reader")
    try:
        await asyncio.wait((reading, outbox.ended), return_when=asyncio.FIRST_COMPLETED)
        if reading.done() and not outbox.ended.done():
            _end_after(reading, outbox)
    finally:
        reading.cancel()


def _end_after(reading: asyncio.Task[None], outbox: WebSocketOutbox) -> None:
    failure = reading.exception()
    if failure is not None and not isinstance(failure, ConnectionError):
        log_failure(logger, failure, "handling a frame failed")
    outbox.end(End.OVER if failure is None else End.FAILED)


async def _read(
    ws: web.WebSocketResponse, outbox: WebSocketOutbox, receive: Receive, limit: FrameLimit
) -> None:
    while not outbox.ended.done():
        if outbox.backlogged:  # a client that does not read is not read from
            await outbox.ready()
        message = await ws.receive()
        outbox.received()
        match message.type:
            case WSMsgType.TEXT | WSMsgType.BINARY:
                await _handle(message, outbox, receive, limit)
            case WSMsgType.PING | WSMsgType.PONG:
                pass
            case _:
                return


async def _handle(
    message: WSMessage, outbox: WebSocketOutbox, receive: Receive, limit: FrameLimit
) -> None:
    text = message.data if message.type is WSMsgType.TEXT else None
    size = len(message.data if text is None else text.encode())
    if size > FRAME_BYTES:
        outbox.send(error("too_large", f"A frame holds {FRAME_BYTES} bytes at most."))
        outbox.end(End.TOO_LARGE)
    elif wait := limit.consume(size):
        outbox.send(limit.refusal(wait, client_id_in(text)))
        if limit.exhausted:
            outbox.end(End.TOO_FAST)
    elif text is None:
        outbox.send(error("binary", "Send text frames: this connection speaks JSON."))
    else:
        await receive(text)


async def _end(ws: web.WebSocketResponse, outbox: WebSocketOutbox) -> None:
    why = outbox.ended.result()
    code, reason = CODES[why]
    members: dict[str, object] = {"reason": reason}
    if code in (CloseCode.GOING_AWAY, CloseCode.FAILED):
        members["retry_after_ms"] = random.randint(*RETRY_MS)  # noqa: S311
    await _close(ws, outbox, code, json.dumps(members).encode())


async def _close(
    ws: web.WebSocketResponse, outbox: WebSocketOutbox, code: int, reason: bytes
) -> None:
    """Send the code to a client that still reads; drop one that does not."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await ws.close(code=code, message=reason)
    except (TimeoutError, ConnectionError):
        pass
    outbox.drop_unsent()


def _reason_of(problem: Problem) -> bytes:
    """At most the 123 bytes that a close frame takes."""
    members: dict[str, object] = {"reason": problem.kind or str(problem.status)}
    if "Retry-After" in problem.headers:
        members["retry_after_ms"] = int(problem.headers["Retry-After"]) * 1000
    return json.dumps(members).encode()
