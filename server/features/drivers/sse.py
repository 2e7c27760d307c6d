"""Where a driver is, as a stream: the newest at once, then each change."""

from aiohttp import web

from server.core.routing import CUSTOMER_OR_EMPLOYEE, Router, identity_of
from server.core.services import service
from server.features.drivers.service import DriverService, topic_of_driver
from server.features.shared.schemas import Id
from server.transports import sse

router = Router("drivers")


@router.route(
    "GET",
    "/drivers/{id}/location/stream",
    roles=CUSTOMER_OR_EMPLOYEE,
    media=("text/event-stream",),
)
async def stream_location(
    request: web.Request,
    id: Id,
    after: sse.After = None,
    last_event_id: sse.LastEventId = None,
) -> web.StreamResponse:
    """`location`: where the driver is, at once and after each move; a slow reader gets the newest.

    A customer may watch while the driver delivers an order of theirs. After that, `end`
    `{"order_id", "status"}` says what became of the order, and the stream ends.
    """
    permission = await service(request, DriverService).admit(identity_of(request), id)
    return await sse.stream(
        request,
        topic_of_driver(id),
        last_event_id or after,
        until=permission.ended if permission else None,
        allowed=permission.is_valid if permission else None,
    )
