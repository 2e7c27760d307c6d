"""aiohttp's WebSocket with limits: it counts every frame, ends where too many come, answers few
pings, and keeps to RFC 6455 where aiohttp does not."""

import asyncio
import base64
import binascii
import hashlib
import json

from aiohttp import WSMessage, WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WS_KEY, HttpVersion11, WebSocketError, WebSocketReader, WebSocketWriter
from aiohttp.web_request import BaseRequest

from server.core.errors import Problem, malformed
from server.settings import Settings
from server.transports.frame_limits import MAX_REFUSALS, AccountLimits, FrameLimit
from server.transports.outbox import CODES, FRAME_BYTES, CloseCode
from server.transports.outlet import CLOSE_SECONDS

HARD_BYTES = 2 * FRAME_BYTES
"""Beyond this a frame is not even read to its end."""
QUEUE_BYTES = 8 * 1024
"""aiohttp parses up to twice this ahead of the reader, and counts 128 bytes for each frame."""
TURN_BYTES = 16 * 1024
FRAME_COST = 4 * 1024
"""A connection yields to others after TURN_BYTES, where each frame counts FRAME_COST and its size:
four refused frames take some 0.2 ms, so thirty sockets of one client hold up nobody."""
_NEVER_SENT = (1004, 1005, 1006, 1015)
"""Close codes that RFC 6455 (7.4.1) reserves for local use."""
LAST_CLOSE_CODE = 4999
REASONS = {
    int(code): json.dumps({"reason": reason}).encode()
    for code, reason in CODES.values()
    if code in (CloseCode.POLICY, CloseCode.TOO_LARGE)
} | {int(CloseCode.PROTOCOL): b'{"reason": "protocol-error"}'}


def check_upgrade(request: BaseRequest, instead: Problem | None = None) -> None:
    """Raises Problem 426 or 400, or `instead`, where the request is no handshake (RFC 6455,
    4.2.1)."""
    headers = request.headers
    connection = headers.get("Connection", "").lower().split(",")
    if headers.get("Upgrade", "").strip().lower() != "websocket" or "upgrade" not in (
        part.strip() for part in connection
    ):
        found = _not_yet("This path speaks WebSocket: send `Upgrade: websocket`.")
    elif request.version < HttpVersion11:
        found = _not_yet("WebSocket needs HTTP/1.1.")
    elif headers.get("Sec-WebSocket-Version", "").strip() != "13":
        found = _not_yet("The version of WebSocket here is 13: send `Sec-WebSocket-Version: 13`.")
    elif not _is_key(headers.get("Sec-WebSocket-Key", "")):
        found = malformed("`Sec-WebSocket-Key` is 16 bytes in base64.")
    else:
        return
    raise instead or found


def accepting_headers(request: BaseRequest) -> dict[str, str]:
    """The headers that accept the handshake (RFC 6455, 4.2.2)."""
    digest = hashlib.sha1(request.headers["Sec-WebSocket-Key"].strip().encode() + WS_KEY)  # noqa: S324
    accept = base64.b64encode(digest.digest()).decode()
    return {"Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Accept": accept}


def _not_yet(detail: str) -> Problem:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    return Problem(426, detail, headers=headers)


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text.strip(), validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def text_frame(text: bytes) -> bytes:
    """A text frame as a server sends it: in one piece, unmasked (RFC 6455, 5.2)."""
    size = len(text)
    if size < 126:
        return b"\x81%c%b" % (size, text)
    if size < 65536:
        return b"\x81\x7e%b%b" % (size.to_bytes(2, "big"), text)
    return b"\x81\x7f%b%b" % (size.to_bytes(8, "big"), text)


