"""The kitchen's text: its status at the edge, on the card and in the top bar, and whole orders."""

from collections.abc import Sequence
from datetime import datetime

from rich.cells import cell_len
from textual.content import Content

from server.features.orders.schemas import Order, OrderItem, OrderStatus
from tui.common.format import (
    STATUS_LOOKS,
    beside_dishes,
    fit,
    hours_minutes,
    money,
    wrapped,
)
from tui.common.language import _, isolated, ngettext
from tui.common.sanitize import plain
from tui.common.tracking.format import driver_name
from tui.employee.kitchen.model import COLUMNS, OrderBoard, Urgency, deadline, due

NO_RESTAURANT = _(
    "This account belongs to no restaurant, so there are no orders to show. "
    "The server's administrator can fix that with `python -m server add-employee`."
)
LOADING = _("Loading open orders…")
EMPTY = _("No open orders. A new one appears here by itself, and rings.")
COOKING = (OrderStatus.ACCEPTED, OrderStatus.PREPARING)


def empty_message(loaded: bool, error: str, stopped: bool) -> str:
    """What an empty board says; `stopped` means that the server has refused for good."""
    if loaded:
        return EMPTY
    if not error:
        return LOADING
    return error if stopped else _("{why} Retrying.").format(why=error)


def cancelled_message(order: Order) -> str:
    """The toast about an order that somebody else has cancelled."""
    last = order.timeline[-1]
    words = _("{name} has cancelled #{number}. Enter clears it from the board.")
    if last.reason:
        words = _("{name} has cancelled #{number}: “{reason}”. Enter clears it from the board.")
    return words.format(name=last.by.name, number=order.number, reason=last.reason)


def most_urgent(board: OrderBoard, now: datetime) -> tuple[Order, float] | None:
    """The order in the kitchen that is due first, and the seconds it has left."""
    cooking = [order for status in COOKING for order in board.column(status)]
    left = [(order, due(order, now).seconds) for order in cooking if not order.status.terminal]
    return min(left, key=lambda pair: pair[1], default=None)


def status_key(
    board: OrderBoard, muted: bool, now: datetime, *, paused: bool
) -> tuple[object, ...]:
    """What footer, summary and headline depend on: equal while none of them would change."""
    urgent = most_urgent(board, now)
    words = (urgent[0].number, due(urgent[0], now).text) if urgent else None
    counts = tuple(board.count(status) for status in COLUMNS)
    done = board.delivered_today(now.astimezone())
    return (counts, done, len(board.unseen), muted, paused, words)


def footer(board: OrderBoard, muted: bool, now: datetime, *, paused: bool) -> Content:
    """The note at the panel's lower edge."""
    done = board.delivered_today(now.astimezone())
    words = _("{open} open · {done} done today").format(open=board.open_count, done=done)
    parts = [(words, "$wire-ink")]
    if paused:
        parts.append((_(" · paused"), "bold $warning"))
    if muted:
        parts.append((_(" · bell off"), "bold $warning"))
    elif board.unseen:
        parts.append((_(" · m mutes"), "$wire-ink"))
    return Content.assemble(*parts)


def summary(board: OrderBoard, now: datetime) -> Content:
    """The panel's summary as a card: two lines."""
    new = board.count(OrderStatus.PLACED)
    cooking = sum(board.count(status) for status in COOKING)
    ready = board.count(OrderStatus.READY)
    first = Content.assemble(
        (_("{count} placed").format(count=new), "bold $primary" if new else "$wire-ink"),
        (" · ", "$wire-sep"),
        (_("{count} being made").format(count=cooking), "bold" if cooking else "$wire-ink"),
        (" · ", "$wire-sep"),
        (_("{count} ready").format(count=ready), "bold $success" if ready else "$wire-ink"),
    )
    return Content("\n").join([first, _due_first(board, now) or Content("")])


