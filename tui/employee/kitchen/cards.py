"""One order on the board: a few lines of text, and how they are inked."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len
from textual.content import Content

from server.features.orders.schemas import Order, OrderStatus
from tui.common.format import fit
from tui.common.sanitize import plain
from tui.common.styles import Inks, Line, Part
from tui.employee.kitchen.board import Due, Urgency

ITEM_LINES = 7
NOTE_LINES = 4

CLOCK_INK = {Urgency.CALM: "title", Urgency.SOON: "bold warning", Urgency.LATE: "bold error"}
BAR_INK = {Urgency.CALM: "wire-sep", Urgency.SOON: "warning", Urgency.LATE: "error"}


@dataclass(frozen=True, slots=True)
class Look:
    """What of a card changes while its order does not."""

    selected: bool = False
    focused: bool = False
    fresh: bool = False
    """New and not looked at by anybody."""
    lit: bool = False
    """The bright half of its blinking."""
    busy: bool = False
    """Its step is on the way to the server."""


@lru_cache(maxsize=1024)
def wrap(text: str, width: int) -> tuple[str, ...]:
    """`text` made safe, in lines of at most `width` cells."""
    if width < 1:
        return ()
    lines = Content(plain(text, newlines=True)).wrap(width)
    return tuple(line.plain for line in lines if line.plain)


def hang(lead: str, text: str, width: int) -> list[str]:
    """`text` wrapped behind `lead`, the lines below indented as far."""
    lines = wrap(text, max(4, width - cell_len(lead)))
    return [(lead if at == 0 else " " * cell_len(lead)) + line for at, line in enumerate(lines)]


def notes_of(order: Order) -> list[str]:
    """What the customer wrote, dish by dish and about the whole."""
    notes = [item.note for item in order.items if item.note]
    return [*notes, order.note] if order.note else notes


def body_of(order: Order, width: int) -> list[Part]:
    """The lines below the first, each at most `width` cells: who, what, notes, driver."""
    lines: list[Part] = [(fit(order.customer.name, width), "wire-ink")]
    dishes = [hang(f"{item.quantity}× ", item.name, width) for item in order.items]
    room = ITEM_LINES
    for at, dish in enumerate(dishes):
        final = at == len(dishes) - 1
        if len(dish) > room - (not final):
            lines.append((fit(f"and {len(dishes) - at} more", width), "wire-ink"))
            break
        lines += [(line, "") for line in dish]
        room -= len(dish)
    noted = [line for note in notes_of(order) for line in hang("» ", note, width)]
    if len(noted) > NOTE_LINES:
        noted = [*noted[: NOTE_LINES - 1], fit(noted[NOTE_LINES - 1], width - 2) + " …"]
    lines += [(line, "warning") for line in noted]
    if order.driver is not None:
        lines.append((fit(f"▸ {plain(order.driver.name)}", width), "secondary"))
    if order.status is OrderStatus.CANCELLED:
        last = order.timeline[-1]
        words = f"off: {last.reason}" if last.reason else "called off"
        lines += [(line, "bold error") for line in wrap(words, width)[:NOTE_LINES]]
    return lines


def paint(
    order: Order, body: Sequence[Part], width: int, look: Look, clock: Due, inks: Inks
) -> list[Line]:
    """The card's lines, all `width` cells wide."""
    off = order.status is OrderStatus.CANCELLED
    ground = "block-cursor-background" if look.selected and look.focused else "panel"
    thin = "▎" if clock.urgency else "▏"
    bar = ("▌", "primary") if look.selected else (thin, BAR_INK[clock.urgency])
    if off:
        bar = (bar[0], "primary" if look.selected else "error")
    number = f"#{order.number}"
    words = "✕ off" if off else "…" if look.busy else f"{clock.glyph} {clock.words}"
    ink = "bold error" if off else CLOCK_INK[clock.urgency]
    gap = " " * max(1, width - 3 - cell_len(number) - cell_len(words))
    if look.fresh and look.lit:
        pill = "primary"
        first = inks.line([bar], 1, pill) + inks.line(
            [(f" {number}{gap}{words} ", "bold badge-ink")], width - 1, pill
        )
    else:
        title = "bold block-cursor-foreground" if look.selected and look.focused else "bold"
        if off:
            title = "bold strike"
        first = inks.line([bar, (" ", ""), (number, title), (gap, ""), (words, ink)], width, ground)
    lines = [first]
    for text, line_ink in body:
        if off and line_ink in ("", "warning"):
            line_ink = "wire-ink"
        lines.append(inks.line([bar, (" ", ""), (text, line_ink)], width, ground))
    return lines
