"""All columns in one line, for a board that is too narrow to show them side by side."""

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from server.features.orders.schemas import OrderStatus
from tui.common.styles import Inks
from tui.employee.kitchen.board import COLUMNS, NAMES, Board
from tui.employee.kitchen.cursor import Cursor

NAMINGS = (
    NAMES,
    dict(zip(COLUMNS, ("New", "Acc", "Prep", "Rdy", "Way"), strict=True)),
    dict(zip(COLUMNS, "NAPRW", strict=True)),
)
"""From the roomiest to the tightest."""


class ColumnStrip(Widget):
    """Names and counts, the cursor's column in a pill; a click goes there."""

    DEFAULT_CSS = """
    ColumnStrip { height: 1; background: $surface; }
    ColumnStrip.-hidden { display: none; }
    """

    class Chosen(Message):
        """A column was clicked."""

        def __init__(self, status: OrderStatus) -> None:
            super().__init__()
            self.status = status

    def __init__(self, board: Board, cursor: Cursor) -> None:
        super().__init__(id="columns")
        self.board = board
        self.cursor = cursor
        self.lit = False
        self._inks: Inks | None = None
        self._ends: list[tuple[int, OrderStatus]] = []
        self._drawn: object = None

    def follow(self) -> None:
        """Paint anew if something that is shown has changed."""
        counts = tuple(self.board.count(status) for status in COLUMNS)
        drawn = (counts, self.cursor.status, bool(self.board.unseen), self.lit)
        if drawn != self._drawn and self.display:
            self._drawn = drawn
            self.refresh()

    def notify_style_update(self) -> None:
        """Another theme, other inks."""
        super().notify_style_update()
        self._inks = None

    def render_line(self, y: int) -> Strip:
        """The line."""
        inks = self._inks = self._inks or Inks(self.app.theme_variables)
        width = self.size.width
        counts = {status: self.board.count(status) for status in COLUMNS}
        for names in NAMINGS:
            texts = [f"{names[status]} {counts[status]}" for status in COLUMNS]
            spare = width - sum(map(cell_len, texts)) - len(texts) - 1
            if spare >= 0:
                break
        gap = 2 if spare >= len(texts) - 1 else 1
        line: list[Segment] = []
        self._ends = []
        at, start = 0, 1
        for status, text in zip(COLUMNS, texts, strict=True):
            end = start + cell_len(text)
            if status is self.cursor.status:
                # the brackets tell where there is no colour
                pill = f"[{text}]" if self.app.no_color else f" {text} "
                line.append(Segment(" " * (start - 1 - at), inks("")))
                line.append(Segment(pill, inks("bold badge-ink", "primary")))
                at = end + 1
            else:
                line.append(Segment(" " * (start - at), inks("")))
                line.append(Segment(text, inks(self._ink(status, counts[status]))))
                at = end
            self._ends.append((end + 1, status))
            start = end + gap
        return Strip(line).adjust_cell_length(width, inks(""))

    def _ink(self, status: OrderStatus, count: int) -> str:
        if status is OrderStatus.PLACED and self.board.unseen:
            return "bold reverse primary" if self.lit else "bold primary"
        return "title" if count else "wire-ink"

    def on_click(self, event: events.Click) -> None:
        """Go to the column."""
        for end, status in self._ends:
            if event.x < end:
                self.post_message(self.Chosen(status))
                return
