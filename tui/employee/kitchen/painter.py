"""Paints the board as columns of lines; cards that have not changed are kept as they are."""

from dataclasses import dataclass, field
from datetime import datetime

from rich.cells import cell_len
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip

from server.features.orders.schemas import Order, OrderStatus
from tui.common.format import fit
from tui.common.styles import Inks, Line, Part
from tui.employee.kitchen.board import COLUMNS, NAMES, Board, Due, due
from tui.employee.kitchen.cards import Look, body_of, paint, wrap
from tui.employee.kitchen.cursor import Cursor

LEAST_CELLS = 17
"""Of a column; as many stand side by side as there is room for."""
CARDS_KEPT = 400
MANY = 3
"""So many blocks with changes are painted as one."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a painting depends on besides the orders and the cursor; sizes in cells."""

    width: int
    height: int
    now: datetime
    words: str = ""
    """For an empty board."""
    focused: bool = False
    lit: bool = False
    busy: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Block:
    """Lines of one width, `left` cells from the edge."""

    left: int
    width: int
    lines: list[Line]


@dataclass(slots=True)
class Picture:
    """Blocks from left to right, a cell between them, and what is where."""

    size: tuple[int, int]
    blocks: list[Block]
    gap: Segment
    hits: list[tuple[Region, OrderStatus, str | None]] = field(default_factory=list)

    def strip(self, y: int) -> Strip:
        """One line of the whole."""
        line: Line = []
        for block in self.blocks:
            if line:
                line.append(self.gap)
            line += block.lines[y]
        return Strip(line, self.size[0])

    def changes(self, old: "Picture") -> list[Region] | None:
        """Where this differs from `old`; None where everything does."""
        shape = [(block.left, block.width, len(block.lines)) for block in self.blocks]
        if shape != [(block.left, block.width, len(block.lines)) for block in old.blocks]:
            return None
        regions: list[Region] = []
        for new, was in zip(self.blocks, old.blocks, strict=True):
            rows = [y for y, line in enumerate(new.lines) if line != was.lines[y]]
            if rows:
                regions.append(Region(new.left, rows[0], new.width, rows[-1] - rows[0] + 1))
        # Each part of a line is cut out and painted for itself, which soon costs more than a whole.
        return regions if len(regions) < MANY else [Region.from_union(regions)]


@dataclass(slots=True)
class _Card:
    """A card as it was painted, and what for."""

    order: Order
    width: int
    body: list[Part]
    look: Look | None = None
    clock: Due | None = None
    lines: list[Line] = field(default_factory=list)


