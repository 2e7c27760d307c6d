"""Everything about one order: dishes, notes, steps with who and when, driver, address."""

from datetime import UTC, datetime
from typing import ClassVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from server.features.orders.schemas import Order
from tui.common.dialogs.base import Dialog
from tui.common.format import fit, human_money
from tui.common.sanitize import plain
from tui.common.widgets.key_bar import KeyBar
from tui.common.widgets.stepper import Stepper
from tui.common.widgets.too_small import TooSmall
from tui.customer.orders.format import LOOKS, actor, clock_time, status_before_end
from tui.customer.orders.model import OrderBook
from tui.customer.orders.view import OrderHead

LOOK_SECONDS = 0.25
CLOCK_SECONDS = 5.0


class OrderDetails(Dialog[str]):
    """Stays live: it shows the order as the book has it. Answers `again`, `cancel` or None."""

    DEFAULT_CSS = """
    OrderDetails {
        & > .box { width: 110; margin-bottom: 1; }
        &.-short > .box { padding: 0 1; max-height: 100%; }
        & OrderHead { margin-bottom: 1; }
        & Stepper { margin-bottom: 1; }
        &.-short OrderHead { margin-bottom: 0; }
        & Horizontal { height: auto; }
        & .half { width: 1fr; height: auto; }
        & #right { padding-left: 3; }
        &.-narrow Horizontal, &.-tiny Horizontal { layout: vertical; }
        &.-narrow .half, &.-tiny .half { width: 100%; }
        &.-narrow #right, &.-tiny #right { padding-left: 0; margin-top: 1; }
    }
    """
    AUTO_FOCUS = None
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "answer('again')", "Order again"),
        Binding("c", "answer('cancel')", "Cancel"),
        Binding("down", "scroll(1)", "Scroll", key_display="↑↓"),
        Binding("up", "scroll(-1)", show=False),
        Binding("pagedown,space", "scroll(10)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
        Binding("enter", "close", show=False),
    ]

    def __init__(self, book: OrderBook, order_id: str) -> None:
        super().__init__()
        self._book, self._id = book, order_id
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        """Head, stepper, and two columns, one below the other where it is narrow."""
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_subtitle = "esc closes"
            yield OrderHead(items=False)
            yield Stepper()
            with Horizontal():
                with Vertical(classes="half"):
                    yield Static(id="left", markup=False)
                with Vertical(classes="half"):
                    yield Static(id="right", markup=False)
        yield KeyBar()
        yield TooSmall()

    def on_mount(self) -> None:
        """Draw, and go on drawing."""
        self.set_interval(LOOK_SECONDS, self._look)
        self._look()

    def on_resize(self) -> None:
        """Columns are cut to the width there is."""
        self.call_after_refresh(self._look)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Cancel only what is not over."""
        if action == "answer" and parameters == ("cancel",):
            order = self._book.get(self._id)
            return order is not None and not order.status.terminal
        return True

    def action_answer(self, wish: str) -> None:
        """Leave, and do that."""
        self.dismiss(wish)

    def action_scroll(self, lines: int) -> None:
        """Up and down where it does not fit."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def _look(self) -> None:
        order = self._book.get(self._id)
        if order is None:
            self.dismiss(None)
            return
        now = datetime.now(UTC)
        left, right = self.query_one("#left", Static), self.query_one("#right", Static)
        widths = left.size.width or 44, right.size.width or 44
        shown = (order, int(now.timestamp() / CLOCK_SECONDS), widths)
        if shown == self._drawn:
            return
        self._drawn = shown
        box = self.query_one(".box")
        box.border_title = Content(f"Order #{order.number:04d}")
        self.query_one(OrderHead).show(order)
        self.query_one(Stepper).show(str(order.status), str(status_before_end(order)))
        left.update(_items(order, widths[0]))
        right.update(_facts(order, now, widths[1]))
        self.refresh_bindings()


def _items(order: Order, width: int) -> Content:
    lines = []
    for item in order.items:
        money = f"{human_money(item.quantity * item.price_cents):>6}"
        room = max(8, width - 4 - len(money) - 4)
        lines.append(
            Content.assemble(
                (f"{item.quantity:>2}× ", "$wire-ink"),
                fit(item.name, room, pad=True),
                ("  € ", "$wire-ink"),
                money,
            )
        )
        if item.note:
            lines += _labelled("", f"“{plain(item.note)}”", width, indent=4, ink="$accent")
    total = human_money(order.total_cents)
    lines.append(
        Content.assemble(
            ("    Total", "bold"),
            " " * max(1, width - 9 - max(6, cell_len(total)) - 2),
            ("€ ", "$wire-ink"),
            (f"{total:>6}", "bold"),
        )
    )
    return Content("\n").join(lines)


def _labelled(
    label: str, text: str, width: int, *, indent: int = 8, ink: str = ""
) -> list[Content]:
    """A label, and its text wrapped beside it."""
    lines = Content.assemble((text, ink)).wrap(max(8, width - indent))
    labels = [label] + [""] * (len(lines) - 1)
    return [
        Content.assemble((f"{name:<{indent}}", "$wire-ink"), line)
        for name, line in zip(labels, lines, strict=True)
    ]


def _facts(order: Order, now: datetime, width: int) -> Content:
    driver = "none" if order.status.terminal else "not named yet"
    if order.driver:
        driver = f"{plain(order.driver.name)}, {plain(order.driver.vehicle)}"
    lines = _labelled("To", plain(order.address.text), width)
    lines += _labelled("Driver", driver, width)
    if order.note:
        lines += _labelled("Note", plain(order.note, newlines=True), width)
    lines.append(Content(""))
    stamps = [clock_time(step.at, now) for step in order.timeline]
    widest = max((cell_len(stamp) for stamp in stamps), default=0)
    for stamp, step in zip(stamps, order.timeline, strict=True):
        glyph, word, ink = LOOKS[step.status]
        lines.append(
            Content.assemble(
                (f"{stamp:<{widest}}  ", "$wire-ink"),
                (f"{glyph} ", ink),
                (f"{word:<11}", ""),
                (actor(step, order), "$wire-ink"),
            )
        )
        if step.reason:
            reason = f"“{plain(step.reason)}”"
            lines += _labelled("", reason, width, indent=widest + 4, ink="$accent")
    return Content("\n").join(lines)
