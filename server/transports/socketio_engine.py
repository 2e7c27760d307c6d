"""engineio underneath Socket.IO, with its queues measured and its WebSockets bounded."""

import asyncio
import json
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import engineio
import socketio
from aiohttp import WSMsgType, http_exceptions, web
from engineio.async_drivers.aiohttp import WebSocket
from engineio.async_socket import AsyncSocket
from engineio.packet import MESSAGE, NOOP, PING, Packet
from socketio.packet import ACK, CONNECT_ERROR

from server.core.bodies import BODY_SECONDS, BodyDeadlines
from server.core.errors import Problem, malformed
from server.core.services import service
from server.settings import Settings
from server.transports.connections import End
from server.transports.counted_websocket import CountedWebSocket
from server.transports.duplex import BUFFER, FRAME_BYTES, AccountPace, Pace, Said, bound, error

logger = logging.getLogger(__name__)

PACKETS_AT_ONCE = 16
"""That is how many python-engineio's client takes in one answer."""

# engineio logs what it cannot read of a client's, with a traceback, as if it were our error.
quiet = logging.getLogger("server.transports.socketio.engineio")
quiet.setLevel(logging.CRITICAL)

SID_BYTES = 24
"""Over polling the id of a session is all that tells its client from a stranger."""
HARD_BUFFER = 4 * BUFFER
"""Bytes beyond which a client is ended: only answers to what it sends go beyond BUFFER at all."""
_PACKET = re.compile(r"4[0-9]|[123](probe)?\Z|5\Z")
"""What Socket.IO's clients send. Of anything else engineio would first try to read the JSON."""
_POSTED = re.compile(r"4[0-9]|[13]\Z")
"""The same over polling, where nothing is probed."""
_BINARY = re.compile(r"5(\d{1,9})-(?:/[^,]{0,256},)?(\d{1,9})?")
"""A binary event: how many attachments follow it, and under which number it is acknowledged."""
PINGS_MISSED = 2
"""A client takes the line for dead that has brought no ping for an interval and so many more: with
the default heartbeat after 30 s. Streams show a dead line after two or three comments as well."""
PACKETS: web.RequestKey[list[str]] = web.RequestKey("packets", list)
"""What a POST brought."""


class MeasuredQueue(asyncio.Queue[Packet | None]):
    """engineio's queue of a client, which knows how many bytes it holds and when that changes."""

    bytes = 0
    steps = 0
    """Packets that have gone to the client so far."""

    overflow: Callable[[], None] | None = None
    """Called where more than HARD_BUFFER bytes wait."""

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

    def tell_heartbeat(self, interval: float) -> None:
        """Let the handshake, which waits here, tell how often pings come, in seconds.

        engineio would tell its own patience with a client, and whole seconds.
        """
        opening: Packet = self._queue[0]  # type: ignore[attr-defined]
        interval_ms = round(interval * 1000)
        opening.data |= {"pingInterval": interval_ms, "pingTimeout": PINGS_MISSED * interval_ms}

    def _put(self, item: Packet | None) -> None:
        if item is not None and item.packet_type == PING:
            # JavaScript's client counts pings alone, so they don't wait behind what it has to read.
            self._queue.appendleft(item)  # type: ignore[attr-defined]
        else:
            super()._put(item)
        self.bytes += _size(item)
        if self.bytes > HARD_BUFFER and self.overflow is not None:
            self.overflow()

    def _get(self) -> Packet | None:
        item = super()._get()
        self.bytes -= _size(item)
        self.step()
        return item


def _size(packet: Packet | None) -> int:
    return len(packet.data) if packet is not None and isinstance(packet.data, str) else 16


