"""An order's status by long polling: the client's last known status is its cursor."""

from aiohttp import web

from server.core.routing import ANY_ROLE, Answer, Router, identity_of, service
from server.features.orders.schemas import OrderStatus, TrackedStatus
from server.features.orders.service import OrderService, tracked_in
from server.features.shared.schemas import Id
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.settings import Settings
from server.transports import long_polling

router = Router("orders")


@router.route("GET", "/orders/{id}/status", roles=ANY_ROLE, empty=(204,))
async def follow_status(
    request: web.Request,
    id: Id,
    last_status: OrderStatus | None = None,
    timeout: long_polling.Seconds = 60,
) -> Answer[TrackedStatus]:
    """Held until the order is no longer at `last_status`; 204 after `timeout` seconds."""
    orders = service(request, OrderService)
    identity = identity_of(request)
    topic = await orders.topic_for(identity, id)

    def news(now: TrackedStatus) -> TrackedStatus | None:
        return now if now.terminal or now.status is not last_status else None

    async def look() -> TrackedStatus | None:
        return news(await orders.tracked(identity, id))

    def changed(event: Event) -> TrackedStatus | None:
        return news(tracked_in(event))

    held = await long_polling.hold(
        request,
        service(request, Hub),
        topic,
        id,
        timeout=min(timeout, service(request, Settings).long_poll_seconds),
        look=look,
        changed=changed,
    )
    return held.answer
