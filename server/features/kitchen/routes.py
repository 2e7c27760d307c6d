"""The kitchen's REST: its drivers and what each carries."""

from aiohttp import web

from server.core import pages
from server.core.routing import EMPLOYEE, Before, Limit, Router, identity_of, service
from server.features.orders.service import OrderService
from server.features.restaurants.schemas import DriverPage

router = Router("kitchen")


@router.route("GET", "/drivers", roles=EMPLOYEE)
async def list_drivers(
    request: web.Request, before: Before = None, limit: Limit = 50
) -> DriverPage:
    """The restaurant's drivers, by name, with the open orders each carries."""
    drivers = await service(request, OrderService).drivers(identity_of(request))
    items, following = pages.cut(drivers, before, limit, lambda one: (one.name, one.id))
    return DriverPage(items=items, next=following)
