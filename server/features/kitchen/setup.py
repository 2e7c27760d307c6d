"""Puts the kitchen into the application."""

from aiohttp import web

from server.features.kitchen import routes, sse


def setup(app: web.Application) -> None:
    """Its routes and its stream; the rules are the orders'."""
    routes.router.add_to(app)
    sse.router.add_to(app)
