"""Health, readiness and metrics, for whoever runs the server."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from server.core.middleware import METRICS

Check = Callable[[], Awaitable[str]]
CHECKS: web.AppKey[dict[str, Check]] = web.AppKey("checks", dict)
"""Each part's state by its name: `ok`, or words."""


async def healthz(request: web.Request) -> web.Response:
    """200 while the process runs."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """200 where every part is `ok`, else 503, with each part's state."""
    parts: dict[str, str] = {}
    for name, check in request.app[CHECKS].items():
        try:
            parts[name] = await check()
        except Exception as error:
            parts[name] = str(error) or type(error).__name__
    ready = all(state == "ok" for state in parts.values())
    return web.json_response(
        {"status": "ok" if ready else "not ready", "parts": parts}, status=200 if ready else 503
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
