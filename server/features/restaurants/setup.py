"""Puts restaurants into the application."""

from server.core.database import Database
from server.core.services import Services
from server.features.restaurants import routes
from server.features.restaurants.service import RestaurantService

routers = (routes.router,)


def setup(services: Services) -> None:
    """The service."""
    services.add(RestaurantService(services[Database]))
