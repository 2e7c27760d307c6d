"""The lab's runs over REST."""

from aiohttp import web

from server.core.routing import ANY_ROLE, Answer, Router
from server.core.services import service
from server.features.lab.schemas import Costs, LabEvent, NewRun, Run
from server.features.lab.service import LabService
from server.features.shared.schemas import Id
from server.transports.connections import Connections

router = Router("lab")


@router.route("POST", "/lab/runs", roles=ANY_ROLE, status=201, problems=(409,))
async def start_run(request: web.Request, source: NewRun) -> Answer[Run]:
    """Start a run: for so many seconds, events are appended to a log of its own, which every
    pattern reads. A run that is `held` waits to be begun. 409 while another one is under way; 422
    beyond the server's limits."""
    run = await service(request, LabService).start(source)
    return Answer(run, headers={"Location": f"{request.path}/{run.id}"})


@router.route("POST", "/lab/runs/{id}/begin", roles=ANY_ROLE, problems=(409,))
async def begin_run(request: web.Request, id: Id) -> Run:
    """Begin a run that was `held`; 409 unless it waits for that."""
    return await service(request, LabService).begin(id)


@router.route("POST", "/lab/runs/{id}/events", roles=ANY_ROLE, status=201, problems=(409,))
async def step_run(request: web.Request, id: Id) -> LabEvent:
    """Append one event now, beside those of the schedule; 409 unless the run is running."""
    return await service(request, LabService).step(id)


@router.route("GET", "/lab/runs/{id}", roles=ANY_ROLE)
async def get_run(request: web.Request, id: Id) -> Run:
    """A run as it stands; only the newest one is known. `clock` says what time it is there."""
    return await service(request, LabService).run(id)


@router.route("DELETE", "/lab/runs/{id}", roles=ANY_ROLE)
async def stop_run(request: web.Request, id: Id) -> None:
    """Append no more; its events can still be read."""
    await service(request, LabService).stop(id)


@router.route("GET", "/lab/runs/{id}/costs", roles=ANY_ROLE)
async def get_costs(request: web.Request, id: Id) -> Costs:
    """What the process that answers has used so far: of two answers the difference counts. It is
    that of one pattern where a process serves nothing else."""
    held = service(request, Connections).held
    return await service(request, LabService).costs(id, held)
