"""python-engineio with measured queues and bounded WebSockets."""

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
from server.transports.frame_limits import AccountLimits, FrameLimit
from server.transports.outbox import FRAME_BYTES, Frame, error
from server.transports.outlet import BUFFER, limit_buffers

logger = logging.getLogger(__name__)

PACKETS_AT_ONCE = 16
"""As many as python-engineio's client accepts in one answer."""

# engineio logs a traceback for whatever invalid packet a client sends.
quiet = logging.getLogger("server.transports.socketio.engineio")
quiet.setLevel(logging.CRITICAL)

SID_BYTES = 24
"""Over polling, the session's id is its only credential."""
HARD_BUFFER = 4 * BUFFER
"""Bytes beyond which a client is ended: only answers to what it sends go beyond BUFFER."""
_PACKET = re.compile(r"4[0-9]|[123](probe)?\Z|5\Z")
"""What Socket.IO's clients send. Anything else engineio would first try to parse as JSON."""
_POSTED = re.compile(r"4[0-9]|[13]\Z")
"""The same over polling, where nothing is probed."""
_BINARY = re.compile(r"5(\d{1,9})-(?:/[^,]{0,256},)?(\d{1,9})?")
"""A binary event: how many attachments follow it, and the id of its acknowledgement."""
PINGS_MISSED = 2
"""A client takes the connection for dead after one interval and this many more without a ping: 30 s
with the default heartbeat, about as long as a stream's reader waits."""
PACKETS: web.RequestKey[list[str]] = web.RequestKey("packets", list)
"""The packets of a POST."""


class MeasuredQueue(asyncio.Queue[Packet | None]):
    """engineio's queue of a client, which counts the bytes it holds and tells when that changes."""

    bytes = 0
    sent = 0
    """Packets sent to the client so far."""

    overflow: Callable[[], None] | None = None
    """Called where more than HARD_BUFFER bytes wait."""

    def __init__(self) -> None:
        super().__init__()
        self.moved = asyncio.Event()
        self._taken = 0

    def count_sent(self) -> None:
        """A packet has been sent."""
        self.sent += 1
        self.moved.set()

    async def get(self) -> Packet | None:
        """The first packet of an answer."""
        self._taken = 0
        return await super().get()

    def get_nowait(self) -> Packet | None:
        """Another packet for the same answer."""
        if self._taken >= PACKETS_AT_ONCE:
            raise asyncio.QueueEmpty
        self._taken += 1
        return super().get_nowait()

    def set_heartbeat(self, interval: float) -> None:
        """Put into the handshake, which waits here, how often pings come, in seconds.

        engineio would put in its own timeout for clients, and whole seconds.
        """
        opening: Packet = self._queue[0]  # type: ignore[attr-defined]
        interval_ms = round(interval * 1000)
        opening.data |= {"pingInterval": interval_ms, "pingTimeout": PINGS_MISSED * interval_ms}

    def _put(self, item: Packet | None) -> None:
        if item is not None and item.packet_type == PING:
            # JavaScript's client counts only pings as signs of life, so they go first.
            self._queue.appendleft(item)  # type: ignore[attr-defined]
        else:
            super()._put(item)
        self.bytes += _size(item)
        if self.bytes > HARD_BUFFER and self.overflow is not None:
            self.overflow()

    def _get(self) -> Packet | None:
        item = super()._get()
        self.bytes -= _size(item)
        self.count_sent()
        return item


def _size(packet: Packet | None) -> int:
    return len(packet.data) if packet is not None and isinstance(packet.data, str) else 16


