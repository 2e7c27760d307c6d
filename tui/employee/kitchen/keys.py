"""The keys of the panel "Kitchen", and what the help and the palette say of them."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from textual.app import SystemCommand
from textual.binding import Binding, BindingType

from tui.employee.kitchen.terms import MORE

HELP = (
    ("←↑↓→", "choose an order"),
    ("enter", "accept, next step; clears a cancelled one"),
    ("u", "undo a step while it waits"),
    ("R", "reject or cancel, with a reason"),
    ("d", "assign a driver, or change it"),
    ("e", "change the minutes"),
    ("space", "the whole order"),
    ("p", "print or save its ticket"),
    ("s", "menu: sold out, prices, dishes"),
    ("P", "pause: no new orders for a while"),
    ("+ -", "15 minutes more for everybody, or fewer"),
    ("h", "history: any order, its ticket again"),
    ("T", "today: taken, minutes, late, dishes"),
    ("n", "go to the next new order"),
    ("m", "mute the bell, and back"),
    ("r", "refresh the orders"),
)
BINDINGS: list[BindingType] = [
    Binding("enter", "step", "Next step"),
    Binding("u", "undo", "Undo"),
    Binding("R", "reject", "Reject"),
    Binding("d", "driver", "Driver"),
    Binding("e", "minutes", "Minutes"),
    Binding("space", "details", "Details"),
    Binding("p", "ticket", "Ticket", show=False),
    Binding("s", "menu", "Menu"),
    Binding("h", "history", "History"),
    Binding("T", "today", "Today"),
    Binding("P", "pause", "Pause"),
    Binding("plus", f"extra({MORE})", "More minutes", key_display="+", show=False),
    Binding("minus", f"extra(-{MORE})", "Fewer minutes", key_display="-", show=False),
    Binding("m", "mute", "Mute"),
    Binding("n", "next_new", "Next new", show=False),
]


def commands(run: Callable[[str], Awaitable[object]], *, muted: bool) -> Iterable[SystemCommand]:
    """What the palette offers; `run` runs an action of the panel's."""
    bell = "Bell on" if muted else "Mute the bell"
    for action, title, words in (
        ("menu", "Menu and sold out", "Dishes, prices, sold out"),
        ("history", "History", "Orders of any day, found by number, customer or dish"),
        ("today", "Today", "Orders, takings, minutes and dishes of any day and hours"),
        ("pause", "Pause", "No new orders for a while, or again"),
        (f"extra({MORE})", "More minutes for everybody", f"{MORE} at a time"),
        (f"extra(-{MORE})", "Fewer minutes for everybody", f"{MORE} at a time"),
        ("mute", bell, "It rings until new orders are seen"),
    ):
        yield SystemCommand(title, words, partial(run, action))
