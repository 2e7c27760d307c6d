"""Puts announcements into the application."""

from aiohttp import web

from server.core.database import Database
from server.core.routing import SERVICES
from server.features.accounts.service import AccountService
from server.features.announcements import routes, sse
from server.features.announcements.service import AnnouncementService
from server.realtime.log import EventLog
from server.realtime.states import States


def setup(
    app: web.Application,
    database: Database,
    log: EventLog,
    states: States,
    accounts: AccountService,
) -> AnnouncementService:
    """Routes, streams, service; deleted accounts are scrubbed from announcements and events."""
    announcements = AnnouncementService(database, log, states, accounts)
    accounts.on_delete.append(announcements.scrub)
    app[SERVICES][AnnouncementService] = announcements
    for door in (routes, sse):
        door.router.add_to(app)
    return announcements
