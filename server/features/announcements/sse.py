"""Announcements as a stream for their audience, and their acknowledgements for the sender."""

from aiohttp import web

from server.core.routing import ANY_ROLE, EMPLOYEE, Router, identity_of, service
from server.features.announcements.schemas import Scope
from server.features.announcements.service import (
    AnnouncementService,
    topic_for,
    topic_of_acks,
)
from server.features.shared.schemas import Id
from server.realtime.hub import Hub
from server.settings import Settings
from server.transports import sse

router = Router("announcements")


@router.route(
    "GET",
    "/announcements/stream",
    roles=ANY_ROLE,
    media="text/event-stream",
    problems=(403, 429),
)
async def stream_announcements(
    request: web.Request,
    scope: Scope = Scope.OWN,
    after: sse.After = None,
    last_event_id: sse.LastEventId = None,
) -> web.StreamResponse:
    """`announcement`, and `announcement.withdrawn` `{"id", "withdrawn_at"}`, of the scope's own.

    Goes on after `Last-Event-ID`, else after `after`, else from now. What has expired or was
    withdrawn since is replayed like anything else: `expires_at` or the withdrawal after it says
    that it is not to be shown. `reset`: read `GET /announcements` again and subscribe with its
    cursor.
    """
    return await _stream(request, topic_for(identity_of(request), scope), last_event_id or after)


@router.route(
    "GET",
    "/announcements/{id}/acks/stream",
    roles=EMPLOYEE,
    media="text/event-stream",
    problems=(429,),
)
async def stream_acks(
    request: web.Request,
    id: Id,
    after: sse.After = None,
    last_event_id: sse.LastEventId = None,
) -> web.StreamResponse:
    """`acks` `{"acknowledged", "audience_size"}`: at once and with each acknowledgement; a slow
    reader gets the newest."""
    await service(request, AnnouncementService).acks(id)
    return await _stream(request, topic_of_acks(id), last_event_id or after)


async def _stream(request: web.Request, topic: str, after: str | None) -> web.StreamResponse:
    stalled = service(request, Settings).stalled_reader_seconds
    return await sse.stream(request, service(request, Hub), topic, after, stalled)
