"""A fan-out as often written: a queue and a `json.dumps` for each client."""

import asyncio
import json
import sys
from typing import Any

import uvloop
from aiohttp import web
from aiohttp_sse import sse_response

CLIENTS: set[asyncio.Queue[dict[str, Any]]] = set()


async def stream(request: web.Request) -> web.StreamResponse:
    """Stream every event posted from now on."""
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    CLIENTS.add(queue)
    try:
        async with sse_response(request) as response:
            while True:
                event = await queue.get()
                await response.send(
                    json.dumps(event["data"]), event=event["type"], id=str(event["seq"])
                )
    finally:
        CLIENTS.discard(queue)


async def publish(request: web.Request) -> web.Response:
    """Send an event to every client."""
    event = await request.json()
    for queue in CLIENTS:
        queue.put_nowait(event)
    return web.Response(status=204)


async def ready(request: web.Request) -> web.Response:
    """The number of clients."""
    return web.json_response(len(CLIENTS))


async def serve(port: int) -> None:
    """Serve until killed."""
    app = web.Application()
    app.add_routes(
        [
            web.get("/api/v1/stream", stream),
            web.post("/api/v1/events", publish),
            web.get("/readyz", ready),
        ]
    )
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[sys.argv.index("--port") + 1])))
