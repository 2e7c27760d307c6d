"""A server with faults to order, and a session logged in to it."""

from collections.abc import AsyncIterator

import pytest
from faulty_server import FaultyServer

from tui.common.client.meter import Wire
from tui.common.client.session import Session


@pytest.fixture
async def faulty() -> AsyncIterator[FaultyServer]:
    """The server, running."""
    server = FaultyServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def wire() -> Wire:
    """The meters of the session under test."""
    return Wire()


@pytest.fixture
async def session(faulty: FaultyServer, wire: Wire) -> AsyncIterator[Session]:
    """A session that is logged in and remembers nothing."""
    session = Session(faulty.url, wire)
    await session.log_in("ana@example.com", "correct horse")
    yield session
    await session.close()
