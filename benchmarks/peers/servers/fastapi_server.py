"""Streams, polls, rooms and an order in FastAPI, as its documentation writes them."""

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Response, WebSocket, WebSocketDisconnect
from sse_starlette import EventSourceResponse

ORDER = json.loads(Path(__file__).with_name("order.json").read_text())

Event = dict[str, Any]
app = FastAPI()


class Channel:
    """Who listens to a channel, and its last event."""

    def __init__(self) -> None:
        self.streams: set[asyncio.Queue[Event]] = set()
        self.changed = asyncio.Event()
        self.events = 0
        self.last: Event = {}


CHANNELS: dict[str, Channel] = defaultdict(Channel)
ROOMS: dict[str, set[WebSocket]] = defaultdict(set)


@app.post("/pub/{name}", status_code=202)
async def publish(name: str, event: Event) -> dict[str, bool]:
    """Send an event to a channel."""
    channel = CHANNELS[name]
    channel.events += 1
    channel.last = event
    for queue in channel.streams:
        queue.put_nowait(event)
    channel.changed.set()
    channel.changed = asyncio.Event()
    return {"ok": True}


@app.get("/sse/{name}")
async def stream(name: str) -> EventSourceResponse:
    """A channel's events."""

    async def events() -> AsyncIterator[dict[str, str]]:
        queue: asyncio.Queue[Event] = asyncio.Queue()
        CHANNELS[name].streams.add(queue)
        try:
            while True:
                yield {"data": json.dumps(await queue.get())}
        finally:
            CHANNELS[name].streams.discard(queue)

    return EventSourceResponse(events())


@app.get("/poll/{name}", response_model=None)
async def poll(name: str, since: int) -> Response | dict[str, Any]:
    """A channel's last event, once there are more than `since`."""
    channel = CHANNELS[name]
    if channel.events <= since:
        try:
            async with asyncio.timeout(25):
                await channel.changed.wait()
        except TimeoutError:
            return Response(status_code=204)
    return {"cursor": channel.events, "events": [channel.last]}


@app.websocket("/ws/{name}")
async def room(socket: WebSocket, name: str) -> None:
    """A room, where everybody gets what the others say."""
    await socket.accept()
    members = ROOMS[name]
    members.add(socket)
    try:
        while True:
            message = await socket.receive_json()
            for member in members - {socket}:
                await member.send_json(message)
    except WebSocketDisconnect:
        pass
    finally:
        members.discard(socket)


@app.get("/orders/{number}")
async def order(number: int) -> dict[str, Any]:
    """An order."""
    return {**ORDER, "id": number}


@app.get("/healthz")
async def health() -> str:
    """The server runs."""
    return "ok"


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="error",
        access_log=False,
        backlog=4096,
        loop="uvloop",
        http="httptools",
        timeout_graceful_shutdown=1,
    )
