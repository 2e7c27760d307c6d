"""One's avatar, small, beside one's profile."""

from typing import TYPE_CHECKING, cast

from tui.common.client.errors import ClientTrouble
from tui.common.photo.bitmap import NotDrawable
from tui.common.photo.view import PictureView

if TYPE_CHECKING:
    from tui.common.app import TiffinApp

LONGEST = 240
"""Pixels; it is small."""


class Avatar(PictureView, can_focus=False):
    """There is room for it only where there is one to be seen."""

    DEFAULT_CSS = """
    Avatar { width: 20; height: 9; margin-left: 2; display: none; }
    Avatar.-there { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(id="avatar", chequered=False)
        self._url: str | None = None

    def look(self, url: str | None) -> None:
        """Show the picture at that path of the server's; None where there is none."""
        if url == self._url or not self.can_draw:
            return
        self._url = url
        self.workers.cancel_group(self, "avatar")
        if url is None:
            self.set_class(False, "-there")
            self.show(None, None)
        else:
            self.run_worker(self._fetch(url), group="avatar", exit_on_error=False)

    async def _fetch(self, url: str) -> None:
        album = cast("TiffinApp", self.app).album
        try:
            picture = await album.picture(url, longest=LONGEST, trim=True)
        except NotDrawable:
            return
        except ClientTrouble:
            self._url = None  # the next look asks again
            return
        self.set_class(True, "-there")
        self.show(None, picture)
