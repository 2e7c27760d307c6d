"""The server inside the test's own loop, on a real port."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from server.app import create_app
from server.core.health import Readiness
from server.core.services import SERVICES, Services
from server.core.serving import Runner
from server.settings import Settings
from support.preloaded import alone
from support.server_process import JWT_SECRET, ON_POSTGRES, UNLIMITED, new_database, where_for
from tools.ports import free_port

sqlite_only = pytest.mark.skipif(
    ON_POSTGRES, reason="about SQLite's plans, steps, file or single writer"
)


@dataclass(frozen=True)
class LiveServer:
    """A running application and its address."""

    app: web.Application
    runner: web.AppRunner
    settings: Settings
    url: str
    port: int

    @property
    def services(self) -> Services:
        """The application's services."""
        return self.app[SERVICES]

    async def parts(self) -> dict[str, str]:
        """The state of each part, with what is wrong with it, as the admin listener tells it."""
        return await self.services[Readiness].parts()


def settings_for(data_dir: Path, **changes: Any) -> Settings:
    """Settings of a server under test: its own data, a known secret, no rate limits."""
    values: dict[str, Any] = {
        "jwt_secret": JWT_SECRET,
        "shutdown_seconds": 2,
        "redis_url": "",
        "database_url": "",
    }
    values |= UNLIMITED | changes
    variables = frozenset(one for one in os.environ.items() if one[0].startswith("TIFFIN_"))
    same = _settings(frozenset(values.items()), variables)
    return same.model_copy(update={"data_dir": data_dir})


@cache
def _settings(
    values: frozenset[tuple[str, Any]], _variables: frozenset[tuple[str, str]]
) -> Settings:
    """Those but for the folder. To validate them takes a third of a server's start."""
    return Settings(**dict(values))


@cache
def _new_demo() -> Path:
    """A folder of data as a demo's first start leaves it."""
    with alone("demo") as folder:
        if not folder.exists():
            new = folder.with_name("new-demo")

            async def run() -> None:
                async with running_server(settings_for(new, demo=True), copied=False):
                    pass

            asyncio.run(run())
            new.rename(folder)
    return folder


def _copied(source: str, target: str) -> None:
    """Copy a file; a blob, which no server ever changes, is linked."""
    if Path(source).parent.name == "blobs":
        os.link(source, target)
    else:
        shutil.copy2(source, target)


async def _prepare(settings: Settings) -> None:
    """Put copies where the server would make its database, and a demo's town."""
    path = settings.database_path
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if settings.demo and path.parent == settings.data_dir and not any(path.parent.iterdir()):
        demo = await asyncio.to_thread(_new_demo)
        shutil.copytree(demo, path.parent, copy_function=_copied, dirs_exist_ok=True)
    new_database(path)


@asynccontextmanager
async def running_server(settings: Settings, *, copied: bool = True) -> AsyncIterator[LiveServer]:
    """Serve `settings` on a free loopback port until the block ends.

    Unless `copied` is False, a new database and a demo's town are copies: making them takes longer
    than the rest of the start.
    """
    where = settings.database if settings.database_url else where_for(settings.database_path)
    if isinstance(where, str):
        settings = settings.model_copy(update={"database_url": where})
        if not (settings.azure_storage_connection_string or settings.blob_dir):
            from support.postgres import shared_folder

            settings = settings.model_copy(update={"blob_dir": shared_folder(settings.data_dir)})
    elif copied:
        await _prepare(settings)
    app = create_app(settings)
    runner = Runner(app, settings)
    await runner.setup()
    try:
        # A port that a test may use again once this server is gone.
        listener = socket.create_server(("127.0.0.1", free_port()), backlog=4096)
        await web.SockSite(runner, listener).start()
        port: int = listener.getsockname()[1]
        yield LiveServer(app, runner, settings, f"http://127.0.0.1:{port}", port)
    finally:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(runner.cleanup(), timeout=15)
