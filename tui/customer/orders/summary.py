"""The selected order below the table: what, when, and its steps."""

from datetime import datetime
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget

from server.features.orders.schemas import Order, OrderStatus
from tui.common.format import beside_dishes, clock_time, fit, items_in_short, money
from tui.common.language import _, listed, ngettext
from tui.common.sanitize import plain
from tui.common.services import services_of
from tui.common.tracking.format import driver_name
from tui.common.widgets.stepper import Stepper
from tui.customer.orders.format import (
    arrival,
    in_minutes,
    is_late,
    placed_at,
    status_before_end,
)

MAX_ITEMS = 6
TWO_COLUMNS_FROM = 72
"""Cells from which on the facts stand beside the items."""

Part = tuple[str, str]


class OrderLines(Widget):
    """Lines about an order, formatted to the widget's width."""

    def __init__(self) -> None:
        super().__init__()
        self.order: Order | None = None
        self._drawn: list[Content] = []

    def show(self, order: Order | None) -> None:
        """Show that order; repaint only what reads differently."""
        self.order = order
        lines = self.lines(self.content_size.width or 80)
        if lines != self._drawn:
            taller = len(lines) != len(self._drawn)
            self._drawn = lines
            self.refresh(layout=taller)

    def lines(self, width: int) -> list[Content]:
        """The lines in `width` cells."""
        raise NotImplementedError

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        """As many lines as there are."""
        return len(self.lines(width))

    def render(self) -> Content:
        """All lines."""
        return Content("\n").join(self.lines(self.content_size.width))


class OrderHeading(OrderLines):
    """One line: the restaurant, the items, and when it arrives, which is never cut."""

    DEFAULT_CSS = "OrderHeading { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }"

    def __init__(self, *, items: bool = True) -> None:
        """Without `items` they are only counted: where they are listed below."""
        super().__init__()
        self.items = items

    def lines(self, width: int) -> list[Content]:
        """The one line."""
        order = self.order
        if order is None:
            return [Content("")]
        now = services_of(self).session.server_now()
        when = arrival(order, now)
        if order.eta and not order.status.terminal:
            minutes = in_minutes(order.eta, now)
            if width >= 56:
                words = "{minutes}" if is_late(order, now) else _("in {minutes}")
                when += ", " + words.format(minutes=minutes)
        ink = _arrival_colour(order, now)
        name = fit(order.restaurant.name, max(8, width - cell_len(when) - 2))
        room = width - cell_len(name) - cell_len(when) - 4
        if self.items:
            items = fit(items_in_short(order), room) if room >= 8 else ""
        else:
            items = next((one for one in _short_forms(order, now) if cell_len(one) <= room), "")
        middle = f"  {items}  " if items else "  "
        return [Content.assemble((name, "bold"), (middle, "$wire-ink"), (when, ink))]


class OrderFacts(OrderLines):
    """Where there is room: each item with its price, the total, driver and address."""

    SCOPED_CSS: ClassVar[bool] = False  # else rules by breakpoint would not hold
    DEFAULT_CSS = """
    OrderFacts { display: none; height: auto; margin-top: 1; }
    .-tall OrderFacts { display: block; }
    """

    def lines(self, width: int) -> list[Content]:
        """Items on the left, facts on the right; where it is narrow, only the items."""
        order = self.order
        if order is None:
            return []
        two = width >= TWO_COLUMNS_FROM
        left = self._items(order, width // 2 - 4 if two else width)
        if not two:
            return left
        right = self._facts(order, width - width // 2)
        blank = Content(" " * (width // 2))
        rows = max(len(left), len(right))
        left += [Content("")] * (rows - len(left))
        right += [Content("")] * (rows - len(right))
        return [
            Content.assemble(a, blank[: width // 2 - a.cell_length], b)
            for a, b in zip(left, right, strict=True)
        ]

    def _items(self, order: Order, width: int) -> list[Content]:
        shown = order.items[:MAX_ITEMS]
        lines = [
            priced(
                f"{item.quantity:>2}× ",
                f"{plain(item.name)}" + (f" ({plain(item.note)})" if item.note else ""),
                money(item.quantity * item.price_cents, order.currency),
                width,
            )
            for item in shown
        ]
        if len(order.items) > len(shown):
            lines.append(
                Content.assemble(
                    (
                        _("    and {count} more, enter shows all").format(
                            count=len(order.items) - len(shown)
                        ),
                        "$wire-ink",
                    )
                )
            )
        lines += [priced("    ", name, price, width) for name, price in beside_dishes(order)]
        total = money(order.total_cents, order.currency)
        return [*lines, priced("    ", _("Total"), total, width, style="bold")]

    def _facts(self, order: Order, width: int) -> list[Content]:
        facts = []
        if order.driver:
            facts.append((_("Driver"), driver_name(order.driver)))
        facts.append((_("To"), order.address.text))
        if order.note:
            facts.append((_("Note"), order.note))
        if order.status is OrderStatus.CANCELLED and order.timeline and order.timeline[-1].reason:
            facts.append((_("Reason"), order.timeline[-1].reason))
        return [
            Content.assemble((f"{label:<8}", "$wire-ink"), (fit(value, max(4, width - 8)), ""))
            for label, value in facts
        ]


class OrderSummary(Vertical):
    """Heading, facts and stepper of one order; hidden without one."""

    SCOPED_CSS: ClassVar[bool] = False  # else rules by breakpoint would not hold
    DEFAULT_CSS = """
    OrderSummary {
        height: auto; padding: 0 1;
        & > OrderHeading { margin-top: 1; }
        & > Stepper { margin-top: 1; }
    }
    .-short OrderSummary > OrderHeading, .-short OrderSummary > Stepper { margin-top: 0; }
    .-flat OrderSummary > OrderHeading, .-flat OrderSummary > Stepper { margin-top: 0; }
    """

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        yield OrderHeading()
        yield OrderFacts()
        yield Stepper()

    def show(self, order: Order | None) -> None:
        """Show that order."""
        self.display = order is not None
        if order is None:
            return
        head, facts = self.query_one(OrderHeading), self.query_one(OrderFacts)
        head.items = not facts.display
        head.show(order)
        facts.show(order)
        self.query_one(Stepper).show(str(order.status), str(status_before_end(order)))


def priced(lead: str, text: str, price: str, width: int, style: str = "") -> Content:
    room = max(4, width - cell_len(lead) - cell_len(price) - 2)
    return Content.assemble(
        (lead, "$wire-ink"), (fit(text, room, pad=True), style), "  ", (price, style)
    )


def _short_forms(order: Order, now: datetime) -> tuple[str, ...]:
    """The number, when it was placed and how much is in it, longest first."""
    count = sum(item.quantity for item in order.items)
    dishes = ngettext("{count} dish", "{count} dishes", count).format(count=count)
    number = f"#{order.number:04d}"
    at = clock_time(placed_at(order), now)
    placed = _("{number} placed {time}").format(number=number, time=at)
    return listed((placed, dishes)), placed, number


def _arrival_colour(order: Order, now: datetime) -> str:
    if order.status is OrderStatus.CANCELLED:
        return "$error"
    if order.status is OrderStatus.DELIVERED or order.eta is None:
        return "$wire-ink"
    return "$warning" if is_late(order, now) else "$success"
