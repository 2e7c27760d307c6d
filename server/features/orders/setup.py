"""Puts orders into the application."""

from server.core.database import Database
from server.core.services import Services
from server.features.accounts.service import AccountService
from server.features.orders import long_polling, routes
from server.features.orders.history import OrderHistory
from server.features.orders.service import OrderService
from server.features.restaurants.service import RestaurantService
from server.realtime.log import EventLog
from server.realtime.state_topic import States
from server.settings import Settings

routers = (routes.router, long_polling.router)


def setup(services: Services) -> None:
    """The services; deleted accounts are scrubbed from orders and their events."""
    accounts = services[AccountService]
    orders = services.add(
        OrderService(
            services[Database],
            services[EventLog],
            services[States],
            accounts,
            services[RestaurantService],
            services[Settings].max_orders_per_day,
        )
    )
    services.add(OrderHistory(services[Database], services[EventLog], services[RestaurantService]))
    accounts.on_delete.append(orders.scrub)
    accounts.exports["orders"] = orders.export
