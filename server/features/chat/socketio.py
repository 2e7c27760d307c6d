"""The same rooms over Socket.IO, entered by an event instead of a URL."""

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
from server.features.chat.rooms import Participant, Rooms
from server.features.shared.schemas import Wire
from server.transports.outbox import client_id_of, error
from server.transports.socketio import Refused, SocketIo
from server.transports.socketio_session import Session

SentT = TypeVar("SentT", bound=Wire)

MAX_ROOMS = 32
"""Rooms one connection may be in."""


class SocketIoChat:
    """The events `join`, `message`, `typing`, `read` and `leave`."""

    def __init__(self, server: SocketIo, rooms: Rooms) -> None:
        self._rooms = rooms
        self._participants: dict[tuple[str, str], Participant] = {}
        server.on("join", self.join)
        server.on("message", self.message)
        server.on("typing", self.typing)
        server.on("read", self.read)
        server.on("leave", self.leave)

    async def join(self, session: Session, sent: Any) -> Mapping[str, Any]:
        """Enter a room, or again from another cursor; returns the `cursor` it begins at."""
        wanted = _parse(JoinRoom, sent)
        chat_id = wanted.chat_id
        await session.leave(chat_id)
        if len(session.rooms) >= MAX_ROOMS:
            raise Refused(
                error("invalid", f"A connection may be in {MAX_ROOMS} rooms. Leave one first.")
            )

        try:
            participant = await session.enter(
                chat_id, self._room(session, chat_id, wanted.after or None)
            )
        except Problem as problem:
            raise Refused(frames.refused(problem, chat_id, None)) from None
        return _acknowledged(participant.cursor)

    @asynccontextmanager
    async def _room(
        self, session: Session, chat_id: str, after: str | None
    ) -> AsyncIterator[Participant]:
        def reset() -> None:
            session.leave_soon(chat_id)

        participant = await self._rooms.enter(session.identity, chat_id, after, session, reset)
        self._participants[session.sid, chat_id] = participant
        try:
            yield participant
        finally:
            del self._participants[session.sid, chat_id]
            participant.close()

    async def message(self, session: Session, sent: Any) -> Mapping[str, Any]:
        """A message; returns its `cursor`, also where it had been sent before.

        It may come before a `join`: stock clients send their buffer as soon as they reconnect.
        """
        frame = self._counted(session, SendMessageTo, sent)
        message = SendMessage(client_id=frame.client_id, text=frame.text)
        return await self._handle(session, frame.chat_id, message, sent)

    async def typing(self, session: Session, sent: Any) -> Mapping[str, Any]:
        """Somebody is typing."""
        frame = self._counted(session, InRoom, sent)
        return await self._handle(session, frame.chat_id, SendTyping(), sent)

    async def read(self, session: Session, sent: Any) -> Mapping[str, Any]:
        """Somebody has read up to a cursor."""
        frame = self._counted(session, SendReadIn, sent)
        return await self._handle(session, frame.chat_id, SendRead(cursor=frame.cursor), sent)

    async def leave(self, session: Session, sent: Any) -> Mapping[str, Any]:
        """Leave a room, if the client is in it."""
        await session.leave(_parse(InRoom, sent).chat_id)
        return _acknowledged(None)

    def _counted(self, session: Session, model: type[SentT], sent: Any) -> SentT:
        """Count what was sent, and parse it. Raises Refused."""
        texts = [one for one in sent.values() if isinstance(one, str)] if type(sent) is dict else []
        try:
            size = sum(len(text.encode(errors="replace")) for text in texts)
            self._rooms.messages.count(session.identity, size)
        except Problem as problem:
            raise Refused(frames.refused(problem, None, client_id_of(sent))) from None
        return _parse(model, sent)

    async def _handle(
        self, session: Session, chat_id: str, frame: SendMessage | SendTyping | SendRead, sent: Any
    ) -> Mapping[str, Any]:
        client_id = client_id_of(sent)
        participant = self._participants.get((session.sid, chat_id))
        try:
            if participant is not None:
                cursor = await participant.handle(frame)
            elif isinstance(frame, SendMessage):
                cursor = (await self._rooms.post(session.identity, chat_id, frame)).cursor
            else:
                more = {"client_id": client_id} if client_id else {}
                raise Refused(error("not_found", "Join this chat first.", chat_id=chat_id, **more))
        except Problem as problem:
            raise Refused(frames.refused(problem, chat_id, client_id)) from None
        return _acknowledged(cursor)


def _parse(model: type[SentT], sent: Any) -> SentT:
    """Parse what was sent as that model. Raises Refused."""
    try:
        return model.model_validate(sent, strict=True)
    except ValidationError as problem:
        raise Refused(frames.unreadable(problem, client_id_of(sent))) from None


def _acknowledged(cursor: str | None) -> Mapping[str, Any]:
    return Acknowledged(cursor=cursor).model_dump(mode="json")
