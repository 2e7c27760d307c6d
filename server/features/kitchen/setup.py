"""Puts the kitchen into the application."""

from server.core.database import Database
from server.core.services import Services
from server.features.kitchen import long_polling, routes, sse
from server.features.kitchen.service import KitchenService
from server.features.restaurants.service import RestaurantService
from server.realtime.log import EventLog

routers = (routes.router, sse.router, long_polling.router)


def setup(services: Services) -> None:
    """The summary, and news of a restaurant's terms; the rules of the rest are the orders'."""
    restaurants = services[RestaurantService]
    kitchen = services.add(KitchenService(services[Database], services[EventLog], restaurants))
    restaurants.on_change.append(kitchen.tell)
