"""Blobs in a folder of this machine."""

import asyncio
import errno
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from server.core.temp_files import check_free_space, lock, remove_abandoned
from server.features.uploads.blobs import BlobMissing, BlobTrouble, Outage, checked
from server.features.uploads.schemas import MAX_BYTES

_GONE = "The folder is empty or gone, as where a disk is not mounted"


class FolderBlobs:
    """The blob port over a folder, which is made when it is first needed.

    Nothing new is to be stored where fewer than `reserve` bytes are free.
    """

    def __init__(self, folder: Path, reserve: int = 0) -> None:
        self._folder = folder
        self._drafts = folder / ".drafts"
        self._reserve = reserve
        self._looked_among_blobs = False
        self._used = False
        self.outage = Outage()

    async def put(self, name: str, path: Path, media_type: str) -> None:
        """Store a copy of that file."""
        await self._do(lambda: self._put(self.file(name), path))

    async def fetch(self, name: str, path: Path) -> None:
        """Write the blob into that file."""
        await self._do(lambda: self._fetch(self.file(name), path))

    async def remove(self, name: str) -> None:
        """Remove it, if it is there."""
        await self._do(lambda: self._remove(self.file(name)))

    async def state(self) -> str:
        """Whether there is a folder that can be written to, with room in it."""
        return await asyncio.to_thread(self._state)

    async def check_room(self) -> None:
        """Raises BlobTrouble while the disk is nearly full."""
        await self._do(self._check_room)

    async def sweep(self) -> None:
        """Remove the drafts of processes that have ended."""
        await self._do(self._sweep)

    async def close(self) -> None:
        """Nothing is open."""

    def file(self, name: str) -> Path:
        """Where it lies."""
        return self._folder / checked(name)

    def link(self, name: str, media_type: str) -> str | None:
        """The server gives it out itself."""
        return None

    def _state(self) -> str:
        try:
            self._make()
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            return f"{self._folder}: {error.strerror}"
        if not os.access(self._folder, os.W_OK):
            return f"{self._folder} cannot be written to"
        if free < max(MAX_BYTES, self._reserve):
            return f"{self._folder} has no room for another photo: {free // 1024} KiB are free"
        return "ok"

    def _make(self) -> None:
        """Make the folder where it never was. Raises OSError where it was, and is empty now."""
        used = self._used  # before the look: another thread may put the first blob there meanwhile
        if self._there():
            return
        if used:
            raise OSError(errno.ENODEV, _GONE)
        self._folder.mkdir(parents=True, exist_ok=True)

    def _there(self) -> bool:
        """Whether anything is in it, as always from the first blob on: the folder of the drafts."""
        try:
            with os.scandir(self._folder) as found:
                there = next(found, None) is not None
        except FileNotFoundError:
            there = False
        self._used = self._used or there
        return there

    def _check_room(self) -> None:
        self._make()
        check_free_space(self._folder, self._reserve)

    def _sweep(self) -> None:
        remove_abandoned(self._drafts)
        if not self._looked_among_blobs:  # where drafts were once made, with a dot before the name
            self._looked_among_blobs = True
            remove_abandoned(self._folder, ".*.*")

    def _fetch(self, source: Path, path: Path) -> None:
        try:
            blob = source.open("rb")
        except FileNotFoundError:
            if not self._there():
                raise OSError(errno.ENODEV, _GONE) from None
            raise BlobMissing(source.name) from None
        with blob, path.open("wb") as copy:
            shutil.copyfileobj(blob, copy, 1 << 20)

    def _remove(self, blob: Path) -> None:
        try:
            blob.unlink()
        except FileNotFoundError:
            if not self._there():  # it may be there still, once the disk is mounted
                raise OSError(errno.ENODEV, _GONE) from None

    def _put(self, target: Path, path: Path) -> None:
        """Written whole under another name, then renamed: nobody sees half a blob."""
        self._make()
        self._drafts.mkdir(exist_ok=True)
        self._used = True
        draft = self._drafts / f"{target.name}.{secrets.token_hex(4)}"
        try:
            with path.open("rb") as source, draft.open("xb") as copy:
                lock(copy.fileno())
                shutil.copyfileobj(source, copy, 1 << 20)
                copy.flush()
                os.fsync(copy.fileno())
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name as well as the content
        finally:
            os.close(folder)

    async def _do(self, work: Callable[[], object]) -> None:
        try:
            await asyncio.to_thread(work)
        except FileNotFoundError:
            raise
        except OSError as error:
            # Where it lies is for whoever runs the server; the words may reach a customer.
            self.outage.met(f"{self._folder}: {error.strerror}")
            words = (error.strerror or "the folder cannot be used").lower()
            raise BlobTrouble(words) from error
