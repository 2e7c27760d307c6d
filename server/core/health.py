"""Health, readiness and metrics, for operators."""

import asyncio
import errno
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from aiohttp import web

from server.core.addresses import address_key
from server.core.lifecycle import Component
from server.core.limits import RequestLimits
from server.core.metrics import Metrics
from server.core.routing import count_anonymous
from server.core.services import service

logger = logging.getLogger(__name__)

Check = Callable[[], Awaitable[str]]
DISPENSABLE = {"broker", "blobs", "worker"}
"""Parts without which the server is still ready. Without a broker everything works, only slower;
without blobs everything but photos, on any server; a worker may run in another process."""
REMEMBERED_SECONDS = 1.0
"""How long an answer is reused: frequent requests cost database and blob store nothing."""
CHECK_SECONDS = 2.0
"""A part that takes longer to answer counts as broken."""
ADMIN_PORTS = 64
"""From the admin port on, a process takes the first of so many ports that is free."""


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
    """200 where every necessary part is `ok`, else 503, with each part's state.

    What is wrong with a part may name paths and addresses, so only the admin listener tells it.
    """
    count_anonymous(request)
    parts = await service(request, Readiness).parts()
    return _readiness(parts, {name: _public(state) for name, state in parts.items()})


def _public(state: str) -> str:
    return "ok" if state == "ok" else "not ok"


def _readiness(parts: Mapping[str, str], shown: Mapping[str, str]) -> web.Response:
    broken = {name for name, state in parts.items() if state != "ok"}
    status = "not ready" if broken - DISPENSABLE else "degraded" if broken else "ok"
    return web.json_response(
        {"status": status, "parts": shown}, status=503 if broken - DISPENSABLE else 200
    )


async def metrics(request: web.Request) -> web.Response:
    """Prometheus' text format."""
    count_anonymous(request)
    return await _exposition(service(request, Metrics))


async def _exposition(metrics: Metrics) -> web.Response:
    return web.Response(text=await metrics.text(), content_type="text/plain", charset="utf-8")


class AdminListener(Component):
    """Answers operators on this machine: `/readyz` with what is wrong with each part of its own
    process, and `/metrics`, the same as on the public port."""

    def __init__(self, first: int | None, readiness: Readiness, metrics: Metrics) -> None:
        """`first` is the port, or the first of several processes' ports; 0 is any free one, None
        is no listener."""
        self.port: int | None = None
        """The port it listens on while it is open."""
        self._first = first
        self._readiness = readiness
        self._metrics = metrics
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Listen on loopback. Without a free port there is an ERROR in the log, and the server runs
        without a listener."""
        if self._first is None:
            return
        app = web.Application()
        app.router.add_get("/metrics", self._get_metrics)
        app.router.add_get("/readyz", self._get_readyz)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        try:
            listener = _first_free(self._first)
        except OSError as error:
            logger.error("no admin listener from port %d on: %s", self._first, error.strerror)
            return
        self.port = listener.getsockname()[1]
        await web.SockSite(self._runner, listener).start()
        logger.info("the admin listener is on 127.0.0.1:%d", self.port)

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _get_metrics(self, request: web.Request) -> web.Response:
        return await _exposition(self._metrics)

    async def _get_readyz(self, request: web.Request) -> web.Response:
        parts = await self._readiness.parts()
        return _readiness(parts, parts)


def _first_free(first: int) -> socket.socket:
    """A loopback listener on the first free port. Raises OSError where there is none."""
    last = min(first + ADMIN_PORTS - 1, 65535) if first else first
    for port in range(first, last + 1):
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == last:
                raise
    raise AssertionError("unreachable")


def add_health(app: web.Application) -> None:
    """Add the three routes outside of the API's prefix."""
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
