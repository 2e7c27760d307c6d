"""Puts restaurants into the application."""

from aiohttp import web

from server.core.database import Database
from server.core.routing import SERVICES
from server.features.restaurants.routes import router
from server.features.restaurants.service import RestaurantService


def setup(app: web.Application, database: Database) -> RestaurantService:
    """Routes and service."""
    restaurants = RestaurantService(database)
    app[SERVICES][RestaurantService] = restaurants
    router.add_to(app)
    return restaurants
