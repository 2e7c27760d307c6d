"""Puts accounts into the application."""

from datetime import timedelta

from server.core import audit, idempotency
from server.core.auth import Gate
from server.core.database import Database
from server.core.retention import Retention
from server.core.services import Services
from server.features.accounts import routes
from server.features.accounts.export import AccountExport
from server.features.accounts.service import AccountService, drop_expired
from server.realtime.log import EventLog
from server.realtime.shared_limits import SharedLimits
from server.settings import Settings
from server.transports.connections import AUTH_TOPIC

routers = (routes.router,)


def setup(services: Services) -> None:
    """The service, and the gate's answer to who a session is."""
    gate, database = services[Gate], services[Database]
    accounts = services.add(
        AccountService(services[Settings], database, services[EventLog], gate.tokens, AUTH_TOPIC)
    )
    accounts.on_delete.append(idempotency.forget_account)
    exports = AccountExport(database, accounts, services[Settings].exports_per_hour)
    services.add(exports)
    services[SharedLimits].add(accounts.shared_limits | {"exports": exports.limit})
    gate.look_up = accounts.sessions.look_up
    jobs = services[Retention].jobs
    jobs.append(lambda at: database.write(lambda tx: drop_expired(tx, at)))
    if days := services[Settings].audit_days:
        jobs.append(lambda at: audit.drop_old(database, at - timedelta(days=days)))
