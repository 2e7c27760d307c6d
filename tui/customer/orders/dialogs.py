"""The dialogs of an order: everything about it, and cancelling it."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Static

from server.features.orders.schemas import CANCELLABLE, Order, OrderStatus
from tui.common.dialogs.base import Dialog
from tui.common.dialogs.copy import Copyable, order_parts
from tui.common.format import STATUS_LOOKS, clock_time, euros, fit, human_money
from tui.common.sanitize import in_one_line, plain
from tui.common.widgets.key_bar import KeyBar
from tui.common.widgets.stepper import Stepper
from tui.customer.orders.format import (
    actor_name,
    status_before_end,
    why_not_cancellable,
)
from tui.customer.orders.model import OrderStore
from tui.customer.orders.summary import OrderHeading, beside_dishes

CLOCK_SECONDS = 5.0


class OrderDetailsScreen(Dialog[str]):
    """The order as the store has it, also while it changes. Answers `again`, `cancel`, the
    stars of a rating, or None."""

    DEFAULT_CSS = """
    OrderDetailsScreen {
        & > .box { width: 110; margin-bottom: 1; }
        &.-short > .box { padding: 0 1; max-height: 100%; }
        & OrderHeading { margin-bottom: 1; }
        & Stepper { margin-bottom: 1; }
        &.-short OrderHeading { margin-bottom: 0; }
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
        *(
            Binding(star, f"answer('{star}')", "Rate", show=star == "5", key_display="1-5")
            for star in "12345"
        ),
        Binding("down", "scroll(1)", "Scroll", key_display="↑↓"),
        Binding("up", "scroll(-1)", show=False),
        Binding("pagedown,space", "scroll(10)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
        Binding("enter", "close", show=False),
    ]

    def __init__(self, store: OrderStore, order_id: str) -> None:
        super().__init__()
        self._store, self._id = store, order_id
        self._drawn: object = None

    def body(self) -> ComposeResult:
        """Heading, stepper, and two columns, one below the other where it is narrow."""
        with VerticalScroll(classes="box", can_focus=False) as box:
            box.border_subtitle = "esc closes"
            yield OrderHeading(items=False)
            yield Stepper()
            with Horizontal():
                with Vertical(classes="half"):
                    yield Static(id="left", markup=False)
                with Vertical(classes="half"):
                    yield Static(id="right", markup=False)
        yield KeyBar()

    def copyable(self) -> Sequence[Copyable]:
        """Of this order."""
        order = self._store.get(self._id)
        return () if order is None else order_parts(order)

    def on_resize(self) -> None:
        """Format for the new width."""
        self.call_after_refresh(self.redraw)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Cancel before they cook, rate what has come."""
        if action == "answer" and parameters == ("cancel",):
            order = self._store.get(self._id)
            return order is not None and order.status in CANCELLABLE
        if action == "answer" and str(parameters[0]).isdigit():
            order = self._store.get(self._id)
            return order is not None and order.status is OrderStatus.DELIVERED
        return True

    def action_answer(self, answer: str) -> None:
        """Close with this answer."""
        self.dismiss(answer)

    def action_scroll(self, lines: int) -> None:
        """Scroll by so many lines."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def redraw(self) -> None:
        """Draw the order as the store has it."""
        order = self._store.get(self._id)
        if order is None:
            if self.is_active:
                self.dismiss(None)
            return
        now = self.services.session.server_now()
        left, right = self.query_one("#left", Static), self.query_one("#right", Static)
        widths = left.size.width or 44, right.size.width or 44
        shown = (order, int(now.timestamp() / CLOCK_SECONDS), widths)
        if shown == self._drawn:
            return
        self._drawn = shown
        box = self.query_one(".box")
        box.border_title = Content(f"Order #{order.number:04d}")
        self.query_one(OrderHeading).show(order)
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
    for name, cents in beside_dishes(order):
        money = f"{human_money(cents):>6}"
        room = max(8, width - 4 - len(money) - 4)
        lines.append(
            Content.assemble("    ", fit(name, room, pad=True), ("  € ", "$wire-ink"), money)
        )
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


def promise_kept(order: Order, now: datetime) -> str:
    """The promised time, and what became of it: `18:40, came 4 min late`."""
    assert order.promised_at is not None
    told = clock_time(order.promised_at, now)
    if order.status is not OrderStatus.DELIVERED:
        return told
    late = round((order.timeline[-1].at - order.promised_at).total_seconds() / 60)
    return f"{told}, came " + (f"{late} min late" if late > 0 else "on time")


def _facts(order: Order, now: datetime, width: int) -> Content:
    driver = "none" if order.status.terminal else "not assigned yet"
    if order.driver:
        driver = f"{plain(order.driver.name)}, {plain(order.driver.vehicle)}"
    lines = _labelled("To", plain(order.address.text), width)
    lines += _labelled("Driver", driver, width)
    if order.note:
        lines += _labelled("Note", plain(order.note, newlines=True), width)
    lines += _labelled("Pay", "at the door", width) if not order.status.terminal else []
    if order.promised_at:
        lines += _labelled("Promise", promise_kept(order, now), width)
    if order.rating:
        lines += _labelled("Rating", "★" * order.rating.stars, width)
    lines.append(Content(""))
    stamps = [clock_time(step.at, now) for step in order.timeline]
    widest = max((cell_len(stamp) for stamp in stamps), default=0)
    for stamp, step in zip(stamps, order.timeline, strict=True):
        glyph, word, ink = STATUS_LOOKS[step.status]
        lines.append(
            Content.assemble(
                (f"{stamp:<{widest}}  ", "$wire-ink"),
                (f"{glyph} ", ink),
                (f"{word:<11}", ""),
                (actor_name(step, order), "$wire-ink"),
            )
        )
        if step.reason:
            reason = f"“{plain(step.reason)}”"
            lines += _labelled("", reason, width, indent=widest + 4, ink="$accent")
    return Content("\n").join(lines)


class CancelScreen(Dialog[str]):
    """Answers with the reason, "" for none, or None to keep the order."""

    DEFAULT_CSS = """
    CancelScreen {
        & > .box { width: 62; border: round $error; border-title-color: $error; }
        & Input { margin-top: 1; }
        & Horizontal { height: auto; margin-top: 1; align-horizontal: right; }
        & Button { margin-left: 2; }
    }
    """
    AUTO_FOCUS = "#keep"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def __init__(self, store: OrderStore, order: Order) -> None:
        super().__init__()
        self._store, self._order = store, order

    def body(self) -> ComposeResult:
        """The question, the reason, two buttons."""
        order = self._order
        with Vertical(classes="box") as box:
            box.border_title = Content(f"Cancel order #{order.number:04d}?")
            box.border_subtitle = "esc keeps it"
            yield Static(self._question(), markup=False)
            yield Input(id="reason", compact=True, max_length=500, placeholder="why (optional)")
            with Horizontal():
                yield Button("Keep it", id="keep", compact=True)
                yield Button("Cancel the order", id="cancel", variant="error", compact=True)

    def _question(self) -> str:
        order = self._order
        return (
            f"{plain(order.restaurant.name)}, {euros(order.total_cents)}. They have not started "
            "cooking. Once they have, it cannot be cancelled."
        )

    def redraw(self) -> None:
        """The kitchen may start to cook while this is open."""
        order = self._store.get(self._order.id)
        if order is not None and order.status not in CANCELLABLE:
            self.query_one(Static).update(why_not_cancellable(order))
            self.query_one("#cancel", Button).disabled = True

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.query_one("#cancel", Button).focus()

    @on(Button.Pressed)
    def _answer(self, event: Button.Pressed) -> None:
        if event.button.id == "cancel":
            self.dismiss(in_one_line(self.query_one("#reason", Input).value).strip())
        else:
            self.dismiss(None)
