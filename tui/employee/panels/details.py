"""The order the cursor stands on, beside or below the board."""

from datetime import datetime

from textual.content import Content
from textual.widget import Widget

from server.features.orders.schemas import Order
from tui.common.text import fit
from tui.employee.panels.order_text import beside, heading, items, people, timeline

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
