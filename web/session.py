"""One app for one visitor: a child process in an empty folder, spoken to as textual-serve does."""

import asyncio
import contextlib
import json
import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
"""What a process for a visitor gets of the server's environment: no `TIFFIN_*`, no secrets."""
GREETING = b"__GANGLION__\n"
"""The line after which Textual's web driver sends packets."""
LARGEST = 16 * 1024 * 1024
"""Bytes of a packet, at most."""
QUIT_SECONDS = 3.0
"""Time to quit, before the process is killed."""


def kept_environment(home: Path) -> dict[str, str]:
    """The environment of a process for a visitor, with that folder as its home."""
    return {name: os.environ[name] for name in ALLOWED if name in os.environ} | {
        "HOME": str(home),
        "TMPDIR": str(home),
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def limit_memory(pid: int, size: int, *, hard: bool = True) -> None:
    """Limit the data of that process to `size` bytes, on Linux; 0 is no limit. Its own children may
    raise what is not a `hard` limit."""
    if size and sys.platform == "linux":
        most = size if hard else resource.RLIM_INFINITY
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_DATA, (size, most))


class AppProcess:
    """The process of one window: packets in and out; `stop` ends it and removes its folder."""

    def __init__(self, role: str, server: str, memory_mb: int, languages: str = "") -> None:
        """`role` is customer or employee, `server` the only server it can talk to; 0 MB: no limit
        of its memory; `languages` are the visitor's, such as `fr:ar`, unless the operator has set
        one."""
        self._command = (
            sys.executable,
            "-m",
            f"tui.{role}",
            "--hosted=browser",
            "--server",
            server,
        )
        self._memory = memory_mb * 1024 * 1024
        self._languages = os.environ.get("TIFFIN_LANGUAGE", "") or languages
        self._folder = ""
        self._process: Process | None = None

    async def start(self, width: int, height: int) -> None:
        """Start it in a terminal of that many cells. Raises OSError."""
        self._folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="tiffin-window-")
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            cwd=self._folder,
            env=kept_environment(Path(self._folder))
            | {
                "LANGUAGE": self._languages,
                "TEXTUAL_COLOR_SYSTEM": "truecolor",
                "TEXTUAL_FPS": "30",
                "COLUMNS": str(width),
                "ROWS": str(height),
            },
            start_new_session=True,
        )
        limit_memory(self._process.pid, self._memory)

    async def packets(self) -> AsyncIterator[tuple[bytes, bytes]]:
        """What it sends, until it ends: `D` (for the screen), `M` (JSON) or `P` (a file's part)."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        with contextlib.suppress(asyncio.IncompleteReadError):
            await process.stdout.readuntil(GREETING)
            while True:
                kind, size = (head := await process.stdout.readexactly(5))[:1], head[1:]
                if (length := int.from_bytes(size, "big")) > LARGEST:
                    logger.error("a window sent a packet of %d bytes", length)
                    return
                yield kind, await process.stdout.readexactly(length)

    async def type(self, text: str) -> None:
        """Send keys."""
        await self._send(b"D", text.encode("utf-8", "replace"))

    async def tell(self, **fields: object) -> None:
        """Send a message to the driver, such as `type="resize"`."""
        await self._send(b"M", json.dumps(fields).encode())

    async def _send(self, kind: bytes, payload: bytes) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._process.stdin.write(kind + len(payload).to_bytes(4, "big") + payload)
            await self._process.stdin.drain()

    async def stop(self) -> None:
        """End it, after `QUIT_SECONDS` by force, and remove its folder."""
        process = self._process
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()  # the app quits at the end of its input
            try:
                async with asyncio.timeout(QUIT_SECONDS):
                    await process.wait()
            except TimeoutError:
                logger.info("a window did not end in time and was killed")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            if process.returncode not in (0, -signal.SIGKILL):
                logger.warning("a window's process ended with exit code %s", process.returncode)
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
