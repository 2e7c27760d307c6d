"""A worker's process, from here: started with its first job, kept warm, killed when over."""

import asyncio
import logging
import multiprocessing
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from server.features.uploads import worker
from server.features.uploads.worker import Cut

logger = logging.getLogger(__name__)

PREPARE_SECONDS = 60.0
"""To import rembg and load the model: a second or two, on a machine that does nothing else."""


class Lost(Exception):
    """The process was killed or died over a job, in words; `again` where another may succeed."""

    def __init__(self, words: str, *, again: bool) -> None:
        super().__init__(words)
        self.again = again


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may take, and how many jobs a process does before it is replaced."""

    model: str
    home: Path
    seconds: float
    memory: int
    """Bytes of growth, from the loaded model on."""
    jobs: int


class Child:
    """One process at most, for one job at a time."""

    def __init__(self, limits: Limits) -> None:
        self.kills = 0
        """Processes that were killed for time or memory, or died otherwise."""
        self._limits = limits
        self._pool: ProcessPool | None = None
        self._jobs = 0

    @property
    def alive(self) -> bool:
        """Whether there is a process; that one has died is noticed after a tenth of a second."""
        return self._pool is not None and self._pool.active

    async def process(self, source: Path, folder: Path) -> Cut:
        """Take the picture's background out. Raises Unreadable, ModelTrouble, Lost.

        Cancelling ends the process as well.
        """
        limits = self._limits
        if self._jobs >= limits.jobs:
            await self.close()
        elif self._pool is not None and not self.alive:  # it died while it waited
            self.kills += 1
            await self.close()
        if self._pool is None:
            self._pool = await asyncio.to_thread(_new_pool)
            given = (limits.model, str(limits.home), limits.memory)
            await self._run(worker.prepare, given, PREPARE_SECONDS)
        self._jobs += 1
        cut: Cut = await self._run(worker.process, (str(source), str(folder)), limits.seconds)
        return cut

    async def close(self) -> None:
        """End the process, whatever it does."""
        pool, self._pool, self._jobs = self._pool, None, 0
        if pool is not None:
            await asyncio.to_thread(_end, pool)

    async def _run(self, fn: Callable[..., Any], given: tuple[Any, ...], seconds: float) -> Any:
        assert self._pool is not None
        try:
            future = self._pool.schedule(fn, args=given, timeout=seconds)
            return await asyncio.wrap_future(future)
        except TimeoutError:
            words = f"it took more than {seconds:g} s"
            raise await self._lost(words, again=True) from None
        except ProcessExpired as error:
            if error.exitcode == worker.OUT_OF_MEMORY:
                words = f"it took more than {self._limits.memory // 1024 // 1024} MB of memory"
                raise await self._lost(words, again=False) from None
            words = f"its worker died (exit code {error.exitcode})"
            raise await self._lost(words, again=True) from None
        except (BrokenExecutor, RuntimeError, OSError) as error:
            if getattr(error, "traceback", None):  # raised over there, where the process lives on
                raise
            logger.warning("photos: the pool broke: %s", error)
            raise await self._lost("its worker died", again=True) from None
        except (asyncio.CancelledError, worker.ModelTrouble):
            await self.close()
            raise

    async def _lost(self, words: str, *, again: bool) -> Lost:
        self.kills += 1
        logger.warning("photos: a worker was lost: %s", words)
        await self.close()
        return Lost(words, again=again)


def _new_pool() -> ProcessPool:
    # A fork of a process with threads and connections would share them.
    return ProcessPool(max_workers=1, context=multiprocessing.get_context("spawn"))


def _end(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()
