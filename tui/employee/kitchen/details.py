"""The order the cursor stands on, beside or below the board."""

from collections.abc import Sequence
from datetime import datetime

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from server.features.orders.schemas import Order, OrderItem, OrderStatus
from tui.common.format import fit, human_money
from tui.common.sanitize import plain
from tui.employee.kitchen.board import NAMES, Urgency, due, target
from tui.employee.kitchen.cards import wrap

SIDE_BY_SIDE = 72
"""Cells from which on dishes, people and timeline stand next to each other."""
TWO_BLOCKS = 50
"""Cells from which on the dishes stand at the left, the rest at the right."""
GAP = 3


class Details(Widget):
    """Painted whole; what does not fit is in the dialog that space opens."""

    DEFAULT_CSS = "Details { width: 1fr; height: 1fr; background: $surface; }"

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
        lines = lines_of(self._order, self._now, width)
        if len(lines) > height > 0:
            words = f"space shows {len(lines) - height + 1} more lines"
            lines = [*lines[: height - 1], Content.assemble((fit(words, width), "$wire-ink"))]
        return Content("\n").join(lines)


def lines_of(order: Order, now: datetime, width: int) -> list[Content]:
    """The whole order in lines of `width` cells."""
    blank = Content("")
    if width < TWO_BLOCKS:
        return [
            heading(order, now, width),
            *items(order, width),
            blank,
            *people(order, width),
            blank,
            *timeline(order, width),
        ]
    if width < SIDE_BY_SIDE:
        widths = [(width - GAP) * 3 // 5]
        widths.append(width - GAP - widths[0])
        right = [*people(order, widths[1]), blank, *timeline(order, widths[1])]
        return [heading(order, now, width), *beside([items(order, widths[0]), right], widths, GAP)]
    room = width - 2 * GAP
    widths = [room * 2 // 5, room * 3 // 10]
    widths.append(room - sum(widths))
    blocks = [items(order, widths[0]), people(order, widths[1]), timeline(order, widths[2])]
    return [heading(order, now, width), blank, *beside(blocks, widths, GAP)]


CLOCK_INK = {
    Urgency.CALM: "$foreground",
    Urgency.SOON: "bold $warning",
    Urgency.LATE: "bold $error",
}


def heading(order: Order, now: datetime, width: int) -> Content:
    """One line: number, status and clock; in full where there is room, then the total too."""
    parts = [
        (f"#{order.number}", "bold $primary"),
        (f"  {NAMES[order.status]}", "bold"),
        ("  ", ""),
    ]
    words, ink = clock_words(order, now)
    total = f"  {human_money(order.total_cents)}"
    room = width - sum(cell_len(text) for text, _ in parts)
    if cell_len(words) > room:
        words = words.partition(",")[0]
    parts.append((fit(words, room), ink))
    if cell_len(words + total) <= room:
        parts.append((total, "$title"))
    return Content.assemble(*parts)


def clock_words(order: Order, now: datetime) -> tuple[str, str]:
    """What the clock says, in words, and its ink."""
    if order.status.terminal:
        return f"at {_clock(order.timeline[-1].at)}", "$wire-ink"
    clock = due(order, now)
    ink = CLOCK_INK[clock.urgency]
    end = target(order)
    if end is None or order.status is OrderStatus.PLACED:
        return f"{clock.glyph} waits {clock.words}", ink
    cooking = order.status in (OrderStatus.ACCEPTED, OrderStatus.PREPARING)
    what = "ready by" if cooking else "at the door"
    if clock.urgency is Urgency.LATE:
        return f"{clock.glyph} late {clock.words}, {what} {_clock(end)}", ink
    return f"{clock.glyph} {clock.words} left, {what} {_clock(end)}", ink


def items(order: Order, width: int) -> list[Content]:
    """The dishes with their notes, and the total."""
    lines: list[Content] = []
    for item in order.items:
        lines += _item(item, width)
    if order.note:
        lines += _note(order.note, width, "» ")
    total = human_money(order.total_cents)
    count = sum(item.quantity for item in order.items)
    words = fit(f"{count} {'dish' if count == 1 else 'dishes'}", width - len(total) - 1, pad=True)
    lines.append(Content.assemble((words, "$wire-ink"), " ", (total, "bold")))
    return lines


def people(order: Order, width: int) -> list[Content]:
    """Customer, address, driver."""
    customer = [(plain(order.customer.name), "bold")]
    if order.customer.phone:
        customer.append((f"  {plain(order.customer.phone)}", "$title"))
    lines = _cut([Content.assemble(*customer)], width)
    lines += [Content.assemble((line, "")) for line in wrap(order.address.text, width)]
    driver = order.driver
    if driver is not None:
        words = fit(f"▸ {plain(driver.name)}, {plain(driver.vehicle)}", width)
        lines.append(Content.assemble((words, "$secondary")))
    elif order.status is OrderStatus.READY:
        lines.append(Content.assemble((fit("▸ no driver yet: d names one", width), "$wire-ink")))
    return lines


def timeline(order: Order, width: int) -> list[Content]:
    """The steps it took, when and by whom; a reason below its step."""
    lines: list[Content] = []
    for entry in order.timeline:
        ink = "$error" if entry.status is OrderStatus.CANCELLED else "$foreground"
        at, name = _clock(entry.at), NAMES[entry.status]
        if entry.status is OrderStatus.PLACED:
            name = "Placed"
        who = fit(f" {entry.by.name}", width - len(at) - 1 - len(name))
        lines.append(Content.assemble((f"{at} ", "$wire-ink"), (name, ink), (who, "$wire-ink")))
        if entry.reason:
            lines += [
                Content.assemble((f"      {line}", "$wire-ink"))
                for line in wrap(entry.reason, max(4, width - 6))
            ]
    return lines


def beside(blocks: Sequence[Sequence[Content]], widths: Sequence[int], gap: int) -> list[Content]:
    """Blocks of lines next to each other, each cut and filled to its width in cells."""
    height = max(len(block) for block in blocks)
    lines: list[Content] = []
    for y in range(height):
        line: list[Content] = []
        for block, width in zip(blocks, widths, strict=True):
            cell = block[y] if y < len(block) else Content("")
            line += [cell, Content(" " * (width - cell.cell_length + gap))]
        lines.append(Content.assemble(*line))
    return lines


def items_in_short(order: Order) -> str:
    """`2× pad thai, 1× tom yum`."""
    return ", ".join(f"{item.quantity}× {plain(item.name)}" for item in order.items)


def _item(item: OrderItem, width: int) -> list[Content]:
    price = human_money(item.price_cents * item.quantity)
    room = width - len(price) - 1
    name = fit(f"{item.quantity}× {plain(item.name)}", room, pad=True)
    lines = [Content.assemble((name, ""), (f" {price}", "$wire-ink"))]
    return lines + (_note(item.note, width, "   » ") if item.note else [])


def _note(note: str, width: int, lead: str) -> list[Content]:
    texts = wrap(note, max(4, width - len(lead)))
    return [
        Content.assemble(((lead if at == 0 else " " * len(lead)) + text, "bold $warning"))
        for at, text in enumerate(texts)
    ]


def _cut(lines: list[Content], width: int) -> list[Content]:
    return [line.truncate(width, ellipsis=True) for line in lines]


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M")
