"""The customer's panel "Photo": the avatar, made of a photo."""

from tui.common.language import _
from tui.common.uploads.manager import Row
from tui.common.uploads.panel import PhotoPanel


class AvatarPanel(PhotoPanel):
    """Every photo is to be the avatar; the newest that is done is."""

    def ask_for_new(self) -> None:
        """Nothing to ask: it is the avatar."""
        self.offer_avatar()

    def about(self, row: Row) -> str:
        """Always the same."""
        return _("Avatar")
