"""aiohttp's WebSocket with every frame counted: too many end it, and answers to pings are few."""

import asyncio
import json

from aiohttp import WSMessage, WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WebSocketError, WebSocketReader, WebSocketWriter
from aiohttp.web_request import BaseRequest

from server.settings import Settings
from server.transports.duplex import (
    CLOSE_SECONDS,
    CODES,
    HARD_BYTES,
    PATIENCE,
    AccountPace,
    CloseCode,
    Pace,
)

QUEUE_BYTES = 8 * 1024
"""aiohttp parses ahead of whoever reads up to twice this, and counts 128 bytes for each frame."""
TURN_BYTES = 16 * 1024
FRAME_COST = 4 * 1024
"""After TURN_BYTES of frames, each FRAME_COST and its size, others have their turn: of frames that
are refused four take some 0.2 ms, so that thirty sockets of one client do not hold up anybody."""
_REASONS = {
    int(code): json.dumps({"reason": reason}).encode()
    for code, reason in CODES.values()
    if code in (CloseCode.POLICY, CloseCode.TOO_LARGE)
}


class CountingReader(WebSocketReader):
    """aiohttp's parser, which stops at a client that sends frames too fast.

    It counts as it parses: a continuation frame is never seen outside of it, and aiohttp reads on
    while it waits for the answer to a close. Messages have some to spare, since who reads them may
    want to refuse a few in words.
    """

    messages: Pace
    others: Pace
    account: AccountPace | None = None

    def _handle_frame(
        self, fin: bool, opcode: int, payload: bytes | bytearray, compressed: int
    ) -> None:
        message = fin and opcode in (WSMsgType.TEXT, WSMsgType.BINARY)
        if (self.messages if message else self.others).take(len(payload)):
            if self.account is not None:
                self.account.cut_off()
            raise WebSocketError(CloseCode.POLICY, "too many frames")
        super()._handle_frame(fin, opcode, payload, compressed)


class CountedWebSocket(web.WebSocketResponse):
    """A WebSocket that speaks JSON: whole frames out, nothing compressed."""

    _parser: CountingReader

    def __init__(self, settings: Settings, account: AccountPace | None = None) -> None:
        # Compressed frames could not be shared, and short ones gain nothing.
        super().__init__(
            timeout=CLOSE_SECONDS, autoping=False, compress=False, max_msg_size=HARD_BYTES
        )
        self._settings = settings
        self._account = account
        self._turn = TURN_BYTES
        self._ping: bytes | None = None
        self._answering: asyncio.TimerHandle | None = None

    def _post_start(
        self, request: BaseRequest, protocol: str | None, writer: WebSocketWriter
    ) -> None:
        """What aiohttp does once it has sent the head, with a reader that counts."""
        self._ws_protocol = protocol
        self._writer = writer
        loop = asyncio.get_running_loop()
        self._reader = WebSocketDataQueue(request.protocol, QUEUE_BYTES, loop=loop)
        parser = CountingReader(self._reader, HARD_BYTES, compress=False, decode_text=True)
        parser.messages = Pace(self._settings.frames_per_second, spare=2 * PATIENCE)
        parser.others = Pace(self._settings.control_frames_per_second)
        self._parser = parser
        if self._account is not None:
            self.join(self._account)
        request.protocol.set_parser(parser)
        request.protocol.keep_alive(False)

    def join(self, account: AccountPace) -> None:
        """What is sent counts for that account too."""
        self._account = self._parser.account = account
        self._parser.messages.whole = account.messages
        self._parser.others.whole = account.others

    async def receive(self, timeout: float | None = None) -> WSMessage:
        """The next message, as aiohttp has it; a ping is answered already."""
        if self._turn <= 0:
            self._turn = TURN_BYTES
            await asyncio.sleep(0)
        message: WSMessage = await super().receive(timeout)
        size = len(message.data) if isinstance(message.data, str | bytes | bytearray) else 0
        self._turn -= FRAME_COST + size
        if message.type is WSMsgType.ERROR:
            message.data.__traceback__ = None  # it would hold the connection until a collection
        if message.type is WSMsgType.PING:
            self._ping = bytes(message.data)
            if self._answering is None:
                self._pong()
        return message

    def _pong(self) -> None:
        """Answer the newest ping, which answers those before it too (RFC 6455, 5.5.3)."""
        self._answering = None
        transport = self._req.transport if self._req is not None else None
        if self._ping is None or self._closed or transport is None or transport.is_closing():
            return
        transport.write(b"\x8a%c%b" % (len(self._ping), self._ping))
        self._ping = None
        if self._settings.pong_seconds:
            loop = asyncio.get_running_loop()
            self._answering = loop.call_later(self._settings.pong_seconds, self._pong)

    async def close(
        self, *, code: int = CloseCode.NORMAL, message: bytes = b"", drain: bool = True
    ) -> bool:
        """Close it, as aiohttp does, which gives no reason where its parser has found one."""
        closed = await super().close(
            code=code, message=message or _REASONS.get(code, b""), drain=drain
        )
        if self._exception is not None:
            self._exception.__traceback__ = None
        return closed
