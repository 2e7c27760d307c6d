"""A run's events by long polling."""

from aiohttp import web

from server.core.routing import ANY_ROLE, Router
from server.core.services import service
from server.features.lab.service import LabService
from server.features.shared.schemas import EventPage, Id
from server.transports import long_polling, sse
from server.transports.long_polling import Source

router = Router("lab")


@router.route("GET", "/lab/runs/{id}/events", roles=ANY_ROLE, empty=(204,), problems=(410,))
async def poll_run(
    request: web.Request,
    id: Id,
    after: sse.After = None,
    timeout: long_polling.Seconds = 60,
) -> EventPage | web.StreamResponse:
    """The run's events after the cursor `after`: at once if there are any, else held until there
    is one; 204 after `timeout` seconds."""
    topic = await service(request, LabService).admit(id)
    return await long_polling.read(request, [Source(topic)], after, timeout)
