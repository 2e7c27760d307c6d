"""Puts accounts into the application."""

from aiohttp import web

from server.core.auth import Gate
from server.core.database import Database
from server.core.routing import SERVICES
from server.features.accounts.routes import router
from server.features.accounts.service import AccountService
from server.realtime.hub import Hub
from server.realtime.log import EventLog
from server.settings import Settings
from server.transports.connections import AUTH_TOPIC


def setup(
    app: web.Application,
    settings: Settings,
    database: Database,
    log: EventLog,
    hub: Hub,
    gate: Gate,
) -> AccountService:
    """Accounts, their routes, and the gate's answer to who a session is."""
    accounts = AccountService(settings, database, log, gate.tokens, AUTH_TOPIC)
    app[SERVICES][AccountService] = accounts
    gate.look_up = accounts.sessions.look_up
    router.add_to(app)

    async def close(app: web.Application) -> None:
        accounts.passwords.close()

    app.on_cleanup.append(close)
    return accounts
