"""A room over WebSocket."""

from functools import partial

from aiohttp import web
from pydantic import ValidationError

from server.core.auth import Identity
from server.core.errors import Problem
from server.core.routing import CUSTOMER_OR_SUPPORT, Router, identity_of
from server.core.services import service
from server.features.chat import frames
from server.features.chat.frame_schemas import read_client_frame
from server.features.chat.rooms import Participant, Rooms
from server.features.shared.schemas import Id
from server.transports import websocket
from server.transports.connections import End
from server.transports.outbox import Outbox, client_id_in
from server.transports.sse import After

router = Router("chat")


class Conversation:
    """A room's participant, whose client sends JSON text frames."""

    __slots__ = ("_chat_id", "_outbox", "_participant")

    def __init__(self, participant: Participant, chat_id: str, outbox: Outbox) -> None:
        self._participant = participant
        self._chat_id = chat_id
        self._outbox = outbox

    @classmethod
    async def begin(
        cls, rooms: Rooms, chat_id: str, after: str | None, outbox: Outbox, identity: Identity
    ) -> "Conversation":
        """Enter the room. Raises Problem 404, 503."""
        reset = partial(outbox.end, End.RESET)
        participant = await rooms.enter(identity, chat_id, after, outbox, reset)
        return cls(participant, chat_id, outbox)

    async def receive(self, text: str) -> None:
        """Act on a frame, or answer why not."""
        try:
            self._participant.count(len(text.encode()))
            await self._participant.handle(read_client_frame(text))
        except ValidationError as error:
            self._outbox.send(frames.unreadable(error, client_id_in(text)))
        except Problem as problem:
            self._outbox.send(frames.refused(problem, self._chat_id, client_id_in(text)))

    def close(self) -> None:
        """Leave the room."""
        self._participant.close()


@router.route(
    "GET",
    "/chats/{id}/ws",
    roles=CUSTOMER_OR_SUPPORT,
    status=101,
    problems=(400, 426),
    refuse=websocket.refuse,
    cost=5,
)
async def converse(request: web.Request, id: Id, after: After = None) -> web.StreamResponse:
    """The chat's room over WebSocket, for its customer and for support.

    JSON text frames. A client sends `message` `{client_id, text}`, `typing`, `read` `{cursor}`;
    the server `message`, `taken`, `closed`, `reopened` (each with its `cursor`), `typing`, `read`,
    `presence`, `reset` and `error` `{code, detail, client_id?, retry_after_ms?}`. Goes on after the
    cursor `after`, else from now. A refused handshake is accepted and closed with the code 4000 and
    the status, such as 4401 and 4404, or 1013 to try again later. The same room is open to
    Socket.IO at `/socket.io/`.
    """
    rooms = service(request, Rooms)
    await rooms.chats.admit(identity_of(request), id)

    return await websocket.serve(request, partial(Conversation.begin, rooms, id, after))
