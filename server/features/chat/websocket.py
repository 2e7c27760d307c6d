"""A room over WebSocket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from pydantic import ValidationError

from server.core.auth import Identity
from server.core.errors import Problem
from server.core.routing import ANY_ROLE, Router, identity_of
from server.core.services import service
from server.features.chat import frames
from server.features.chat.frame_schemas import read_client_frame
from server.features.chat.rooms import Rooms
from server.features.shared.schemas import Id
from server.transports import websocket
from server.transports.connections import End
from server.transports.outbox import Outbox, client_id_in
from server.transports.sse import After
from server.transports.websocket import Receive

router = Router("chat")


@router.route(
    "GET",
    "/chats/{id}/ws",
    roles=ANY_ROLE,
    status=101,
    problems=(400, 426),
    refuse=websocket.refuse,
    cost=5,
)
async def converse(request: web.Request, id: Id, after: After = None) -> web.StreamResponse:
    """The chat's room over WebSocket, for its customer and for employees.

    JSON text frames. A client sends `message` `{client_id, text}`, `typing`, `read` `{cursor}`;
    the server `message`, `taken`, `closed`, `reopened` (each with its `cursor`), `typing`, `read`,
    `presence`, `reset` and `error` `{code, detail, client_id?, retry_after_ms?}`. Goes on after the
    cursor `after`, else from now. A refused handshake is accepted and closed with the code 4000 and
    the status, such as 4401 and 4404, or 1013 to try again later. The same room is open to
    Socket.IO at `/socket.io/`.
    """
    rooms = service(request, Rooms)
    await rooms.chats.admit(identity_of(request), id)

    @asynccontextmanager
    async def attend(outbox: Outbox, identity: Identity) -> AsyncIterator[Receive]:
        def reset() -> None:
            outbox.end(End.RESET)

        async with rooms.enter(identity, id, after, outbox, reset) as participant:

            async def receive(text: str) -> None:
                try:
                    participant.count(len(text.encode()))
                    await participant.handle(read_client_frame(text))
                except ValidationError as error:
                    outbox.send(frames.unreadable(error, client_id_in(text)))
                except Problem as problem:
                    outbox.send(frames.refused(problem, id, client_id_in(text)))

            yield receive

    return await websocket.serve(request, attend)