class BoundedWebSocket(WebSocket):  # type: ignore[misc]
    """engineio's WebSocket on aiohttp: it waits for the client, and reads only what is a packet."""

    _sock: CountedWebSocket
    _request: web.Request
    _said_close = False

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        """Serve it to its end. Raises Problem 400 where the session has one already."""
        self._request = environ["aiohttp.request"]
        self._socket = self.handler.__self__
        if self._socket.upgrading or self._socket.upgraded:
            raise malformed("This session has its WebSocket. Connect again for another.")
        self._socket.upgrading = True
        self._sock = CountedWebSocket(self.server.settings, self._socket.account)
        try:
            self._writer = await self._sock.prepare(self._request)
            assert self._request.transport is not None
            bound(self._request.transport)
            self._socket.wire = self
            await self.handler(self)
        finally:
            self.abort()
            if not self._socket.upgraded:  # polling goes on
                self._socket.upgrading = False
                self._socket.wire = None
        return self._sock

    async def send(self, message: str | bytes) -> None:
        """Write it, and wait while more than aiohttp's limit waits for the client."""
        await super().send(message)
        await self._writer.drain()
        self._socket.queue.step()

    async def wait(self) -> str:
        """The next packet that engineio can read; of what is none the client is told.

        Raises OSError at the end, also where a client takes too long over an upgrade.
        """
        limit = None if self._socket.upgraded else self.server.settings.identify_seconds or None
        async with asyncio.timeout(limit):
            while not self._said_close:
                message = await self._sock.receive()
                if message.type is WSMsgType.TEXT:
                    if self._readable(message.data):
                        self._said_close = message.data == "1"  # engineio would read on
                        return str(message.data)
                elif message.type is WSMsgType.BINARY:
                    self.server.unreadable(self._socket.sid, "binary")
                elif message.type not in (WSMsgType.PING, WSMsgType.PONG):
                    break
        raise OSError("the WebSocket has ended")

    def _readable(self, text: str) -> bool:
        if len(text) > FRAME_BYTES // 4 and len(text.encode()) > FRAME_BYTES:
            self._socket.queue.put_nowait(packet_of(TOO_LARGE))
            self.server.sessions_end(self._socket.sid, End.TOO_LARGE)
            return False
        if _PACKET.match(text) and not (text == "5" and self._socket.upgraded):
            return True
        self.server.unreadable(self._socket.sid, "bad_json")
        return False

    def join(self, account: AccountPace) -> None:
        """What is sent counts for that account too."""
        self._sock.join(account)

    async def end(self, code: int, reason: bytes) -> None:
        """Close it with that code."""
        await self._sock.close(code=code, message=reason)

    def abort(self) -> None:
        """Drop the connection."""
        if self._request.transport is not None:
            self._request.transport.abort()


TOO_LARGE = error("too_large", f"A frame holds {FRAME_BYTES} bytes at most.")
BINARY = error("binary", "Send text: there is nothing binary here.")
_NO_NAMESPACE = {"code": 4404, "reason": "There is the main namespace, /, and no other."}


async def read_post(request: web.Request) -> list[str]:
    """The packets of a POST, however its body is framed.

    Raises Problem 400, 413, and UnicodeDecodeError.
    """
    too_large = Problem(413, f"A request holds {FRAME_BYTES} bytes at most.")
    if (request.content_length or 0) > FRAME_BYTES:
        raise too_large
    try:
        async with service(request, BodyDeadlines).within(BODY_SECONDS):
            body = await request.read()
    except TimeoutError:
        raise malformed(f"The body did not arrive within {BODY_SECONDS:g} s.") from None
    except web.HTTPRequestEntityTooLarge:
        raise too_large from None
    except (web.RequestPayloadError, http_exceptions.BadHttpMessage):
        raise malformed("The body is not what its headers announce.") from None
    if len(body) > FRAME_BYTES:
        raise too_large
    return body.decode().split("\x1e")


def count_all(pace: Pace, packets: list[str]) -> int:
    """0 where they may all be taken, else the milliseconds after which they could."""
    return next((wait for packet in packets if (wait := pace.take(len(packet)))), 0)


def is_packet(text: str) -> bool:
    """Whether that is a packet which may come by a POST."""
    return _POSTED.match(text) is not None


async def take_posted(client: Any, environ: dict[str, Any]) -> None:
    """engineio's reading of a POST, of as many packets as came, also where some are none."""
    for text in environ["aiohttp.request"][PACKETS]:
        if client.closed:
            return
        if is_packet(text):
            await client.receive(Packet(encoded_packet=text))
        else:
            client.server.unreadable(client.sid, "binary" if text[:1] == "b" else "bad_json")


def packet_of(said: Said) -> Packet:
    """An event of Socket.IO's, encoded once for all who are told it."""
    packet: Packet | None = said.encoded.get("socketio")
    if packet is None:
        packet = Packet(MESSAGE, f"2[{json.dumps(said.name)},{said.text}]")
        said.encoded["socketio"] = packet
    return packet


