"""Puts announcements into the application."""

from aiohttp import web

from server.core.database import Database
from server.core.routing import SERVICES
from server.features.accounts.service import AccountService
from server.features.announcements import long_polling, routes, sse
from server.features.announcements.marks import Marks
from server.features.announcements.service import AnnouncementService
from server.realtime.hub import Hub
from server.realtime.log import EventLog


def setup(
    app: web.Application,
    database: Database,
    log: EventLog,
    hub: Hub,
    accounts: AccountService,
) -> tuple[AnnouncementService, Marks]:
    """Routes, live doors, service; deleted accounts are scrubbed from announcements and events.

    The marks have to follow once the hub is open.
    """
    announcements = AnnouncementService(database, log, hub.states, accounts)
    marks = Marks(hub)
    accounts.on_delete.append(announcements.scrub)
    app[SERVICES][AnnouncementService] = announcements
    app[SERVICES][Marks] = marks
    for door in (routes, sse, long_polling):
        door.router.add_to(app)
    return announcements, marks
