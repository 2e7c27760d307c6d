"""Draws the kitchen's board: columns of cards. A card that has not changed is kept as drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rich.cells import cell_len
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip

from server.features.orders.schemas import Order, OrderStatus
from tui.common.client.log_feed import MARK
from tui.common.format import STATUS_LOOKS, fit, wrapped
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.styles import Line, Part, ThemeStyles
from tui.employee.kitchen.model import COLUMNS, Cursor, Due, OrderBoard, Urgency, due

ITEM_LINES = 7
NOTE_LINES = 4

CLOCK_INK = {Urgency.CALM: "title", Urgency.SOON: "bold warning", Urgency.LATE: "bold error"}
BAR_INK = {Urgency.CALM: "wire-sep", Urgency.SOON: "warning", Urgency.LATE: "error"}


@dataclass(frozen=True, slots=True)
class CardState:
    """How a card is shown, besides its order."""

    selected: bool = False
    focused: bool = False
    fresh: bool = False
    """New, and nobody has looked at it."""
    blink_on: bool = False
    """In the bright half of blinking."""
    busy: str = ""
    """Instead of the clock: a change of it waits, or is on its way to the server."""
    replayed: bool = False
    """Missed during an outage, and come just now."""


def hanging(lead: str, text: str, width: int) -> list[str]:
    """`text` wrapped after `lead`, with a hanging indent."""
    lines = wrapped(text, max(4, width - cell_len(lead)))
    return [(lead if at == 0 else " " * cell_len(lead)) + line for at, line in enumerate(lines)]


def order_notes(order: Order) -> list[str]:
    """The customer's notes, dish by dish and for the whole order."""
    notes = [item.note for item in order.items if item.note]
    return [*notes, order.note] if order.note else notes


def card_body(order: Order, width: int) -> list[Part]:
    """The lines below the first, at most `width` cells each: customer, dishes, notes, driver."""
    lines: list[Part] = [(fit(order.customer.name, width), "wire-ink")]
    dishes = [hanging(f"{item.quantity}× ", item.name, width) for item in order.items]
    room = ITEM_LINES
    for at, dish in enumerate(dishes):
        final = at == len(dishes) - 1
        if len(dish) > room - (not final):
            more = _("and {count} more").format(count=len(dishes) - at)
            lines.append((fit(more, width), "wire-ink"))
            break
        lines += [(line, "") for line in dish]
        room -= len(dish)
    noted = [line for note in order_notes(order) for line in hanging("» ", note, width)]
    if len(noted) > NOTE_LINES:
        noted = [*noted[: NOTE_LINES - 1], fit(noted[NOTE_LINES - 1], width - 2) + " …"]
    lines += [(line, "warning") for line in noted]
    if order.driver is not None:
        lines.append((fit(f"▸ {plain(order.driver.name)}", width), "secondary"))
    if order.status is OrderStatus.CANCELLED:
        last = order.timeline[-1]
        why = _("cancelled: {reason}").format(reason=last.reason)
        words = why if last.reason else _("cancelled")
        lines += [(line, "bold error") for line in wrapped(words, width)[:NOTE_LINES]]
    return lines


def render_card(
    order: Order,
    body: Sequence[Part],
    width: int,
    state: CardState,
    clock: Due,
    styles: ThemeStyles,
) -> list[Line]:
    """The card's lines, all `width` cells wide."""
    off = order.status is OrderStatus.CANCELLED
    background = "block-cursor-background" if state.selected and state.focused else "panel"
    thin = "▎" if clock.urgency else "▏"
    bar = ("▌", "primary") if state.selected else (thin, BAR_INK[clock.urgency])
    if off:
        bar = (bar[0], "primary" if state.selected else "error")
    number = f"{MARK} #{order.number}" if state.replayed else f"#{order.number}"
    words = "✕" if off else state.busy or f"{clock.glyph} {clock.text}"
    ink = "bold error" if off else CLOCK_INK[clock.urgency]
    gap = " " * max(1, width - 3 - cell_len(number) - cell_len(words))
    if state.fresh and state.blink_on:
        pill = "primary"
        first = styles.line([bar], 1, pill) + styles.line(
            [(f" {number}{gap}{words} ", "bold badge-ink")], width - 1, pill
        )
    else:
        title = "bold block-cursor-foreground" if state.selected and state.focused else "bold"
        if off:
            title = "bold strike"
        first = styles.line(
            [bar, (" ", ""), (number, title), (gap, ""), (words, ink)], width, background
        )
    lines = [first]
    for text, line_ink in body:
        if off and line_ink in ("", "warning"):
            line_ink = "wire-ink"
        lines.append(styles.line([bar, (" ", ""), (text, line_ink)], width, background))
    return lines


