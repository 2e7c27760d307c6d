"""A client of Socket.IO's that has said who it is: its lane, its pace, and where it is."""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeVar

from server.core.auth import Identity
from server.transports.connections import End
from server.transports.duplex import BUFFER, Lane, Pace, Said
from server.transports.socketio_engine import MeasuredQueue, packet_of

PlaceT = TypeVar("PlaceT")


class Session(Lane):
    """A client that has said who it is. `places` is left when it goes."""

    def __init__(self, sid: str, engine: Any, pace: Pace, stalled_seconds: float) -> None:
        super().__init__()
        self.sid = sid
        self.identity: Identity
        """Known once the session has been checked, before which nothing is taken."""
        self.pace = pace
        self.places: dict[str, AsyncExitStack] = {}
        self.held = contextlib.ExitStack()
        self.engine = engine
        self._queue: MeasuredQueue = engine.queue
        self._stalled_seconds = stalled_seconds
        self._parting: set[asyncio.Task[None]] = set()

    @property
    def open(self) -> bool:
        """Until it is ended or gone."""
        return not self.ended.done() and not self.engine.closed

    @property
    def behind(self) -> bool:
        """Whether more than BUFFER bytes wait in engineio's queue, which is unbounded by itself."""
        return self._queue.bytes > BUFFER

    def say(self, said: Said) -> None:
        """Queue it, unless the session is ending."""
        if self.open:
            self._queue.put_nowait(packet_of(said))

    async def ready(self) -> None:
        """Waits for the client to take what is queued."""
        while self.open and self.behind:
            before = self._queue.steps
            self._queue.moved.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._stalled_seconds):
                    await self._queue.moved.wait()
            if self._queue.steps == before:
                self.end(End.STALLED)
        if not self.open:
            raise ConnectionResetError("the client has gone")

    def goodbye(self, members: Mapping[str, Any]) -> None:
        """The last word, which comes also to one who is behind."""
        text = json.dumps({"type": "goodbye"} | dict(members))
        self._queue.put_nowait(packet_of(Said("goodbye", text)))

    async def enter(self, place: str, entering: AbstractAsyncContextManager[PlaceT]) -> PlaceT:
        """Be in that place until it is left, also where that is asked for in between.

        Raises ConnectionError where the session has ended in between.
        """
        stack = self.places[place] = AsyncExitStack()
        try:
            found = await stack.enter_async_context(entering)
        except BaseException:
            if self.places.get(place) is stack:
                del self.places[place]
            raise
        if not self.open:
            await self.leave(place)
        if self.places.get(place) is not stack:
            await stack.aclose()
        if not self.open:
            raise ConnectionResetError("the session has ended")
        return found

    async def leave(self, place: str) -> None:
        """Leave that place, if it is there."""
        if (stack := self.places.pop(place, None)) is not None:
            await stack.aclose()

    def part(self, place: str) -> None:
        """Leave it as soon as that can be done."""
        task = asyncio.create_task(self.leave(place), name="part")
        self._parting.add(task)
        task.add_done_callback(self._parting.discard)
