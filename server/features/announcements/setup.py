"""Puts announcements into the application."""

from datetime import timedelta

from server.core.database import Database
from server.core.retention import Retention
from server.core.services import Services
from server.features.accounts.service import AccountService
from server.features.announcements import long_polling, routes, sse
from server.features.announcements.ack_relay import AckRelay
from server.features.announcements.service import AnnouncementService
from server.realtime.hub import Hub
from server.realtime.log import EventLog
from server.realtime.state_topic import States
from server.settings import Settings

routers = (routes.router, sse.router, long_polling.router)


def setup(services: Services) -> None:
    """The services; deleted accounts are scrubbed from announcements and their events."""
    accounts = services[AccountService]
    announcements = services.add(
        AnnouncementService(services[Database], services[EventLog], services[States], accounts)
    )
    services.add(AckRelay(services[Hub]))
    accounts.on_delete.append(announcements.scrub)
    accounts.on_role_change.append(announcements.leave_audience)
    accounts.exports["acknowledgements"] = announcements.export
    kept = timedelta(days=services[Settings].event_days)
    services[Retention].jobs.append(lambda at: announcements.drop_gone(at - kept))
