"""The keys of the panel "Kitchen", and what the help and the palette say of them."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from textual.app import SystemCommand
from textual.binding import Binding, BindingType

from tui.common.commands import dishes_found, orders_found
from tui.common.language import _
from tui.employee.kitchen.feed import KitchenFeed
from tui.employee.kitchen.model import COLUMNS, OrderBoard
from tui.employee.kitchen.terms import MORE

HELP = (
    ("←↑↓→", _("choose an order")),
    ("enter", _("accept, next step; clears a cancelled one")),
    ("u", _("undo a step while it waits")),
    ("R", _("reject or cancel, with a reason")),
    ("d", _("assign a driver, or change it")),
    ("e", _("change the minutes")),
    ("space", _("the whole order")),
    ("p", _("its ticket: save it, or print it (config.toml: tickets)")),
    ("s", _("menu: sold out, prices, dishes")),
    ("P", _("pause: no new orders")),
    ("+ -", _("15 minutes more, or fewer")),
    ("h", _("history; tickets again")),
    ("T", _("figures: takings, minutes")),
    ("n", _("go to the next new order")),
    ("m", _("mute the bell, and back")),
    ("r", _("refresh the orders")),
)
BINDINGS: list[BindingType] = [
    Binding("enter", "step", _("Next step")),
    Binding("u", "undo", _("Undo")),
    Binding("R", "reject", _("Reject")),
    Binding("d", "driver", _("Driver")),
    Binding("e", "minutes", _("Minutes")),
    Binding("space", "details", _("Details")),
    Binding("p", "ticket", _("Ticket"), show=False),
    Binding("s", "menu", _("Menu")),
    Binding("h", "history", _("History")),
    Binding("T", "figures", _("Figures")),
    Binding("P", "pause", _("Pause")),
    Binding("plus", f"extra({MORE})", _("More minutes"), key_display="+", show=False),
    Binding("minus", f"extra(-{MORE})", _("Fewer minutes"), key_display="-", show=False),
    Binding("m", "mute", _("Mute")),
    Binding("n", "next_new", _("Next new"), show=False),
]


def commands(run: Callable[[str], Awaitable[object]], *, muted: bool) -> Iterable[SystemCommand]:
    """What the palette offers; `run` runs an action of the panel's."""
    bell = _("Bell on") if muted else _("Mute the bell")
    step = _("{minutes} at a time").format(minutes=MORE)
    for action, title, words in (
        ("ticket", _("Ticket"), _("Print or save it; config.toml: tickets, tickets_auto")),
        ("menu", _("Menu and sold out"), _("Dishes, prices, sold out")),
        ("history", _("History"), _("Orders of any day, found by number, customer or dish")),
        ("figures", _("Figures"), _("Orders, takings, minutes and dishes of any day and hours")),
        ("pause", _("Pause"), _("No new orders for a while, or again")),
        (f"extra({MORE})", _("More minutes for everybody"), step),
        (f"extra(-{MORE})", _("Fewer minutes for everybody"), step),
        ("mute", bell, _("It rings until new orders are seen")),
    ):
        yield SystemCommand(title, words, partial(run, action))


def finds(
    board: OrderBoard,
    feed: KitchenFeed | None,
    go_to: Callable[[str], None],
    open_menu: Callable[[str], None],
) -> Iterable[SystemCommand]:
    """What the palette finds: the orders on the board, and the dishes."""
    for column in COLUMNS:
        yield from orders_found(board.column(column), "customer", go_to)
    if feed is not None and feed.restaurant is not None:
        yield from dishes_found(feed.restaurant, feed.menu, open_menu)