class BoundedWebSocket(WebSocket):  # type: ignore[misc]
    """engineio's WebSocket on aiohttp: it waits for a slow client, and reads only valid packets."""

    _sock: CountedWebSocket
    _request: web.Request
    _close_received = False

    async def __call__(self, environ: dict[str, Any]) -> web.WebSocketResponse:
        """Serve it until it ends. Raises Problem 400 where the session has one already."""
        self._request = environ["aiohttp.request"]
        self._socket = self.handler.__self__
        if self._socket.upgrading or self._socket.upgraded:
            raise malformed("This session has its WebSocket. Connect again for another.")
        self._socket.upgrading = True
        self._sock = CountedWebSocket(self.server.settings, self._socket.account)
        try:
            self._writer = await self._sock.prepare(self._request)
            assert self._request.transport is not None
            limit_buffers(self._request.transport)
            self._socket.websocket = self
            await self.handler(self)
        finally:
            self.abort()
            if not self._socket.upgraded:  # polling goes on
                self._socket.upgrading = False
                self._socket.websocket = None
        return self._sock

    async def send(self, message: str | bytes) -> None:
        """Write it, and wait while the transport is backlogged."""
        await super().send(message)
        await self._writer.drain()
        self._socket.queue.count_sent()

    async def wait(self) -> str:
        """The next packet that engineio can read; the client is told of others.

        Raises OSError at the end, also where a client takes too long over an upgrade.
        """
        limit = None if self._socket.upgraded else self.server.settings.identify_seconds or None
        async with asyncio.timeout(limit):
            while not self._close_received:
                message = await self._sock.receive()
                if message.type is WSMsgType.TEXT:
                    if self._readable(message.data):
                        self._close_received = message.data == "1"  # engineio would read on
                        return str(message.data)
                elif message.type is WSMsgType.BINARY:
                    self.server.on_invalid(self._socket.sid, "binary")
                elif message.type not in (WSMsgType.PING, WSMsgType.PONG):
                    break
        raise OSError("the WebSocket has ended")

    def _readable(self, text: str) -> bool:
        if len(text) > FRAME_BYTES // 4 and len(text.encode()) > FRAME_BYTES:
            self._socket.queue.put_nowait(packet_of(TOO_LARGE))
            self.server.on_end(self._socket.sid, End.TOO_LARGE)
            return False
        if _PACKET.match(text) and not (text == "5" and self._socket.upgraded):
            return True
        self.server.on_invalid(self._socket.sid, "bad_json")
        return False

    def count_for(self, account: AccountLimits) -> None:
        """What is sent counts for that account too."""
        self._sock.count_for(account)

    async def close_with(self, code: int, reason: bytes) -> None:
        """Close it with that code."""
        await self._sock.close(code=code, message=reason)

    def abort(self) -> None:
        """Drop the connection."""
        if self._request.transport is not None:
            self._request.transport.abort()


def websocket_of(client: Any) -> BoundedWebSocket | None:
    """Its WebSocket, if it uses one."""
    return getattr(client, "websocket", None)


TOO_LARGE = error("too_large", f"A frame holds {FRAME_BYTES} bytes at most.")
BINARY = error("binary", "Send text: there is nothing binary here.")
_NO_NAMESPACE = {"code": 4404, "reason": "Only the main namespace, /, exists."}


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


def count_all(limit: FrameLimit, packets: list[str]) -> int:
    """0 where they may all pass, else the milliseconds after which they may."""
    return next((wait for packet in packets if (wait := limit.consume(len(packet)))), 0)


def is_packet(text: str) -> bool:
    """Whether a POST may carry that packet."""
    return _POSTED.match(text) is not None


def is_repeated(client: Any, poll: web.Request) -> bool:
    """Whether it is the client's last poll once more, by the `t` that clients give to each.

    HTTP libraries and browsers send a GET again where its connection broke, and Engine.IO's clients
    do not notice. What the lost answer held is in no queue any more.
    """
    stamp, last = poll.query.get("t"), client.last_poll
    client.last_poll = stamp
    return stamp is not None and stamp == last


async def receive_posted(client: Any, environ: dict[str, Any]) -> None:
    """As engineio reads a POST, but with any number of packets, and past invalid ones."""
    for text in environ["aiohttp.request"][PACKETS]:
        if client.closed:
            return
        if is_packet(text):
            await client.receive(Packet(encoded_packet=text))
        else:
            client.server.on_invalid(client.sid, "binary" if text[:1] == "b" else "bad_json")


def packet_of(frame: Frame) -> Packet:
    """The frame as an event of Socket.IO, encoded once for all who get it."""
    packet: Packet | None = frame.encoded.get("socketio")
    if packet is None:
        packet = Packet(MESSAGE, f"2[{json.dumps(frame.name)},{frame.text}]")
        frame.encoded["socketio"] = packet
    return packet


