"""The callers of a live server."""

from collections.abc import AsyncIterator

import pytest

from support.cast import Cast, cast_of
from support.live_server import LiveServer


@pytest.fixture
async def cast(live_server: LiveServer) -> AsyncIterator[Cast]:
    """Two restaurants and everybody who may call."""
    async with cast_of(live_server) as found:
        yield found