COLUMN_CELLS = 17
"""Least width of a column; as many are shown as there is room for."""
FIVE_CELLS = 79
"""From this width on there are all five, two cells narrower if need be."""
CARD_CACHE_SIZE = 400
MANY_REGIONS = 3
"""From this many changed columns on, their area is repainted as one."""


@dataclass(frozen=True, slots=True)
class BoardState:
    """What the drawing depends on besides orders and cursor; sizes in cells."""

    width: int
    height: int
    now: datetime
    message: str = ""
    """What an empty board says."""
    focused: bool = False
    blink_on: bool = False
    busy: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RenderedColumn:
    """Lines of one width, `left` cells from the edge."""

    left: int
    width: int
    lines: list[Line]


@dataclass(slots=True)
class RenderedBoard:
    """Columns from left to right, a cell between them, and what a click at a place means."""

    size: tuple[int, int]
    columns: list[RenderedColumn]
    gap: Segment
    hit_areas: list[tuple[Region, OrderStatus, str | None]] = field(default_factory=list)

    def strip(self, y: int) -> Strip:
        """One line of the board."""
        line: Line = []
        for column in self.columns:
            if line:
                line.append(self.gap)
            line += column.lines[y]
        return Strip(line, self.size[0])

    def changes(self, old: "RenderedBoard") -> list[Region] | None:
        """The regions that differ from `old`; None where all of it may."""
        shape = [(column.left, column.width, len(column.lines)) for column in self.columns]
        if shape != [(column.left, column.width, len(column.lines)) for column in old.columns]:
            return None
        regions: list[Region] = []
        for new, was in zip(self.columns, old.columns, strict=True):
            rows = [y for y, line in enumerate(new.lines) if line != was.lines[y]]
            if rows:
                regions.append(Region(new.left, rows[0], new.width, rows[-1] - rows[0] + 1))
        # Textual cuts each region out of its lines, which soon costs more than whole lines.
        return regions if len(regions) < MANY_REGIONS else [Region.from_union(regions)]


@dataclass(slots=True)
class _Card:
    """A card as it was last drawn, and from what."""

    order: Order
    width: int
    body: list[Part]
    state: CardState | None = None
    clock: Due | None = None
    lines: list[Line] = field(default_factory=list)


