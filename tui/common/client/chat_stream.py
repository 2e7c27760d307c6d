"""A chat's room: by WebSocket, or where none comes through by long polling and requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from server.features.chat.frame_schemas import (
    ErrorCode,
    ErrorFrame,
    NewMessage,
    NewReadMark,
    ReadFrame,
    SendMessage,
    SendRead,
    ServerFrame,
    read_server_frame,
)
from server.features.chat.schemas import ChatMessage
from tui.common.client.chat_room import Room
from tui.common.client.errors import ApiError, ClientError, SignedOut
from tui.common.client.fallback import FallbackStream
from tui.common.client.long_polling import EventPoll, json_text
from tui.common.client.meter import Pattern
from tui.common.client.monitored import MonitoredStream
from tui.common.client.retry import Backoff, is_permanent
from tui.common.client.websocket import WebSocket
from tui.common.language import _

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from server.features.chat.frame_schemas import ClientFrame
    from server.features.shared.schemas import EventPage
    from tui.common.client.meter import Meter
    from tui.common.client.monitored import Timeouts
    from tui.common.client.outbox import Outbox
    from tui.common.client.session import Session

BLOCKED = _("this network does not pass WebSockets: messages come by long polling, typing does not")


STATES = frozenset({"presence", "read"})


class MonitoredRoom(MonitoredStream[WebSocket, ServerFrame], Room):
    """The socket, as a primary stream."""


class ChatStream(FallbackStream[ServerFrame]):
    """`async for frame in stream`, inside `async with`: as `Room`, whatever carries it.

    What is put into the outbox arrives once and in order also where the carrier changes in the
    middle. Without a socket, messages and read marks are sent as requests, and typing is not.
    """

    def __init__(
        self,
        session: Session,
        chat_id: str,
        name: str,
        cursor: str | None,
        *,
        outbox: Outbox,
        backoff: Backoff | None = None,
        on_carrier: Callable[[], None] | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        """`name` is that of the meter."""
        super().__init__(
            session, name, Pattern.WEBSOCKET, cursor, on_carrier=on_carrier, timeouts=timeouts
        )
        self._chat_id = chat_id
        self._outbox = outbox
        self._backoff = backoff
        self._posting: asyncio.Task[None] | None = None

    def typing(self) -> None:
        """Tell that the user is typing, where there is a socket."""
        if self.carrier is Pattern.WEBSOCKET and self._socket is not None:
            self._socket.typing()

    def read(self, cursor: str) -> None:
        """Tell that everything up to this message has been seen, if need be once it is back."""
        if self._socket is not None:
            self._socket.read(cursor)

    @property
    def _socket(self) -> MonitoredRoom | None:
        return cast("MonitoredRoom | None", self._primary)

    def _open_primary(self, cursor: str | None) -> MonitoredRoom:
        room = MonitoredRoom(
            self._session,
            self._chat_id,
            self._primary_meter,
            cursor,
            outbox=self._outbox,
            backoff=self._backoff,
        )
        return room.monitor(self, self._timeouts)

    def _open_poll(self, meter: Meter, cursor: str | None) -> EventPoll:
        path = f"/chats/{self._chat_id}/events"
        return EventPoll(self._session, path, meter, cursor, backoff=self._poll_backoff)

    def _on_poll_started(self, meter: Meter) -> None:
        room = self._socket
        if room is not None:
            room.send_on(sends=False)
            requests = _Requests(self, self._session, self._chat_id, meter, room)
            self._posting = self._start(room.sender.run(requests))

    def _on_poll_stopped(self) -> None:
        if self._posting is not None:
            self._posting.cancel()
            self._posting = None
        if self._socket is not None:
            self._socket.send_on(sends=True)

    def _gap_size(self, item: Any) -> int:
        # Who is there and what was read is told as it is, not as it was.
        return sum(event.type not in STATES for event in cast("EventPage", item).events)

    def _from_poll(self, item: Any) -> None:
        page = cast("EventPage", item)
        self.cursor = page.cursor
        for event in page.events:
            try:
                frame = read_server_frame(json_text(event.data))
            except ValueError:  # of a newer server: no reason to lose the others
                continue
            if frame is not None:
                self._confirm_sent(frame)
                self._deliver((frame,))

    def _confirm_sent(self, frame: ServerFrame) -> None:
        """The outbox need not keep what has come back."""
        room, account = self._socket, self._session.account
        if room is None or account is None:
            return
        if isinstance(frame, ChatMessage) and frame.sender.id == account.id:
            room.sender.confirm(frame.client_id)
        elif isinstance(frame, ReadFrame):
            for mark in frame.reads:
                if mark.reader.id == account.id:
                    room.sender.confirm_read(mark.cursor)

    def refuse(self, client_id: str, detail: str) -> None:
        """The server does not want that message."""
        frame = ErrorFrame(
            code=ErrorCode.INVALID, detail=detail, chat_id=self._chat_id, client_id=client_id
        )
        self._deliver((frame,))

    def _explain(self, reason: str, *, blocked: bool) -> str:
        return BLOCKED if blocked else _("no WebSocket: {reason}").format(reason=reason)


class _Requests:
    """Requests as what frames go out through; each is answered before the next one leaves."""

    def __init__(
        self, stream: ChatStream, session: Session, chat_id: str, meter: Meter, room: Room
    ) -> None:
        self._stream, self._session, self._meter = stream, session, meter
        self._path = f"/chats/{chat_id}"
        self._sender = room.sender
        self._backoff = Backoff()

    async def send(self, frame: ClientFrame) -> None:
        """Whether it arrives is noted with the sender."""
        client_id = frame.client_id if isinstance(frame, SendMessage) else None
        try:
            if isinstance(frame, SendMessage):
                message = NewMessage.model_construct(client_id=frame.client_id, text=frame.text)
                await self._session.request(
                    "POST", f"{self._path}/messages", json=message, meter=self._meter
                )
                self._sender.confirm(frame.client_id)
            elif isinstance(frame, SendRead):
                mark = NewReadMark.model_construct(cursor=frame.cursor)
                await self._session.request(
                    "POST", f"{self._path}/read", json=mark, meter=self._meter
                )
            self._backoff.reset()
        except SignedOut:
            return  # the poll finds out
        except ClientError as error:
            if not is_permanent(error):
                wait = self._backoff.lost(getattr(error, "retry_after", None))
                self._sender.resend_later(client_id, wait)
            elif client_id is not None and isinstance(error, ApiError):
                self._sender.confirm(client_id)
                self._stream.refuse(
                    client_id,
                    error.message if error.translated else error.problem.detail or error.message,
                )

    def drop(self) -> None:
        """There is no connection."""
