"""One WebSocket, counted on a meter as its frames cross the wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import WSMsgType

from server.features.shared.schemas import ProblemDetails
from tui.common.client.errors import ApiError, NoStream, Unreachable
from tui.common.client.frame import Contents, head_text
from tui.common.client.retry import SERVER_SAYS_AT_MOST, parse_retry_after
from tui.common.language import _

if TYPE_CHECKING:
    from tui.common.client.meter import Meter

PING_SECONDS = 10.0
PONG_SECONDS = 0.1
"""Between two answers to pings: of many in a row, one has to be answered (RFC 6455, 5.5.3)."""
HANDSHAKE_SECONDS = 2.0
"""For the closing handshake, whatever the server still sends."""
FRAMES_AT_A_TIME = 32
"""Read before others have their turn."""
ABNORMAL = 1006
_ENDED = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


@dataclass(frozen=True, slots=True)
class Closed:
    """How a WebSocket was ended by the server; `retry_after` is in seconds."""

    code: int
    reason: str = ""
    retry_after: float | None = None


class Socket(aiohttp.ClientWebSocketResponse[Any]):
    """A WebSocket of aiohttp that can also be dropped without a handshake."""

    @property
    def head(self) -> aiohttp.ClientResponse:
        """The answer to the handshake."""
        return self._response

    def drop(self) -> None:
        """Close the connection at once, without the closing handshake."""
        self._response.close()


class WebSocket:
    """An open WebSocket that carries text. Silent for `silence` seconds, it is dropped.

    A ping every ten seconds keeps it from being silent; what the answers take is the latency.
    """

    def __init__(
        self,
        socket: aiohttp.ClientWebSocketResponse[Any],
        meter: Meter,
        what: str,
        token: str,
        closing: set[asyncio.Task[None]],
        silence: float | None = None,
    ) -> None:
        assert isinstance(socket, Socket)
        self.token = token
        """What it was opened with."""
        self._socket = socket
        self._meter = meter
        self._closing = closing
        self._silence = silence
        self._loop = asyncio.get_running_loop()
        self._silent = False
        self._open = True
        self._received = 0
        self._ponged_at = -PONG_SECONDS
        self._pinged_at: float | None = None
        self._pings: asyncio.Task[None] | None = None
        self._silence_timer: asyncio.TimerHandle | None = None
        asked, answered = _head_sizes(socket.head)
        meter.opened()
        request = socket.head.request_info
        line = f"GET {request.url.raw_path_qs} HTTP/1.1"
        meter.sent(what, asked, Contents(head_text(line, request.headers.items())))
        meter.received(answered)
        answer = f"HTTP/1.1 {socket.head.status} {socket.head.reason or ''}"
        switched = Contents(head_text(answer, socket.head.raw_headers))
        meter.frame(f"{socket.head.status} {socket.head.reason or ''}", answered, switched)
        self._pings = asyncio.create_task(self._ping_forever(), name="pings")
        self._restart_silence_timer()

    async def receive(self) -> str | Closed | None:
        """The next text; None for a sign of life without one, `Closed` for the server's end.

        Raises `Unreachable` where the connection is lost.
        """
        self._received += 1
        if self._received % FRAMES_AT_A_TIME == 0:
            await asyncio.sleep(0)  # a flood of frames must not keep everything else waiting
        message = await self._socket.receive()
        if message.type in _ENDED:
            return self._closed(message)
        self._restart_silence_timer()
        data = message.data.encode() if message.type is WSMsgType.TEXT else message.data
        size = _frame_size(len(data))
        self._meter.received(size)
        if message.type is WSMsgType.TEXT:
            text: str = message.data
            return text
        if message.type is WSMsgType.PING:
            self._meter.heartbeat("ping", size)
            if (now := time.monotonic()) - self._ponged_at >= PONG_SECONDS:
                self._ponged_at = now
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    await self._socket.pong(message.data)
        elif message.type is WSMsgType.PONG:
            self._meter.heartbeat("pong", size)
            if self._pinged_at is not None:
                self._meter.measured((time.perf_counter() - self._pinged_at) * 1000)
                self._pinged_at = None
        return None

    async def send(self, text: str, what: str) -> None:
        """Send a text that is `what` in the log. Raises `Unreachable`."""
        try:
            await self._socket.send_str(text)
        except (aiohttp.ClientError, OSError) as fault:
            raise _lost() from fault
        size = _frame_size(len(text.encode())) + 4
        self._meter.sent_frame(what, size, Contents.of("", text))

    def close(self) -> None:
        """Close the connection with a handshake, in the background."""
        if not self._open:
            return
        self._stop()
        task = asyncio.ensure_future(self._close_handshake())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def drop(self) -> None:
        """Drop the connection, as a failing network would."""
        self._socket.drop()

    async def _close_handshake(self) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            # aiohttp's own bound begins anew with every frame that comes meanwhile.
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await self._socket.close()
        self._socket.drop()

    def _closed(self, message: aiohttp.WSMessage) -> Closed:
        self._stop()
        if self._silent:
            raise Unreachable(
                _("The server has gone silent (nothing for {silence:.0f} seconds).").format(
                    silence=self._silence
                ),
                _("gone silent"),
            )
        if message.type is not WSMsgType.CLOSE or message.data == ABNORMAL:
            raise _lost()
        reason, retry_after = _read_reason(message.extra or "")
        return Closed(message.data, reason, retry_after)

    def _stop(self) -> None:
        if not self._open:
            return
        self._open = False
        self._meter.closed()
        if self._pings is not None:
            self._pings.cancel()
        if self._silence_timer is not None:
            self._silence_timer.cancel()

    async def _ping_forever(self) -> None:
        # The first at once: it shows that the server has let us in, and how far away it is.
        while True:
            if self._pinged_at is None:
                self._pinged_at = time.perf_counter()
                try:
                    await self._socket.ping(b"tiffin")
                except (aiohttp.ClientError, OSError):
                    return  # the reader notices
                self._meter.sent_heartbeat("ping", _frame_size(6) + 4)
            await asyncio.sleep(PING_SECONDS)

    def _restart_silence_timer(self) -> None:
        """Start the time of silence anew."""
        if self._silence_timer is not None:
            self._silence_timer.cancel()
            self._silence_timer = None
        if self._silence is not None and self._open:
            self._silence_timer = self._loop.call_later(self._silence, self._on_silence)

    def _on_silence(self) -> None:
        self._silent = True
        self._socket.drop()


def refused(fault: aiohttp.WSServerHandshakeError, base_url: str) -> ApiError | Unreachable:
    """What an answer means that is no handshake."""
    if fault.status < 400 or fault.status == HTTPStatus.UPGRADE_REQUIRED:
        return NoStream(
            _(
                "No WebSocket comes through to the server at {base_url} (HTTP {status}). "
                "Something in between does not pass it on."
            ).format(base_url=base_url, status=fault.status),
            _("no WebSocket (HTTP {status})").format(status=fault.status),
        )
    headers: Mapping[str, str] = fault.headers or {}
    phrase = next((one.phrase for one in HTTPStatus if one == fault.status), "Error")
    return ApiError(
        ProblemDetails(
            type="about:blank",
            title=phrase,
            status=fault.status,
            detail=_("The server refused the WebSocket with HTTP {status} {phrase}.").format(
                status=fault.status, phrase=phrase
            ),
            request_id=headers.get("X-Request-ID", ""),
        ),
        parse_retry_after(headers.get("Retry-After")),
    )


def _lost() -> Unreachable:
    return Unreachable(_("The connection to the server was lost."), _("connection lost"))


def _frame_size(payload: int) -> int:
    """Bytes of a frame that is not masked (RFC 6455, 5.2)."""
    return payload + (2 if payload < 126 else 4 if payload < 65_536 else 10)


def _head_sizes(head: aiohttp.ClientResponse) -> tuple[int, int]:
    """Bytes of the handshake: of the request's head, and of the answer's."""
    request = head.request_info
    line = len(f"GET {request.url.raw_path_qs} HTTP/1.1\r\n")
    asked = sum(len(f"{name}: {value}\r\n") for name, value in request.headers.items())
    status_line = len(f"HTTP/1.1 {head.status} {head.reason or ''}\r\n")
    answered = sum(len(name) + len(value) + 4 for name, value in head.raw_headers)
    return line + asked + 2, status_line + answered + 2


def _read_reason(text: str) -> tuple[str, float | None]:
    """The words of a close frame's reason, and in how many seconds to come back."""
    try:
        found = json.loads(text)
    except ValueError:
        return text, None
    if not isinstance(found, dict):
        return text, None
    milliseconds = found.get("retry_after_ms")
    wait = None
    if isinstance(milliseconds, int | float) and milliseconds >= 0:
        wait = min(milliseconds / 1000, SERVER_SAYS_AT_MOST)
    return str(found.get("reason", "")), wait
