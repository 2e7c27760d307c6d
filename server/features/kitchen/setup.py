"""Puts the kitchen into the application."""

from server.core.services import Services
from server.features.kitchen import long_polling, sse

routers = (sse.router, long_polling.router)


def setup(services: Services) -> None:
    """No service: the rules are the orders'."""
