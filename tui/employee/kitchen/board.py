"""The widgets of the kitchen's board: the columns of cards, the strip above them, the details.

Hand-drawn: with an `OptionList` a column, a redraw of 60 changed cards took 46 ms instead of 7.
"""

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from server.features.orders.schemas import Order, OrderStatus
from tui.common.format import STATUS_LOOKS, fit
from tui.common.language import _, ngettext
from tui.common.styles import ThemeStyles
from tui.employee.kitchen.cards import (
    FIVE_CELLS,
    BoardRenderer,
    BoardState,
    RenderedBoard,
    columns_that_fit,
)
from tui.employee.kitchen.format import format_order
from tui.employee.kitchen.model import COLUMNS, Cursor, OrderBoard


class BoardView(Widget, can_focus=True):
    """Columns of cards, fewer where it is narrow. Repaints only the lines that differ."""

    DEFAULT_CSS = "BoardView { width: 1fr; height: 1fr; background: $surface; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1, 0)", show=False),
        Binding("right", "move(1, 0)", show=False),
        Binding("up", "move(0, -1)", show=False),
        Binding("down", "move(0, 1)", show=False),
        Binding("pageup", "move(0, -5)", show=False),
        Binding("pagedown", "move(0, 5)", show=False),
        Binding("home", "move(0, -10000)", show=False),
        Binding("end", "move(0, 10000)", show=False),
    ]

    class CursorMoved(Message):
        """The employee has moved the cursor."""

    def __init__(self, board: OrderBoard, cursor: Cursor, clock: Callable[[], datetime]) -> None:
        """`clock` is the server's."""
        super().__init__(id="board")
        self.board = board
        self.cursor = cursor
        self.message = ""
        """What an empty board says."""
        self.busy: set[str] = set()
        """Orders whose change is on its way to the server."""
        self.held: dict[str, str] = {}
        """Orders whose step waits to be sent, and the time left in words."""
        self.blink_on = False
        """In the bright half of blinking."""
        self._clock = clock
        self._renderer = BoardRenderer(board, cursor)
        self._theme_styles: ThemeStyles | None = None
        self._rendered: RenderedBoard | None = None

    @property
    def shows_all(self) -> bool:
        """Whether there is room for all columns."""
        return columns_that_fit(self.size.width) == len(COLUMNS)

    def redraw(self) -> None:
        """Draw again, and repaint what differs."""
        if not self.size:
            return
        old, self._rendered = self._rendered, self._render_board()
        regions = None if old is None else self._rendered.changes(old)
        if regions is None:
            self.refresh()
        elif regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        """One line."""
        if self._rendered is None or self._rendered.size != self.size:
            self._rendered = self._render_board()
        if y >= self.size.height:  # of the size before
            return Strip.blank(self.size.width)
        return self._rendered.strip(y)

    def notify_style_update(self) -> None:
        """The theme has changed."""
        super().notify_style_update()
        self._theme_styles = None
        self._rendered = None

    def on_resize(self) -> None:
        """Draw for the new size."""
        self._rendered = None
        self.refresh()

    def on_focus(self) -> None:
        """The cursor is bright only while the board has the focus."""
        self.redraw()

    def on_blur(self) -> None:
        """The cursor is bright only while the board has the focus."""
        self.redraw()

    def action_move(self, across: int, down: int) -> None:
        """Move the cursor."""
        self.cursor.move(across, down)
        self._cursor_moved()

    def on_click(self, event: events.Click) -> None:
        """Select the card or column that was clicked."""
        for region, status, order_id in self._rendered.hit_areas if self._rendered else ():
            if region.contains(event.x, event.y):
                if order_id is not None:
                    self.cursor.select(order_id)
                else:
                    self.cursor.move(COLUMNS.index(status) - self.cursor.column, 0)
                self._cursor_moved()
                return

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Move down the column."""
        event.stop()
        self.action_move(0, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Move up the column."""
        event.stop()
        self.action_move(0, -1)

    def _cursor_moved(self) -> None:
        self.redraw()
        self.post_message(self.CursorMoved())

    def _render_board(self) -> RenderedBoard:
        self._theme_styles = self._theme_styles or ThemeStyles(self.app.theme_variables)
        width, height = self.size
        state = BoardState(
            width,
            height,
            self._clock(),
            self.message,
            self.has_focus,
            self.blink_on,
            dict.fromkeys(self.busy, "…") | self.held,
        )
        return self._renderer.render(state, self._theme_styles)


LABELS = (
    {status: STATUS_LOOKS[status][1] for status in COLUMNS},
    dict(zip(COLUMNS, _("Placed Acc Cook Ready Way").split(), strict=True)),
    dict(zip(COLUMNS, _("P A C R W").split(), strict=True)),
)
"""From the widest to the narrowest."""


