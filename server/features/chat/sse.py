"""The desk's queue as a stream: chats as they are opened, changed and closed."""

from aiohttp import web

from server.core.routing import EMPLOYEE, Router, service
from server.features.chat.service import QUEUE
from server.realtime.hub import Hub
from server.settings import Settings
from server.transports import sse

router = Router("chat")


@router.route("GET", "/chats/stream", roles=EMPLOYEE, media="text/event-stream", problems=(429,))
async def stream_chats(
    request: web.Request,
    after: sse.After = None,
    last_event_id: sse.LastEventId = None,
) -> web.StreamResponse:
    """`chat.opened`, `chat.updated`, `chat.closed`, each with the chat.

    Goes on after `Last-Event-ID`, else after `after`, else from now. `reset`: read `GET /chats`
    again and subscribe with its cursor.
    """
    settings = service(request, Settings)
    return await sse.stream(
        request,
        service(request, Hub),
        QUEUE,
        last_event_id or after,
        settings.stalled_reader_seconds,
    )
