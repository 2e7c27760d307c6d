"""A chat's room over a WebSocket that comes back by itself, losing and repeating nothing."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import TYPE_CHECKING

from server.features.chat.frame_schemas import (
    CloseCode,
    ClosedFrame,
    ErrorCode,
    ErrorFrame,
    PresenceFrame,
    ReadFrame,
    ReopenedFrame,
    ResetFrame,
    ServerFrame,
    TakenFrame,
    read_server_frame,
)
from server.features.chat.schemas import ChatMessage
from server.features.shared.schemas import ProblemDetails
from tui.common.client.errors import ApiError, ClientError, ResetStream, Unreachable
from tui.common.client.meter import State
from tui.common.client.outbox import ECHO_SECONDS, Outbox, OutboxSender, UnsentMessage
from tui.common.client.stream import Stream
from tui.common.client.websocket import Closed, WebSocket

if TYPE_CHECKING:
    from server.features.chat.frame_schemas import ClientFrame
    from tui.common.client.meter import Meter
    from tui.common.client.retry import Backoff
    from tui.common.client.session import Session

SILENCE_SECONDS = 25.0
"""More than two pings of ours and one of the server's."""
AGAIN_SECONDS = 1.0
"""Until a message is sent again that could not be taken, where the server names no time."""
CURSORS_KEPT = 1024


