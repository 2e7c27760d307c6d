"""One's uploads as far as they are known, newest first."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from server.features.uploads.schemas import Upload

if TYPE_CHECKING:
    from tui.common.client.api import Api

PAGE = 50


class Shelf:
    """What the server has told of them; read page by page."""

    def __init__(self, api: "Api") -> None:
        self.loaded = False
        self._api = api
        self._uploads: dict[str, Upload] = {}
        """Oldest first, in the server's order: a clock may have been put back."""
        self._next: str | None = None

    @property
    def uploads(self) -> list[Upload]:
        """Newest first."""
        return list(reversed(self._uploads.values()))

    @property
    def pending(self) -> list[Upload]:
        """Those that are not final, the one whose turn is next first."""
        return [one for one in reversed(self.uploads) if not one.status.final]

    @property
    def has_more(self) -> bool:
        """Whether the server has older ones."""
        return self._next is not None

    def get(self, upload_id: str) -> Upload | None:
        """That one, if it is known."""
        return self._uploads.get(upload_id)

    def put(self, uploads: Iterable[Upload]) -> None:
        """These are news. A photo that is shown takes the place of the one that was."""
        for one in uploads:
            self._uploads[one.id] = one
            if not one.shown:
                continue
            for other in list(self._uploads.values()):
                if other.shown and other.id != one.id and _same_place(other, one):
                    self._uploads[other.id] = other.model_copy(update={"shown": False})

    def remove(self, upload_id: str) -> None:
        """It is gone."""
        self._uploads.pop(upload_id, None)

    async def read(self) -> None:
        """The newest page, in place of all that was known. Raises `ClientTrouble`."""
        page = await self._api.uploads(limit=PAGE)
        self._uploads = {one.id: one for one in reversed(page.items)}
        self._next = page.next
        self.loaded = True

    async def refresh(self) -> None:
        """The newest page, beside what was known. Raises `ClientTrouble`."""
        page = await self._api.uploads(limit=PAGE)
        self.put(reversed(page.items))

    async def read_on(self) -> None:
        """The next older page. Raises `ClientTrouble`."""
        if self._next is not None:
            page = await self._api.uploads(before=self._next, limit=PAGE)
            self._next = page.next
            older = {one.id: one for one in reversed(page.items) if one.id not in self._uploads}
            self._uploads = older | self._uploads


def _same_place(a: Upload, b: Upload) -> bool:
    return (a.purpose, a.menu_item_id) == (b.purpose, b.menu_item_id)
