"""Two server processes on one database, and the contents of its event log."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from support.server_process import ServerProcess
from support.town import Place, open_restaurant, stored_rows


@dataclass(frozen=True)
class Logged:
    """A row of `events`; `at` is in seconds since the epoch."""

    seq: int
    type: str
    subject: str
    data: str
    at: float


@dataclass(frozen=True)
class Two:
    """Both processes."""

    left: ServerProcess
    right: ServerProcess

    @property
    def both(self) -> tuple[ServerProcess, ServerProcess]:
        """The two."""
        return self.left, self.right

    async def open_restaurant(self, employees: int = 1) -> Place:
        """A new restaurant for one test."""
        return await open_restaurant(
            self.left.data_dir,
            self.right.url,
            f"place {uuid.uuid4().hex}",
            employees=employees,
            drivers=1,
            dishes=1,
        )

    def logged(self, topic: str, after: int = 0) -> list[Logged]:
        """The topic's events after that `seq`, from the database."""
        rows = stored_rows(
            self.left.data_dir,
            "SELECT seq, type, subject, data, at FROM events"
            " WHERE topic = :topic AND seq > :after ORDER BY seq",
            topic=topic,
            after=after,
        )
        return [
            Logged(**row | {"at": datetime.fromisoformat(row["at"]).timestamp()}) for row in rows
        ]


@contextmanager
def two_processes(
    data_dir: Path,
    redis_url: str = "",
    *,
    quiet: bool = False,
    workers: int = 0,
    **settings: object,
) -> Iterator[Two]:
    """Start both at once, on an empty database; unless `quiet`, print their output at the end.

    With `workers`, each is a gunicorn with so many of them.
    """
    env = {f"TIFFIN_{name.upper()}": str(value) for name, value in settings.items()}
    env = {"TIFFIN_LOG_LEVEL": "WARNING"} | env
    left, right = (
        ServerProcess(data_dir, redis_url=redis_url, env=env, gunicorn=workers) for _ in range(2)
    )
    try:
        for server in (left, right):
            server.spawn()
        for server in (left, right):
            server.wait_ready()
        yield Two(left, right)
    finally:
        for server in (left, right):
            server.terminate(seconds=5)
            if not quiet:
                print(f"--- {server.url} ---\n{server.log_tail()}")
