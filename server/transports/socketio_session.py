"""A Socket.IO client that has identified itself: its outbox, its limit, and its rooms."""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

from server.core.auth import Identity
from server.transports.connections import End
from server.transports.frame_limits import FrameLimit
from server.transports.outbox import Frame, Outbox
from server.transports.outlet import BUFFER
from server.transports.socketio_engine import MeasuredQueue, packet_of

RoomT = TypeVar("RoomT")


class Session(Outbox):
    """A client that has identified itself. It leaves its `rooms` when it goes."""

    def __init__(self, sid: str, engine: Any, limit: FrameLimit, stalled_seconds: float) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self.sid = sid
        self.identity: Identity
        """Set once the session has been checked; no event is handled before."""
        self.limit = limit
        self.rooms: dict[str, AsyncExitStack] = {}
        self.slot = contextlib.ExitStack()
        """Its slot among the held connections."""
        self.engine = engine
        self._queue: MeasuredQueue = engine.queue
        self._stalled_seconds = stalled_seconds
        self._leaving: set[asyncio.Task[None]] = set()

    @property
    def open(self) -> bool:
        """Until it is ended, or the client has gone."""
        return not self.ended.done() and not self.engine.closed

    @property
    def backlogged(self) -> bool:
        """Whether more than BUFFER bytes wait in engineio's queue, which is unbounded by itself."""
        return self._queue.bytes > BUFFER

    def send(self, frame: Frame) -> None:
        """Queue it, unless the session is ending."""
        if self.open:
            self._queue.put_nowait(packet_of(frame))

    async def ready(self) -> None:
        """Returns once the client has read enough of what is queued."""
        while self.open and self.backlogged:
            before = self._queue.sent
            self._queue.moved.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._stalled_seconds):
                    await self._queue.moved.wait()
            if self._queue.sent == before:
                self.end(End.STALLED)
        if not self.open:
            raise ConnectionResetError("the client has gone")

    def send_goodbye(self, members: Mapping[str, Any]) -> None:
        """Queue the last frame, which a backlogged client gets too."""
        text = json.dumps({"type": "goodbye"} | dict(members))
        self._queue.put_nowait(packet_of(Frame("goodbye", text)))

    async def enter(self, name: str, room: AbstractAsyncContextManager[RoomT]) -> RoomT:
        """Enter the room; `leave` exits it, even while it is being entered.

        Raises ConnectionError where the session ends meanwhile.
        """
        stack = self.rooms[name] = AsyncExitStack()
        try:
            found = await stack.enter_async_context(room)
        except BaseException:
            if self.rooms.get(name) is stack:
                del self.rooms[name]
            raise
        if not self.open:
            await self.leave(name)
        if self.rooms.get(name) is not stack:
            await stack.aclose()
        if not self.open:
            raise ConnectionResetError("the session has ended")
        return found

    async def leave(self, name: str) -> None:
        """Leave that room, if the client is in it."""
        if (stack := self.rooms.pop(name, None)) is not None:
            await stack.aclose()

    def leave_soon(self, name: str) -> None:
        """Leave that room from a task."""
        task = asyncio.create_task(self.leave(name), name="leave room")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
