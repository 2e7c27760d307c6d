"""Announcements by long polling, for a reader that no stream reaches."""

from aiohttp import web

from server.core.routing import ANY_ROLE, Router, identity_of
from server.core.services import service
from server.features.announcements.marks import Marks
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
) -> EventPage | web.Response:
    """The events of `GET /announcements/stream`, by long polling; `announcement.acknowledged` only
    while the request is held.

    At once what came after the cursor `after`, else held until something comes; 204 after
    `timeout` seconds. Without `after` the answer comes at once: no events, and the cursor of now.
    410 (`type` `urn:tiffin:problem:reset`): read `GET /announcements` again and go on with its
    cursor.
    """
    who, marks = identity_of(request), service(request, Marks)
    return await long_polling.read(
        request,
        [Source(topic_for(who, scope))],
        after,
        timeout,
        beside=lambda page: marks.shown(who.account_id, page, newest=False),
    )