class Room(Stream[WebSocket, ServerFrame]):
    """`async for frame in room`, inside `async with`, for ever.

    `cursor` is where to begin (a history's cursor; None for the present) and moves with each frame
    that has one. What is put into the outbox is sent one after the other, each when the one before
    has come back: so it arrives once and in order whatever breaks. A message that the server does
    not want comes as an `ErrorFrame` with its `client_id`; one it cannot take just now is sent
    again.

    Raises `ResetStream` when the server cannot go on from the cursor (read the history, open a new
    room with the same outbox), `ApiError` when it refuses for good, `SignedOut`.
    """

    def __init__(
        self,
        session: Session,
        chat_id: str,
        meter: Meter,
        cursor: str | None = None,
        *,
        outbox: Outbox | None = None,
        silence: float = SILENCE_SECONDS,
        echo: float = ECHO_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        """`silence` and `echo` are seconds."""
        super().__init__(session, meter, backoff)
        self.chat_id = chat_id
        self.cursor = cursor
        self.outbox = Outbox() if outbox is None else outbox
        self._silence = silence
        self._seen: deque[str] = deque([cursor] if cursor else [], maxlen=CURSORS_KEPT)
        self.sender = OutboxSender(self.outbox, echo)
        self.sends = True
        """Whether it sends; else it only reads."""
        self._writing: asyncio.Task[None] | None = None
        self._admitted = False
        self._replaying = False
        self._rejected: str | None = None
        """The token with which the last connection was closed."""

    async def __aenter__(self) -> Room:
        self.outbox.on_put = self.sender.wake
        return self

    async def aclose(self) -> None:
        """End for good and close the connection. What is unsent stays in the outbox."""
        self.outbox.on_put = None
        writing = self._writing
        await super().aclose()
        if writing is not None:
            await asyncio.wait({writing})

    def send(self, text: str) -> UnsentMessage:
        """Send a message; its `client_id` is that of the frame that brings it back."""
        message = UnsentMessage(text)
        self.outbox.put(message)
        return message

    def typing(self) -> None:
        """Tell that the user is typing, at most every two seconds, and only while connected."""
        if self._admitted:
            self.sender.typing()

    def read(self, cursor: str) -> None:
        """Tell that everything up to this message has been seen, if need be once it is back."""
        self.sender.read(cursor)

    # -- reading

    async def _receive(self) -> None:
        socket = self._connection or await self._open_connection()
        news = await socket.receive()
        if isinstance(news, Closed):
            if (dropped := self._pop_drop_error()) is not None:
                raise dropped
            await self._on_closed(news, socket.token)
            return
        if not self._admitted:
            self._admitted = True
            self._rejected = None
            self._backoff.opened()
            self._set_open(State.LIVE)
        if news is not None:
            self._read_frame(news)
        self._on_received(heartbeat=news is None)

    def resume_from(self, cursor: str | None) -> None:
        """Open the next connection from there; what was read and not handed out is dropped."""
        self._drop()
        self._pending.clear()
        self._seen.clear()
        if cursor:
            self._seen.append(cursor)
        self.cursor = cursor

    @property
    def position(self) -> str | None:
        """The cursor after all that was handed out."""
        return self.cursor

    def send_on(self, *, sends: bool) -> None:
        """From now on send what there is to send, or leave that to somebody else."""
        self.sends = sends
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        if sends and self._connection is not None:
            writing = self.sender.run(_Frames(self._connection))
            self._writing = asyncio.create_task(writing, name=f"room {self.chat_id}")

    async def _open_connection(self) -> WebSocket:
        if self._meter.state is not State.CONNECTING:
            self._meter.set_state(State.CONNECTING)
        self._on_sent()
        socket = await self._connect(
            self._session.connect(
                f"/chats/{self.chat_id}/ws",
                meter=self._meter,
                params={"after": self.cursor} if self.cursor else None,
                silence=self._silence,
                epoch=self._bind_epoch(),
                rejected=self._rejected,
            )
        )
        self.accepted = True
        self._admitted = False
        self._replaying = self._lost_before
        self.send_on(sends=self.sends)
        return socket

    def _drop(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        self._admitted = False
        super()._drop()

    def drop_connection(self) -> None:
        """Drop the connection now, as a failing network would; it comes back by itself."""
        if self._connection is not None:
            self._connection.drop()
        super().drop_connection()

    def _read_frame(self, text: str) -> None:
        try:
            frame = read_server_frame(text)
        except ValueError:
            frame = None
        size = len(text.encode())
        if frame is None:  # of a newer server: no reason to lose the others
            self._meter.frame("unknown", size)
            return
        if isinstance(frame, ResetFrame):
            self._pending.append(frame)
            return
        if isinstance(frame, ReadFrame | PresenceFrame):  # sent on entering, after what was missed
            self._replaying = False
        self._meter.event(frame.type, size, replayed=self._replaying)
        if isinstance(frame, ErrorFrame):
            self._on_message_refused(frame)
        elif isinstance(frame, ChatMessage):
            self._on_message(frame)
        else:
            if isinstance(frame, ReadFrame):
                self._on_read(frame)
            if isinstance(frame, TakenFrame | ClosedFrame | ReopenedFrame):
                if frame.cursor in self._seen:
                    return
                self._seen.append(frame.cursor)
            self._pending.append(frame)

    def _on_message(self, message: ChatMessage) -> None:
        account = self._session.account
        if account is not None and message.sender.id == account.id:
            self.sender.confirm(message.client_id)
        if message.again:
            self._pending.append(message)
        elif message.cursor not in self._seen:
            self._seen.append(message.cursor)
            self._pending.append(message)

    def _deliver(self, news: ServerFrame) -> None:
        if isinstance(news, ResetFrame):
            self._finish(State.CONNECTING, "reloading the history")
            raise ResetStream("Too much was missed; reloading the history.")
        if isinstance(news, ChatMessage | TakenFrame | ClosedFrame | ReopenedFrame) and not (
            isinstance(news, ChatMessage) and news.again
        ):
            self.cursor = news.cursor

    # -- results of what was sent

    def _on_message_refused(self, frame: ErrorFrame) -> None:
        """Send the message again, or hand the refusal to the reader."""
        again = frame.code in {code.value for code in ErrorCode if code.again}
        wait = AGAIN_SECONDS if frame.retry_after_ms is None else frame.retry_after_ms / 1000
        mine = frame.client_id is None or frame.client_id in self.outbox
        if again and mine:
            self.sender.resend_later(frame.client_id, wait)
            return
        if frame.client_id is not None:
            self.sender.confirm(frame.client_id)
        self._pending.append(frame)

    def _on_read(self, frame: ReadFrame) -> None:
        account = self._session.account
        for mark in frame.reads:
            if account is not None and mark.reader.id == account.id:
                self.sender.confirm_read(mark.cursor)

    # -- coming back

    async def _on_closed(self, closed: Closed, token: str) -> None:
        """The server has closed the connection: come back, or raise why not."""
        self._drop()
        code, retry_after = closed.code, closed.retry_after
        if code == CloseCode.TOO_LARGE and self.sender.in_flight is not None:
            # Sent again, it would end every connection.
            self._on_message_refused(
                ErrorFrame(
                    code=ErrorCode.TOO_LARGE,
                    detail="The message is too long for the server.",
                    chat_id=self.chat_id,
                    client_id=self.sender.in_flight,
                )
            )
        if code == CloseCode.UNAUTHORIZED:
            if self._rejected is not None:  # a new token did not help
                raise _refusal(closed)
            self._rejected = token
            await self._wait("token renewed", self._delay_after_end())
        elif 4400 <= code < 4500 and code != CloseCode.STALLED:
            raise _refusal(closed)
        elif code == CloseCode.STALLED:
            await self._wait("too slow to read", self._delay_after_end())
        elif code in (CloseCode.NORMAL, CloseCode.GOING_AWAY, 1005):
            words = (
                "the server is shutting down"
                if code == CloseCode.GOING_AWAY
                else "the server ended it"
            )
            delay = self._delay_after_end()
            if retry_after is not None:
                delay = max(delay, retry_after * random.uniform(1.0, 1.1))  # noqa: S311 not a secret
            await self._wait(words, delay)
        else:
            raise Unreachable(
                f"The server has closed the chat's connection ({code} {closed.reason}).".replace(
                    " )", ")"
                ),
                closed.reason or f"closed with {code}",
                retry_after,
            )

    def _gives_up_on(self, error: ClientError) -> bool:
        closed_for_good = isinstance(error, ApiError) and error.problem.type == FINAL
        return closed_for_good or super()._gives_up_on(error)


class _Frames:
    """Sends frames through a WebSocket."""

    def __init__(self, socket: WebSocket) -> None:
        self._channel = socket

    async def send(self, frame: ClientFrame) -> None:
        """Raises `Unreachable`."""
        await self._channel.send(frame.model_dump_json(), frame.type)

    def drop(self) -> None:
        """Break the connection, so that the reader notices."""
        self._channel.drop()


FINAL = "about:blank#close"


def _refusal(closed: Closed) -> ApiError:
    """A close code that is final, as the HTTP status it stands for."""
    words = {
        CloseCode.UNAUTHORIZED: "You are no longer logged in.",
        CloseCode.FORBIDDEN: "This chat is not open to you.",
        CloseCode.NOT_FOUND: "You have no such chat.",
    }
    detail = words.get(closed.code, f"The server refused the chat ({closed.code}).")
    problem = ProblemDetails(
        type=FINAL,
        title=closed.reason or "refused",
        status=closed.code - 4000,
        detail=detail,
        request_id="",
    )
    return ApiError(problem)
