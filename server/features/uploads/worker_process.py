"""Runs a worker process: started with its first job, kept warm, killed at its limits."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from server.features.uploads import rembg_worker
from server.features.uploads.blobs import BlobError
from server.features.uploads.image_header import Unreadable
from server.features.uploads.rembg_worker import Cutout, ModelError, Reply

logger = logging.getLogger(__name__)

PREPARE_SECONDS = 60.0
"""To import rembg and load the model, which takes a second or two on an idle machine."""
PROGRAM = ("-P", "-m", rembg_worker.__name__)
"""Python's arguments for a worker process."""
WALL_FACTOR = 3
"""How much more time than CPU time a job may take, as on a busy machine."""

# An allow-list: the environment may hold secrets of the server and of other programs.
_ENVIRONMENT = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONHOME",
    "TMPDIR",
    "TZ",
)
_ROOT = Path(__file__).resolve().parents[3]
_KILLED_FROM_OUTSIDE = {
    -number
    for number in (
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGKILL,
        signal.SIGQUIT,
        signal.SIGTERM,
    )
}


class WorkerLost(Exception):
    """The process ended during a job; the message says why, and what to do about the photo.

    `retry` where another attempt may succeed, `excused` where the photo was not the reason.
    """

    def __init__(self, message: str, *, retry: bool = False, excused: bool = False) -> None:
        super().__init__(message)
        self.retry = retry or excused
        self.excused = excused


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What one job may use, and after how many jobs a process is replaced."""

    model: str
    home: Path
    seconds: float
    """Of CPU time."""
    memory: int
    """Bytes that the process may grow by once the model is loaded."""
    jobs: int
    folder: Path
    """Where the files of its jobs are, the only folder it can write to."""


class WorkerProcess:
    """At most one process, for one job at a time."""

    def __init__(self, limits: WorkerLimits) -> None:
        self.kills = 0
        """Processes that were killed at a limit or died otherwise."""
        self._limits = limits
        self._process: asyncio.subprocess.Process | None = None
        self._jobs = 0

    @property
    def alive(self) -> bool:
        """Whether there is a process. The death of one is noticed a moment later."""
        return self._process is not None and self._process.returncode is None

    async def process(self, source: Path, folder: Path) -> Cutout:
        """Remove the picture's background. Raises Unreadable, ModelError, WorkerLost, BlobError.

        Cancelling it ends the process as well.
        """
        limits = self._limits
        if self._jobs >= limits.jobs:
            await self.close()
        elif self._process is not None and not self.alive:  # it died while idle
            self.kills += 1
            await self.close()
        if self._process is None:
            await self._start()
        self._jobs += 1
        request = {"source": str(source), "folder": str(folder), "seconds": limits.seconds}
        reply = await self._request(request, limits.seconds * WALL_FACTOR)
        if reply.cutout is None:
            await self.close()
            raise ValueError("a worker replied nothing")
        return reply.cutout

    async def close(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process, self._jobs = self._process, None, 0
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()

    async def _start(self) -> None:
        limits = self._limits
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *PROGRAM,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(),
        )
        request = {
            "model": limits.model,
            "home": str(limits.home),
            "growth": limits.memory,
            "seconds": PREPARE_SECONDS + limits.jobs * (limits.seconds + 1),
            "folder": str(limits.folder),
        }
        try:
            await self._request(request, PREPARE_SECONDS)
        except WorkerLost as lost:  # there was no photo yet that could be the reason
            raise WorkerLost(str(lost), excused=True) from None

    async def _request(self, request: Mapping[str, object], seconds: float) -> Reply:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        line = b""
        try:
            async with asyncio.timeout(seconds):
                with contextlib.suppress(ConnectionError):  # it has died, so nothing is read
                    process.stdin.write(json.dumps(request).encode() + b"\n")
                    await process.stdin.drain()
                    line = await process.stdout.readline()
                if not line:
                    await process.wait()
            if not line:
                raise await self._lost(self._reason(process.returncode))
            reply = Reply.model_validate_json(line)
        except TimeoutError:
            message = f"it took over {seconds:g} s. Send it again later, or send a smaller one."
            raise await self._lost(WorkerLost(message)) from None
        except ValueError:  # a worker that was taken over may write anything
            raise await self._lost(self._reason(None)) from None
        except asyncio.CancelledError:
            await self.close()
            raise
        if reply.unreadable is not None:
            raise Unreadable(reply.unreadable)
        if reply.model_error is not None:
            await self.close()
            raise ModelError(reply.model_error)
        if reply.disk_error is not None:
            raise BlobError(reply.disk_error)
        if reply.crash is not None:
            logger.error("photos: a worker failed: %s", reply.crash)
            message = "something went wrong here. Send it again later, or send another."
            raise await self._lost(WorkerLost(message, retry=True))
        return reply

    def _reason(self, code: int | None) -> WorkerLost:
        """Why a process ended, by its exit code; None where it was abandoned."""
        if code == rembg_worker.OUT_OF_MEMORY:
            megabytes = self._limits.memory // 1024 // 1024
            return WorkerLost(f"it took more than {megabytes} MB of memory. Send a smaller one.")
        if code == -signal.SIGXCPU:
            return WorkerLost(
                f"it took more than {self._limits.seconds:g} s."
                " Save it as a plain JPEG, or a smaller one, and send that."
            )
        if code in _KILLED_FROM_OUTSIDE:
            return WorkerLost(
                "its worker was ended from outside. The photo may be fine: send it again later.",
                excused=True,
            )
        return WorkerLost(
            "the program that reads it failed. Save it again and send that, or send another.",
            retry=True,
        )

    async def _lost(self, lost: WorkerLost) -> WorkerLost:
        self.kills += 1
        code = self._process.returncode if self._process else None
        logger.warning("photos: a worker was lost (exit code %s): %s", code, lost)
        await self.close()
        return lost


def environment() -> dict[str, str]:
    """The environment of a worker process."""
    inherited = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    return inherited | rembg_worker.ENVIRONMENT | {"PYTHONPATH": path}
