"""The panel "Kitchen": the restaurant's open orders by status, fed by their stream."""

import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult, SystemCommand
from textual.binding import BindingType

from server.features.orders.schemas import Order, OrderStatus
from server.features.restaurants.schemas import RestaurantSummary
from tui.common.client.meter import Pattern
from tui.common.dialogs.base import Dialog
from tui.common.dialogs.copy import Copyable, order_parts
from tui.common.language import _
from tui.common.panel import Panel
from tui.employee.history.figures import FiguresScreen
from tui.employee.history.orders import HistoryScreen
from tui.employee.kitchen import format as kitchen_text
from tui.employee.kitchen import keys
from tui.employee.kitchen.actions import OrderActions, conflict_message
from tui.employee.kitchen.alarm import Alarm
from tui.employee.kitchen.board import BoardView, ColumnStrip, OrderSummary, Stage
from tui.employee.kitchen.dialogs import OrderDetailsScreen
from tui.employee.kitchen.feed import KitchenFeed
from tui.employee.kitchen.hold import HeldLine, format_held
from tui.employee.kitchen.host import AnswerT, Timer
from tui.employee.kitchen.model import COLUMNS, Cursor, OrderBoard
from tui.employee.kitchen.terms import Terms, TermsLine, format_terms, paused
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


