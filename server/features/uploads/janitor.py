"""Removes what nothing needs any more: deleted blobs, old originals, files of killed servers."""

import asyncio
import contextlib
import logging
import shutil
import time
from datetime import timedelta
from pathlib import Path

from server.core.clock import now
from server.core.database import Database, Transaction
from server.core.logging import log_failure
from server.core.supervised import SupervisedTask
from server.features.uploads import store
from server.features.uploads.blobs import Blobs, BlobTrouble

logger = logging.getLogger(__name__)

EVERY_SECONDS = 2.0
AT_ONCE = 100
LEFT_SECONDS = 3600.0
"""After which a file in the folder of those that arrive belongs to nobody."""


class Janitor:
    """Several processes may clean at once. Originals go `kept` after their upload was final."""

    def __init__(self, database: Database, blobs: Blobs, folder: Path, kept: timedelta) -> None:
        self._database = database
        self._blobs = blobs
        self._folder = folder
        self._kept = kept
        self._wake = asyncio.Event()
        self.task = SupervisedTask("photo janitor", self._run)

    def wake(self) -> None:
        """Something was deleted."""
        self._wake.set()

    async def open(self) -> None:
        """Start cleaning."""
        await asyncio.to_thread(self._sweep_folder)
        self.task.start()

    async def close(self) -> None:
        """Stop."""
        await self.task.stop()

    async def clean(self) -> None:
        """Do once what there is to do."""
        before = now() - self._kept
        if await self._database.read(lambda tx: store.old_originals(tx, before)):

            async def fn(tx: Transaction) -> None:
                await store.unneed(tx, await store.drop_originals(tx, before, now()), now())

            await self._database.write(fn)
        while names := await self._database.read(lambda tx: store.unneeded(tx, now(), AT_ONCE)):
            for name in names:
                await self._blobs.remove(name)
            await self._forget(names)

    async def _forget(self, names: list[str]) -> None:
        await self._database.write(lambda tx: store.need(tx, names))

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.clean()
            except BlobTrouble as trouble:
                logger.warning("photos: nothing can be removed at the moment: %s", trouble)
            except Exception as error:
                log_failure(logger, error, "photos: cleaning failed; it will be tried again")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._wake.wait()

    def _sweep_folder(self) -> None:
        """Of this process there is nothing yet; others' files are young."""
        oldest = time.time() - LEFT_SECONDS
        for path in self._folder.glob("*"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < oldest:
                    if path.is_dir():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink()
