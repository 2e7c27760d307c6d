"""A run's events over WebSocket."""

from functools import partial

from aiohttp import web

from server.core.auth import Identity
from server.core.routing import ANY_ROLE, Router
from server.core.services import service
from server.features.lab.service import LabService
from server.features.shared.schemas import Id
from server.realtime.hub import Hub
from server.realtime.topic import Subscription
from server.transports import websocket
from server.transports.connections import End
from server.transports.outbox import Outbox, OutboxSink, error, frames_of
from server.transports.sse import After

router = Router("lab")


class Listener:
    """A connection that gets a run's events, and is not meant to send anything."""

    __slots__ = ("_outbox", "_subscription")

    def __init__(self, outbox: Outbox, subscription: Subscription) -> None:
        self._outbox = outbox
        self._subscription = subscription

    @classmethod
    async def begin(
        cls, hub: Hub, topic: str, after: str | None, outbox: Outbox, identity: Identity
    ) -> "Listener":
        """Subscribe. Raises Problem 503."""
        reset = partial(outbox.end, End.RESET)
        sink = OutboxSink(outbox, partial(frames_of, hub.log), reset)
        return cls(outbox, await hub.subscribe(topic, after, sink))

    async def receive(self, text: str) -> None:
        """Refuse it."""
        self._outbox.send(error("unknown_type", "Send nothing: this connection brings a run."))

    def close(self) -> None:
        """Get no more."""
        self._subscription.close()


@router.route(
    "GET",
    "/lab/runs/{id}/ws",
    roles=ANY_ROLE,
    status=101,
    problems=(400, 426),
    refuse=websocket.refuse,
)
async def open_socket(request: web.Request, id: Id, after: After = None) -> web.StreamResponse:
    """The run's events after the cursor, without one from now: frames `{type, cursor, seq,
    monotonic, wall, padding}` of the type `lab.event`. Closed with 1000 `reset` where the cursor
    cannot be honoured. The same run is open to Socket.IO at `/socket.io/`, by the event `lab`
    `{run, after?}`."""
    topic = await service(request, LabService).admit(id)
    hub = service(request, Hub)
    return await websocket.serve(request, partial(Listener.begin, hub, topic, after))
