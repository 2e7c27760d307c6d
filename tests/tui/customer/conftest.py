"""What the tests of the customer's window share."""

from collections.abc import AsyncIterator

import pytest
from customer_window import Kitchen

from support.live_server import LiveServer
from support.rest import Rest


@pytest.fixture
async def guest(demo_server: LiveServer) -> AsyncIterator[Rest]:
    """The demo's customer by REST, beside the window."""
    async with Rest(demo_server.url) as rest:
        yield await rest.demo("customer")


@pytest.fixture
async def kitchen(guest: Rest) -> Kitchen:
    """The demo's employee by REST."""
    return await Kitchen(guest.another()).open()


@pytest.fixture(autouse=True)
def _few_frames(few_frames: None) -> None:
    """Nothing here is about single frames."""
