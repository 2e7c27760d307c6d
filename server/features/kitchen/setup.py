"""Puts the kitchen into the application."""

from aiohttp import web

from server.features.kitchen import sse


def setup(app: web.Application) -> None:
    """Its stream; the rules are the orders'."""
    sse.router.add_to(app)
