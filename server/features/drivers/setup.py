"""Puts drivers into the application."""

from pathlib import Path

from aiohttp import web

from server.core.database import Database
from server.core.routing import SERVICES
from server.features.drivers import long_polling, routes, sse
from server.features.drivers.eta import EtaUpdater
from server.features.drivers.service import DriverService
from server.features.orders.service import OrderService
from server.features.restaurants.service import RestaurantService
from server.geo.route_finder import RouteFinder
from server.geo.town_map import TownMap
from server.realtime.hub import Hub
from server.settings import Settings, SettingsError


def setup(
    app: web.Application,
    settings: Settings,
    database: Database,
    hub: Hub,
    orders: OrderService,
    restaurants: RestaurantService,
    map_path: Path | None,
) -> DriverService:
    """Adds the routes, the stream, the long poll and the map; gives the service, which has to be
    closed before the database.

    Raises SettingsError where the file is not a map.
    """
    town_map = None
    if map_path is not None:
        try:
            town_map = app[routes.TOWN_MAP] = TownMap.read(map_path)
        except ValueError as error:
            raise SettingsError(f"TIFFIN_MAP: {error}") from None
    route_finder = RouteFinder(town_map.streets if town_map else None)
    etas = EtaUpdater(orders, route_finder)
    app[SERVICES][RouteFinder] = route_finder
    drivers = DriverService(database, hub, orders, restaurants, etas, settings.rate_per_minute)
    app[SERVICES][DriverService] = drivers
    for door in (routes, sse, long_polling):
        door.router.add_to(app)
    return drivers