class CountingReader(WebSocketReader):
    """aiohttp's parser, which stops at a client that sends frames too fast, and at invalid frames
    that aiohttp accepts.

    It counts while it parses: continuation frames are not seen outside of it, and aiohttp reads on
    while it waits for the answer to a close. Messages have a larger burst, so that the reader can
    refuse some with a reason.
    """

    __slots__ = ("_in_message", "account", "messages", "others")

    def __init__(
        self, queue: WebSocketDataQueue, settings: Settings, account: AccountLimits | None
    ) -> None:
        super().__init__(queue, HARD_BYTES, compress=False, decode_text=True)
        self.messages = FrameLimit(settings.frames_per_second, extra_burst=2 * MAX_REFUSALS)
        self.others = FrameLimit(settings.control_frames_per_second)
        self.account: AccountLimits | None = None
        self._in_message = False
        if account is not None:
            self.count_for(account)

    def count_for(self, account: AccountLimits) -> None:
        """What is sent counts for that account too."""
        self.account = account
        self.messages.shared, self.others.shared = account.messages, account.others

    def _handle_frame(
        self, fin: bool, opcode: int, payload: bytes | bytearray, compressed: int
    ) -> None:
        if type(payload) is bytes:  # what was masked comes as a bytearray
            raise WebSocketError(CloseCode.PROTOCOL, "a client masks its frames (5.1)")
        if opcode in (WSMsgType.TEXT, WSMsgType.BINARY):
            if self._in_message:  # aiohttp overlooks a message whose first part is empty
                raise WebSocketError(CloseCode.PROTOCOL, "a message in the middle of one (5.4)")
            self._in_message = not fin
        elif opcode == WSMsgType.CONTINUATION:
            self._in_message = self._in_message and not fin
        elif opcode == WSMsgType.CLOSE and len(payload) >= 2:
            code = int.from_bytes(payload[:2], "big")
            if code in _NEVER_SENT or code > LAST_CLOSE_CODE:
                raise WebSocketError(CloseCode.PROTOCOL, f"nobody sends the code {code} (7.4)")
        message = fin and opcode in (WSMsgType.TEXT, WSMsgType.BINARY)
        if (self.messages if message else self.others).consume(len(payload)):
            if self.account is not None:
                self.account.on_cut_off()
            raise WebSocketError(CloseCode.POLICY, "too many frames")
        super()._handle_frame(fin, opcode, payload, compressed)


class Pongs:
    """Answers pings, with one pong in `seconds` at most: the newest ping's, which is enough for
    those before it (RFC 6455, 5.5.3)."""

    __slots__ = ("_ping", "_seconds", "_timer", "_transport")

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport = transport
        self._seconds = seconds
        self._ping: bytes | None = None
        self._timer: asyncio.TimerHandle | None = None

    def answer(self, ping: bytes) -> None:
        """Answer it at once, or after a while where another was answered."""
        self._ping = ping
        if self._timer is None:
            self._pong()

    def _pong(self) -> None:
        self._timer = None
        if self._ping is None or self._transport.is_closing():
            return
        self._transport.write(b"\x8a%c%b" % (len(self._ping), self._ping))
        self._ping = None
        if self._seconds:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._pong)


class CountedWebSocket(web.WebSocketResponse):
    """A WebSocket that sends whole, uncompressed frames."""

    _parser: CountingReader

    def __init__(self, settings: Settings, account: AccountLimits | None = None) -> None:
        # Compressed frames cannot be shared between clients, and short ones gain nothing.
        super().__init__(
            timeout=CLOSE_SECONDS, autoping=False, compress=False, max_msg_size=HARD_BYTES
        )
        self._settings = settings
        self._account = account
        self._turn = TURN_BYTES

    def _post_start(
        self, request: BaseRequest, protocol: str | None, writer: WebSocketWriter
    ) -> None:
        """As aiohttp does after it has sent the response's head, but with the counting reader."""
        self._ws_protocol = protocol
        self._writer = writer
        loop = asyncio.get_running_loop()
        self._reader = WebSocketDataQueue(request.protocol, QUEUE_BYTES, loop=loop)
        self._parser = CountingReader(self._reader, self._settings, self._account)
        assert request.transport is not None
        self._pongs = Pongs(request.transport, self._settings.pong_seconds)
        request.protocol.set_parser(self._parser)
        request.protocol.keep_alive(False)

    def count_for(self, account: AccountLimits) -> None:
        """What is sent counts for that account too."""
        self._account = account
        self._parser.count_for(account)

    async def receive(self, timeout: float | None = None) -> WSMessage:
        """The next message, as aiohttp gives it; a ping is answered already."""
        if self._turn <= 0:
            self._turn = TURN_BYTES
            await asyncio.sleep(0)
        message: WSMessage = await super().receive(timeout)
        size = len(message.data) if isinstance(message.data, str | bytes | bytearray) else 0
        self._turn -= FRAME_COST + size
        if message.type is WSMsgType.ERROR:
            # It would keep the connection in memory until a collection.
            message.data.__traceback__ = None
        if message.type is WSMsgType.PING:
            self._pongs.answer(bytes(message.data))
        return message

    async def close(
        self, *, code: int = CloseCode.NORMAL, message: bytes = b"", drain: bool = True
    ) -> bool:
        """Close it as aiohttp does, with a reason also where the parser ended it."""
        closed = await super().close(
            code=code, message=message or REASONS.get(code, b""), drain=drain
        )
        if self._exception is not None:
            self._exception.__traceback__ = None
        return closed
