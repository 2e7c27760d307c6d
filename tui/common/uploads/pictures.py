"""A cache of pictures by URL: each is fetched once and decoded in a thread."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from server.features.uploads.schemas import Upload, UploadStatus
from tui.common.client.errors import ClientError, SignedOut
from tui.common.client.retry import retry
from tui.common.format import message_for
from tui.common.language import _
from tui.common.uploads.bitmap import LONGEST, Bitmap, NotDrawable, decode
from tui.common.uploads.jobs import UploadJob

if TYPE_CHECKING:
    from textual.worker import Worker

    from tui.common.client.api import Api
    from tui.common.uploads.manager import Row, Run, UploadManager

KEPT_BYTES = 32 * 1024 * 1024
"""The most that decoded pixels may take, at four bytes each; the oldest pictures go first."""
AT_ONCE = 2
"""Pictures that are fetched or decoded at the same time; the others wait."""

Key = tuple[str, str, int, bool]


class PictureCache:
    """The pictures of one log-in. The picture of a URL and a `version` never changes."""

    def __init__(self, api: "Api") -> None:
        self._api = api
        self._kept: OrderedDict[Key, Bitmap | NotDrawable] = OrderedDict()
        self._gate = asyncio.Semaphore(AT_ONCE)

    def known(
        self, url: str, *, version: str = "", longest: int = LONGEST, trim: bool = False
    ) -> Bitmap | None:
        """The picture, if it is cached."""
        kept = self._kept.get((url, version, longest, trim))
        return kept if isinstance(kept, Bitmap) else None

    async def picture(
        self, url: str, *, version: str = "", longest: int = LONGEST, trim: bool = False
    ) -> Bitmap:
        """The picture at one of the server's paths, as `decode` makes it.

        Raises `ApiError` 404 where it is gone, other `ClientError`, and NotDrawable.
        """
        key = (url, version, longest, trim)
        async with self._gate:
            kept = self._kept.get(key)
            if kept is None:
                content = await self._api.picture(url)
                try:
                    kept = await asyncio.to_thread(decode, content, longest, trim=trim)
                except NotDrawable as error:
                    kept = error  # asked for again, it would be the same
                self._kept[key] = kept
                self._trim()
            self._kept.move_to_end(key)
        if isinstance(kept, NotDrawable):
            raise kept
        return kept

    def _trim(self) -> None:
        """Remove the oldest until the rest fits; the newest always stays."""
        while sum(map(_bytes, self._kept.values())) > KEPT_BYTES and len(self._kept) > 1:
            self._kept.popitem(last=False)


def _bytes(kept: Bitmap | NotDrawable) -> int:
    return 4 * kept.image.width * kept.image.height if isinstance(kept, Bitmap) else 1


class BeforeAfter:
    """The original and the result of the photo in view; a worker fetches what is missing."""

    def __init__(
        self,
        manager: "UploadManager",
        picture_cache: PictureCache,
        run: "Run",
        changed: Callable[[], None],
    ) -> None:
        self.before: Bitmap | None = None
        self.after: Bitmap | None = None
        self._errors: dict[str, str] = {}
        """By URL, why a picture is missing."""
        self._manager = manager
        self._cache = picture_cache
        self._run = run
        self._changed = changed
        self._shown: object = ()
        self._fetcher: Worker[None] | None = None

    @property
    def error(self) -> str:
        """Why a picture is missing: the result, else the original."""
        return next(iter(self._errors.values()), "")

    def fetch_again(self) -> None:
        """Have the next `show` fetch what is missing again."""
        self._shown = ()

    def show(self, row: "Row | None") -> None:
        """Show this photo from now on."""
        key = row.id if isinstance(row, UploadJob) else _key(row)
        if key == self._shown:
            return
        self._shown = key
        self._errors.clear()
        self.before = self.after = None
        if self._fetcher is not None:
            self._fetcher.cancel()
        if isinstance(row, UploadJob):
            self.before = row.local_picture.bitmap
        elif row is not None:
            self.before = self._manager.previews.get(row.id)
            self.before = self.before or self._cache.known(row.original_url, version=_version(row))
            self.after = self._cache.known(row.result_url) if row.result_url else None
            self._fetcher = self._run("photo-pictures", self._fetch(row))

    async def _fetch(self, row: Upload) -> None:
        if self.after is None and row.result_url:
            self.after = await self._fetched(row.result_url, "")
            self._changed()
        if self.before is None and row.original_removed_at is None:
            self.before = await self._fetched(row.original_url, _version(row))
            self._changed()

    async def _fetched(self, url: str, version: str) -> Bitmap | None:
        def show(error: ClientError, _wait: float | None) -> None:
            if not isinstance(error, SignedOut):
                self._errors[url] = message_for(error)
                self._changed()

        async def fetch() -> Bitmap:
            picture = await self._cache.picture(url, version=version)
            self._errors.pop(url, None)
            return picture

        try:
            return await retry(fetch, on_error=show)
        except NotDrawable as error:
            self._errors[url] = _("{error} It cannot be shown here; s saves it.").format(
                error=error
            )
        except ClientError:
            pass  # shown above, or logged out
        return None


def _key(row: Upload | None) -> object:
    return None if row is None else (row.id, row.result_url, row.original_removed_at)


def _version(row: Upload) -> str:
    """The server replaces the original when it is done: upright, smaller, without metadata."""
    return "" if row.status is UploadStatus.DONE else _("as sent")
