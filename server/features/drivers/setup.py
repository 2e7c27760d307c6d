"""Puts drivers into the application."""

from server.core.database import Database
from server.core.services import Services
from server.features.drivers import long_polling, routes, sse
from server.features.drivers.eta import EtaUpdater
from server.features.drivers.service import DriverService
from server.features.orders.service import OrderService
from server.features.restaurants.service import RestaurantService
from server.geo.route_finder import RouteFinder
from server.geo.town_map import TownMap
from server.realtime.hub import Hub
from server.settings import Settings, SettingsError

routers = (routes.router, sse.router, long_polling.router)


def setup(services: Services) -> None:
    """The service, and the map. Raises SettingsError where the map's file is not a map."""
    settings = services[Settings]
    orders, restaurants = services[OrderService], services[RestaurantService]
    town_map = None
    if (path := settings.map_path) is not None:
        try:
            town_map = services.add(TownMap.read(path))
        except ValueError as error:
            raise SettingsError(f"TIFFIN_MAP: {error}") from None
    route_finder = services.add(RouteFinder(town_map.streets if town_map else None))
    etas = EtaUpdater(orders, route_finder)
    services.add(
        DriverService(
            services[Database], services[Hub], orders, restaurants, etas, settings.rate_per_minute
        )
    )
