"""The panel "Kitchen": the restaurant's open orders by status, fed by their stream."""

import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from typing import ClassVar, TypeVar

from textual import events, on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Container

from server.features.orders.schemas import Order, OrderStatus
from tui.common.client.meter import Pattern
from tui.common.dialogs.base import Dialog
from tui.common.dialogs.copy import Copyable, order_parts
from tui.common.panel import Panel
from tui.employee.kitchen import format as kitchen_text
from tui.employee.kitchen.actions import OrderActions, conflict_message
from tui.employee.kitchen.alarm import Alarm
from tui.employee.kitchen.board import BoardView, ColumnStrip, OrderSummary
from tui.employee.kitchen.dialogs import OrderDetailsScreen
from tui.employee.kitchen.feed import KitchenFeed
from tui.employee.kitchen.hold import HeldLine, Timer, format_held
from tui.employee.kitchen.model import COLUMNS, Cursor, OrderBoard
from tui.employee.kitchen.tickets import TicketDesk
from tui.employee.menu import MenuScreen
from tui.employee.staleness import Banner, Staleness

BLINK_SECONDS = 0.5
CLOCK_SECONDS = 1.0
"""How often the clocks of open orders are drawn again."""
USUAL_MINUTES = 20
"""Preparation time until the restaurant's own has been read."""
FEED = "kitchen"
"""The worker group of the stream."""
BELOW_FROM_ROWS = 22
RIGHT_FROM_COLUMNS = 60

AnswerT = TypeVar("AnswerT")


