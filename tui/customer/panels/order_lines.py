"""The panel's short texts: summary, headline, the note at the edge, the empty table's words."""

from datetime import UTC, datetime

from textual.content import Content

from server.features.orders.schemas import STEPS, Order
from tui.common.text import plain
from tui.common.widgets.stepper import STEP_OF
from tui.common.widgets.stepper import STEPS as STEP_NAMES
from tui.customer.panels.order_book import OrderBook
from tui.customer.panels.wording import LOOKS, arrival, in_minutes, is_late

_FAR = datetime.max.replace(tzinfo=UTC)


def most_pressing(open_orders: list[Order]) -> Order | None:
    """The open order that is furthest along; of several the one that comes first."""
    return max(
        open_orders,
        key=lambda order: (STEPS.index(order.status), -(order.eta or _FAR).timestamp()),
        default=None,
    )


def nothing_there(book: OrderBook, trouble: str) -> Content:
    """What the table says while it has no rows."""
    if trouble and not book.loaded:
        return Content.assemble(
            ("✕ ", "bold $error"),
            plain(trouble),
            ("\nTrying again by itself; r tries now.", "$wire-ink"),
        )
    if not book.loaded:
        return Content.assemble(("Reading your orders …", "$wire-ink"))
    return Content.assemble("No orders yet. Press ", ("n", "bold $primary"), " to order.")


def headline(order: Order | None, now: datetime) -> Content:
    """`#1042 Thai Basil on its way, 6 min`; nothing without an open order."""
    if order is None:
        return Content("")
    parts: list[tuple[str, str]] = [
        (f"#{order.number:04d} ", "$wire-ink"),
        (plain(order.restaurant.name), "bold"),
        (f" {LOOKS[order.status][1].lower()}", "$wire-ink"),
    ]
    if order.eta is not None:
        ink = "bold $warning" if is_late(order, now) else "bold $primary"
        parts += [(", ", "$wire-ink"), (in_minutes(order.eta, now), ink)]
    return Content.assemble(*parts)


def summary(order: Order | None, book: OrderBook, trouble: str, now: datetime) -> Content:
    """The card's two lines: the most pressing order, and how far it is."""
    if order is None:
        return nothing_there(book, trouble)
    ink = "$warning" if is_late(order, now) else "$success"
    first = Content.assemble(
        (f"#{order.number:04d} ", "$wire-ink"),
        (plain(order.restaurant.name), "bold"),
        ("  " + arrival(order, now), "$wire-ink" if order.status.terminal else ink),
    )
    glyph, word, hue = LOOKS[order.status]
    if order.status.terminal:
        return Content("\n").join([first, Content.assemble((f"{glyph} {word}", hue))])
    at = STEP_OF[order.status]
    ahead = len(STEP_NAMES) - at - 1
    second = Content.assemble(
        ("●━━" * at, "$success"),
        ("◉", "bold $primary"),
        ("╌╌○" * ahead, "$wire-ink"),
        (f"  {word}", hue),
    )
    return Content("\n").join([first, second])


def note(book: OrderBook, reading: bool, trouble: str) -> Content:
    """`3 open · 5 past`, with a plus while there are older ones to read."""
    if trouble:
        return Content.assemble(("◌ ", "$warning"), (plain(trouble), "$wire-ink"))
    if not book.loaded:
        return Content("")
    open_count = len(book.open())
    more = "+" if book.older is not None else ""
    words = f"{open_count} open · {len(book) - open_count}{more} past"
    if reading:
        words += " · reading older ones"
    return Content.assemble((words, "$wire-ink"))
