"""Announcements over REST: made, read, withdrawn, acknowledged, counted."""

from aiohttp import web

from server.core.addresses import client_address
from server.core.audit import AuditActor
from server.core.routing import (
    ANY_ROLE,
    SUPPORT,
    Answer,
    Before,
    IdempotencyKey,
    Limit,
    Router,
    identity_of,
)
from server.core.services import service
from server.features.announcements.schemas import (
    AckCount,
    Announcement,
    AnnouncementPage,
    AudienceSizes,
    NewAnnouncement,
    Scope,
)
from server.features.announcements.service import AnnouncementService
from server.features.shared.schemas import Id

router = Router("announcements")


@router.route("POST", "/announcements", roles=SUPPORT, status=201)
async def publish(
    request: web.Request, new: NewAnnouncement, idempotency_key: IdempotencyKey = None
) -> Answer[Announcement]:
    """Announce something to everybody in the audience, of every restaurant.

    The same Idempotency-Key again gives the same announcement.
    """
    announcements = service(request, AnnouncementService)
    return Answer(await announcements.publish(identity_of(request), new, idempotency_key))


@router.route("GET", "/announcements", roles=ANY_ROLE, problems=(403,))
async def list_announcements(
    request: web.Request, scope: Scope = Scope.OWN, before: Before = None, limit: Limit = 50
) -> AnnouncementPage:
    """What is announced to the caller, newest first, without what was withdrawn or has expired.

    `scope=all`, for support: also what is announced to others.
    """
    announcements = service(request, AnnouncementService)
    return await announcements.history(identity_of(request), scope, before, limit)


@router.route("GET", "/announcements/audiences", roles=SUPPORT)
async def count_audiences(request: web.Request) -> AudienceSizes:
    """How many people an announcement would reach."""
    return await service(request, AnnouncementService).audiences()


@router.route("DELETE", "/announcements/{id}", roles=SUPPORT)
async def withdraw(request: web.Request, id: Id) -> None:
    """Withdraw any employee's announcement; repeating it does nothing."""
    by = AuditActor(identity_of(request).account_id, client_address(request))
    await service(request, AnnouncementService).withdraw(id, by)


@router.route("POST", "/announcements/{id}/ack", roles=ANY_ROLE)
async def acknowledge(request: web.Request, id: Id) -> None:
    """Acknowledge an announcement; repeating it does nothing."""
    await service(request, AnnouncementService).acknowledge(identity_of(request), id)


@router.route("GET", "/announcements/{id}/acks", roles=SUPPORT)
async def count_acks(request: web.Request, id: Id) -> AckCount:
    """How many have acknowledged, of how many accounts there are in the audience now."""
    return await service(request, AnnouncementService).acks(id)