class ColumnStrip(Widget):
    """The columns' names and counts in one line, where they don't fit side by side."""

    DEFAULT_CSS = """
    ColumnStrip { height: 1; background: $surface; }
    ColumnStrip.-hidden { display: none; }
    """

    class Selected(Message):
        """A column was clicked."""

        def __init__(self, status: OrderStatus) -> None:
            super().__init__()
            self.status = status

    def __init__(self, board: OrderBoard, cursor: Cursor) -> None:
        super().__init__(id="columns")
        self.board = board
        self.cursor = cursor
        self.blink_on = False
        self._theme_styles: ThemeStyles | None = None
        self._ends: list[tuple[int, OrderStatus]] = []
        self._drawn: object = None

    def redraw(self) -> None:
        """Repaint if something that is shown has changed."""
        counts = tuple(self.board.count(status) for status in COLUMNS)
        drawn = (counts, self.cursor.status, bool(self.board.unseen), self.blink_on)
        if drawn != self._drawn and self.display:
            self._drawn = drawn
            self.refresh()

    def notify_style_update(self) -> None:
        """The theme has changed."""
        super().notify_style_update()
        self._theme_styles = None

    def render_line(self, y: int) -> Strip:
        """The one line; the selected column is in a pill."""
        styles = self._theme_styles = self._theme_styles or ThemeStyles(self.app.theme_variables)
        width = self.size.width
        counts = {status: self.board.count(status) for status in COLUMNS}
        for names in LABELS:
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
                # brackets where there is no colour
                pill = f"[{text}]" if self.app.no_color else f" {text} "
                line.append(Segment(" " * (start - 1 - at), styles("")))
                line.append(Segment(pill, styles("bold badge-ink", "primary")))
                at = end + 1
            else:
                line.append(Segment(" " * (start - at), styles("")))
                line.append(Segment(text, styles(self._ink(status, counts[status]))))
                at = end
            self._ends.append((end + 1, status))
            start = end + gap
        return Strip(line).adjust_cell_length(width, styles(""))

    def _ink(self, status: OrderStatus, count: int) -> str:
        if status is OrderStatus.PLACED and self.board.unseen:
            return "bold reverse primary" if self.blink_on else "bold primary"
        return "title" if count else "wire-ink"

    def on_click(self, event: events.Click) -> None:
        """Go to the column."""
        for end, status in self._ends:
            if event.x < end:
                self.post_message(self.Selected(status))
                return


class OrderSummary(Widget):
    """The selected order, cut to the height there is; space opens all of it in a dialog."""

    DEFAULT_CSS = "OrderSummary { width: 1fr; height: 1fr; background: $surface; }"

    def __init__(self) -> None:
        super().__init__(id="details")
        self._order: Order | None = None
        self._now: datetime | None = None
        self._drawn: object = None

    def show(self, order: Order | None, now: datetime) -> None:
        """Show that order as it is at `now`."""
        drawn = (id(order), int(now.timestamp()), self.size) if order else None
        if drawn != self._drawn or order is not self._order:
            self._order, self._now, self._drawn = order, now, drawn
            self.refresh()

    def render(self) -> Content:
        """As many lines as there is room for."""
        width, height = self.content_size
        if self._order is None or self._now is None or width < 8:
            return Content("")
        lines = format_order(self._order, self._now, width)
        if len(lines) > height > 0:
            more = len(lines) - height + 1
            words = ngettext(
                "space shows {count} more line", "space shows {count} more lines", more
            )
            words = words.format(count=more)
            lines = [*lines[: height - 1], Content.assemble((fit(words, width), "$wire-ink"))]
        return Content("\n").join(lines)


BELOW_FROM_ROWS = 22
RIGHT_FROM_COLUMNS = 60
DETAILS_CELLS = 36


class Stage(Container):
    """The board, and the selected order below or beside it; in a wide window never at the cost of a
    column."""

    DEFAULT_CSS = """
    Stage {
        height: 1fr; layout: vertical;
        &.-below #details { height: 30%; min-height: 8; border-top: solid $edge; }
        &.-right { layout: horizontal; }
        &.-right #board { width: 43%; }
        &.-right.-five #board { width: 1fr; }
        &.-right #details { width: 1fr; border-left: solid $edge; margin-left: 1; padding-left: 1; }
        &.-right.-five #details { width: 38; }
        &.-bare #details { display: none; }
    }
    """

    def make_room(self, size: Size, *, wide: bool) -> None:
        """Arrange them in a panel of that size; `wide` is the window's breakpoint."""
        below = size.height >= BELOW_FROM_ROWS
        five = wide and size.width >= FIVE_CELLS
        least = FIVE_CELLS + DETAILS_CELLS + 2 if five else RIGHT_FROM_COLUMNS
        right = not below and size.width >= least
        self.set_class(below, "-below")
        self.set_class(right, "-right")
        self.set_class(five, "-five")
        self.set_class(not below and not right, "-bare")