class BoardPainter:
    """Paints one board; remembers how far each column is scrolled."""

    def __init__(self, board: Board, cursor: Cursor) -> None:
        self._board = board
        self._cursor = cursor
        self._first_column = 0
        self._tops: dict[OrderStatus, int] = {}
        self._cards: dict[str, _Card] = {}
        self._inks: Inks | None = None

    def paint(self, scene: Scene, inks: Inks) -> Picture:
        """The board in `scene.width` by `scene.height` cells."""
        if inks is not self._inks:
            self._inks = inks
            self._cards.clear()
        count = columns_in(scene.width)
        self._first_column = min(
            max(self._first_column, self._cursor.column - count + 1),
            self._cursor.column,
            len(COLUMNS) - count,
        )
        shown = COLUMNS[self._first_column : self._first_column + count]
        each, over = divmod(scene.width - count + 1, count)
        picture = Picture((scene.width, scene.height), [], Segment(" ", inks("")))
        left = 0
        for at, status in enumerate(shown):
            width = each + (at < over)
            lines = self._heading(status, width, count, scene, inks)
            picture.hits.append((Region(left, 0, width, len(lines)), status, None))
            picture.blocks.append(Block(left, width, lines))
            left += width + 1
        if any(self._board.column(status) for status in COLUMNS):
            for block, status in zip(picture.blocks, shown, strict=True):
                self._add_cards(picture, block, status, scene, inks)
            return picture
        return _with_words(picture, scene, inks)

    def _heading(
        self, status: OrderStatus, width: int, count: int, scene: Scene, inks: Inks
    ) -> list[Line]:
        """Two lines; one where the strip above has the counts, none where it says it all."""
        if count == 1:
            return []
        here = status is self._cursor.status
        rule, edge = ("━", "primary") if here else ("─", "edge")
        orders = self._board.count(status)
        ring = status is OrderStatus.PLACED and bool(self._board.unseen)
        ink = "bold primary" if here or ring else "title" if orders else "wire-ink"
        name = fit(NAMES[status], width - 4)
        if count < len(COLUMNS):
            rest = rule * (width - cell_len(name) - 3)
            return [inks.line([(f"{rule} ", edge), (name, ink), (f" {rest}", edge)], width)]
        parts: list[Part] = [(name, ink), (f" {orders}", "bold" if orders else "wire-ink")]
        if ring:
            parts.append((" ♪" if scene.lit else "  ", "bold primary"))
        return [inks.line(parts, width), inks.line([(rule * width, edge)], width)]

    def _add_cards(
        self, picture: Picture, block: Block, status: OrderStatus, scene: Scene, inks: Inks
    ) -> None:
        """Fill the block with the column's cards, the cursor's among them."""
        orders, lines, width = self._board.column(status), block.lines, block.width
        room = scene.height - len(lines)
        cards = [self._card(order, width) for order in orders]
        heights = [len(card.body) + 2 for card in cards]
        top = self._top(status, heights, room)
        hidden = _hidden(heights, top, room)
        blank = inks.line([], width)
        for card in cards[top:]:
            if len(lines) >= scene.height:
                break
            painted = self._painted(card, status, scene, inks)
            region = Region(block.left, len(lines), width, len(painted))
            picture.hits.append((region, status, card.order.id))
            lines += [*painted, blank]
        del lines[scene.height :]
        lines += [blank] * (scene.height - len(lines))
        if (hidden or top) and room > 1:
            above = f"▴ {top} " if top else ""
            below = f"▾ {hidden} more" if hidden else ""
            lines[-1] = inks.line([(fit(above + below, width), "wire-ink")], width)

    def _card(self, order: Order, width: int) -> _Card:
        card = self._cards.get(order.id)
        if card is None or card.order is not order or card.width != width:
            if len(self._cards) > CARDS_KEPT:
                self._cards.clear()
            card = self._cards[order.id] = _Card(order, width, body_of(order, width - 3))
        return card

    def _painted(self, card: _Card, status: OrderStatus, scene: Scene, inks: Inks) -> list[Line]:
        order = card.order
        fresh = order.id in self._board.unseen
        selected = status is self._cursor.status and order.id == self._cursor.order_id
        look = Look(
            selected,
            selected and scene.focused,
            fresh,
            fresh and scene.lit,
            order.id in scene.busy,
        )
        clock = due(order, scene.now)
        if card.look != look or card.clock is None or not clock.reads_like(card.clock):
            card.look, card.clock = look, clock
            card.lines = paint(order, card.body, card.width, look, clock, inks)
        return card.lines

    def _top(self, status: OrderStatus, heights: list[int], height: int) -> int:
        """The first card drawn: the last one's choice, but the cursor's card is in view."""
        top = min(self._tops.get(status, 0), max(0, len(heights) - 1))
        if sum(heights) - 1 <= height:
            top = 0
        elif status is self._cursor.status:
            row = self._cursor.row
            top = min(top, row)
            # the last line says how many more there are
            while top < row and sum(heights[top : row + 1]) > height:
                top += 1
        self._tops[status] = top
        return top


def columns_in(width: int) -> int:
    """How many columns have room in so many cells."""
    return min(len(COLUMNS), max(1, (width + 1) // (LEAST_CELLS + 1)))


def _hidden(heights: list[int], top: int, height: int) -> int:
    """How many cards from `top` on are not wholly in `height` lines."""
    used = 0
    for at in range(top, len(heights)):
        used += heights[at]
        if used - 1 > height:
            return len(heights) - at
    return 0


def _with_words(picture: Picture, scene: Scene, inks: Inks) -> Picture:
    """The headings, and below them the words for an empty board, in the middle."""
    above = len(picture.blocks[0].lines)
    lines = [list(picture.strip(y)) for y in range(above)]
    texts = wrap(scene.words, min(scene.width, 60))
    blank = inks.line([], scene.width)
    lines += [blank] * max(0, (scene.height - above - len(texts)) // 2)
    for text in texts:
        before = " " * ((scene.width - cell_len(text)) // 2)
        lines.append(inks.line([(before + text, "wire-ink")], scene.width))
    lines = (lines + [blank] * scene.height)[: scene.height]
    return Picture(picture.size, [Block(0, scene.width, lines)], picture.gap, picture.hits)
