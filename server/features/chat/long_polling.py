"""Chats by long polling: the support queue, and a room for clients that get no socket."""

from aiohttp import web

from server.core.routing import CUSTOMER_OR_SUPPORT, SUPPORT, Answer, Router, identity_of
from server.core.services import service
from server.features.chat import frames
from server.features.chat.frame_schemas import NewMessage, NewReadMark, SendMessage
from server.features.chat.messages import MessageService
from server.features.chat.room_state import state_topic_of
from server.features.chat.rooms import Rooms
from server.features.chat.schemas import ChatMessage
from server.features.chat.service import QUEUE, topic_of
from server.features.shared.schemas import EventPage, Id
from server.realtime.event import Event
from server.transports import long_polling, sse
from server.transports.long_polling import Entries, Source
from server.transports.outbox import frames_of

router = Router("chat")

POLL_LINGER_SECONDS = 5.0
"""How long a client that polls counts as present between two requests."""


@router.route("GET", "/chats/events", roles=SUPPORT, empty=(204,), problems=(410,))
async def poll_chats(
    request: web.Request, after: sse.After = None, timeout: long_polling.Seconds = 60
) -> EventPage | web.StreamResponse:
    """The events of `GET /chats/stream`, by long polling.

    At once what came after the cursor `after`, else held until something comes; 204 after
    `timeout` seconds. Without `after` the answer comes at once: no events, and the cursor of now.
    410 (`type` `urn:tiffin:problem:reset`): read `GET /chats` again and go on with its cursor.
    """
    return await long_polling.read(request, [Source(QUEUE)], after, timeout)


@router.route("GET", "/chats/{id}/events", roles=CUSTOMER_OR_SUPPORT, empty=(204,), problems=(410,))
async def poll_room(
    request: web.Request, id: Id, after: sse.After = None, timeout: long_polling.Seconds = 60
) -> EventPage | web.StreamResponse:
    """What the chat's WebSocket sends, but for `typing`, by long polling.

    Each `data` is the whole frame. At once what came after the cursor `after`, else held until
    something comes; 204 after `timeout` seconds. `after` is the cursor of an answer before, or of
    history; after the latter `presence` and `read` come first, as on entering. Whose request is
    held is present. Without `after` the answer comes at once: no events, and the cursor of now. 410
    (`type` `urn:tiffin:problem:reset`): read the history again and go on with its cursor.
    """
    rooms, identity = service(request, Rooms), identity_of(request)
    log = rooms.hub.log
    await rooms.chats.admit(identity, id)

    def events(event: Event) -> Entries:
        return ((frame.name, frame.text) for frame in frames_of(log, event))

    def state(event: Event) -> Entries:
        return ((frame.name, frame.text) for frame in frames.state(log, id, event))

    return await long_polling.read(
        request,
        [Source(topic_of(id), events), Source(state_topic_of(id), state)],
        after,
        timeout,
        admit=lambda: rooms.chats.admit(identity, id),
        during=lambda page: rooms.presence.connected(id, identity, POLL_LINGER_SECONDS),
    )


@router.route(
    "POST",
    "/chats/{id}/messages",
    roles=CUSTOMER_OR_SUPPORT,
    status=201,
    also=(200,),
    problems=(409,),
)
async def send_message(request: web.Request, id: Id, new: NewMessage) -> Answer[ChatMessage]:
    """Write in a chat without a socket.

    201, or 200 where the sender's `client_id` was there, with that message and `again`. 409: the
    chat is closed (`type` `urn:tiffin:problem:chat-closed`), or another employee has claimed it
    (`urn:tiffin:problem:chat-taken`).
    """
    messages, identity = service(request, MessageService), identity_of(request)
    messages.count(identity, len(new.text.encode()))
    sent = SendMessage(client_id=new.client_id, text=new.text)
    posted = await messages.post(identity, id, sent)
    return Answer(messages.shown(id, posted), status=200 if posted.again else 201)


@router.route("POST", "/chats/{id}/read", roles=CUSTOMER_OR_SUPPORT, counted=False, cost=5)
async def mark_read(request: web.Request, id: Id, mark: NewReadMark) -> None:
    """Say without a socket that every message up to that cursor has been seen.

    A mark never goes back.
    """
    messages, identity = service(request, MessageService), identity_of(request)
    messages.count(identity, len(mark.cursor))
    await messages.read(identity, id, mark.cursor)