class Engine(engineio.AsyncServer):  # type: ignore[misc]
    """engineio with measured queues, bounded WebSockets, and ids nobody can guess."""

    settings: Settings
    sessions_end: Callable[[str, End], None]
    unreadable: Callable[[str, str], None]
    _async: dict[str, Any]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._async = self._async | {"websocket": BoundedWebSocket}

    def create_queue(self, *args: Any, **options: Any) -> MeasuredQueue:
        """A client's queue."""
        return MeasuredQueue()

    def generate_id(self) -> str:
        """The secret name of a session."""
        return secrets.token_urlsafe(SID_BYTES)

    def start_background_task(self, target: Any, *args: Any, **options: Any) -> Any:
        """Start it; the task that pings a client can be ended with it."""
        task = super().start_background_task(target, *args, **options)
        if isinstance(client := getattr(target, "__self__", None), AsyncSocket):
            client.pinging = task
        return task

    def forget(self, sid: str) -> None:
        """Keep nothing of a client that has gone, and end the poll it may have left."""
        client = self.sockets.pop(sid, None)
        if client is not None:
            client.queue.put_nowait(Packet(NOOP))
            pinging = getattr(client, "pinging", None)
            if pinging is not None and pinging is not asyncio.current_task():
                pinging.cancel()


class Server(socketio.AsyncServer):  # type: ignore[misc]
    """python-socketio on that engine; a packet it cannot read is no error of ours."""

    arrived: Callable[[str, web.Request], None]
    departed: Callable[[str], None]
    unreadable: Callable[[str, str], None]
    take: Callable[..., Awaitable[Mapping[str, Any] | None]]
    closing: Callable[[], bool]

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        if self.closing():
            return  # refused in words JavaScript's client would never come back; it is cut off soon
        if namespace not in (None, "/"):
            refusal: dict[str, Any] = {"message": "Invalid namespace", "data": _NO_NAMESPACE}
        elif self.manager.sid_from_eio_sid(eio_sid, "/") is not None:
            refusal = {"message": "This connection has said already who it is."}
        else:
            await super()._handle_connect(eio_sid, namespace, data)
            return
        packet = self.packet_class(CONNECT_ERROR, data=refusal, namespace=namespace)
        await self._send_packet(eio_sid, packet)

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        self.arrived(eio_sid, environ["aiohttp.request"])

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        try:
            await super()._handle_eio_disconnect(eio_sid, reason)
        finally:
            self.departed(eio_sid)

    def _engineio_server_class(self) -> type[Engine]:
        return Engine

    async def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> None:
        if isinstance(data, bytes):
            self.unreadable(eio_sid, "binary")
            return
        if data[:1] in ("5", "6"):
            await self._refuse_binary(eio_sid, data)
            return
        try:
            await super()._handle_eio_message(eio_sid, data)
        except Exception as failure:  # our own handlers raise nothing
            logger.debug("a packet cannot be read: %r", failure)
            self.unreadable(eio_sid, "bad_json")

    async def _refuse_binary(self, eio_sid: str, head: str) -> None:
        """Its attachments are refused one by one; who waits for an acknowledgement has it now."""
        found = _BINARY.match(head)
        if found is None or not int(found[1]):
            self.unreadable(eio_sid, "binary")
        if found is not None and found[2] and self.manager.sid_from_eio_sid(eio_sid, "/"):
            refusal = json.loads(BINARY.text)
            packet = self.packet_class(ACK, id=int(found[2]), data=[refusal])
            await self._send_packet(eio_sid, packet)

    async def _handle_event_internal(
        self, server: Any, sid: str, eio_sid: str, data: list[Any], namespace: str, id: int | None
    ) -> None:
        """Every event goes the same way, also one that is named as python-socketio's own are.

        What was not taken is not acknowledged.
        """
        name, *arguments = data
        if not isinstance(name, str):
            raise ValueError("an event has a name")
        answer = await self.take(name, sid, *arguments)
        if answer is not None and id is not None:
            await self._send_packet(
                eio_sid, self.packet_class(ACK, namespace=namespace, id=id, data=[answer])
            )
