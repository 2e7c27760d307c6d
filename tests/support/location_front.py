"""A proxy in front of a real server that records every reported position and can refuse them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from server.features.drivers.schemas import DriverPosition, Point
from tui.common.client.api import Api


@dataclass(frozen=True)
class Sent:
    """A position and the status it got; `at` is the `time.monotonic()` for which a client in this
    process reported it, or else when it arrived here."""

    at: float
    driver_id: str
    position: DriverPosition
    status: int

    @property
    def point(self) -> Point:
        return Point(lat=self.position.lat, lng=self.position.lng)


@dataclass
class Front:
    """`refuse` is the status for positions, `refuse_ways` the one for routes, in place of the
    server's; 0 means no answer."""

    url: str = ""
    sent: list[Sent] = field(default_factory=list)
    refuse: int | None = None
    refuse_ways: int | None = None
    retry_after: str | None = None
    ways: int = 0

    @property
    def taken(self) -> list[Sent]:
        """The locations that the server has accepted."""
        return [one for one in self.sent if one.status == 204]

    async def answer(self, status: int, request: web.Request) -> web.Response:
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        return web.json_response({"detail": "not now"}, status=status or 500, headers=headers)


@asynccontextmanager
async def front_of(url: str) -> AsyncIterator[Front]:
    """Pass everything on to the server there, except what is refused."""
    front = Front()
    said_at: dict[tuple[float, float], float] = {}
    put_location = Api.put_location

    async def say(api: Api, driver_id: str, position: DriverPosition) -> None:
        said_at[position.lat, position.lng] = time.monotonic()
        await put_location(api, driver_id, position)

    async def handle(request: web.Request) -> web.StreamResponse:
        came_at = time.monotonic()
        body = await request.read()
        if request.method == "PUT" and request.path.endswith("/location"):
            status = front.refuse
        else:
            front.ways += request.path.endswith("/map/route")
            status = front.refuse_ways if request.path.endswith("/map/route") else None
        if status is not None:
            answer = await front.answer(status, request)
        else:
            headers = {
                name: value for name, value in request.headers.items() if name.lower() != "host"
            }
            try:
                async with http.request(
                    request.method, url + request.path_qs, data=body, headers=headers
                ) as reply:
                    if reply.content_type == "text/event-stream":
                        return await pass_on(request, reply)
                    answer = web.Response(
                        body=await reply.read(),
                        status=reply.status,
                        content_type=reply.content_type,
                    )
            except aiohttp.ClientError:
                answer = await front.answer(502, request)
        if request.method == "PUT":
            position = DriverPosition.model_validate_json(body)
            driver_id = request.path.split("/")[-2]
            at = said_at.get((position.lat, position.lng), came_at)
            front.sent.append(Sent(at, driver_id, position, status or answer.status))
        return answer

    async def pass_on(request: web.Request, reply: aiohttp.ClientResponse) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        async for chunk in reply.content.iter_any():
            await answer.write(chunk)
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout()) as http:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        front.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Api, "put_location", say)
                yield front
        finally:
            await runner.cleanup()
