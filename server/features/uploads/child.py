"""A worker's process, from here: started with its first job, kept warm, killed when over."""

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

from server.features.uploads import worker
from server.features.uploads.blobs import BlobTrouble
from server.features.uploads.header import Unreadable
from server.features.uploads.worker import Answer, Cut, ModelTrouble

logger = logging.getLogger(__name__)

PREPARE_SECONDS = 60.0
"""To import rembg and load the model: a second or two, on a machine that does nothing else."""
BUSY = 3
"""How many times the seconds of the processor that a job may use it may take on a busy machine."""

# Neither a secret of the server's nor anything that it does not need: an allow-list, since
# whoever runs the server may keep secrets of other programs in its environment.
_PASSED_ON = (
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
_FROM_OUTSIDE = {
    -number
    for number in (
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGKILL,
        signal.SIGQUIT,
        signal.SIGTERM,
    )
}


class Lost(Exception):
    """The process ended over a job, in words: what happened, and what to do about the photo.

    `again` where another attempt may end well, `excused` where the photo had no part in it.
    """

    def __init__(self, words: str, *, again: bool = False, excused: bool = False) -> None:
        super().__init__(words)
        self.again = again or excused
        self.excused = excused


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may take, and how many jobs a process does before it is replaced."""

    model: str
    home: Path
    seconds: float
    """Of the processor."""
    memory: int
    """Bytes of growth, from the loaded model on."""
    jobs: int
    folder: Path
    """Where the files of its jobs are: it can write to no other."""


class Child:
    """One process at most, for one job at a time."""

    def __init__(self, limits: Limits) -> None:
        self.kills = 0
        """Processes that were killed for time or memory, or died otherwise."""
        self._limits = limits
        self._process: asyncio.subprocess.Process | None = None
        self._jobs = 0

    @property
    def alive(self) -> bool:
        """Whether there is a process; that one has died is noticed a moment later."""
        return self._process is not None and self._process.returncode is None

    async def process(self, source: Path, folder: Path) -> Cut:
        """Take the picture's background out. Raises Unreadable, ModelTrouble, Lost, BlobTrouble.

        Cancelling ends the process as well.
        """
        limits = self._limits
        if self._jobs >= limits.jobs:
            await self.close()
        elif self._process is not None and not self.alive:  # it died while it waited
            self.kills += 1
            await self.close()
        if self._process is None:
            await self._start()
        self._jobs += 1
        request = {"source": str(source), "folder": str(folder), "seconds": limits.seconds}
        answer = await self._ask(request, limits.seconds * BUSY)
        if answer.cut is None:
            await self.close()
            raise ValueError("a worker answered nothing")
        return answer.cut

    async def close(self) -> None:
        """End the process, whatever it does."""
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
            *("-P", "-m", worker.__name__),
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
            await self._ask(request, PREPARE_SECONDS)
        except Lost as lost:  # there was no photo yet that could have been the reason
            raise Lost(str(lost), excused=True) from None

    async def _ask(self, request: Mapping[str, object], seconds: float) -> Answer:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        line = b""
        try:
            async with asyncio.timeout(seconds):
                with contextlib.suppress(ConnectionError):  # it has died: nothing is read then
                    process.stdin.write(json.dumps(request).encode() + b"\n")
                    await process.stdin.drain()
                    line = await process.stdout.readline()
                if not line:
                    await process.wait()
            if not line:
                raise await self._lost(self._reason(process.returncode))
            answer = Answer.model_validate_json(line)
        except TimeoutError:
            words = f"it was not ready within {seconds:g} s. Send it again later, or a smaller one."
            raise await self._lost(Lost(words)) from None
        except ValueError:  # whoever has taken it over may say anything
            raise await self._lost(self._reason(None)) from None
        except asyncio.CancelledError:
            await self.close()
            raise
        if answer.unreadable is not None:
            raise Unreadable(answer.unreadable)
        if answer.model_trouble is not None:
            await self.close()
            raise ModelTrouble(answer.model_trouble)
        if answer.disk_trouble is not None:
            raise BlobTrouble(answer.disk_trouble)
        if answer.failed is not None:
            logger.error("photos: a worker failed: %s", answer.failed)
            words = "something went wrong here. Send it again later, or another."
            raise await self._lost(Lost(words, again=True))
        return answer

    def _reason(self, code: int | None) -> Lost:
        """Why a process ended with that exit code, or was given up."""
        if code == worker.OUT_OF_MEMORY:
            megabytes = self._limits.memory // 1024 // 1024
            return Lost(f"it took more than {megabytes} MB of memory. Send a smaller one.")
        if code == -signal.SIGXCPU:
            return Lost(
                f"it took more than {self._limits.seconds:g} s."
                " Save it anew as a plain JPEG, or smaller, and send that."
            )
        if code in _FROM_OUTSIDE:
            return Lost(
                "its worker was ended from outside. The photo may be fine: send it again later.",
                excused=True,
            )
        return Lost(
            "the program that reads it failed. Save it anew and send that, or another.", again=True
        )

    async def _lost(self, lost: Lost) -> Lost:
        self.kills += 1
        code = self._process.returncode if self._process else None
        logger.warning("photos: a worker was lost (exit code %s): %s", code, lost)
        await self.close()
        return lost


def environment() -> dict[str, str]:
    """What a worker's process finds in its environment."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
    return passed_on | worker.ENVIRONMENT | {"PYTHONPATH": path}
