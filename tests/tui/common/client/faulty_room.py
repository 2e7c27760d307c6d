"""A chat's room with faults to order, on a faulty server."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import WSMsgType, web
from faulty_server import FaultyServer

CHAT = "cht_1"
PATH = f"/chats/{CHAT}/ws"
Taken = Callable[[web.WebSocketResponse, dict[str, Any]], Awaitable[bool]]


class FaultyRoom:
    """Keeps messages as the API says, under cursors `c-1`, `c-2`, and else does as told.

    `on_frame` is asked first about each frame from a client; what it answers with True it has seen
    to itself. `before_open` is asked about each connection, which it may close.
    """

    def __init__(self, server: FaultyServer) -> None:
        self.kept: list[dict[str, Any]] = []
        self.afters: list[str | None] = []
        self.frames: list[dict[str, Any]] = []
        self.on_frame: Taken | None = None
        self.before_open: Callable[[web.WebSocketResponse], Awaitable[None]] | None = None
        self.sockets: set[web.WebSocketResponse] = set()
        self._server = server
        server.on("GET", PATH, self._serve)

    def keep(self, client_id: str, text: str, sender: str = "acc-2") -> tuple[dict[str, Any], bool]:
        """The message, and whether it is a new one."""
        for message in self.kept:
            if (message["sender"]["id"], message["client_id"]) == (sender, client_id):
                return message, False
        message = {
            "type": "message",
            "chat_id": CHAT,
            "cursor": f"c-{len(self.kept) + 1}",
            "client_id": client_id,
            "sender": {"id": sender, "name": "Ana" if sender == "acc-1" else "Maya", "role": "x"},
            "text": text,
            "sent_at": "2026-01-31T12:00:00.000Z",
        }
        self.kept.append(message)
        return message, True

    async def post(self, text: str) -> None:
        """A message of somebody else's, told to all who are there."""
        message, _ = self.keep(f"other-{len(self.kept)}", text)
        await self.tell(message)

    async def tell(self, frame: dict[str, Any]) -> None:
        """Send a frame to all who are there."""
        for socket in tuple(self.sockets):
            await socket.send_json(frame)

    async def close(self, code: int, reason: str = "") -> None:
        """Close every connection with that code."""
        for socket in tuple(self.sockets):
            await socket.close(code=code, message=reason.encode())

    def texts(self, kind: str = "message") -> list[str]:
        """What came in frames of that kind, repeats included."""
        return [frame.get("text", "") for frame in self.frames if frame["type"] == kind]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        after = request.query.get("after")
        self.afters.append(after)
        socket = web.WebSocketResponse(autoping=True)
        await socket.prepare(request)
        if self.before_open is not None:
            await self.before_open(socket)
            if socket.closed:
                return socket
        first = int(after.removeprefix("c-")) if after else len(self.kept)
        for message in self.kept[first:]:
            await socket.send_json(message)
        self.sockets.add(socket)
        try:
            async for raw in socket:
                if raw.type is WSMsgType.TEXT:
                    await self._deliver(socket, json.loads(raw.data))
        finally:
            self.sockets.discard(socket)
        return socket

    async def _deliver(self, socket: web.WebSocketResponse, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        if self.on_frame is not None and await self.on_frame(socket, frame):
            return
        if frame["type"] == "message":
            message, new = self.keep(frame["client_id"], frame["text"], "acc-1")
            if new:
                await self.tell(message)
            else:
                await socket.send_json({**message, "again": True})


async def gone(socket: web.WebSocketResponse) -> None:
    """Break the connection without a word."""
    transport = socket._req.transport if socket._req is not None else None
    assert transport is not None
    transport.abort()
    await asyncio.sleep(0)
