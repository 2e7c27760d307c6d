"""Members of a room that keep writing and reading while their connections break."""

import asyncio
import contextlib
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import socketio

from support.rest import Rest
from support.room import Closed, Room, room

AT_ONCE = 5
"""Messages in flight at a time."""
TALK = 0.02
"""Seconds between two messages of one member, at most."""
PAUSE = 0.05
"""Seconds before a member reconnects."""


@dataclass
class Chatter:
    """Writes one message after the other until told to stop, and records what it receives.

    What was not echoed is sent again with the same `client_id` over the next connection. A `silent`
    member only reads.
    """

    rest: Rest
    chat_id: str
    name: str
    cursor: str
    silent: bool = False
    said: int = 0
    seen: list[dict[str, Any]] = field(default_factory=list)
    returns: int = 0
    resets: int = 0
    _under_way: deque[str] = field(default_factory=deque)

    @property
    def done(self) -> bool:
        """Whether everything it sent has been echoed."""
        return self.silent and not self._under_way

    async def go_on(self) -> None:
        """Run until cancelled."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, Closed, TimeoutError):
                async with room(self.rest, self.chat_id, after=self.cursor) as member:
                    await self._live(member)
            self.returns += 1
            await asyncio.sleep(PAUSE * random.uniform(0.5, 2))

    async def _live(self, member: Room) -> None:
        for name in self._under_way:
            await member.say(name)
        while True:
            while not self.silent and len(self._under_way) < AT_ONCE:
                self._under_way.append(f"{self.name}{self.said}")
                self.said += 1
                await member.say(self._under_way[-1])
                await asyncio.sleep(random.uniform(0, TALK))
            frame = await member.next("message", "error", "reset", seconds=30)
            if frame["type"] == "reset":
                self.resets += 1
            elif frame["type"] == "error":
                assert frame["code"] == "unavailable", frame
                return  # and from the oldest unacknowledged message
            else:
                self._note(frame)

    def _note(self, frame: dict[str, Any]) -> None:
        if not frame.get("again"):
            self.cursor = frame["cursor"]
            self.seen.append(frame)
        if frame["client_id"] in self._under_way:
            self._under_way.remove(frame["client_id"])


@dataclass
class Listener:
    """Only reads, over Socket.IO."""

    rest: Rest
    chat_id: str
    cursor: str
    seen: list[dict[str, Any]] = field(default_factory=list)
    returns: int = 0

    async def go_on(self) -> None:
        """Run until cancelled."""
        while True:
            with contextlib.suppress(socketio.exceptions.SocketIOError, OSError):
                async with aiohttp.ClientSession() as session:
                    await self._live(session)
            self.returns += 1
            await asyncio.sleep(PAUSE)

    async def _live(self, session: aiohttp.ClientSession) -> None:
        client = socketio.AsyncClient(reconnection=False, http_session=session)
        gone = asyncio.Event()

        async def disconnect(*_: object) -> None:
            gone.set()

        client.on("message", self._message)
        client.on("disconnect", disconnect)
        try:
            await client.connect(
                self.rest.base_url,
                auth={"token": self.rest.token},
                transports=["websocket"],
                wait_timeout=5,
            )
            await client.call("join", {"chat_id": self.chat_id, "after": self.cursor}, timeout=5)
            # Before Python 3.12 `asyncio.wait_for`, which the client uses, loses a cancellation
            # that comes as its result does; nobody would cancel this a second time.
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError
            await gone.wait()
        finally:
            await client.shutdown()

    def _message(self, frame: dict[str, Any]) -> None:
        self.cursor = frame["cursor"]
        self.seen.append(frame)