class KitchenPanel(Panel):
    """A board of orders by status; enter takes the selected order to its next step."""

    TITLE = _("Kitchen")
    PATTERN = Pattern.SSE
    WHY = _(
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
    SPAN = 2
    KEYS = keys.HELP
    BINDINGS: ClassVar[list[BindingType]] = keys.BINDINGS

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.board = OrderBoard()
        self.cursor = Cursor(self.board)
        self.view = BoardView(self.board, self.cursor, lambda: self.session.server_now())
        self.busy = self.view.busy
        self.strip = ColumnStrip(self.board, self.cursor)
        self.details = OrderSummary()
        self.stage = Stage()
        self.actions = OrderActions(self)
        self.terms = Terms(self)
        self.terms_line = TermsLine()
        self.waiting = HeldLine()
        self.tickets = TicketDesk(self, self)
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
        yield self.terms_line
        yield self.waiting
        yield self.strip
        with self.stage:
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
        return keys.commands(self.run_action, muted=self.alarm.muted)

    def finds(self) -> Iterable[SystemCommand]:
        """The orders on the board, and the dishes."""
        return keys.finds(self.board, self.feed, self._go_to, self.action_menu)

    def redraw(self) -> None:
        """Draw the board and the order under the cursor; ring for new orders."""
        now, feed = time.monotonic(), self.feed
        if feed is not None:
            feed.apply_events()
            self.view.message = kitchen_text.empty_message(feed.loaded, feed.error, feed.stopped)
        self._show_held()
        self._show_terms()
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
        self.view.held = {
            one.order.id: _("→ {seconds} s").format(seconds=one.seconds) for one in held.all
        }
        self.waiting.show(format_held(held.all))
        if held.all:
            self.redraw_in(0.5)

    def _show_terms(self) -> None:
        """Pause and extra minutes, until the pause is over."""
        now, restaurant = self.session.server_now(), self.restaurant
        self.terms_line.show(format_terms(restaurant, now))
        if restaurant is not None and paused(restaurant, now):
            self.redraw_in(CLOCK_SECONDS)

    @property
    def restaurant(self) -> RestaurantSummary | None:
        """The restaurant's terms as they are now, once they have been read."""
        return self.feed.restaurant if self.feed is not None else None

    def show_terms(self, restaurant: RestaurantSummary) -> None:
        """The server has sent the restaurant's terms as they are now."""
        if self.feed is not None:
            self.feed.restaurant = restaurant
            self.request_redraw()

    @property
    def preparation_minutes(self) -> int:
        """How long the restaurant usually needs."""
        restaurant = self.restaurant
        if restaurant is None:
            return USUAL_MINUTES
        return restaurant.preparation_minutes + restaurant.extra_minutes

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

    async def send_held(self) -> bool:
        """Send the steps that wait, and wait for the answers, for some seconds."""
        return await self.actions.settled()

    def unsaved(self) -> str | None:
        """The steps whose answer has not come."""
        if not self.busy:
            return None
        return _("A step has not reached the server yet; check its order after the next start.")

    def reload(self) -> None:
        """Read the orders again, now."""
        if self.feed is not None:
            self.run_worker(self.feed.run(), group=FEED, exclusive=True, exit_on_error=False)

    def action_step(self) -> None:
        """The next step of the order under the cursor."""
        if (order := self._selected_order()) is None:
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
            self.toast(_("No step waits. What was sent stays in the order's timeline."))

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
        if (order := self._selected_order()) is not None:
            self.app.push_screen(OrderDetailsScreen(order, lambda: self.board.order(order.id)))

    def action_ticket(self) -> None:
        """Print or save the ticket of the order under the cursor."""
        if (order := self._selected_order()) is not None:
            self.tickets.print(order)

    def action_history(self) -> None:
        """Open the orders of this and other days."""
        if (restaurant := self.restaurant) is not None:
            now = self.session.server_now()
            self.app.push_screen(HistoryScreen(restaurant, now, self.tickets.print))

    def action_figures(self) -> None:
        """Open the figures of this and other days."""
        if (restaurant := self.restaurant) is not None:
            self.app.push_screen(FiguresScreen(restaurant, self.session.server_now()))

    def action_menu(self, dish_id: str | None = None) -> None:
        """Open the menu, with the highlight on that dish."""
        account = self.session.account
        if account is not None and account.restaurant_id is not None:
            self.app.push_screen(MenuScreen(account.restaurant_id, dish_id))

    def menu_changed(self) -> None:
        """Have the menu read again, where it is open."""
        for screen in self.app.screen_stack:
            if isinstance(screen, MenuScreen):
                screen.reload()

    @on(TermsLine.Clicked)
    def action_pause(self) -> None:
        """Take no orders for a while, or again."""
        self.terms.pause()

    def action_extra(self, minutes: int) -> None:
        """So many minutes more for everybody, or less."""
        self.terms.add(minutes)

    def action_mute(self) -> None:
        """Mute the alarm, or turn it on again."""
        self.alarm.muted = not self.alarm.muted
        self.request_redraw()

    def action_next_new(self) -> None:
        """Go to the oldest new order that nobody has looked at, else to the oldest new one."""
        new = self.board.column(OrderStatus.PLACED)
        unseen = [order for order in new if order.id in self.board.unseen]
        for order in (unseen or new)[:1]:
            self._go_to(order.id)

    def _go_to(self, order_id: str) -> None:
        self.services.go_to(self)
        self.cursor.select(order_id)
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
        """Put the order's details wherever there is room."""
        self.stage.make_room(self.content_size, wide=self.screen.has_class("-wide"))
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
            if (order := self.board.order(order_id)) is not None:
                self.toast(kitchen_text.cancelled_message(order), error=True)
                self.alarm.ring_once()
        self._reported = cancelled

    def _show_status(self, now: datetime) -> None:
        """Badge, footer, summary and headline, where they have changed."""
        board, muted = self.board, self.alarm.muted
        pausing = self.restaurant is not None and paused(self.restaurant, now)
        status = kitchen_text.status_key(board, muted, now, paused=pausing)
        if status == self._status:
            return
        self._status = status
        note = kitchen_text.footer(board, muted, now, paused=pausing)
        self.set_badge(board.count(OrderStatus.PLACED), note)
        self.set_summary(kitchen_text.summary(board, now))
        self.services.set_headline(kitchen_text.headline(board, now))

    def worker_failed(self, group: str, message: str) -> None:
        """Show that an error has stopped the feed: the board must not look merely quiet."""
        super().worker_failed(group, message)
        self.request_redraw()
