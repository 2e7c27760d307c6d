"""Puts the kitchen into the application."""

from server.core.database import Database
from server.core.services import Services
from server.features.kitchen import long_polling, routes, sse
from server.features.kitchen.service import KitchenService
from server.features.restaurants.service import RestaurantService

routers = (routes.router, sse.router, long_polling.router)


def setup(services: Services) -> None:
    """The summary; the rules of the rest are the orders'."""
    services.add(KitchenService(services[Database], services[RestaurantService]))
