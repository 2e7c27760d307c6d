"""The board on the screen: one widget that paints its own lines, however many orders there are."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from server.features.orders.schemas import Order, OrderStatus
from tui.common.text import fit
from tui.employee.panels.board import COLUMNS, NAMES, Board
from tui.employee.panels.card import Look, body_of, paint, wrap
from tui.employee.panels.cursor import Cursor
from tui.employee.panels.ink import Inks, Part

LEAST_CELLS = 17
"""Of a column; as many stand side by side as there is room for."""
BODIES_KEPT = 400
Line = list[Segment]


class BoardView(Widget, can_focus=True):
    """Columns of cards; fewer where it is narrow, down to one with the counts of the others."""

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
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._inks: Inks | None = None
        self._lines: list[Line] | None = None
        self._hits: list[tuple[Region, OrderStatus, str | None]] = []
        self._first_column = 0
        self._tops: dict[OrderStatus, int] = {}
        self._bodies: dict[str, tuple[Order, int, list[Part]]] = {}

    @property
    def shows_all(self) -> bool:
        """Whether there is room for all columns."""
        return self._count == len(COLUMNS)

    def repaint(self) -> None:
        """Paint anew with the next frame."""
        self._lines = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line; all are made when the first is asked for."""
        if self._lines is None:
            self._lines = self._paint()
        return Strip(self._lines[y]) if y < len(self._lines) else Strip.blank(self.size.width)

    def notify_style_update(self) -> None:
        """Another theme, other inks."""
        super().notify_style_update()
        self._inks = None
        self._lines = None

    def on_resize(self) -> None:
        """Other widths."""
        self.repaint()

    def on_focus(self) -> None:
        """The cursor is bright only here."""
        self.repaint()

    def on_blur(self) -> None:
        """The cursor is bright only here."""
        self.repaint()

    def action_move(self, across: int, down: int) -> None:
        """Move the cursor."""
        self.cursor.move(across, down)
        self.repaint()
        self.post_message(self.Moved())

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is."""
        for region, status, order_id in self._hits:
            if region.contains(event.x, event.y):
                if order_id is not None:
                    self.cursor.go(order_id)
                else:
                    self.cursor.move(COLUMNS.index(status) - self.cursor.column, 0)
                self.repaint()
                self.post_message(self.Moved())
                return

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel goes down the column."""
        event.stop()
        self.action_move(0, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel goes up the column."""
        event.stop()
        self.action_move(0, -1)

    # -- painting

    def _paint(self) -> list[Line]:
        width, height = self.size
        inks = self._inks = self._inks or Inks(self.app.theme_variables)
        self._hits = []
        count = self._count
        self._first_column = min(
            max(self._first_column, self.cursor.column - count + 1),
            self.cursor.column,
            len(COLUMNS) - count,
        )
        shown = COLUMNS[self._first_column : self._first_column + count]
        widths = _widths(shown, width)
        columns = [self._heading(status, cells, count, inks) for status, cells in widths]
        above = len(columns[0])
        if not any(self.board.column(status) for status in COLUMNS):
            return _beside(columns, inks, widths, above) + self._say(width, height - above, inks)
        left = 0
        for column, (status, cells) in zip(columns, widths, strict=True):
            self._hits.append((Region(left, 0, cells, above), status, None))
            column += self._cards(status, left, above, cells, height - above, inks)
            left += cells + 1
        return _beside(columns, inks, widths, height)

    def _heading(self, status: OrderStatus, width: int, count: int, inks: Inks) -> list[Line]:
        """Two lines; one where the strip above has the counts, none where it says it all."""
        here = status is self.cursor.status
        rule = "━" if here else "─"
        edge = "primary" if here else "edge"
        orders = self.board.count(status)
        ring = status is OrderStatus.PLACED and bool(self.board.unseen)
        ink = "bold primary" if here or ring else "title" if orders else "wire-ink"
        name = fit(NAMES[status], width - 4)
        if count == 1:
            return []
        if count < len(COLUMNS):
            rest = rule * (width - cell_len(name) - 3)
            return [inks.line([(f"{rule} ", edge), (name, ink), (f" {rest}", edge)], width)]
        parts: list[Part] = [(name, ink), (f" {orders}", "bold" if orders else "wire-ink")]
        if ring:
            parts.append((" ♪" if self.lit else "  ", "bold primary"))
        return [inks.line(parts, width), inks.line([(rule * width, edge)], width)]

    def _cards(
        self, status: OrderStatus, left: int, above: int, width: int, height: int, inks: Inks
    ) -> list[Line]:
        orders = self.board.column(status)
        bodies = [self._body(order, width - 3) for order in orders]
        top = self._top(status, [len(body) + 2 for body in bodies], height)
        lines: list[Line] = []
        now = self.clock()
        for at in range(top, len(orders)):
            order = orders[at]
            if len(lines) >= height:
                break
            fresh = order.id in self.board.unseen
            selected = status is self.cursor.status and order.id == self.cursor.order_id
            look = Look(selected, self.has_focus, fresh, self.lit, order.id in self.busy)
            card = paint(order, bodies[at], width, look, now, inks)
            region = Region(left, above + len(lines), width, len(card))
            self._hits.append((region, status, order.id))
            lines += [*card, inks.line([], width)]
        hidden = _hidden([len(body) + 2 for body in bodies], top, height)
        if (hidden or top) and height > 1:
            words = f"{'▴ ' + str(top) + ' ' if top else ''}{f'▾ {hidden} more' if hidden else ''}"
            lines = lines[: height - 1]
            lines += [inks.line([], width) for _ in range(height - 1 - len(lines))]
            lines.append(inks.line([(fit(words, width), "wire-ink")], width))
        return lines[:height]

    @property
    def _count(self) -> int:
        return min(len(COLUMNS), max(1, (self.size.width + 1) // (LEAST_CELLS + 1)))

    def _top(self, status: OrderStatus, heights: list[int], height: int) -> int:
        """The first card drawn: the last one's choice, but the cursor's card is in view."""
        top = min(self._tops.get(status, 0), max(0, len(heights) - 1))
        if sum(heights) - 1 <= height:
            top = 0
        elif status is self.cursor.status:
            row = self.cursor.row
            top = min(top, row)
            while top < row and sum(heights[top : row + 1]) > height:
                top += 1
        self._tops[status] = top
        return top

    def _body(self, order: Order, width: int) -> list[Part]:
        kept = self._bodies.get(order.id)
        if kept is not None and kept[0] is order and kept[1] == width:
            return kept[2]
        if len(self._bodies) > BODIES_KEPT:
            self._bodies.clear()
        body = body_of(order, width)
        self._bodies[order.id] = (order, width, body)
        return body

    def _say(self, width: int, height: int, inks: Inks) -> list[Line]:
        """The words for an empty board, in the middle."""
        texts = wrap(self.words, min(width, 60))
        blank = inks.line([], width)
        lines = [blank] * max(0, (height - len(texts)) // 2)
        for text in texts:
            before = " " * ((width - cell_len(text)) // 2)
            lines.append(inks.line([(before + text, "wire-ink")], width))
        return (lines + [blank] * height)[: max(0, height)]


def _widths(shown: tuple[OrderStatus, ...], width: int) -> list[tuple[OrderStatus, int]]:
    """Each column's cells, one cell between them."""
    room = width - len(shown) + 1
    each, over = divmod(room, len(shown))
    return [(status, each + (at < over)) for at, status in enumerate(shown)]


def _beside(
    columns: list[list[Line]], inks: Inks, widths: list[tuple[OrderStatus, int]], height: int
) -> list[Line]:
    """Columns of lines as lines of columns."""
    gap = Segment(" ", inks(""))
    lines: list[Line] = []
    for y in range(height):
        line: Line = []
        for column, (_, cells) in zip(columns, widths, strict=True):
            if line:
                line.append(gap)
            line += column[y] if y < len(column) else inks.line([], cells)
        lines.append(line)
    return lines


def _hidden(heights: list[int], top: int, height: int) -> int:
    """How many cards from `top` on are not wholly in `height` lines."""
    used = 0
    for at in range(top, len(heights)):
        used += heights[at]
        if used - 1 > height:
            return len(heights) - at
    return 0
