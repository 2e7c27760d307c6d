"""The server inside the test's own loop, on a real port."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import web

from server.app import create_app
from server.core.migrate import migrate
from server.core.services import SERVICES, Services
from server.core.serving import Runner
from server.settings import Settings
from support.ports import free_port
from support.server_process import JWT_SECRET, UNLIMITED


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


def settings_for(data_dir: Path, **changes: Any) -> Settings:
    """Settings of a server under test: its own data, a known secret, no rate limits."""
    values: dict[str, Any] = {
        "data_dir": data_dir,
        "jwt_secret": JWT_SECRET,
        "shutdown_seconds": 2,
        "redis_url": "",
        "database_url": "",
    }
    return Settings(**(values | UNLIMITED | changes))


@cache
def _new_database() -> bytes:
    """A migrated SQLite file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "new.sqlite3"
        asyncio.run(migrate(path))
        return path.read_bytes()


@asynccontextmanager
async def running_server(settings: Settings) -> AsyncIterator[LiveServer]:
    """Serve `settings` on a free loopback port until the block ends.

    A new database is a copy: running every migration takes longer than the rest of the start.
    """
    if not settings.database_path.exists():
        settings.database_path.parent.mkdir(parents=True, exist_ok=True)
        settings.database_path.write_bytes(await asyncio.to_thread(_new_database))
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
