"""How many minutes the kitchen needs."""

from datetime import datetime, timedelta
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Input, Label, Static

from server.features.orders.schemas import Order
from tui.common.screens.modal import Modal
from tui.common.text import fit, plain
from tui.common.widgets.too_small import TooSmall
from tui.employee.panels.order_text import in_one_line

PRESETS = (10, 15, 20, 30, 45, 60)
MOST = 480
STEP = 5


class AcceptScreen(Modal[int]):
    """Answers the minutes until the order is ready, from now on; None when closed."""

    DEFAULT_CSS = """
    AcceptScreen {
        & > .box { width: 54; }
        & #what { height: auto; max-height: 2; color: $title; margin-bottom: 1; }
        & .row { height: 1; margin-bottom: 1; }
        & .row > Label { width: 10; color: $title; }
        & .row > Input { width: 8; }
        & #until { width: 1fr; padding-left: 2; color: $wire-ink; }
        & Button { margin-right: 1; }
    }
    """
    AUTO_FOCUS = "#minutes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", f"more({STEP})", show=False, priority=True),
        Binding("down", f"more(-{STEP})", show=False, priority=True),
    ]

    def __init__(self, order: Order, verb: str, minutes: int) -> None:
        """`minutes` is what the restaurant usually needs."""
        super().__init__()
        self._order, self._verb, self._minutes = order, verb, minutes

    def compose(self) -> ComposeResult:
        """A number, and the usual ones to pick."""
        with Vertical(classes="box") as box:
            box.border_title = Content(f"{self._verb} #{self._order.number}")
            box.border_subtitle = "enter confirms · ↑↓ 5 minutes · esc closes"
            what = f"{plain(self._order.customer.name)}: {in_one_line(self._order)}"
            yield Static(fit(what, 96), id="what", markup=False)
            with Horizontal(classes="row"):
                yield Label("Ready in")
                yield Input(
                    str(self._minutes), id="minutes", compact=True, max_length=3, type="integer"
                )
                yield Static("", id="until", markup=False)
            with Horizontal(classes="row"):
                yield Label("or in")
                for minutes in PRESETS:
                    button = Button(Content(str(minutes)), name=str(minutes), compact=True)
                    button.styles.min_width = 5
                    yield button
        yield TooSmall()

    def action_more(self, minutes: int) -> None:
        """Some minutes more or less."""
        field = self.query_one("#minutes", Input)
        value = (self._typed() or 0) + minutes
        field.value = str(min(max(value, 1), MOST))
        field.focus()

    @on(Input.Changed)
    def _show_end(self) -> None:
        minutes = self._typed()
        if minutes is None:
            words = Content.assemble((f"minutes: 1 to {MOST}", "$warning"))
        else:
            end = datetime.now().astimezone() + timedelta(minutes=minutes)
            usual = " · as usual" if minutes == self._minutes else ""
            words = Content(f"minutes: at {end:%H:%M}{usual}")
        self.query_one("#until", Static).update(words)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        minutes = self._typed()
        if minutes is not None:
            self.dismiss(minutes)

    @on(Button.Pressed)
    def _picked(self, event: Button.Pressed) -> None:
        self.dismiss(int(event.button.name or self._minutes))

    def _typed(self) -> int | None:
        text = self.query_one("#minutes", Input).value.strip()
        return int(text) if text.isdecimal() and 1 <= int(text) <= MOST else None
