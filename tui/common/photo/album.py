"""Pictures by their URLs: fetched once, decoded in a thread, the latest kept."""

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

from tui.common.photo.bitmap import LONGEST, Bitmap, NotDrawable, decode

if TYPE_CHECKING:
    from tui.common.client.api import Api

KEPT_BYTES = 32 * 1024 * 1024
"""Of pixels, four bytes each."""
AT_ONCE = 2
"""Pictures being fetched or decoded; the others wait."""

Key = tuple[str, str, int, bool]


class Album:
    """What one log-in has seen. A URL's picture never changes, unless another `version` is said."""

    def __init__(self, api: "Api") -> None:
        self._api = api
        self._kept: OrderedDict[Key, Bitmap | NotDrawable] = OrderedDict()
        self._gate = asyncio.Semaphore(AT_ONCE)

    def known(
        self, url: str, *, version: str = "", longest: int = LONGEST, trim: bool = False
    ) -> Bitmap | None:
        """The picture, if it is here."""
        kept = self._kept.get((url, version, longest, trim))
        return kept if isinstance(kept, Bitmap) else None

    async def picture(
        self, url: str, *, version: str = "", longest: int = LONGEST, trim: bool = False
    ) -> Bitmap:
        """The picture at one of the server's paths, as `decode` makes it.

        Raises `ApiError` 404 where it is gone, other `ClientTrouble`, and NotDrawable.
        """
        key = (url, version, longest, trim)
        async with self._gate:
            kept = self._kept.get(key)
            if kept is None:
                content = await self._api.picture(url)
                try:
                    kept = await asyncio.to_thread(decode, content, longest, trim=trim)
                except NotDrawable as trouble:
                    kept = trouble  # asked for again, it would be the same
                self._kept[key] = kept
                self._trim()
            self._kept.move_to_end(key)
        if isinstance(kept, NotDrawable):
            raise kept
        return kept

    def _trim(self) -> None:
        """Let the oldest go; the newest, which was put last, stays."""
        while sum(map(_bytes, self._kept.values())) > KEPT_BYTES and len(self._kept) > 1:
            self._kept.popitem(last=False)


def _bytes(kept: Bitmap | NotDrawable) -> int:
    return 4 * kept.image.width * kept.image.height if isinstance(kept, Bitmap) else 1
