"""The pictures of the photo in view: what went in, and what came out as soon as it is there."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from server.features.uploads.schemas import Upload, UploadStatus
from tui.common.client.errors import ClientTrouble, SignedOut
from tui.common.client.reconnect import Backoff, is_final
from tui.common.photo.album import Album
from tui.common.photo.bitmap import Bitmap, NotDrawable
from tui.common.photo.parcel import Parcel
from tui.common.trouble import words_of

if TYPE_CHECKING:
    from textual.worker import Worker

    from tui.common.photo.desk import Desk, Row, Run


class Pair:
    """`look` says which photo is meant; what is not here yet is fetched by a worker."""

    def __init__(self, desk: "Desk", album: Album, run: "Run", changed: Callable[[], None]) -> None:
        self.before: Bitmap | None = None
        self.after: Bitmap | None = None
        self.trouble = ""
        """Why one of them is missing."""
        self._desk = desk
        self._album = album
        self._run = run
        self._changed = changed
        self._shown: object = ()
        self._fetcher: Worker[None] | None = None

    def forget(self) -> None:
        """Fetch again what is missing, with the next look."""
        self._shown = ()

    def look(self, row: "Row | None") -> None:
        """Show this photo from now on."""
        key = row.id if isinstance(row, Parcel) else _key(row)
        if key == self._shown:
            return
        self._shown = key
        self.trouble = ""
        self.before = self.after = None
        if self._fetcher is not None:
            self._fetcher.cancel()
        if isinstance(row, Parcel):
            self.before = row.candidate.bitmap
        elif row is not None:
            self.before = self._desk.previews.get(row.id)
            self.before = self.before or self._album.known(row.original_url, version=_version(row))
            self.after = self._album.known(row.result_url) if row.result_url else None
            self._fetcher = self._run("photo-pictures", self._fetch(row))

    async def _fetch(self, row: Upload) -> None:
        if self.after is None and row.result_url:
            self.after = await self._fetched(row.result_url, "")
            self._changed()
        if self.before is None and row.original_removed_at is None:
            self.before = await self._fetched(row.original_url, _version(row))
            self._changed()

    async def _fetched(self, url: str, version: str) -> Bitmap | None:
        backoff = Backoff()
        while True:
            try:
                return await self._album.picture(url, version=version)
            except NotDrawable as trouble:
                self.trouble = f"{trouble} It cannot be shown here; s saves it."
                return None
            except SignedOut:
                return None
            except ClientTrouble as trouble:
                self.trouble = words_of(trouble)
                self._changed()
                if is_final(trouble):
                    return None
                await asyncio.sleep(backoff.lost(getattr(trouble, "retry_after", None)))
                self.trouble = ""


def _key(row: Upload | None) -> object:
    return None if row is None else (row.id, row.result_url, row.original_removed_at)


def _version(row: Upload) -> str:
    """The original is another picture once it is done: upright, smaller, without its metadata."""
    return "" if row.status is UploadStatus.DONE else "as sent"
