"""The dialogs of an order: everything about it, and cancelling it."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input, Static

from server.features.orders.schemas import CANCELLABLE, Order, OrderStatus
from tui.common.dialogs.base import Dialog
from tui.common.dialogs.copy import Copyable, order_parts
from tui.common.dialogs.save import save_text
from tui.common.format import STATUS_LOOKS, beside_dishes, clock_time, money
from tui.common.language import _
from tui.common.sanitize import in_one_line, plain
from tui.common.tracking.format import driver_name
from tui.common.widgets.key_bar import KeyBar
from tui.common.widgets.stepper import Stepper
from tui.customer.orders.format import (
    actor_name,
    payment,
    promise_kept,
    receipt,
    status_before_end,
    why_not_cancellable,
)
from tui.customer.orders.model import OrderStore
from tui.customer.orders.summary import OrderHeading, priced

CLOCK_SECONDS = 5.0


class OrderDetailsScreen(Dialog[str]):
    """The order as the store has it, also while it changes. Answers `again`, `cancel`, `ask`,
    the stars of a rating, or None."""

    DEFAULT_CSS = """
    OrderDetailsScreen {
        & > .box { width: 110; margin-bottom: 1; }
        &.-short > .box { padding: 0 1; max-height: 100%; margin: 0; }
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
        Binding("o", "answer('again')", _("Order again")),
        Binding("c", "answer('cancel')", _("Cancel")),
        Binding("a", "answer('ask')", _("Ask support")),
        Binding("s", "receipt", _("Receipt")),
        *(
            Binding(star, f"answer('{star}')", _("Rate"), show=star == "5", key_display="1-5")
            for star in "12345"
        ),
        Binding("down", "scroll(1)", _("Scroll"), key_display="↑↓"),
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
            box.border_subtitle = _("esc closes")
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
        return () if order is None else order_parts(order, _("your phone"))

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

    def action_receipt(self) -> None:
        """Save the receipt."""
        order = self._store.get(self._id)
        if order is not None:
            save_receipt(self, order, self.services.session.server_now())

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
        box.border_title = Content(_("Order #{number:04d}").format(number=order.number))
        self.query_one(OrderHeading).show(order)
        self.query_one(Stepper).show(str(order.status), str(status_before_end(order)))
        left.update(_items(order, widths[0]))
        right.update(_facts(order, now, widths[1]))
        self.refresh_bindings()


def save_receipt(node: Widget, order: Order, now: datetime) -> None:
    """Have the order's receipt saved, as it is at that time."""
    name = in_one_line(plain(f"{order.restaurant.name}-{order.number:04d}.txt"))
    name = re.sub(r"[^\w.-]+", "-", name.lower())
    save_text(node, receipt(order, now), name, _("Save the receipt"))


def _items(order: Order, width: int) -> Content:
    lines = []
    for item in order.items:
        price = money(item.quantity * item.price_cents, order.currency)
        lines.append(priced(f"{item.quantity:>2}× ", item.name, price, width))
        if item.note:
            lines += _labelled("", f"“{plain(item.note)}”", width, indent=4, ink="$accent")
    lines += [priced("    ", name, price, width) for name, price in beside_dishes(order)]
    total = money(order.total_cents, order.currency)
    return Content("\n").join([*lines, priced("    ", _("Total"), total, width, style="bold")])


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
    driver = _("none") if order.status.terminal else _("not assigned yet")
    if order.driver:
        driver = driver_name(order.driver)
    lines = _labelled(_("To"), plain(order.address.text), width)
    lines += _labelled(_("Driver"), driver, width)
    if order.note:
        lines += _labelled(_("Note"), plain(order.note, newlines=True), width)
    lines += _labelled(_("Pay"), payment(order), width)
    if order.promised_at:
        lines += _labelled(_("Promise"), promise_kept(order, now), width)
    if order.rating:
        lines += _labelled(_("Rating"), "★" * order.rating.stars, width)
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
            box.border_title = Content(_("Cancel order #{number:04d}?").format(number=order.number))
            box.border_subtitle = _("esc keeps it")
            yield Static(self._question(), markup=False)
            yield Input(id="reason", compact=True, max_length=500, placeholder=_("why (optional)"))
            with Horizontal():
                yield Button(_("Keep it"), id="keep", compact=True)
                yield Button(_("Cancel the order"), id="cancel", variant="error", compact=True)

    def _question(self) -> str:
        order = self._order
        total = money(order.total_cents, order.currency)
        return _(
            "{restaurant}, {total}. They have not started cooking. Once they have, it cannot be "
            "cancelled."
        ).format(restaurant=plain(order.restaurant.name), total=total)

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
