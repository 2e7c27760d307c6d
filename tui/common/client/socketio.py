"""A stream over Socket.IO by its stock client: polling first, then WebSocket where that passes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, cast

import aiohttp
import engineio
import socketio

from server.features.shared.schemas import ProblemDetails
from tui.common.client.errors import ApiError, Unreachable
from tui.common.client.meter import State
from tui.common.client.stream import ItemT, Stream
from tui.common.language import _

if TYPE_CHECKING:
    from tui.common.client.meter import Meter
    from tui.common.client.retry import Backoff
    from tui.common.client.session import Session

quiet = logging.getLogger("tui.common.client.socketio.engineio")
quiet.setLevel(logging.CRITICAL)  # lost connections are no errors of the program
CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 2.0

Step = Literal["started", "answered", "ended", "failed"]
OnStep = Callable[["Exchanged", Step], None]
"""Called with a request and how far it is."""


class Exchanged:
    """One HTTP request of the client, or its WebSocket, with the bytes of both ways so far."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.up = 0
        self.down = 0

    @property
    def is_socket(self) -> bool:
        """Whether it is the WebSocket."""
        return "transport=websocket" in self.what


class _CountedSocket(aiohttp.ClientWebSocketResponse[Any]):
    """The client's WebSocket, whose frames are counted."""

    count: Callable[[int, int], None]

    async def receive(self, timeout: float | None = None) -> aiohttp.WSMessage:
        message = await super().receive(timeout)
        if isinstance(message.data, str | bytes):
            self.count(0, frame_size(message.data))
        return message

    async def send_str(self, data: str, compress: int | None = None) -> None:
        self.count(frame_size(data) + 4, 0)  # a client's frames are masked
        await super().send_str(data, compress)


def frame_size(payload: str | bytes) -> int:
    """Bytes of a frame that is not masked (RFC 6455, 5.2)."""
    size = len(payload.encode() if isinstance(payload, str) else payload)
    return size + (2 if size < 126 else 4 if size < 65_536 else 10)