class BoardRenderer:
    """Draws one board, and remembers how far each column is scrolled."""

    def __init__(self, board: OrderBoard, cursor: Cursor) -> None:
        self._board = board
        self._cursor = cursor
        self._first_column = 0
        self._first_cards: dict[OrderStatus, int] = {}
        self._cards: dict[str, _Card] = {}
        self._theme_styles: ThemeStyles | None = None

    def render(self, view: BoardState, styles: ThemeStyles) -> RenderedBoard:
        """The board in `view.width` by `view.height` cells."""
        if styles is not self._theme_styles:
            self._theme_styles = styles
            self._cards.clear()
        count = columns_that_fit(view.width)
        self._first_column = min(
            max(self._first_column, self._cursor.column - count + 1),
            self._cursor.column,
            len(COLUMNS) - count,
        )
        shown = COLUMNS[self._first_column : self._first_column + count]
        each, over = divmod(view.width - count + 1, count)
        rendered = RenderedBoard((view.width, view.height), [], Segment(" ", styles("")))
        left = 0
        for at, status in enumerate(shown):
            width = each + (at < over)
            lines = self._heading(status, width, count, view, styles)
            rendered.hit_areas.append((Region(left, 0, width, len(lines)), status, None))
            rendered.columns.append(RenderedColumn(left, width, lines))
            left += width + 1
        if any(self._board.column(status) for status in COLUMNS):
            for column, status in zip(rendered.columns, shown, strict=True):
                self._add_cards(rendered, column, status, view, styles)
            return rendered
        return _with_message(rendered, view, styles)

    def _heading(
        self,
        status: OrderStatus,
        width: int,
        count: int,
        view: BoardState,
        styles: ThemeStyles,
    ) -> list[Line]:
        """Two lines; one where the strip above has the counts, none over a single column."""
        if count == 1:
            return []
        here = status is self._cursor.status
        rule, edge = ("━", "primary") if here else ("─", "edge")
        orders = self._board.count(status)
        ring = status is OrderStatus.PLACED and bool(self._board.unseen)
        ink = "bold primary" if here or ring else "title" if orders else "wire-ink"
        name = fit(STATUS_LOOKS[status][1], width - 4)
        if count < len(COLUMNS):
            rest = rule * (width - cell_len(name) - 3)
            return [styles.line([(f"{rule} ", edge), (name, ink), (f" {rest}", edge)], width)]
        parts: list[Part] = [(name, ink), (f" {orders}", "bold" if orders else "wire-ink")]
        if ring:
            parts.append((" ♪" if view.blink_on else "  ", "bold primary"))
        return [styles.line(parts, width), styles.line([(rule * width, edge)], width)]

    def _add_cards(
        self,
        rendered: RenderedBoard,
        column: RenderedColumn,
        status: OrderStatus,
        view: BoardState,
        styles: ThemeStyles,
    ) -> None:
        """Fill a column with its cards; the selected one is always in view."""
        orders, lines, width = self._board.column(status), column.lines, column.width
        room = view.height - len(lines)
        cards = [self._card(order, width) for order in orders]
        heights = [len(card.body) + 2 for card in cards]
        top = self._first_card(status, heights, room)
        hidden = _hidden(heights, top, room)
        blank = styles.line([], width)
        for card in cards[top:]:
            if len(lines) >= view.height:
                break
            card_lines = self._render_card(card, status, view, styles)
            region = Region(column.left, len(lines), width, len(card_lines))
            rendered.hit_areas.append((region, status, card.order.id))
            lines += [*card_lines, blank]
        del lines[view.height :]
        lines += [blank] * (view.height - len(lines))
        if (hidden or top) and room > 1:
            above = f"▴ {top} " if top else ""
            below = _("▾ {count} more").format(count=hidden) if hidden else ""
            lines[-1] = styles.line([(fit(above + below, width), "wire-ink")], width)

    def _card(self, order: Order, width: int) -> _Card:
        card = self._cards.get(order.id)
        if card is None or card.order is not order or card.width != width:
            if len(self._cards) > CARD_CACHE_SIZE:
                self._cards.clear()
            card = self._cards[order.id] = _Card(order, width, card_body(order, width - 3))
        return card

    def _render_card(
        self, card: _Card, status: OrderStatus, view: BoardState, styles: ThemeStyles
    ) -> list[Line]:
        order = card.order
        fresh = order.id in self._board.unseen
        selected = status is self._cursor.status and order.id == self._cursor.order_id
        state = CardState(
            selected,
            selected and view.focused,
            fresh,
            fresh and view.blink_on,
            view.busy.get(order.id, ""),
            order.id in self._board.replayed,
        )
        clock = due(order, view.now)
        if card.state != state or card.clock is None or not clock.looks_like(card.clock):
            card.state, card.clock = state, clock
            card.lines = render_card(order, card.body, card.width, state, clock, styles)
        return card.lines

    def _first_card(self, status: OrderStatus, heights: list[int], height: int) -> int:
        """The first card drawn: as last time, unless the selected card would be out of view."""
        top = min(self._first_cards.get(status, 0), max(0, len(heights) - 1))
        if sum(heights) - 1 <= height:
            top = 0
        elif status is self._cursor.status:
            row = self._cursor.row
            top = min(top, row)
            # the last line says how many more there are
            while top < row and sum(heights[top : row + 1]) > height:
                top += 1
        self._first_cards[status] = top
        return top


def columns_that_fit(width: int) -> int:
    """How many columns fit into `width` cells."""
    if width >= FIVE_CELLS:
        return len(COLUMNS)
    return max(1, (width + 1) // (COLUMN_CELLS + 1))


def _hidden(heights: list[int], top: int, height: int) -> int:
    """How many cards from `top` on do not fit into `height` lines."""
    used = 0
    for at in range(top, len(heights)):
        used += heights[at]
        if used - 1 > height:
            return len(heights) - at
    return 0


def _with_message(rendered: RenderedBoard, view: BoardState, styles: ThemeStyles) -> RenderedBoard:
    """The headings, and the message of an empty board centred below them."""
    above = len(rendered.columns[0].lines)
    lines = [list(rendered.strip(y)) for y in range(above)]
    texts = wrapped(view.message, min(view.width, 60))
    blank = styles.line([], view.width)
    lines += [blank] * max(0, (view.height - above - len(texts)) // 2)
    for text in texts:
        before = " " * ((view.width - cell_len(text)) // 2)
        lines.append(styles.line([(before + text, "wire-ink")], view.width))
    lines = (lines + [blank] * view.height)[: view.height]
    return RenderedBoard(
        rendered.size, [RenderedColumn(0, view.width, lines)], rendered.gap, rendered.hit_areas
    )
