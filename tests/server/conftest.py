"""The callers of a live server."""

import time
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from server.core import limits
from support.cast import Cast, cast_of
from support.live_server import LiveServer


@pytest.fixture
async def cast(live_server: LiveServer) -> AsyncIterator[Cast]:
    """Two restaurants and everybody who may call."""
    async with cast_of(live_server) as found:
        yield found


@pytest.fixture
def at_one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No limit is filled up again meanwhile, and no delay is over, however busy the machine is."""
    at = time.monotonic()
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=lambda: at))
