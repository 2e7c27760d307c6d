"""engineio underneath Socket.IO, with its queues measured and its WebSockets bounded."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import engineio
import socketio
from aiohttp import web
from engineio.async_drivers.aiohttp import WebSocket
from engineio.packet import MESSAGE, NOOP, Packet

from server.transports.connections import End
from server.transports.duplex import (
    BUFFER,
    CLOSE_SECONDS,
    FRAME_BYTES,
    HARD_BYTES,
    Said,
    bound,
    error,
)

logger = logging.getLogger(__name__)

PACKETS_AT_ONCE = 16
"""That is how many python-engineio's client takes in one answer."""

# engineio logs what it cannot read of a client's, with a traceback, as if it were our error.
quiet = logging.getLogger("server.transports.socketio.engineio")
quiet.setLevel(logging.CRITICAL)


class MeasuredQueue(asyncio.Queue[Packet | None]):
    """engineio's queue of a client, which knows how many bytes it holds and when that changes."""

    bytes = 0
    steps = 0
    """Packets that have gone to the client so far."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = asyncio.Event()
        self._taken = 0

    def step(self) -> None:
        """Something has gone on its way."""
        self.steps += 1
        self.moved.set()

    async def get(self) -> Packet | None:
        """The first of what is sent next."""
        self._taken = 0
        return await super().get()

    def get_nowait(self) -> Packet | None:
        """Another to go with it."""
        if self._taken >= PACKETS_AT_ONCE:
            raise asyncio.QueueEmpty
        self._taken += 1
        return super().get_nowait()

    def _put(self, item: Packet | None) -> None:
        super()._put(item)
        self.bytes += _size(item)

    def _get(self) -> Packet | None:
        item = super()._get()
        self.bytes -= _size(item)
        self.step()
        return item


def _size(packet: Packet | None) -> int:
    return len(packet.data) if packet is not None and isinstance(packet.data, str) else 16


class BoundedWebSocket(WebSocket):  # type: ignore[misc]
    """engineio's WebSocket on aiohttp: it waits for the client, and reads only what is a frame."""

    _sock: web.WebSocketResponse
    _request: web.Request

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        """Serve it to its end."""
        self._request = environ["aiohttp.request"]
        self._sock = web.WebSocketResponse(
            timeout=CLOSE_SECONDS, compress=False, max_msg_size=HARD_BYTES
        )
        self._writer = await self._sock.prepare(self._request)
        assert self._request.transport is not None
        bound(self._request.transport)
        self._socket = self.handler.__self__
        self._socket.wire = self
        await self.handler(self)
        self.abort()
        return self._sock

    async def send(self, message: str | bytes) -> None:
        """Write it, and wait while more than aiohttp's limit waits for the client."""
        await super().send(message)
        await self._writer.drain()
        self._socket.queue.step()

    async def wait(self) -> str:
        """The next frame that engineio can read; of others the client is told."""
        while True:
            text: str | bytes = await super().wait()
            if isinstance(text, bytes):
                self._tell("binary", "Send text frames: this connection speaks JSON.")
            elif len(text) > FRAME_BYTES // 4 and len(text.encode()) > FRAME_BYTES:
                self._tell("too_large", f"A frame holds {FRAME_BYTES} bytes at most.")
                self.server.sessions_end(self._socket.sid, End.TOO_LARGE)
            elif not text or text[0] not in "123456":
                self._tell("bad_json", "This is no packet of Engine.IO's.")
            else:
                return text

    def _tell(self, code: str, detail: str) -> None:
        if self._socket.queue.bytes <= BUFFER:
            self._socket.queue.put_nowait(packet_of(error(code, detail)))

    async def end(self, code: int, reason: bytes) -> None:
        """Close it with that code."""
        await self._sock.close(code=code, message=reason)

    def abort(self) -> None:
        """Drop the connection."""
        if self._request.transport is not None:
            self._request.transport.abort()


def packet_of(said: Said) -> Packet:
    """An event of Socket.IO's, encoded once for all who are told it."""
    packet: Packet | None = said.encoded.get("socketio")
    if packet is None:
        packet = Packet(MESSAGE, f"2[{json.dumps(said.name)},{said.text}]")
        said.encoded["socketio"] = packet
    return packet


def no_news() -> Packet:
    """What ends a poll without telling anything."""
    return Packet(NOOP)


class Engine(engineio.AsyncServer):  # type: ignore[misc]
    """engineio with measured queues and bounded WebSockets."""

    sessions_end: Callable[[str, End], None]
    _async: dict[str, Any]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._async = self._async | {"websocket": BoundedWebSocket}

    def create_queue(self, *args: Any, **options: Any) -> MeasuredQueue:
        """A client's queue."""
        return MeasuredQueue()


class Server(socketio.AsyncServer):  # type: ignore[misc]
    """python-socketio on that engine; a packet it cannot read is no error of ours."""

    arrived: Callable[[str], None]
    unreadable: Callable[[str, str], None]

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        self.arrived(eio_sid)

    def _engineio_server_class(self) -> type[Engine]:
        return Engine

    async def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> None:
        if isinstance(data, bytes):
            self.unreadable(eio_sid, "binary")
            return
        if data[:1] in ("5", "6"):
            return  # what comes with it is binary, and is answered
        try:
            await super()._handle_eio_message(eio_sid, data)
        except Exception as failure:  # our own handlers raise nothing
            logger.debug("a packet cannot be read: %r", failure)
            self.unreadable(eio_sid, "bad_json")
