"""Health, readiness and metrics, for whoever runs the server."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from server.core.middleware import METRICS

Check = Callable[[], Awaitable[str]]
CHECKS: web.AppKey[dict[str, Check]] = web.AppKey("checks", dict)
"""Each part's state by its name: `ok`, or words."""
DISPENSABLE = {"broker", "blobs", "worker"}
"""Without the first everything is served still, only slower; without blobs all but photos, and no
other server would have them either; without its worker all of it, where another process has one."""


async def healthz(request: web.Request) -> web.Response:
    """200 while the process runs."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """200 where every part that is needed is `ok`, else 503, with each part's state."""
    parts: dict[str, str] = {}
    for name, check in request.app[CHECKS].items():
        try:
            parts[name] = await check()
        except Exception as error:
            parts[name] = str(error) or type(error).__name__
    broken = {name for name, state in parts.items() if state != "ok"}
    status = "not ready" if broken - DISPENSABLE else "degraded" if broken else "ok"
    return web.json_response(
        {"status": status, "parts": parts}, status=503 if broken - DISPENSABLE else 200
    )


async def metrics(request: web.Request) -> web.Response:
    """Prometheus' text format."""
    return web.Response(
        body=request.app[METRICS].text(), content_type="text/plain", charset="utf-8"
    )


def add_health(app: web.Application) -> None:
    """The three routes outside of the API's prefix."""
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
