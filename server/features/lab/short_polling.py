"""A run's newest event, by short polling."""

from aiohttp import web

from server.core.routing import ANY_ROLE, Answer, Router
from server.core.services import service
from server.features.lab.schemas import Latest
from server.features.lab.service import LabService
from server.features.shared.schemas import Id
from server.transports.short_polling import progress

router = Router("lab")

POLL_SECONDS = 1


@router.route("GET", "/lab/runs/{id}/latest", roles=ANY_ROLE)
async def get_latest(request: web.Request, id: Id) -> Answer[Latest]:
    """The run's newest event, at once: a state, so events between two requests are not seen."""
    latest = await service(request, LabService).latest(id)
    return progress(latest, POLL_SECONDS if latest.state.active else 0)
