"""Both sides by REST, beside the windows."""

from collections.abc import AsyncIterator

import pytest
from chat_apps import Side, customer_side, employee_side

from support.live_server import LiveServer
from support.rest import Rest


@pytest.fixture
async def guest(demo_server: LiveServer) -> AsyncIterator[Rest]:
    """The demo's customer by REST."""
    async with Rest(demo_server.url) as rest:
        yield await rest.demo("customer")


@pytest.fixture
async def desk(guest: Rest) -> Rest:
    """The demo's employee by REST."""
    return await guest.another().demo("employee")


@pytest.fixture
async def customer(demo_server: LiveServer, tmp_path) -> AsyncIterator[Side]:  # type: ignore[no-untyped-def]
    """The customer's window."""
    async with customer_side(demo_server.url, tmp_path) as side:
        yield side


@pytest.fixture
async def employee(demo_server: LiveServer, tmp_path) -> AsyncIterator[Side]:  # type: ignore[no-untyped-def]
    """The employee's window."""
    async with employee_side(demo_server.url, tmp_path) as side:
        yield side
