"""The board on the screen: one widget that repaints the lines that have changed, and no others."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.common.styles import Inks
from tui.employee.kitchen.board import COLUMNS, Board
from tui.employee.kitchen.cursor import Cursor
from tui.employee.kitchen.painter import BoardPainter, Picture, Scene, columns_in


class BoardView(Widget, can_focus=True):
    """Columns of cards; fewer where it is narrow, down to one."""

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

    class Moved(Message):
        """A person has moved the cursor."""

    def __init__(self, board: Board, cursor: Cursor) -> None:
        super().__init__(id="board")
        self.board = board
        self.cursor = cursor
        self.words = ""
        """What to say where there is no order."""
        self.busy: set[str] = set()
        """Orders whose step is on its way."""
        self.lit = False
        """The bright half of the blinking."""
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._painter = BoardPainter(board, cursor)
        self._inks: Inks | None = None
        self._picture: Picture | None = None

    @property
    def shows_all(self) -> bool:
        """Whether there is room for all columns."""
        return columns_in(self.size.width) == len(COLUMNS)

    def repaint(self) -> None:
        """Show what has changed with the next frame."""
        if not self.size:
            return
        old, self._picture = self._picture, self._paint()
        regions = None if old is None else self._picture.changes(old)
        if regions is None:
            self.refresh()
        elif regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        """One line."""
        if self._picture is None or self._picture.size != self.size:
            self._picture = self._paint()
        return self._picture.strip(y)

    def notify_style_update(self) -> None:
        """Another theme, other inks."""
        super().notify_style_update()
        self._inks = None
        self._picture = None

    def on_resize(self) -> None:
        """Other widths."""
        self._picture = None
        self.refresh()

    def on_focus(self) -> None:
        """The cursor is bright only here."""
        self.repaint()

    def on_blur(self) -> None:
        """The cursor is bright only here."""
        self.repaint()

    def action_move(self, across: int, down: int) -> None:
        """Move the cursor."""
        self.cursor.move(across, down)
        self._moved()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is."""
        for region, status, order_id in self._picture.hits if self._picture else ():
            if region.contains(event.x, event.y):
                if order_id is not None:
                    self.cursor.go(order_id)
                else:
                    self.cursor.move(COLUMNS.index(status) - self.cursor.column, 0)
                self._moved()
                return

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel goes down the column."""
        event.stop()
        self.action_move(0, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel goes up the column."""
        event.stop()
        self.action_move(0, -1)

    def _moved(self) -> None:
        self.repaint()
        self.post_message(self.Moved())

    def _paint(self) -> Picture:
        self._inks = self._inks or Inks(self.app.theme_variables)
        width, height = self.size
        scene = Scene(
            width,
            height,
            self.clock(),
            self.words,
            self.has_focus,
            self.lit,
            frozenset(self.busy),
        )
        return self._painter.paint(scene, self._inks)
