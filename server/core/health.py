"""Health, readiness and metrics, for operators."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from aiohttp import web

from server.core.addresses import address_key
from server.core.limits import RequestLimits
from server.core.metrics import Metrics
from server.core.routing import count_anonymous
from server.core.services import service

Check = Callable[[], Awaitable[str]]
DISPENSABLE = {"broker", "blobs", "worker"}
"""Parts without which the server is still ready. Without a broker everything works, only slower;
without blobs everything but photos, on any server; a worker may run in another process."""
REMEMBERED_SECONDS = 1.0
"""How long an answer is reused: frequent requests cost database and blob store nothing."""
CHECK_SECONDS = 2.0
"""A part that takes longer to answer counts as broken."""


class Readiness:
    """The state of every part; simultaneous requests share one round of checks."""

    def __init__(self, checks: Mapping[str, Check] = MappingProxyType({})) -> None:
        self.checks = dict(checks)
        """Each part's check by its name; returns `ok`, or what is wrong."""
        self._round: asyncio.Task[dict[str, str]] | None = None
        self._until = 0.0

    async def parts(self) -> dict[str, str]:
        """Each part's state by its name, at most REMEMBERED_SECONDS old."""
        if self._round is None or (self._round.done() and time.monotonic() >= self._until):
            self._round = asyncio.create_task(self._ask(), name="readiness")
        return await asyncio.shield(self._round)

    async def _ask(self) -> dict[str, str]:
        states = await asyncio.gather(*(_state(check) for check in self.checks.values()))
        self._until = time.monotonic() + REMEMBERED_SECONDS
        return dict(zip(self.checks, states, strict=True))


async def _state(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check()
    except asyncio.CancelledError:
        # What the part waited for was cancelled; the round itself never is.
        return "cancelled"
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"
    except Exception as error:
        return str(error) or type(error).__name__


async def healthz(request: web.Request) -> web.Response:
    """200 while the process runs."""
    service(request, RequestLimits).addresses.consume(address_key(request))
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """200 where every necessary part is `ok`, else 503, with each part's state."""
    count_anonymous(request)
    parts = await service(request, Readiness).parts()
    broken = {name for name, state in parts.items() if state != "ok"}
    status = "not ready" if broken - DISPENSABLE else "degraded" if broken else "ok"
    return web.json_response(
        {"status": status, "parts": parts}, status=503 if broken - DISPENSABLE else 200
    )


async def metrics(request: web.Request) -> web.Response:
    """Prometheus' text format."""
    count_anonymous(request)
    return web.Response(
        text=await service(request, Metrics).text(), content_type="text/plain", charset="utf-8"
    )


def add_health(app: web.Application) -> None:
    """Add the three routes outside of the API's prefix."""
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
