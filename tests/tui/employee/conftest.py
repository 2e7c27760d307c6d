"""What the tests of the employee's window share."""

from collections.abc import AsyncIterator

import pytest
from kitchen_orders import Town, a_town

from support.live_server import LiveServer
from support.rest import Rest


@pytest.fixture(autouse=True)
def _few_frames(few_frames: None) -> None:
    """Nothing here is about single frames."""


@pytest.fixture
async def town(demo_server: LiveServer) -> AsyncIterator[Town]:
    """The demo's restaurant, and a customer."""
    async with Rest(demo_server.url) as rest:
        yield await a_town(rest)
