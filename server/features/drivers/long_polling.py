"""Where a driver is, by long polling: the `seq` of the last known location is the cursor."""

from typing import Annotated

from aiohttp import web
from pydantic import Field

from server.core.errors import not_found
from server.core.routing import CUSTOMER_OR_EMPLOYEE, Answer, Router, identity_of
from server.core.services import service
from server.features.drivers.schemas import DriverLocation
from server.features.drivers.service import DriverService, polled_in, topic_of_driver
from server.features.shared.schemas import Id
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.settings import Settings
from server.transports import long_polling

router = Router("drivers")

Seq = Annotated[int, Field(ge=0, lt=2**63)]


@router.route("GET", "/drivers/{id}/location", roles=CUSTOMER_OR_EMPLOYEE, empty=(204,))
async def follow_location(
    request: web.Request,
    id: Id,
    after: Seq | None = None,
    timeout: long_polling.Seconds = 60,
) -> Answer[DriverLocation]:
    """Held until the driver's location differs from that of `after`; 204 after `timeout` seconds.

    A customer may ask while the driver delivers an order of theirs; a held request ends with 404
    when the delivery is over.
    """
    drivers = service(request, DriverService)
    identity = identity_of(request)
    permission = await drivers.admit(identity, id)

    def if_new(location: DriverLocation | None) -> DriverLocation | None:
        return location if location is not None and location.seq != after else None

    async def fetch() -> DriverLocation | None:
        return if_new(await drivers.newest(identity, id))

    def from_event(event: Event) -> DriverLocation | None:
        # A customer's permission may have ended by now; `fetch` checks it. It also looks where the
        # event is an older one, which comes late from another process.
        late = after is not None and event.seq <= after
        return polled_in(event) if permission is None and not late else None

    result = await long_polling.hold(
        request,
        service(request, Hub),
        topic_of_driver(id),
        "",
        timeout=min(timeout, service(request, Settings).long_poll_seconds),
        fetch=fetch,
        from_event=from_event,
        until=permission.ended if permission else None,
    )
    if result.over is not None:
        raise not_found("driver")
    return result.answer
