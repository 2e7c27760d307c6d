"""Announcements as a stream for their audience, and a stream of how many acknowledged one."""

from functools import partial

from aiohttp import web

from server.core.routing import ANY_ROLE, SUPPORT, Router, identity_of
from server.core.services import service
from server.features.announcements.ack_relay import AckRelay
from server.features.announcements.schemas import Scope
from server.features.announcements.service import (
    AnnouncementService,
    topic_for,
    topic_of_acks,
)
from server.features.shared.schemas import Id
from server.transports import sse

router = Router("announcements")


@router.route(
    "GET",
    "/announcements/stream",
    roles=ANY_ROLE,
    media=("text/event-stream",),
    problems=(403,),
)
async def stream_announcements(
    request: web.Request,
    scope: Scope = Scope.OWN,
    after: sse.After = None,
    last_event_id: sse.LastEventId = None,
) -> web.StreamResponse:
    """The announcements to the caller as they are made; with `scope=all` those to others too.

    `announcement`, and `announcement.withdrawn` `{"id", "withdrawn_at"}`. Beside them, without an
    `id:`, `announcement.acknowledged` `{"id"}`: the caller's own account has acknowledged it, here
    or in another window; once or more.

    Goes on after `Last-Event-ID`, else after `after`, else from now. What has expired or was
    withdrawn since is replayed like anything else: `expires_at` or the withdrawal after it says
    that it is not to be shown. `reset`: read `GET /announcements` again and subscribe with its
    cursor.
    """
    who = identity_of(request)
    acks = service(request, AckRelay)

    return await sse.stream(
        request,
        topic_for(who, scope),
        last_event_id or after,
        during=partial(acks.sending, who.account_id),
    )


@router.route(
    "GET",
    "/announcements/{id}/acks/stream",
    roles=SUPPORT,
    media=("text/event-stream",),
)
async def stream_acks(
    request: web.Request,
    id: Id,
    after: sse.After = None,
    last_event_id: sse.LastEventId = None,
) -> web.StreamResponse:
    """How many have acknowledged an announcement, at once and with each acknowledgement.

    `acks` `{"acknowledged", "audience_size"}`; a slow reader gets the newest.
    """
    await service(request, AnnouncementService).acks(id)
    return await sse.stream(request, topic_of_acks(id), last_event_id or after)
