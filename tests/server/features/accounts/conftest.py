"""A server outside demo mode, people with accounts, and what its event log says of sessions."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.core.database import Database, Transaction
from server.features.accounts.administration import add_employee
from server.features.accounts.service import AccountService
from server.realtime.log import EventLog
from support.accounts import PASSWORD, RESTAURANT, Revoked, Sql
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Rest


@pytest.fixture
async def server(data_dir: Path) -> AsyncIterator[LiveServer]:
    """The whole server, outside demo mode."""
    async with running_server(settings_for(data_dir)) as running:
        yield running


@pytest.fixture
async def nobody(server: LiveServer) -> AsyncIterator[Rest]:
    """A client that is not logged in."""
    async with Rest(server.url, keep_alive=True) as client:
        yield client


@pytest.fixture
async def ada(nobody: Rest) -> Rest:
    """A customer."""
    return await nobody.another().register("ada@example.org", PASSWORD, "Ada")


@pytest.fixture
async def eve(server: LiveServer, database: Database, nobody: Rest) -> Rest:
    """An employee."""
    await add_employee(database, "eve@example.org", PASSWORD, "Eve", RESTAURANT)
    return await nobody.another().log_in("eve@example.org", PASSWORD)


@pytest.fixture
def database(server: LiveServer) -> Database:
    """The server's database."""
    return server.services[Database]


@pytest.fixture
def accounts(server: LiveServer) -> AccountService:
    """The server's account service."""
    return server.services[AccountService]


@pytest.fixture
def sql(database: Database) -> Sql:
    """Run one statement in the server's database: to look, and to let time pass."""

    async def run(statement: str, **parameters: Any) -> list[dict[str, Any]]:
        async def fn(tx: Transaction) -> list[dict[str, Any]]:
            return [dict(row) for row in await tx.fetch(statement, parameters)]

        return await database.write(fn)

    return run


@pytest.fixture
def revoked(server: LiveServer) -> Revoked:
    """The sessions that were ended, from the topic `auth`, oldest first."""
    log = server.services[EventLog]

    async def read() -> list[str]:
        stretch = await log.read("auth", 0, 1000)
        told = [json.loads(one.data) for one in stretch.events if one.type == "session.revoked"]
        return [name for data in told for name in data["sessions"]]

    return read
