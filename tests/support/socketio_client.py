"""A stock Socket.IO client, python-socketio's, as some account."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import socketio

from support.rest import Rest
from support.waiting import PATIENCE


async def connected(rest: Rest, transports: tuple[str, ...] = ("websocket",)) -> Any:
    """A client that is connected and comes back by itself no more."""
    client = socketio.AsyncClient(reconnection=False)
    try:
        await client.connect(
            rest.base_url, auth={"token": rest.token}, transports=list(transports), wait_timeout=5
        )
    except BaseException:
        await client.shutdown()
        raise
    return client


class SocketIoClient:
    """A client and everything it was told, in order."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.frames: list[dict[str, Any]] = []
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        client.on("*", self._told)

    async def _told(self, name: str, frame: dict[str, Any]) -> None:
        assert frame["type"] == name
        self.frames.append(frame)
        self._queue.put_nowait(frame)

    async def next(self, *kinds: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The next frame of those types."""
        async with asyncio.timeout(seconds):
            while (frame := await self._queue.get())["type"] not in kinds:
                pass
            return frame

    async def call(self, name: str, **sent: Any) -> dict[str, Any]:
        """Send an event; gives its acknowledgement."""
        answer: dict[str, Any] = await self.client.call(name, sent, timeout=10)
        return answer


@asynccontextmanager
async def socketio_client(
    rest: Rest, transports: tuple[str, ...] = ("websocket",)
) -> AsyncIterator[SocketIoClient]:
    """A connected client for as long as this lasts."""
    client = SocketIoClient(socketio.AsyncClient(reconnection=False))
    await client.client.connect(
        rest.base_url, auth={"token": rest.token}, transports=list(transports), wait_timeout=5
    )
    try:
        yield client
    finally:
        await client.client.disconnect()
        await client.client.shutdown()
