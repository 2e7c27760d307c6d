"""Clients of Socket.IO: python-socketio's, and polling request by request."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import socketio

from server.transports.socketio import SocketIo
from support.live_server import LiveServer
from support.rest import Rest
from support.waiting import PATIENCE

WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
POLLING = "//socket.io/?EIO=4&transport=polling"


async def connected(rest: Rest, transports: tuple[str, ...] = ("websocket",)) -> Any:
    """A client that connects and does not reconnect by itself."""
    client = socketio.AsyncClient(reconnection=False)
    try:
        await client.connect(
            rest.base_url,
            auth={"token": rest.token},
            transports=list(transports),
            wait_timeout=PATIENCE,
        )
    except BaseException:
        await client.shutdown()
        raise
    return client


class SocketIoClient:
    """A client and every frame it received, in order."""

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
        """Send an event; returns its acknowledgement."""
        answer: dict[str, Any] = await self.client.call(name, sent, timeout=PATIENCE)
        return answer


@asynccontextmanager
async def socketio_client(
    rest: Rest, transports: tuple[str, ...] = ("websocket",)
) -> AsyncIterator[SocketIoClient]:
    """A connected client until the block ends."""
    client = SocketIoClient(socketio.AsyncClient(reconnection=False))
    await client.client.connect(
        rest.base_url,
        auth={"token": rest.token},
        transports=list(transports),
        wait_timeout=PATIENCE,
    )
    try:
        yield client
    finally:
        await client.client.disconnect()
        await client.client.shutdown()


def door_of(server: LiveServer) -> SocketIo:
    """The application's Socket.IO server."""
    (door,) = {
        route.handler.__self__  # type: ignore[attr-defined]
        for route in server.app.router.routes()
        if "socket.io" in str(route.get_info())
    }
    assert isinstance(door, SocketIo)
    return door


def clients_of(server: LiveServer) -> dict[str, Any]:
    """engineio's clients by their ids."""
    found: dict[str, Any] = door_of(server)._server.eio.sockets
    return found


class Polling:
    """A session of Engine.IO by polling, request by request."""

    def __init__(self, rest: Rest, sid: str) -> None:
        self._rest = rest
        self.sid = sid
        self._url = rest.url(f"{POLLING}&sid={sid}")

    async def get(self, stamp: str = "") -> tuple[int, str]:
        """Poll once, as the client's request of that `t`; returns the status and the packets."""
        more = f"&t={stamp}" if stamp else ""
        async with self._rest.http.get(self._url + more) as answer:
            return answer.status, await answer.text()

    async def post(self, *packets: str) -> int:
        """Send packets; returns the status."""
        return (await self.send("\x1e".join(packets)))[0]

    async def send(self, body: object) -> tuple[int, str]:
        """Send a body, in chunks if it is an iterator; returns the status and the text."""
        async with self._rest.http.post(self._url, data=body) as answer:
            return answer.status, await answer.text()


async def handshake(rest: Rest) -> Polling:
    """Begin a session by polling."""
    async with rest.http.get(rest.url(POLLING)) as answer:
        assert answer.status == 200, await answer.text()
        return Polling(rest, json.loads((await answer.text())[1:])["sid"])


def hello(rest: Rest) -> str:
    """The packet with the access token."""
    return "40" + json.dumps({"token": rest.token})


async def identified(rest: Rest) -> Polling:
    """A polling session that has sent its token."""
    session = await handshake(rest)
    assert await session.post(hello(rest)) == 200
    assert (await session.get())[1].startswith("40")
    return session
