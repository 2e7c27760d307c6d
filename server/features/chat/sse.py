"""The support queue as a stream: chats as they are opened, changed and closed."""

from aiohttp import web

from server.core.routing import SUPPORT, Router
from server.features.chat.service import QUEUE
from server.transports import sse

router = Router("chat")


@router.route("GET", "/chats/stream", roles=SUPPORT, media=("text/event-stream",))
async def stream_chats(
    request: web.Request,
    after: sse.After = None,
    last_event_id: sse.LastEventId = None,
) -> web.StreamResponse:
    """`chat.opened`, `chat.updated`, `chat.closed`, each with the chat.

    Goes on after `Last-Event-ID`, else after `after`, else from now. `reset`: read `GET /chats`
    again and subscribe with its cursor.
    """
    return await sse.stream(request, QUEUE, last_event_id or after)
