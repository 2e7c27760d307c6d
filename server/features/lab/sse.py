"""A run's events as a stream."""

from aiohttp import web

from server.core.routing import ANY_ROLE, Router
from server.core.services import service
from server.features.lab.service import LabService
from server.features.shared.schemas import Id
from server.transports import sse

router = Router("lab")


@router.route("GET", "/lab/runs/{id}/stream", roles=ANY_ROLE, media=("text/event-stream",))
async def stream_run(
    request: web.Request,
    id: Id,
    after: sse.After = None,
    last_event_id: sse.LastEventId = None,
) -> web.StreamResponse:
    """`lab.event`: each event of the run after the cursor, without one from now."""
    topic = await service(request, LabService).admit(id)
    return await sse.stream(request, topic, last_event_id or after)
