"""A restaurant's orders as a stream: the events its orders were appended as."""

from aiohttp import web

from server.core.routing import EMPLOYEE, Router, identity_of
from server.features.orders.service import topic_of
from server.features.restaurants.service import own_restaurant
from server.features.shared.schemas import Id
from server.transports import sse

router = Router("kitchen")


@router.route(
    "GET",
    "/restaurants/{id}/orders/stream",
    roles=EMPLOYEE,
    media=("text/event-stream",),
)
async def stream_orders(
    request: web.Request,
    id: Id,
    after: sse.After = None,
    last_event_id: sse.LastEventId = None,
) -> web.StreamResponse:
    """The restaurant's orders as they are placed and changed.

    `order.placed`, `order.updated`, `order.cancelled`, `driver.assigned`, each with the order;
    `restaurant.updated` with the restaurant's terms, such as a pause. Goes on after
    `Last-Event-ID`, else after `after`, else from now. `reset`: read `GET /orders` again and
    subscribe with its cursor.
    """
    own_restaurant(identity_of(request), id)
    return await sse.stream(request, topic_of(id), last_event_id or after)
