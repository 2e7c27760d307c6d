"""WebSocket: one reader, and frames encoded once and written straight to the transport."""

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
from server.transports.duplex import (
    BUFFER,
    CLOSE_SECONDS,
    CODES,
    FRAME_BYTES,
    RETRY_MS,
    AccountPaces,
    CloseCode,
    Lane,
    Pace,
    Said,
    bound,
    client_id_in,
    code_of,
    error,
)
from server.transports.heartbeat import Heartbeat

logger = logging.getLogger(__name__)

PING = b"\x89\x00"

Receive = Callable[[str], Awaitable[None]]
"""Acts on a text frame; what it raises ends the connection."""
Attend = Callable[["WebSocketLane"], AbstractAsyncContextManager[Receive]]
"""Enters, with the way out to the client, and gives what takes its frames; leaves at the end."""


def frame(text: bytes) -> bytes:
    """A text frame as a server sends it: whole, unmasked (RFC 6455, 5.2)."""
    size = len(text)
    if size < 126:
        return b"\x81%c%b" % (size, text)
    if size < 65536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), text)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), text)


class WebSocketLane(Lane):
    """A WebSocket as a lane. What is said is encoded once for all who are told it."""

    def __init__(
        self, request: web.Request, writer: AbstractStreamWriter, stalled_seconds: float
    ) -> None:
        super().__init__()
        assert request.transport is not None
        self._transport: asyncio.Transport = request.transport
        self._writer = writer
        self._stalled_seconds = stalled_seconds
        self._drained: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        bound(self._transport)

    @property
    def open(self) -> bool:
        """Until it is ended or gone."""
        return not self.ended.done() and not self._transport.is_closing()

    @property
    def behind(self) -> bool:
        """Whether more than BUFFER bytes wait here."""
        return self._transport.get_write_buffer_size() > BUFFER

    def say(self, said: Said) -> None:
        """Write it, unless the connection is ending."""
        if self.open:
            data: bytes | None = said.encoded.get("ws")
            if data is None:
                data = said.encoded["ws"] = frame(said.text.encode())
            self._transport.write(data)

    def heard(self) -> None:
        """The client has sent something, if only a pong: it is alive and reads."""
        self._heard = self._loop.time()

    def beat(self) -> None:
        """A ping; one who has not answered any for so long reads no more."""
        if not self.open or self.behind:
            return
        if self._loop.time() - self._heard > self._stalled_seconds:
            self.end(End.STALLED)
        else:
            self._transport.write(PING)

    async def ready(self) -> None:
        """Waits for the client to read."""
        # See SseSink.ready: the future that aiohttp lets one wait for must not be cancelled.
        if self._drained is None or self._drained.done():
            self._drained = asyncio.create_task(self._drain(), name="drain")
        while self.open:
            before = self._transport.get_write_buffer_size()
            await asyncio.wait({self._drained}, timeout=self._stalled_seconds)
            if self._drained.done():
                self.heard()
                break
            if self._transport.get_write_buffer_size() >= before:
                self.end(End.STALLED)
        if not self.open:
            raise ConnectionResetError("the client has gone")

    async def _drain(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    def give_up(self) -> None:
        """Drop what still waits: the transport would wait for ever for one that does not read."""
        if self._transport.get_write_buffer_size():
            self._transport.abort()


async def serve(request: web.Request, attend: Attend) -> web.StreamResponse:
    """Take the WebSocket, for as long as the token holds and the client stays.

    Raises Problem where it cannot be taken; see `refuse`.
    """
    check_upgrade(request)
    identity, settings = identity_of(request), service(request, Settings)
    account = service(request, AccountPaces).admit(identity.limit_key)
    lane: WebSocketLane | None = None
    pending: list[End] = []

    def end(why: End) -> None:
        if lane is None:
            pending.append(why)
        else:
            lane.end(why)

    mark_held(request, lambda: end(End.RELEASED))
    with service(request, Connections).hold(identity, end):
        # Registered before it is checked: a revocation in between is seen one way or the other.
        request[IDENTITY] = await service(request, Gate).check(identity)
        ws = CountedWebSocket(settings, account)
        writer = await ws.prepare(request)
        lane = WebSocketLane(request, writer, settings.stalled_reader_seconds)
        pace = Pace(settings.frames_per_second)
        account.join(lane, pace)
        for why in pending:
            lane.end(why)
        with service(request, Heartbeat).beating(lane.beat):
            try:
                async with attend(lane) as receive:
                    await _converse(ws, lane, receive, pace)
            except Problem as problem:
                lane.end(End.FAILED)
                await _close(ws, lane, code_of(problem), _reason_of(problem))
                return ws
        await _end(ws, lane)
    return ws


async def refuse(request: web.Request, problem: Problem) -> web.StreamResponse:
    """The problem as a close code: a WebSocket's client sees no other answer.

    To a request that is no handshake it is raised as it is.
    """
    check_upgrade(request, problem)
    mark_held(request)
    identity = request.get(IDENTITY)
    account = (
        service(request, AccountPaces).of(identity.limit_key) if identity is not None else None
    )
    ws = CountedWebSocket(service(request, Settings), account)
    await ws.prepare(request)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await ws.close(code=code_of(problem), message=_reason_of(problem))
    return ws


async def _converse(
    ws: web.WebSocketResponse, lane: WebSocketLane, receive: Receive, pace: Pace
) -> None:
    """Read until the client leaves or the lane is ended."""
    reading = asyncio.create_task(_read(ws, lane, receive, pace), name="websocket reader")
    try:
        await asyncio.wait((reading, lane.ended), return_when=asyncio.FIRST_COMPLETED)
        if reading.done() and not lane.ended.done():
            _judge(reading, lane)
    finally:
        reading.cancel()


def _judge(reading: asyncio.Task[None], lane: WebSocketLane) -> None:
    failure = reading.exception()
    if failure is not None and not isinstance(failure, ConnectionError):
        log_failure(logger, failure, "what takes the frames failed")
    lane.end(End.OVER if failure is None else End.FAILED)


async def _read(
    ws: web.WebSocketResponse, lane: WebSocketLane, receive: Receive, pace: Pace
) -> None:
    while not lane.ended.done():
        if lane.behind:  # who does not read is not listened to either
            await lane.ready()
        message = await ws.receive()
        lane.heard()
        match message.type:
            case WSMsgType.TEXT | WSMsgType.BINARY:
                await _take(message, lane, receive, pace)
            case WSMsgType.PING | WSMsgType.PONG:
                pass
            case _:
                return


async def _take(message: WSMessage, lane: WebSocketLane, receive: Receive, pace: Pace) -> None:
    text = message.data if message.type is WSMsgType.TEXT else None
    size = len(message.data if text is None else text.encode())
    if size > FRAME_BYTES:
        lane.say(error("too_large", f"A frame holds {FRAME_BYTES} bytes at most."))
        lane.end(End.TOO_LARGE)
    elif wait := pace.take(size):
        lane.say(pace.refusal(wait, client_id_in(text)))
        if pace.exhausted:
            lane.end(End.TOO_FAST)
    elif text is None:
        lane.say(error("binary", "Send text frames: this connection speaks JSON."))
    else:
        await receive(text)


async def _end(ws: web.WebSocketResponse, lane: WebSocketLane) -> None:
    why = lane.ended.result()
    code, reason = CODES[why]
    members: dict[str, object] = {"reason": reason}
    if code in (CloseCode.GOING_AWAY, CloseCode.FAILED):
        members["retry_after_ms"] = random.randint(*RETRY_MS)  # noqa: S311
    await _close(ws, lane, code, json.dumps(members).encode())


async def _close(ws: web.WebSocketResponse, lane: WebSocketLane, code: int, reason: bytes) -> None:
    """Tell the code to a client that still reads; one that does not is dropped soon."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await ws.close(code=code, message=reason)
    except (TimeoutError, ConnectionError):
        pass
    lane.give_up()


def _reason_of(problem: Problem) -> bytes:
    """At most the 123 bytes that a close frame takes."""
    members: dict[str, object] = {"reason": problem.kind or str(problem.status)}
    if "Retry-After" in problem.headers:
        members["retry_after_ms"] = int(problem.headers["Retry-After"]) * 1000
    return json.dumps(members).encode()