class KitchenPanel(Panel):
    """A board of orders by status; enter takes the selected order to its next step."""

    TITLE = "Kitchen"
    PATTERN = Pattern.SSE
    WHY = (
        "Orders come often, to every screen of the kitchen, and none may be lost: a stream "
        "brings each within milliseconds and goes on from its cursor after a loss. What the "
        "cook does is sent by requests, so the way back is not needed."
    )
    SOURCES = (
        "server/features/kitchen/sse.py",
        "server/transports/sse.py",
        "tui/common/client/sse.py",
        "tui/employee/kitchen/feed.py",
    )
    REDRAW_SECONDS = 0.3
    CARD_BODY = (30, 10)
    KEYS = (
        ("←↑↓→", "choose an order"),
        ("enter", "accept, next step; clears a cancelled one"),
        ("u", "undo a step while it waits"),
        ("R", "reject or cancel, with a reason"),
        ("d", "assign a driver, or change it"),
        ("e", "change the minutes"),
        ("space", "the whole order"),
        ("p", "print or save its ticket"),
        ("s", "menu: sold out, prices, dishes"),
        ("n", "go to the next new order"),
        ("m", "mute the bell, and back"),
        ("r", "refresh the orders"),
    )
    DEFAULT_CSS = """
    KitchenPanel {
        & #stage { height: 1fr; layout: vertical; }
        &.-below #details { height: 30%; min-height: 8; border-top: solid $edge; }
        &.-right #stage { layout: horizontal; }
        &.-right #board { width: 43%; }
        &.-right #details { width: 1fr; border-left: solid $edge; margin-left: 1; padding-left: 1; }
        &.-bare #details { display: none; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "step", "Next step"),
        Binding("u", "undo", "Undo"),
        Binding("R", "reject", "Reject"),
        Binding("d", "driver", "Driver"),
        Binding("e", "minutes", "Minutes"),
        Binding("space", "details", "Details"),
        Binding("p", "ticket", "Ticket", show=False),
        Binding("s", "menu", "Menu"),
        Binding("m", "mute", "Mute"),
        Binding("n", "next_new", "Next new", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.board = OrderBoard()
        self.cursor = Cursor(self.board)
        self.view = BoardView(self.board, self.cursor, lambda: self.session.server_now())
        self.busy = self.view.busy
        self.strip = ColumnStrip(self.board, self.cursor)
        self.details = OrderSummary()
        self.actions = OrderActions(self)
        self.waiting = HeldLine()
        self.tickets = TicketDesk(self)
        self.alarm = Alarm(lambda: self.app.bell())
        self.feed: KitchenFeed | None = None
        self._opened_at: datetime | None = None
        """By the server's clock; orders placed later get their ticket by themselves."""
        self._staleness = Staleness()
        self._status: tuple[object, ...] = ()
        """What badge, summary and headline were last made of."""
        self._reported: frozenset[str] = frozenset()
        """Cancelled orders that a toast was shown for."""

    def body(self) -> ComposeResult:
        """A banner, the board, the order under the cursor."""
        yield Banner()
        yield self.waiting
        yield self.strip
        with Container(id="stage"):
            yield self.view
            yield self.details

    def start(self) -> None:
        """Follow the restaurant's orders."""
        account = self.session.account
        self.request_redraw()
        if account is None or account.restaurant_id is None:
            self.view.message = kitchen_text.NO_RESTAURANT
            return
        self.board.account_id = account.id
        self._opened_at = self.session.server_now()
        self.actions.held.hold_for = getattr(self.app, "hold_seconds", 0.0)
        self.feed = KitchenFeed(
            self.session,
            self.api,
            account.restaurant_id,
            self.board,
            self.meter,
            self.request_redraw,
        )
        self.reload()

    def drop_connection(self) -> bool:
        """Cut the stream; what was missed is replayed when it is back."""
        return self.feed is not None and self.feed.drop_connection()

    def commands(self) -> Iterable[SystemCommand]:
        """What the command palette offers."""
        yield SystemCommand("Menu and sold out", "Dishes, prices, sold out", self.action_menu)
        yield SystemCommand(
            "Bell on" if self.alarm.muted else "Mute the bell",
            "It rings until new orders are seen",
            self.action_mute,
        )

    def redraw(self) -> None:
        """Draw the board and the order under the cursor; ring for new orders."""
        now, feed = time.monotonic(), self.feed
        if feed is not None:
            feed.apply_events()
            self.view.message = kitchen_text.empty_message(feed.loaded, feed.error, feed.stopped)
        self._show_held()
        self.cursor.refresh()
        if self._opened_at is not None:
            self.tickets.arrived(self.board.column(OrderStatus.PLACED), self._opened_at)
        unseen = self.board.unseen
        self.alarm.update(unseen, now)
        still = self.services.config.motion == "reduced"
        blink_on = bool(unseen) and (still or int(now / BLINK_SECONDS) % 2 == 0)
        self.view.blink_on = self.strip.blink_on = blink_on
        self.view.redraw()
        self.strip.set_class(self.view.shows_all, "-hidden")
        self.strip.redraw()
        self.details.show(self.cursor.order, self.session.server_now())
        self._show_banner()
        self._report_cancelled()
        self._show_status(self.session.server_now())
        if (left := self.board.replayed.left) is not None:
            self.redraw_in(left)
        if unseen:
            self.redraw_in(BLINK_SECONDS - now % BLINK_SECONDS)
        elif self.board.open_count or self._staleness.away(self.meter):
            self.redraw_in(CLOCK_SECONDS)

    def _show_held(self) -> None:
        """The steps that wait, with the seconds they have left."""
        held = self.actions.held
        held.check(self.board.order, conflict_message)
        self.view.held = {one.order.id: f"→ {one.seconds} s" for one in held.all}
        self.waiting.show(format_held(held.all))
        if held.all:
            self.redraw_in(0.5)

    # -- what the actions and other panels use

    @property
    def preparation_minutes(self) -> int:
        """How long the restaurant usually needs."""
        restaurant = self.feed.restaurant if self.feed else None
        return restaurant.preparation_minutes if restaurant else USUAL_MINUTES

    def ask(self, dialog: Dialog[AnswerT], answered: Callable[[AnswerT], None]) -> None:
        """Open a dialog; `answered` is not called when it is closed without an answer."""
        self.app.push_screen(
            dialog, lambda answer: answered(answer) if answer is not None else None
        )

    def run_change(self, change: Coroutine[object, object, None]) -> None:
        """Run this in the background."""
        self.run_worker(change, group="kitchen-changes", exit_on_error=True)

    def apply_order(self, order: Order) -> None:
        """Put an order that the server has sent onto the board."""
        self.board.apply(order)
        self.request_redraw()

    def advance_cursor(self, order: Order) -> None:
        """`order` leaves its column by the employee's own step: the cursor takes the next one."""
        if self.cursor.order_id == order.id:
            self.cursor.advance()

    def request_redraw(self) -> None:
        """Something that is shown has changed."""
        self.needs_redraw = True

    def copyable(self) -> Sequence[Copyable]:
        """Of the order under the cursor."""
        order = self.cursor.order
        return () if order is None else order_parts(order)

    def call_in(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call this in so many seconds."""
        return self.set_timer(seconds, call)

    async def send_held(self) -> None:
        """Send the steps that wait, and wait for the answers, for some seconds."""
        await self.actions.settled()

    def unsaved(self) -> str | None:
        """The steps whose answer has not come."""
        if not self.busy:
            return None
        return "A step has not reached the server yet; check its order after the next start."

    # -- keys

    def reload(self) -> None:
        """Read the orders again, now."""
        if self.feed is not None:
            self.run_worker(self.feed.run(), group=FEED, exclusive=True, exit_on_error=False)

    def action_step(self) -> None:
        """The next step of the order under the cursor."""
        order = self._selected_order()
        if order is None:
            return
        if order.id in self.board.cancelled:
            self.board.dismiss(order.id)
            self.request_redraw()
        else:
            self.actions.step(order)

    @on(HeldLine.Undo)
    def action_undo(self) -> None:
        """Drop the step that waits: that of the order under the cursor, else the last one."""
        if not self.actions.held.undo(self.cursor.order_id):
            self.toast("No step waits. What was sent stays in the order's timeline.")

    def action_reject(self) -> None:
        """Reject it, or cancel it once it is accepted."""
        if (order := self._selected_open_order()) is not None:
            self.actions.reject(order)

    def action_driver(self) -> None:
        """Assign a driver."""
        if (order := self._selected_open_order()) is not None:
            self.actions.change_driver(order)

    def action_minutes(self) -> None:
        """Change its minutes."""
        if (order := self._selected_open_order()) is not None:
            self.actions.change_minutes(order)

    def action_details(self) -> None:
        """Open the whole order."""
        order = self._selected_order()
        if order is not None:
            self.app.push_screen(OrderDetailsScreen(order, lambda: self.board.order(order.id)))

    def action_ticket(self) -> None:
        """Print or save the ticket of the order under the cursor."""
        if (order := self._selected_order()) is not None:
            self.tickets.print(order)

    def action_menu(self) -> None:
        """Open the menu."""
        account = self.session.account
        if account is not None and account.restaurant_id is not None:
            self.app.push_screen(MenuScreen(account.restaurant_id))

    def action_mute(self) -> None:
        """Mute the alarm, or turn it on again."""
        self.alarm.muted = not self.alarm.muted
        self.request_redraw()

    def action_next_new(self) -> None:
        """Go to the oldest new order that nobody has looked at, else to the oldest new one."""
        new = self.board.column(OrderStatus.PLACED)
        unseen = [order for order in new if order.id in self.board.unseen]
        for order in (unseen or new)[:1]:
            self.cursor.select(order.id)
            self.view.redraw()
            self._cursor_moved()

    @on(BoardView.CursorMoved)
    def _cursor_moved(self) -> None:
        """Draw what shows the cursor; the board has done so."""
        order = self._selected_order()
        self.strip.redraw()
        self.details.show(order, self.session.server_now())

    @on(ColumnStrip.Selected)
    def _column_selected(self, event: ColumnStrip.Selected) -> None:
        self.view.focus()
        self.cursor.move(COLUMNS.index(event.status) - self.cursor.column, 0)
        self.view.redraw()
        self._cursor_moved()

    def on_resize(self, event: events.Resize) -> None:
        """Put the order's details below or beside the board, wherever there is room."""
        width, height = self.content_size
        below = height >= BELOW_FROM_ROWS
        right = not below and width >= RIGHT_FROM_COLUMNS
        self.set_class(below, "-below")
        self.set_class(right, "-right")
        self.set_class(not below and not right, "-bare")
        self.request_redraw()

    def _selected_order(self) -> Order | None:
        """The order under the cursor, which counts as seen from now on."""
        order = self.cursor.order
        if order is not None and self.board.mark_seen(order.id):
            self.request_redraw()
        return order

    def _selected_open_order(self) -> Order | None:
        order = self._selected_order()
        return None if order is None or order.id in self.board.cancelled else order

    # -- status

    def _show_banner(self) -> None:
        """Warn above the board while it may be out of date."""
        self.show_meter(self.feed.meter if self.feed is not None else None)
        loaded = self.feed is not None and self.feed.loaded
        warning = self._staleness.warning(self.meter, self.session.server_now()) if loaded else ""
        self.query_one(Banner).show(warning)

    def _report_cancelled(self) -> None:
        """A toast and a ring for each order that somebody else has cancelled."""
        cancelled = self.board.cancelled
        for order_id in cancelled - self._reported:
            order = self.board.order(order_id)
            if order is not None:
                self.toast(kitchen_text.cancelled_message(order), error=True)
                self.alarm.ring_once()
        self._reported = cancelled

    def _show_status(self, now: datetime) -> None:
        """Badge, footer, summary and headline, where they have changed."""
        board, muted = self.board, self.alarm.muted
        status = kitchen_text.status_key(board, muted, now)
        if status == self._status:
            return
        self._status = status
        self.set_badge(board.count(OrderStatus.PLACED), kitchen_text.footer(board, muted, now))
        self.set_summary(kitchen_text.summary(board, now))
        self.services.set_headline(kitchen_text.headline(board, now))

    def worker_failed(self, group: str, message: str) -> None:
        """Show that an error has stopped the feed: the board must not look merely quiet."""
        super().worker_failed(group, message)
        self.request_redraw()