def headline(board: OrderBoard, now: datetime) -> Content:
    """The top bar: how many orders are new, and the one due first."""
    new = board.count(OrderStatus.PLACED)
    urgent = _due_first(board, now)
    parts: list[Content] = []
    if new:
        words = ngettext("{count} new order", "{count} new orders", new).format(count=new)
        parts.append(Content.assemble((words, "bold $primary")))
    if urgent is not None:
        parts.append(urgent)
    return Content.assemble((", ", "$wire-ink")).join(parts) if parts else Content("")


def _due_first(board: OrderBoard, now: datetime) -> Content | None:
    urgent = most_urgent(board, now)
    if urgent is None:
        return None
    clock = due(urgent[0], now)
    number = (f"#{urgent[0].number} ", "$wire-ink")
    if clock.urgency is Urgency.LATE:
        return Content.assemble(number, (_("late") + " ", ""), (clock.text, "bold $error"))
    ink = "bold $warning" if clock.urgency is Urgency.SOON else "bold"
    return Content.assemble(number, (_("ready in") + " ", ""), (clock.text, ink))


THREE_COLUMNS_FROM = 72
"""Cells from which on dishes, people and timeline stand next to each other."""
TWO_COLUMNS_FROM = 50
"""Cells from which on the dishes stand on the left, the rest on the right."""
COLUMN_GAP = 3


