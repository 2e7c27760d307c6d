"""A chat room over a plain WebSocket, as a client sees it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from support.rest import Rest
from support.waiting import PATIENCE


class Closed(Exception):
    """The server closed the WebSocket."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code}: {reason}")
        self.code = code
        self.reason: Any = json.loads(reason) if reason else {}


class Room:
    """An open WebSocket: frames out, frames in."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def say(self, text: str, client_id: str = "") -> None:
        """Send a message."""
        await self.send(type="message", client_id=client_id or text[:64], text=text)

    async def send(self, **frame: Any) -> None:
        """Send a frame."""
        await self.ws.send_str(json.dumps(frame))

    async def next(self, *kinds: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The next frame, or the next of those types. Raises Closed at the end."""
        async with asyncio.timeout(seconds):
            while True:
                message = await self.ws.receive()
                if message.type is aiohttp.WSMsgType.CLOSE:
                    raise Closed(message.data, message.extra or "")
                if message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                    raise Closed(1006, "")
                if message.type is aiohttp.WSMsgType.TEXT:
                    frame: dict[str, Any] = json.loads(message.data)
                    if not kinds or frame["type"] in kinds:
                        return frame

    async def closed(self, seconds: float = PATIENCE) -> Closed:
        """How the server closes it; earlier frames are skipped."""
        try:
            while True:
                await self.next(seconds=seconds)
        except Closed as closed:
            return closed


@asynccontextmanager
async def room(
    rest: Rest, chat_id: str, after: str | None = None, *, settled: bool = True
) -> AsyncIterator[Room]:
    """Enter the room of that chat; `settled`, without a cursor: presence has been received."""
    params = {} if after is None else {"after": after}
    async with rest.http.ws_connect(
        rest.url(f"/chats/{chat_id}/ws"),
        params=params,
        headers=rest.headers,
        autoclose=False,
        autoping=True,
        max_msg_size=0,
    ) as ws:
        found = Room(ws)
        if settled and after is None:
            await found.next("presence")
        yield found


async def open_chat(customer: Rest, subject: str = "Where is it?") -> str:
    """A new chat of that customer; returns its id."""
    answer = await customer.post("/chats", {"subject": subject})
    return str(answer.must(201).json["id"])


async def history(rest: Rest, chat_id: str, limit: int = 200) -> list[dict[str, Any]]:
    """Every message of the chat, oldest first."""
    found: list[dict[str, Any]] = []
    params = {"limit": str(limit)}
    while True:
        page = (await rest.get(f"/chats/{chat_id}/messages", params=params)).must(200).json
        found += page["items"]
        if page["next"] is None:
            return found[::-1]
        params["before"] = page["next"]
