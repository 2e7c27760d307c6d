"""Removes what is not needed any more: deleted blobs, old originals, files of killed servers."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from server.core.clock import now
from server.core.database import Database, Transaction
from server.core.lifecycle import SupervisedTask
from server.core.logging import log_failure
from server.core.retention import Retention
from server.core.temp_files import remove_abandoned
from server.features.uploads import store
from server.features.uploads.blobs import BlobError, Blobs
from server.features.uploads.schemas import UploadStatus

logger = logging.getLogger(__name__)

CLEAN_SECONDS = 2.0
BATCH = 100
SWEEP_SECONDS = 15.0
"""Between two searches for files of servers that were killed."""


class Janitor:
    """The process that does the upkeep removes blobs; each one its own folder's leftovers.

    `kept` says for each final status how long after it the original is removed.
    """

    def __init__(
        self,
        database: Database,
        blobs: Blobs,
        folder: Path,
        kept: Mapping[UploadStatus, timedelta],
        retention: Retention,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._folder = folder
        self._kept = kept
        self._retention = retention
        self._swept_at = -math.inf
        self._wake = asyncio.Event()
        self.task = SupervisedTask("photo janitor", self._run)

    def wake(self) -> None:
        """A blob is to be removed: clean now, if this process does the upkeep."""
        self._wake.set()

    async def open(self) -> None:
        """Start cleaning."""
        self.task.start()

    async def close(self) -> None:
        """Stop."""
        await self.task.stop()

    async def clean(self) -> None:
        """Remove everything that is due."""
        for status, kept in self._kept.items():
            while await self._drop_originals(status, self._retention.now() - kept):
                pass
        while names := await self._database.read(lambda tx: store.removals_due(tx, now(), BATCH)):
            for name in names:
                await self._blobs.remove(name)
            await self._forget(names)

    async def _drop_originals(self, status: UploadStatus, before: datetime) -> bool:
        ids = await self._database.read(lambda tx: store.old_originals(tx, status, before, BATCH))
        if not ids:
            return False

        async def fn(tx: Transaction) -> None:
            await store.schedule_removal(tx, await store.drop_originals(tx, ids, now()), now())

        await self._database.write(fn)
        return True

    async def _forget(self, names: list[str]) -> None:
        await self._database.write(lambda tx: store.cancel_removal(tx, names))

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._sweep()
                if self._retention.lease.held:
                    await self.clean()
            except BlobError:
                pass  # the store has reported it
            except Exception as error:
                log_failure(logger, error, "photos: cleaning failed; it will be tried again")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLEAN_SECONDS):
                    await self._wake.wait()

    async def _sweep(self) -> None:
        if time.monotonic() - self._swept_at < SWEEP_SECONDS:
            return
        self._swept_at = time.monotonic()
        await asyncio.to_thread(remove_abandoned, self._folder)
        await self._blobs.sweep()
