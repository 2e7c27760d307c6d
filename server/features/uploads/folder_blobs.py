"""Blobs in a folder: of this machine, or one that several machines share."""

import asyncio
import errno
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from server.core.temp_files import check_free_space, lock, remove_abandoned
from server.features.uploads.blobs import BlobError, BlobNotFound, OutageLog, checked_name
from server.features.uploads.schemas import MAX_BYTES

_UNMOUNTED = "The folder is empty or gone, as if a disk is not mounted"
_NOT_THERE = "There is no such folder: mount it, or create it once for all machines"


class FolderBlobs:
    """The blob port over a folder, which is created when it is first needed.

    One that machines have `shared` is not: where it is missing, it is not mounted, and a folder of
    that name would hold pictures that the others never find. Nothing new is stored where fewer
    than `reserve` bytes are free.
    """

    def __init__(self, folder: Path, reserve: int = 0, *, shared: bool = False) -> None:
        self._folder = folder
        self._drafts = folder / ".drafts"
        self._reserve = reserve
        self._shared = shared
        self._swept_old_drafts = False
        self._was_used = False
        self.outage = OutageLog()

    async def put(self, name: str, path: Path, media_type: str) -> None:
        """Store a copy of the file."""
        await self._run(lambda: self._put(self.local_path(name), path))

    async def fetch(self, name: str, path: Path) -> None:
        """Write the blob into the file."""
        await self._run(lambda: self._fetch(self.local_path(name), path))

    async def remove(self, name: str) -> None:
        """Remove the blob, if it exists."""
        await self._run(lambda: self._remove(self.local_path(name)))

    async def state(self) -> str:
        """Whether the folder can be written to and has space left."""
        return await asyncio.to_thread(self._state)

    async def check_space(self) -> None:
        """Raises BlobError while the disk is nearly full."""
        await self._run(self._check_space)

    async def sweep(self) -> None:
        """Remove the drafts of processes that have ended."""
        await self._run(self._sweep)

    async def close(self) -> None:
        """There is nothing to close."""

    def local_path(self, name: str) -> Path:
        """The blob's file."""
        return self._folder / checked_name(name)

    def signed_url(self, name: str, media_type: str) -> str | None:
        """None: the server serves the blob itself."""
        return None

    def _state(self) -> str:
        try:
            self._create()
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            return f"{self._folder}: {error.strerror}"
        if not os.access(self._folder, os.W_OK):
            return f"{self._folder} cannot be written to"
        if free < max(MAX_BYTES, self._reserve):
            return f"{self._folder} has no room for another photo: {free // 1024} KiB are free"
        return "ok"

    def _create(self) -> None:
        """Create the folder, unless it was in use and is empty now: then raise OSError."""
        was_used = self._was_used  # read before the check: another thread may put the first blob
        if self._in_use():
            return
        if was_used:
            raise OSError(errno.ENODEV, _UNMOUNTED)
        if not self._shared:
            self._folder.mkdir(parents=True, exist_ok=True)
        elif not self._folder.is_dir():
            raise OSError(errno.ENODEV, _NOT_THERE)

    def _in_use(self) -> bool:
        """Whether the folder holds anything; from the first blob on at least that of the drafts."""
        try:
            with os.scandir(self._folder) as found:
                in_use = next(found, None) is not None
        except FileNotFoundError:
            in_use = False
        self._was_used = self._was_used or in_use
        return in_use

    def _check_space(self) -> None:
        self._create()
        check_free_space(self._folder, self._reserve)

    def _sweep(self) -> None:
        remove_abandoned(self._drafts)
        if not self._swept_old_drafts:  # earlier versions wrote them beside the blobs
            self._swept_old_drafts = True
            remove_abandoned(self._folder, ".*.*")

    def _fetch(self, source: Path, path: Path) -> None:
        try:
            blob = source.open("rb")
        except FileNotFoundError:
            if not self._in_use():
                raise OSError(errno.ENODEV, _UNMOUNTED) from None
            raise BlobNotFound(source.name) from None
        with blob, path.open("wb") as copy:
            shutil.copyfileobj(blob, copy, 1 << 20)

    def _remove(self, blob: Path) -> None:
        try:
            blob.unlink()
        except FileNotFoundError:
            if not self._in_use():  # it may still exist on a disk that is not mounted
                raise OSError(errno.ENODEV, _UNMOUNTED) from None

    def _put(self, target: Path, path: Path) -> None:
        """Write a draft, then rename it: no reader sees half a blob."""
        self._create()
        self._drafts.mkdir(exist_ok=True)
        self._was_used = True
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
            os.fsync(folder)  # so that the name is on disk as well as the content
        finally:
            os.close(folder)

    async def _run(self, call: Callable[[], object]) -> None:
        try:
            await asyncio.to_thread(call)
        except FileNotFoundError:
            raise
        except OSError as error:
            # The path is for the operator; the BlobError's message may reach a customer.
            self.outage.report(f"{self._folder}: {error.strerror}")
            raise BlobError((error.strerror or "the folder cannot be used").lower()) from error
