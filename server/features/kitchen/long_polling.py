"""A restaurant's orders by long polling, for kitchens that get no stream."""

from aiohttp import web

from server.core.routing import EMPLOYEE, Router, identity_of
from server.features.orders.service import topic_of
from server.features.restaurants.service import own_restaurant
from server.features.shared.schemas import EventPage, Id
from server.transports import long_polling, sse
from server.transports.long_polling import Source

router = Router("kitchen")


@router.route(
    "GET", "/restaurants/{id}/orders/events", roles=EMPLOYEE, empty=(204,), problems=(410,)
)
async def poll_orders(
    request: web.Request, id: Id, after: sse.After = None, timeout: long_polling.Seconds = 60
) -> EventPage | web.StreamResponse:
    """The events of `GET /restaurants/{id}/orders/stream`, by long polling.

    At once what came after the cursor `after`, else held until something comes; 204 after
    `timeout` seconds. Without `after` the answer comes at once: no events, and the cursor of now.
    410 (`type` `urn:tiffin:problem:reset`): read `GET /orders` again and go on with its cursor.
    """
    own_restaurant(identity_of(request), id)
    return await long_polling.read(request, [Source(topic_of(id))], after, timeout)
