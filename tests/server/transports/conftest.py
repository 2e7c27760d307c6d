"""Streams and held requests on the event loop used in production."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop
from held_app import HeldApp, OpenApp


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop of production: its transports behave differently."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def open_app(tmp_path: Path) -> AsyncIterator[OpenApp]:
    opened: list[HeldApp] = []

    async def open_one(**more: Any) -> HeldApp:
        app = HeldApp(tmp_path / f"{len(opened)}.sqlite3", **more)
        opened.append(app)
        return await app.open()

    yield open_one
    for app in opened:
        await app.close()


@pytest.fixture
async def app(open_app: OpenApp) -> HeldApp:
    return await open_app()
