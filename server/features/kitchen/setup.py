"""Puts the kitchen into the application."""

from aiohttp import web

from server.features.kitchen import long_polling, sse


def setup(app: web.Application) -> None:
    """Its stream, and the same by long polling; the rules are the orders'."""
    sse.router.add_to(app)
    long_polling.router.add_to(app)
