"""A chat's room over a WebSocket that comes back by itself, losing and repeating nothing."""

from __future__ import annotations

import asyncio
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
from tui.common.client.errors import ResetStream
from tui.common.client.frame import Contents
from tui.common.client.meter import State
from tui.common.client.outbox import ECHO_SECONDS, Outbox, OutboxSender, UnsentMessage
from tui.common.client.socket_stream import SILENCE_SECONDS, SocketStream
from tui.common.client.websocket import Closed, WebSocket
from tui.common.language import _

if TYPE_CHECKING:
    from datetime import datetime

    from server.features.chat.frame_schemas import ClientFrame
    from tui.common.client.meter import Meter
    from tui.common.client.retry import Backoff
    from tui.common.client.session import Session

AGAIN_SECONDS = 1.0
"""Until a message is sent again that could not be taken, where the server names no time."""
CURSORS_KEPT = 1024


class Room(SocketStream[ServerFrame]):
    """`async for frame in room`, inside `async with`, for ever.

    `cursor` is where to begin (a history's cursor; None for the present) and moves with each frame
    that has one. What is put into the outbox is sent one after the other, each when the one before
    has come back: so it arrives once and in order whatever breaks. A message that the server does
    not want comes as an `ErrorFrame` with its `client_id`; one it cannot take just now is sent
    again.

    Raises `ResetStream` when the server cannot go on from the cursor (read the history, open a new
    room with the same outbox), `ApiError` when it refuses for good, `SignedOut`.
    """

    WHAT = "chat"

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
        path = f"/chats/{chat_id}/ws"
        super().__init__(session, path, meter, cursor, silence=silence, backoff=backoff)
        self.chat_id = chat_id
        self.outbox = Outbox() if outbox is None else outbox
        self._seen: deque[str] = deque([cursor] if cursor else [], maxlen=CURSORS_KEPT)
        self.sender = OutboxSender(self.outbox, echo)
        self.sends = True
        """Whether it sends; else it only reads."""
        self._writing: asyncio.Task[None] | None = None

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

    def resume_from(self, cursor: str | None) -> None:
        """Open the next connection from there; what was read and not handed out is dropped."""
        self._drop()
        self._pending.clear()
        self._seen.clear()
        if cursor:
            self._seen.append(cursor)
        self.cursor = cursor

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
        socket = await super()._open_connection()
        self.send_on(sends=self.sends)
        return socket

    def _drop(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        super()._drop()

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
        self._meter.event(
            frame.type,
            size,
            replayed=self._replaying,
            payload=size,
            logged_at=_logged_at(frame),
            contents=Contents.of("", text),
        )
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
            self._finish(State.CONNECTING, _("reloading the history"))
            raise ResetStream(_("Too much was missed; reloading the history."))
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
        if closed.code == CloseCode.TOO_LARGE and self.sender.in_flight is not None:
            # Sent again, it would end every connection.
            self._on_message_refused(
                ErrorFrame(
                    code=ErrorCode.TOO_LARGE,
                    detail=_("The message is too long for the server."),
                    chat_id=self.chat_id,
                    client_id=self.sender.in_flight,
                )
            )
        await super()._on_closed(closed, token)


def _logged_at(frame: ServerFrame) -> datetime | None:
    """When that happened in the room."""
    if isinstance(frame, ChatMessage):
        return None if frame.again else frame.sent_at
    return frame.at if isinstance(frame, TakenFrame | ClosedFrame | ReopenedFrame) else None


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