def format_order(order: Order, now: datetime, width: int) -> list[Content]:
    """The whole order in lines of `width` cells."""
    blank = Content("")
    if width < TWO_COLUMNS_FROM:
        return [
            heading(order, now, width),
            *items(order, width),
            blank,
            *people(order, width),
            blank,
            *timeline(order, width),
        ]
    if width < THREE_COLUMNS_FROM:
        widths = [(width - COLUMN_GAP) * 3 // 5]
        widths.append(width - COLUMN_GAP - widths[0])
        right = [*people(order, widths[1]), blank, *timeline(order, widths[1])]
        return [heading(order, now, width), *side_by_side([items(order, widths[0]), right], widths)]
    room = width - 2 * COLUMN_GAP
    widths = [room * 2 // 5, room * 3 // 10]
    widths.append(room - sum(widths))
    columns = [items(order, widths[0]), people(order, widths[1]), timeline(order, widths[2])]
    return [heading(order, now, width), blank, *side_by_side(columns, widths)]


CLOCK_INK = {
    Urgency.CALM: "$foreground",
    Urgency.SOON: "bold $warning",
    Urgency.LATE: "bold $error",
}


def heading(order: Order, now: datetime, width: int) -> Content:
    """One line: number, status and clock; in full where there is room, then the total too."""
    parts = [
        (f"#{order.number}", "bold $primary"),
        (f"  {STATUS_LOOKS[order.status][1]}", "bold"),
        ("  ", ""),
    ]
    words, ink = _clock_text(order, now)
    total = f"  {money(order.total_cents, order.currency)}"
    room = width - sum(cell_len(text) for text, _ in parts)
    if cell_len(words) > room:
        words = words.partition(",")[0]
    parts.append((fit(words, room), ink))
    if cell_len(words + total) <= room:
        parts.append((total, "$title"))
    return Content.assemble(*parts)


def _clock_text(order: Order, now: datetime) -> tuple[str, str]:
    """The order's clock as text, and its colour."""
    if order.status.terminal:
        return _("at {time}").format(time=hours_minutes(order.timeline[-1].at)), "$wire-ink"
    clock = due(order, now)
    ink = CLOCK_INK[clock.urgency]
    end = deadline(order)
    if end is None or order.status is OrderStatus.PLACED:
        return _("{glyph} waits {time}").format(glyph=clock.glyph, time=clock.text), ink
    cooking = order.status in (OrderStatus.ACCEPTED, OrderStatus.PREPARING)
    if clock.urgency is Urgency.LATE:
        words = _("{glyph} late {left}, at the door {time}")
        if cooking:
            words = _("{glyph} late {left}, ready by {time}")
    else:
        words = _("{glyph} {left} left, at the door {time}")
        if cooking:
            words = _("{glyph} {left} left, ready by {time}")
    return words.format(glyph=clock.glyph, left=clock.text, time=hours_minutes(end)), ink


def items(order: Order, width: int) -> list[Content]:
    """The dishes with their notes, and the total."""
    lines: list[Content] = []
    for item in order.items:
        lines += _item(item, order.currency, width)
    if order.note:
        lines += _note_lines(order.note, width, "» ")
    lines += [_priced(name, price, width) for name, price in beside_dishes(order)]
    total = money(order.total_cents, order.currency)
    count = sum(item.quantity for item in order.items)
    words = ngettext("{count} dish", "{count} dishes", count).format(count=count)
    words = fit(words, width - len(total) - 1, pad=True)
    lines.append(Content.assemble((words, "$wire-ink"), " ", (total, "bold")))
    return lines


def people(order: Order, width: int) -> list[Content]:
    """Customer, address, driver."""
    customer = [(plain(order.customer.name), "bold")]
    if order.customer.phone:
        customer.append((f"  {plain(order.customer.phone)}", "$title"))
    lines = _cut([Content.assemble(*customer)], width)
    lines += [Content.assemble((line, "")) for line in wrapped(order.address.text, width)]
    driver = order.driver
    if driver is not None:
        words = fit(f"▸ {driver_name(driver)}", width)
        lines.append(Content.assemble((words, "$secondary")))
    elif order.status is OrderStatus.READY:
        lines.append(
            Content.assemble((fit(_("▸ no driver yet: d assigns one"), width), "$wire-ink"))
        )
    return lines


def timeline(order: Order, width: int) -> list[Content]:
    """The steps it took, when and by whom; a reason below its step."""
    lines: list[Content] = []
    for entry in order.timeline:
        ink = "$error" if entry.status is OrderStatus.CANCELLED else "$foreground"
        at, name = hours_minutes(entry.at, in_column=True), STATUS_LOOKS[entry.status][1]
        who = isolated(fit(entry.by.name, width - cell_len(at) - 2 - cell_len(name)))
        lines.append(
            Content.assemble((f"{at} ", "$wire-ink"), (name, ink), (f" {who}", "$wire-ink"))
        )
        if entry.reason:
            lines += [
                Content.assemble((" " * len(at) + f" {line}", "$wire-ink"))
                for line in wrapped(entry.reason, max(4, width - len(at) - 1))
            ]
    return lines


def side_by_side(columns: Sequence[Sequence[Content]], widths: Sequence[int]) -> list[Content]:
    """Columns of lines next to each other; each is filled to its width in cells."""
    height = max(len(column) for column in columns)
    lines: list[Content] = []
    for y in range(height):
        line: list[Content] = []
        for column, width in zip(columns, widths, strict=True):
            cell = column[y] if y < len(column) else Content("")
            line += [cell, Content(" " * (width - cell.cell_length + COLUMN_GAP))]
        lines.append(Content.assemble(*line))
    return lines


def _priced(name: str, price: str, width: int) -> Content:
    # two spaces: with one, the price would be laid out with a name from right to left
    name = fit(name, width - len(price) - 2, pad=True)
    return Content.assemble((name, ""), (f"  {price}", "$wire-ink"))


def _item(item: OrderItem, currency: str, width: int) -> list[Content]:
    price = money(item.price_cents * item.quantity, currency)
    lines = [_priced(f"{item.quantity}× {plain(item.name)}", price, width)]
    return lines + (_note_lines(item.note, width, "   » ") if item.note else [])


def _note_lines(note: str, width: int, lead: str) -> list[Content]:
    texts = wrapped(note, max(4, width - len(lead)))
    return [
        Content.assemble(((lead if at == 0 else " " * len(lead)) + text, "bold $warning"))
        for at, text in enumerate(texts)
    ]


def _cut(lines: list[Content], width: int) -> list[Content]:
    return [line.truncate(width, ellipsis=True) for line in lines]
