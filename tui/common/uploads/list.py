"""The list of photos, newest first."""

from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message

from server.features.uploads.schemas import Upload
from tui.common.format import human_age
from tui.common.language import _
from tui.common.uploads import format as uploads_format
from tui.common.uploads.manager import Row
from tui.common.widgets.row_list import RowList


class UploadList(RowList):
    """A row a photo: its state, its purpose, its age."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", show=False),
        Binding("left", "slide(-1)", _("Compare"), key_display="← →"),
        Binding("right", "slide(1)", _("Compare"), show=False),
    ]

    class Slid(Message):
        """Asks to move the divider of the picture."""

        def __init__(self, steps: int) -> None:
            super().__init__()
            self.steps = steps

    def __init__(self, about: Callable[[Row], str]) -> None:
        """`about` gives the purpose of a photo in words."""
        super().__init__(id="uploads")
        self.rows: Sequence[Row] = ()
        self._ids: Sequence[str] = ()
        self._about = about
        self.has_more = False
        """Whether there are older ones that are not read yet."""
        self._now = datetime.now(UTC)

    def row_ids(self) -> Sequence[str]:
        """The ids of the photos, newest first."""
        return self._ids

    def show(self, rows: Sequence[Row], ids: Sequence[str], now: datetime) -> None:
        """Show these photos, as rows of these ids."""
        self.rows, self._ids, self._now = rows, ids, now
        self.redraw()

    def action_slide(self, steps: int) -> None:
        """Move the divider without leaving the list."""
        self.post_message(self.Slid(steps))

    def filter_key(self, index: int) -> str:
        """Purpose and state."""
        row = self.rows[index]
        shown = "shown" if isinstance(row, Upload) and row.shown else ""
        return f"{self._about(row)} {uploads_format.state_of(row)} {shown}"

    def filter_part(self) -> str:
        """Older ones may not be read yet."""
        return _("of the newest") if self.has_more else ""

    def row_key(self, index: int) -> Hashable:
        """Everything a row's text depends on."""
        row = self.rows[index]
        age, shown = "", False
        if isinstance(row, Upload):
            age, shown = human_age((self._now - row.created_at).total_seconds()), row.shown
        return row.id, uploads_format.state_of(row), shown, self._about(row), age

    def draw(self, index: int, width: int, focused: bool) -> list[Content]:
        """The row of one photo."""
        row = self.rows[index]
        return [uploads_format.list_line(row, self._about(row), self._now, width)]
