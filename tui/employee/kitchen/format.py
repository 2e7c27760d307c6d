"""What the kitchen says about itself: at its edge, as a card, in the top bar, and in trouble."""

from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from server.features.orders.schemas import Order, OrderStatus
from tui.employee.kitchen.board import COLUMNS, Board, Urgency, due

if TYPE_CHECKING:
    from tui.employee.kitchen.feed import Feed
    from tui.employee.kitchen.status import Bell

NO_RESTAURANT = (
    "This account works for no restaurant, so there are no orders to show. "
    "Whoever runs the server puts it right with `python -m server add-employee`."
)
READING = "Reading the open orders …"
EMPTY = "No open orders. A new one appears here by itself, and rings."
COOKING = (OrderStatus.ACCEPTED, OrderStatus.PREPARING)


def words_for_empty(feed: "Feed") -> str:
    """What to say where there is no order to show."""
    if feed.loaded:
        return EMPTY
    if not feed.error:
        return READING
    return feed.error if feed.over else f"{feed.error} Trying again by itself."


def words_for_struck(order: Order) -> str:
    """The news that somebody has called an order off."""
    last = order.timeline[-1]
    reason = f": “{last.reason}”" if last.reason else ""
    return f"{last.by.name} has cancelled #{order.number}{reason}. Enter clears it from the board."


def most_urgent(board: Board, now: datetime) -> tuple[Order, float] | None:
    """The order in the kitchen that is due first, and the seconds it has left."""
    cooking = [order for status in COOKING for order in board.column(status)]
    left = [(order, due(order, now).seconds) for order in cooking if not order.status.terminal]
    return min(left, key=lambda pair: pair[1], default=None)


def told(board: Board, bell: "Bell", now: datetime) -> tuple[object, ...]:
    """Equal while nothing of what is told below would read differently."""
    urgent = most_urgent(board, now)
    words = (urgent[0].number, due(urgent[0], now).words) if urgent else None
    counts = tuple(board.count(status) for status in COLUMNS)
    return (counts, board.done_today(now.astimezone()), len(board.unseen), bell.muted, words)


def note(board: Board, bell: "Bell", now: datetime) -> Content:
    """The panel's lower edge."""
    done = board.done_today(now.astimezone())
    parts = [(f"{board.open_count} open · {done} done today", "$wire-ink")]
    if bell.muted:
        parts.append((" · bell off", "bold $warning"))
    elif board.unseen:
        parts.append((" · m mutes", "$wire-ink"))
    return Content.assemble(*parts)


def summary(board: Board, now: datetime) -> Content:
    """Two lines for a card."""
    new = board.count(OrderStatus.PLACED)
    cooking = sum(board.count(status) for status in COOKING)
    ready = board.count(OrderStatus.READY)
    first = Content.assemble(
        (f"{new} new", "bold $primary" if new else "$wire-ink"),
        (" · ", "$wire-sep"),
        (f"{cooking} cooking", "bold" if cooking else "$wire-ink"),
        (" · ", "$wire-sep"),
        (f"{ready} ready", "bold $success" if ready else "$wire-ink"),
    )
    return Content("\n").join([first, _due_words(board, now) or Content("")])


def headline(board: Board, now: datetime) -> Content:
    """What matters most, for the top bar."""
    new = board.count(OrderStatus.PLACED)
    urgent = _due_words(board, now)
    parts: list[Content] = []
    if new:
        words = "1 new order" if new == 1 else f"{new} new orders"
        parts.append(Content.assemble((words, "bold $primary")))
    if urgent is not None:
        parts.append(urgent)
    return Content.assemble((", ", "$wire-ink")).join(parts) if parts else Content("")


def _due_words(board: Board, now: datetime) -> Content | None:
    urgent = most_urgent(board, now)
    if urgent is None:
        return None
    clock = due(urgent[0], now)
    number = (f"#{urgent[0].number} ", "$wire-ink")
    if clock.urgency is Urgency.LATE:
        return Content.assemble(number, ("late ", ""), (clock.words, "bold $error"))
    ink = "bold $warning" if clock.urgency is Urgency.SOON else "bold"
    return Content.assemble(number, ("ready in ", ""), (clock.words, ink))
