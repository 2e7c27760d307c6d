"""The servers of a run: one that was named, one of our own, or one for each pattern with Redis."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
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
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tiffin-lab-")))
        if isolated and not redis_url:
            redis_url = stack.enter_context(_redis(folder))
        environment = _environment(folder, redis_url)
        children: list[Child] = []

        async def start(name: str) -> str:
            port = free_port()
            arguments = ("server", "--demo", "--host", "127.0.0.1", "--port", str(port))
            child = Child(folder / f"{name}.log", *arguments, environment=environment)
            children.append(child)
            stack.push_async_callback(asyncio.to_thread, child.end)
            started = f"http://127.0.0.1:{port}"
            await asyncio.to_thread(wait_ready, child, started)
            return started

        source = await start("source")
        if isolated:
            started = await asyncio.gather(*(start(pattern) for pattern in patterns))
            doors = dict(zip(patterns, started, strict=True))
        else:
            doors = dict.fromkeys(patterns, source)
        yield Servers(source, doors, tuple(children))


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


def _environment(folder: Path, redis_url: str) -> dict[str, str]:
    """This process's, without its settings of a server."""
    own = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TIFFIN_") and name != "PORT"
    }
    settings = SETTINGS | {"data_dir": str(folder / "data"), "redis_url": redis_url}
    return own | {f"TIFFIN_{name.upper()}": value for name, value in settings.items()}


@contextmanager
def _redis(folder: Path) -> Iterator[str]:
    """A Redis that stores nothing; its URL. Raises ChildError."""
    program = shutil.which("redis-server")
    if program is None:
        raise ChildError(
            "A run with a server process for each pattern needs Redis between them. Install"
            " redis-server, or name a Redis with --redis redis://host:6379/0."
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