class SocketIoConnection:
    """A connected client, and what it has brought."""

    def __init__(self, meter: Meter, on_step: OnStep, closing: set[asyncio.Task[None]]) -> None:
        """What closes it in the background is put into `closing`."""
        self._meter = meter
        self._closing = closing
        self._on_step = on_step
        self._frames: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._socket: Exchanged | None = None
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[self._trace()],
            ws_response_class=cast(Any, self._counted_socket),
        )
        self._client = socketio.AsyncClient(
            reconnection=False,
            handle_sigint=False,
            http_session=self._http,
            engineio_logger=quiet,
        )
        self._client.on("*", self._on_event)
        self._client.on("disconnect", self.lose)

    async def open(self, url: str, token: str) -> None:
        """Connect. Raises `Unreachable`, `ApiError` where the token is refused."""
        try:
            await self._client.connect(url, auth={"token": token}, wait_timeout=CONNECT_SECONDS)
        except socketio.exceptions.ConnectionError as fault:
            words = str(fault) or _("no answer")
            raise Unreachable(
                _("Socket.IO does not get through to {url}: {words}.").format(url=url, words=words),
                words,
            ) from None
        except (engineio.exceptions.EngineIOError, aiohttp.ClientError, OSError) as fault:
            raise Unreachable(
                _("Socket.IO does not get through to {url}.").format(url=url), _("no answer")
            ) from fault

    async def call(self, name: str, sent: dict[str, Any]) -> dict[str, Any]:
        """Send an event; returns its acknowledgement. Raises `Unreachable`."""
        # The client alone would wait on after the connection is lost.
        calling = asyncio.ensure_future(self._client.call(name, sent, timeout=CONNECT_SECONDS))
        gone = asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait((calling, gone), return_when=asyncio.FIRST_COMPLETED)
            if not calling.done():
                raise _lost()
            return cast("dict[str, Any]", calling.result())
        except (socketio.exceptions.SocketIOError, aiohttp.ClientError, OSError) as fault:
            raise _lost() from fault
        finally:
            calling.cancel()
            gone.cancel()

    async def receive(self) -> dict[str, Any]:
        """The next event's data. Raises `Unreachable` once the connection is lost."""
        frame = await self._frames.get()
        if frame is None:
            raise _lost()
        return frame

    def close(self) -> None:
        """Close it in the background."""
        if not self._http.closed:
            self._end_socket("ended")
            task = asyncio.ensure_future(self._close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _close(self) -> None:
        with contextlib.suppress(Exception):  # whatever state a lost connection has left it in
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._client.disconnect()
        await self._http.close()

    def _on_event(self, name: str, data: dict[str, Any]) -> None:
        self._frames.put_nowait(data)

    def lose(self, reason: object = None) -> None:
        """It is lost: the next `receive` raises."""
        self._frames.put_nowait(None)
        self._gone.set()
        self._end_socket("failed")

    def _end_socket(self, state: Step) -> None:
        if (socket := self._socket) is not None:
            self._socket = None
            self._on_step(socket, state)
            self._meter.closed()

    def _counted_socket(self, *arguments: Any, **named: Any) -> _CountedSocket:
        socket = _CountedSocket(*arguments, **named)
        socket.count = self._count_frame
        return socket

    def _count_frame(self, up: int, down: int) -> None:
        if self._socket is not None:
            self._socket.up += up
            self._socket.down += down
        self._meter.bytes_sent += up
        self._meter.received(down)

    def _trace(self) -> aiohttp.TraceConfig:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(self._on_head_sent)
        trace.on_request_chunk_sent.append(self._on_sent)
        trace.on_request_end.append(self._on_answered)
        trace.on_response_chunk_received.append(self._on_received)
        trace.on_request_exception.append(self._on_failed)
        return trace

    async def _on_head_sent(self, _http: object, context: Any, sent: Any) -> None:
        if (before := getattr(context, "exchanged", None)) is not None:  # aiohttp sends it again
            self._on_step(before, "failed")
        exchanged = context.exchanged = Exchanged(f"{sent.method} {sent.url.raw_path_qs}")
        line = len(f"{sent.method} {sent.url.raw_path_qs} HTTP/1.1\r\n")
        head = sum(len(f"{name}: {value}\r\n") for name, value in sent.headers.items())
        exchanged.up = line + head + 2
        self._meter.sent(exchanged.what, exchanged.up)
        self._on_step(exchanged, "started")

    async def _on_sent(self, _http: object, context: Any, sent: Any) -> None:
        if (exchanged := getattr(context, "exchanged", None)) is not None:
            exchanged.up += len(sent.chunk)
            self._meter.bytes_sent += len(sent.chunk)

    async def _on_received(self, _http: object, context: Any, got: Any) -> None:
        context.exchanged.down += len(got.chunk)
        self._meter.received(len(got.chunk))
        self._on_step(context.exchanged, "ended")  # aiohttp reports a body when it is complete

    async def _on_answered(self, _http: object, context: Any, done: Any) -> None:
        exchanged, answer = context.exchanged, done.response
        line = len(f"HTTP/1.1 {answer.status} {answer.reason or ''}\r\n")
        head = sum(len(name) + len(value) + 4 for name, value in answer.raw_headers)
        exchanged.down += line + head + 2
        self._meter.received(line + head + 2)
        self._on_step(exchanged, "answered")
        if answer.status == 101:
            self._socket = exchanged
            self._meter.opened()
        elif exchanged.is_socket:
            self._on_step(exchanged, "failed")

    async def _on_failed(self, _http: object, context: Any, failed: Any) -> None:
        if (exchanged := getattr(context, "exchanged", None)) is not None:
            self._on_step(exchanged, "failed")


class SocketIoStream(Stream[SocketIoConnection, ItemT]):
    """`async for item in stream`, inside `async with`: subscribes by one event, and comes back by
    itself; subclasses say by which and read the frames.

    Raises `ApiError` when the server refuses the subscription, and `SignedOut`.
    """

    def __init__(self, session: Session, meter: Meter, backoff: Backoff | None = None) -> None:
        super().__init__(session, meter, backoff)
        self._closing: set[asyncio.Task[None]] = set()

    def _subscription(self) -> tuple[str, dict[str, Any]]:
        """The event that subscribes, and its data."""
        raise NotImplementedError

    def _read_frame(self, frame: dict[str, Any]) -> None:
        """Put what the frame brings into `_pending`, and count it on the meter."""
        raise NotImplementedError

    def _on_step(self, exchanged: Exchanged, state: Step) -> None:
        """A request or the WebSocket has got so far."""

    async def aclose(self) -> None:
        """End for good and close the connection."""
        await super().aclose()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _receive(self) -> None:
        connection = self._connection or await self._open_connection()
        self._read_frame(await connection.receive())

    def _fail_connection(self, error: Unreachable) -> None:
        super()._fail_connection(error)
        if self._connection is not None:
            self._connection.lose()

    async def _open_connection(self) -> SocketIoConnection:
        if self._meter.state is not State.CONNECTING:
            self._meter.set_state(State.CONNECTING)
        connection = await self._connect(self._subscribed())
        self.accepted = True
        self._backoff.opened()
        self._set_open(State.LIVE)
        return connection

    async def _subscribed(self) -> SocketIoConnection:
        token = await self._session.access_token()
        connection = SocketIoConnection(self._meter, self._on_step, self._closing)
        try:
            await connection.open(self._session.base_url, token)
            answer = await connection.call(*self._subscription())
        except BaseException:
            connection.close()
            raise
        if answer.get("type") == "error":
            connection.close()
            raise _refusal(answer)
        return connection


def _refusal(frame: dict[str, Any]) -> ApiError:
    """The server's `error` frame, as the HTTP status it stands for."""
    status = {"not_found": 404, "rate_limited": 429, "unavailable": 503}.get(frame["code"], 400)
    return ApiError(
        ProblemDetails(
            type="about:blank",
            title=frame["code"],
            status=status,
            detail=frame.get("detail", ""),
            request_id="",
        )
    )


def _lost() -> Unreachable:
    return Unreachable(_("The connection to the server was lost."), _("connection lost"))
