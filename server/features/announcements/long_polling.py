"""Announcements by long polling, for readers that get no stream."""

from aiohttp import web

from server.core.routing import ANY_ROLE, Router, identity_of
from server.core.services import service
from server.features.announcements.ack_relay import AckRelay
from server.features.announcements.schemas import Scope
from server.features.announcements.service import topic_for
from server.features.shared.schemas import EventPage
from server.transports import long_polling, sse
from server.transports.long_polling import Source

router = Router("announcements")


@router.route("GET", "/announcements/events", roles=ANY_ROLE, empty=(204,), problems=(403, 410))
async def poll_announcements(
    request: web.Request,
    scope: Scope = Scope.OWN,
    after: sse.After = None,
    timeout: long_polling.Seconds = 60,
) -> EventPage | web.StreamResponse:
    """The events of `GET /announcements/stream`, by long polling.

    `announcement.acknowledged` comes only while the request is held. At once what came after the
    cursor `after`, else held until something comes; 204 after `timeout` seconds. Without `after`
    the answer comes at once: no events, and the cursor of now. 410 (`type`
    `urn:tiffin:problem:reset`): read `GET /announcements` again and go on with its cursor.
    """
    who, acks = identity_of(request), service(request, AckRelay)
    return await long_polling.read(
        request,
        [Source(topic_for(who, scope))],
        after,
        timeout,
        during=lambda page: acks.sending(who.account_id, page, newest=False),
    )
