"""What the tests of the frame share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from frame_window import Window, signed_in

from support.live_server import LiveServer


@pytest.fixture
async def window(demo_server: LiveServer, tmp_path: Path) -> AsyncIterator[Window]:
    """A wide window, logged in by the demo's button."""
    async with signed_in(demo_server.url, tmp_path) as (app, _):
        yield app
