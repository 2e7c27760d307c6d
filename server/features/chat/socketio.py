"""A room over Socket.IO: the same rooms, entered by an event instead of an address."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pydantic import ValidationError

from server.core.errors import Problem
from server.features.chat import frames
from server.features.chat.frame_schemas import (
    Acknowledged,
    InRoom,
    JoinRoom,
    SendMessage,
    SendMessageTo,
    SendRead,
    SendReadIn,
    SendTyping,
)
from server.features.chat.rooms import Rooms, Seat
from server.features.shared.schemas import Wire
from server.transports.duplex import client_id_of, error
from server.transports.socketio import Refused, SocketIo
from server.transports.socketio_session import Session

SentT = TypeVar("SentT", bound=Wire)

MOST_ROOMS = 32
"""Rooms one connection may be in."""


class Door:
    """The events `join`, `message`, `typing`, `read` and `leave`."""

    def __init__(self, server: SocketIo, rooms: Rooms) -> None:
        self._rooms = rooms
        self._seats: dict[tuple[str, str], Seat] = {}
        server.on("join", self.join)
        server.on("message", self.message)
        server.on("typing", self.typing)
        server.on("read", self.read)
        server.on("leave", self.leave)

    async def join(self, session: Session, sent: Any) -> Mapping[str, Any]:
        """Enter a room, or once more from another cursor; `cursor` tells how far one is."""
        wanted = _read(JoinRoom, sent)
        chat_id = wanted.chat_id
        await session.leave(chat_id)
        if len(session.places) >= MOST_ROOMS:
            raise Refused(
                error("invalid", f"A connection may be in {MOST_ROOMS} rooms. Leave one first.")
            )

        try:
            seat = await session.enter(
                chat_id, self._seated(session, chat_id, wanted.after or None)
            )
        except Problem as problem:
            raise Refused(frames.refused(problem, chat_id, None)) from None
        return _acknowledged(seat.cursor)

    @asynccontextmanager
    async def _seated(
        self, session: Session, chat_id: str, after: str | None
    ) -> AsyncIterator[Seat]:
        def reset() -> None:
            session.part(chat_id)

        async with self._rooms.enter(session.identity, chat_id, after, session, reset) as seat:
            self._seats[session.sid, chat_id] = seat
            try:
                yield seat
            finally:
                del self._seats[session.sid, chat_id]

    async def message(self, session: Session, sent: Any) -> Mapping[str, Any]:
        """A message; `cursor` is its own, also where it had been sent before.

        It is taken before a `join` too: stock clients send what they had buffered as soon as they
        are connected again.
        """
        frame = self._counted(session, SendMessageTo, sent)
        taken = SendMessage(client_id=frame.client_id, text=frame.text)
        return await self._take(session, frame.chat_id, taken, sent)

    async def typing(self, session: Session, sent: Any) -> Mapping[str, Any]:
        """Somebody types."""
        frame = self._counted(session, InRoom, sent)
        return await self._take(session, frame.chat_id, SendTyping(), sent)

    async def read(self, session: Session, sent: Any) -> Mapping[str, Any]:
        """A read mark."""
        frame = self._counted(session, SendReadIn, sent)
        return await self._take(session, frame.chat_id, SendRead(cursor=frame.cursor), sent)

    async def leave(self, session: Session, sent: Any) -> Mapping[str, Any]:
        """Leave a room, if one is there."""
        await session.leave(_read(InRoom, sent).chat_id)
        return _acknowledged(None)

    def _counted(self, session: Session, model: type[SentT], sent: Any) -> SentT:
        """What was sent, once it has been counted. Raises Refused."""
        texts = [one for one in sent.values() if isinstance(one, str)] if type(sent) is dict else []
        try:
            size = sum(len(text.encode(errors="replace")) for text in texts)
            self._rooms.messages.count(session.identity, size)
        except Problem as problem:
            raise Refused(frames.refused(problem, None, client_id_of(sent))) from None
        return _read(model, sent)

    async def _take(
        self, session: Session, chat_id: str, frame: SendMessage | SendTyping | SendRead, sent: Any
    ) -> Mapping[str, Any]:
        named = client_id_of(sent)
        seat = self._seats.get((session.sid, chat_id))
        try:
            if seat is not None:
                message = await seat.take(frame)
            elif isinstance(frame, SendMessage):
                message = (await self._rooms.post(session.identity, chat_id, frame)).message
            else:
                more = {"client_id": named} if named else {}
                raise Refused(error("not_found", "Join this chat first.", chat_id=chat_id, **more))
        except Problem as problem:
            raise Refused(frames.refused(problem, chat_id, named)) from None
        return _acknowledged(message.cursor if message is not None else None)


def _read(model: type[SentT], sent: Any) -> SentT:
    """What was sent, as that model. Raises Refused."""
    try:
        return model.model_validate(sent, strict=True)
    except ValidationError as problem:
        raise Refused(frames.unreadable(problem, client_id_of(sent))) from None


def _acknowledged(cursor: str | None) -> Mapping[str, Any]:
    return Acknowledged(cursor=cursor).model_dump(mode="json")