class Engine(engineio.AsyncServer):  # type: ignore[misc]
    """engineio with measured queues, bounded WebSockets, and unguessable ids."""

    settings: Settings
    on_end: Callable[[str, End], None]
    on_invalid: Callable[[str, str], None]
    _async: dict[str, Any]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._async = self._async | {"websocket": BoundedWebSocket}

    def create_queue(self, *args: Any, **options: Any) -> MeasuredQueue:
        """A client's queue."""
        return MeasuredQueue()

    def generate_id(self) -> str:
        """The secret id of a session."""
        return secrets.token_urlsafe(SID_BYTES)

    def start_background_task(self, target: Any, *args: Any, **options: Any) -> Any:
        """Start it; the task that pings a client is kept, to end it with the client."""
        task = super().start_background_task(target, *args, **options)
        if isinstance(client := getattr(target, "__self__", None), AsyncSocket):
            client.pinging = task
        return task

    def remove(self, sid: str) -> None:
        """Drop a client that has gone, and end its last poll."""
        client = self.sockets.pop(sid, None)
        if client is not None:
            client.queue.put_nowait(Packet(NOOP))
            pinging = getattr(client, "pinging", None)
            if pinging is not None and pinging is not asyncio.current_task():
                pinging.cancel()


class Server(socketio.AsyncServer):  # type: ignore[misc]
    """python-socketio on that engine; an invalid packet is the client's error."""

    on_connect: Callable[[str, web.Request], None]
    on_disconnect: Callable[[str], None]
    on_invalid: Callable[[str, str], None]
    on_event: Callable[..., Awaitable[Mapping[str, Any] | None]]
    is_draining: Callable[[], bool]

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        if self.is_draining():
            return  # a refusal would keep JavaScript's client away for good; it is cut off soon
        if namespace not in (None, "/"):
            refusal: dict[str, Any] = {"message": "Invalid namespace", "data": _NO_NAMESPACE}
        elif self.manager.sid_from_eio_sid(eio_sid, "/") is not None:
            refusal = {"message": "This connection is already authenticated."}
        else:
            await super()._handle_connect(eio_sid, namespace, data)
            return
        packet = self.packet_class(CONNECT_ERROR, data=refusal, namespace=namespace)
        await self._send_packet(eio_sid, packet)

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        self.on_connect(eio_sid, environ["aiohttp.request"])

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        try:
            await super()._handle_eio_disconnect(eio_sid, reason)
        finally:
            self.on_disconnect(eio_sid)

    def _engineio_server_class(self) -> type[Engine]:
        return Engine

    async def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> None:
        if isinstance(data, bytes):
            self.on_invalid(eio_sid, "binary")
            return
        if data[:1] in ("5", "6"):
            await self._refuse_binary(eio_sid, data)
            return
        try:
            await super()._handle_eio_message(eio_sid, data)
        except Exception as failure:  # the client's error: our own handlers raise nothing
            logger.debug("a packet cannot be read: %r", failure)
            self.on_invalid(eio_sid, "bad_json")

    async def _refuse_binary(self, eio_sid: str, head: str) -> None:
        """Its attachments are refused one by one; an acknowledgement that is due is sent now."""
        found = _BINARY.match(head)
        if found is None or not int(found[1]):
            self.on_invalid(eio_sid, "binary")
        if found is not None and found[2] and self.manager.sid_from_eio_sid(eio_sid, "/"):
            refusal = json.loads(BINARY.text)
            packet = self.packet_class(ACK, id=int(found[2]), data=[refusal])
            await self._send_packet(eio_sid, packet)

    async def _handle_event_internal(
        self, server: Any, sid: str, eio_sid: str, data: list[Any], namespace: str, id: int | None
    ) -> None:
        """Every event goes to `on_event`, also one with a name that python-socketio reserves.

        An event without an answer is not acknowledged.
        """
        name, *arguments = data
        if not isinstance(name, str):
            raise ValueError("an event has a name")
        answer = await self.on_event(name, sid, *arguments)
        if answer is not None and id is not None:
            await self._send_packet(
                eio_sid, self.packet_class(ACK, namespace=namespace, id=id, data=[answer])
            )
