"""Puts orders into the application."""

from aiohttp import web

from server.core.database import Database
from server.core.routing import SERVICES
from server.features.accounts.service import AccountService
from server.features.orders import long_polling, routes
from server.features.orders.service import OrderService
from server.features.restaurants.service import RestaurantService
from server.realtime.log import EventLog
from server.realtime.states import States


def setup(
    app: web.Application,
    database: Database,
    log: EventLog,
    states: States,
    accounts: AccountService,
    restaurants: RestaurantService,
    most_a_day: int,
) -> OrderService:
    """Routes, the long poll, service; deleted accounts are scrubbed from orders and events."""
    orders = OrderService(database, log, states, accounts, restaurants, most_a_day)
    accounts.on_delete.append(orders.scrub)
    app[SERVICES][OrderService] = orders
    routes.router.add_to(app)
    long_polling.router.add_to(app)
    return orders
