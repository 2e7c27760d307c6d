"""Streams, polls, rooms and an order in plain aiohttp on uvloop, written by hand for speed."""

import asyncio
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import uvloop
from aiohttp import WSMsgType, web

ORDER = json.loads(Path(__file__).with_name("order.json").read_text())


@dataclass
class Channel:
    """Who listens to a channel, and its last event."""

    streams: set[asyncio.Transport] = field(default_factory=set)
    polls: set[asyncio.Future[bytes]] = field(default_factory=set)
    events: int = 0
    last: bytes = b"null"

    def answer(self) -> bytes:
        """What a poll gets."""
        return b'{"cursor":%d,"events":[%b]}' % (self.events, self.last)


CHANNELS: dict[str, Channel] = defaultdict(Channel)
ROOMS: dict[str, set[asyncio.Transport]] = defaultdict(set)


def write(transport: asyncio.Transport, data: bytes) -> None:
    """Send, but not to a reader that has long not read."""
    if transport.get_write_buffer_size() < 256 * 1024:
        transport.write(data)


def transport_of(request: web.Request) -> asyncio.Transport:
    """The request's connection."""
    assert request.transport is not None
    return request.transport


async def publish(request: web.Request) -> web.Response:
    """Send an event to a channel."""
    channel = CHANNELS[request.match_info["channel"]]
    channel.events += 1
    channel.last = json.dumps(json.loads(await request.read())).encode()
    event = b"data: %b\n\n" % channel.last
    chunk = b"%x\r\n%b\r\n" % (len(event), event)
    for transport in channel.streams:
        write(transport, chunk)
    answer, polls = channel.answer(), channel.polls
    channel.polls = set()
    for poll in polls:
        if not poll.done():
            poll.set_result(answer)
    return web.json_response({"ok": True}, status=202)


async def stream(request: web.Request) -> web.StreamResponse:
    """A channel's events."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    streams, transport = CHANNELS[request.match_info["channel"]].streams, transport_of(request)
    streams.add(transport)
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        streams.discard(transport)
    return response


async def poll(request: web.Request) -> web.Response:
    """A channel's last event, once there are more than `since`."""
    channel = CHANNELS[request.match_info["channel"]]
    if channel.events > int(request.query["since"]):
        return web.Response(body=channel.answer(), content_type="application/json")
    woken: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    channel.polls.add(woken)
    try:
        async with asyncio.timeout(25):
            return web.Response(body=await woken, content_type="application/json")
    except TimeoutError:
        return web.Response(status=204)
    finally:
        channel.polls.discard(woken)


async def room(request: web.Request) -> web.WebSocketResponse:
    """A room, where everybody gets what the others say."""
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    own, members = transport_of(request), ROOMS[request.match_info["room"]]
    members.add(own)
    try:
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                text = json.dumps(json.loads(message.data)).encode()
                size = len(text)
                head = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
                for member in members - {own}:
                    write(member, b"\x81" + head + text)
    finally:
        members.discard(own)
    return socket


async def order(request: web.Request) -> web.Response:
    """An order."""
    return web.json_response({**ORDER, "id": int(request.match_info["id"])})


async def health(request: web.Request) -> web.Response:
    """The server runs."""
    return web.Response()


async def serve(port: int) -> None:
    """Serve until killed."""
    app = web.Application()
    app.add_routes(
        [
            web.post("/pub/{channel}", publish),
            web.get("/sse/{channel}", stream),
            web.get("/poll/{channel}", poll),
            web.get("/ws/{room}", room),
            web.get("/orders/{id}", order),
            web.get("/healthz", health),
        ]
    )
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
