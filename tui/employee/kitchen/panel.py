"""The panel "Kitchen": the restaurant's open orders by status, fed by their stream."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.worker import Worker, WorkerState

from server.features.orders.schemas import Order, OrderStatus
from tui.common.client.meter import Pattern, State
from tui.common.panel import Panel
from tui.employee.kitchen import format as kitchen_text
from tui.employee.kitchen.actions import Actions
from tui.employee.kitchen.board import COLUMNS, Board
from tui.employee.kitchen.cursor import Cursor
from tui.employee.kitchen.details import Details
from tui.employee.kitchen.dialogs import OrderScreen
from tui.employee.kitchen.feed import Feed
from tui.employee.kitchen.status import Announcer, Bell
from tui.employee.kitchen.strip import ColumnStrip
from tui.employee.kitchen.view import BoardView
from tui.employee.menu import MenuScreen
from tui.employee.staleness import LineWatch, TroubleLine

BEAT_SECONDS = 0.5
PAINT_SECONDS = 0.2
"""In a storm: cards that change faster cannot be read. One change, and a key, paint at once."""
FEED = "kitchen"
"""The worker group of the stream."""
BELOW_FROM_ROWS = 22
RIGHT_FROM_COLUMNS = 60


class KitchenPanel(Panel):
    """A board by status; enter takes the order under the cursor a step along."""

    TITLE = "Kitchen"
    PATTERN = Pattern.SSE
    CARD_BODY = (30, 10)
    KEYS = (
        ("←↑↓→", "go among the orders"),
        ("enter", "accept, next step; clears a cancelled one"),
        ("r", "reject or cancel, with a reason"),
        ("d", "name the driver, or another"),
        ("e", "change the minutes"),
        ("space", "the whole order"),
        ("s", "menu: sold out, prices, dishes"),
        ("n", "go to the next new order"),
        ("m", "mute the bell, and back"),
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
        Binding("r", "refuse", "Reject"),
        Binding("d", "driver", "Driver"),
        Binding("e", "minutes", "Minutes"),
        Binding("space", "details", "Details"),
        Binding("s", "menu", "Menu"),
        Binding("m", "mute", "Mute"),
        Binding("n", "next_new", "Next new", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.board = Board()
        self.cursor = Cursor(self.board)
        self.view = BoardView(self.board, self.cursor)
        self.strip = ColumnStrip(self.board, self.cursor)
        self.details = Details()
        self.actions = Actions(self)
        self.bell = Bell(lambda: self.app.bell())
        self.feed: Feed | None = None
        self._announcer = Announcer(self)
        self._watch = LineWatch()
        self._second = 0
        self._painted_at = 0.0

    def body(self) -> ComposeResult:
        """A line for trouble, the board, the order under the cursor."""
        yield TroubleLine()
        yield self.strip
        with Container(id="stage"):
            yield self.view
            yield self.details

    def start(self) -> None:
        """Follow the restaurant's orders."""
        account = self.session.account
        restaurant_id = account.restaurant_id if account else None
        self.set_interval(BEAT_SECONDS, self._beat)
        self.needs_redraw = True
        if account is None or restaurant_id is None:
            self.view.words = kitchen_text.NO_RESTAURANT
            return
        self.board.own_id = account.id
        self.feed = Feed(self.session, self.api, self.board, self.meter, self._changed)
        self.run_worker(self.feed.run(restaurant_id), group=FEED, exit_on_error=False)

    def drop_connection(self) -> None:
        """Cut the stream; what was missed is replayed when it is back."""
        if self.feed is None or not self.feed.drop_connection():
            self.notify("There is no connection to cut just now.", title=self.TITLE)

    def commands(self) -> Iterable[SystemCommand]:
        """What the palette offers of it."""
        yield SystemCommand("Menu and sold out", "Dishes, prices, what is gone", self.action_menu)
        yield SystemCommand(
            "Bell on" if self.bell.muted else "Mute the bell",
            "It rings until new orders are looked at",
            self.action_mute,
        )

    def redraw(self) -> None:
        """Paint the board and the order under the cursor."""
        beat = time.monotonic()
        if beat - self._painted_at < PAINT_SECONDS:
            self.needs_redraw = True
            return
        self._painted_at = beat
        now = datetime.now(UTC)
        if self.feed is not None:
            self.feed.settle()
            self.view.words = kitchen_text.words_for_empty(self.feed)
        self.cursor.settle()
        self.view.repaint()
        self.strip.set_class(self.view.shows_all, "-hidden")
        self.strip.follow()
        self.details.show(self.cursor.order, now)

    # -- what others use

    def say(self, words: str, *, error: bool = False) -> None:
        """Tell in a toast."""
        self.notify(
            words,
            title=self.TITLE,
            severity="warning" if error else "information",
            timeout=8 if error else 5,
        )

    def learn(self, order: Order) -> None:
        """An answer of the server is news like any other."""
        self.board.apply(order)
        self._changed()

    def leave_for_next(self, order: Order) -> None:
        """This order is about to move on by what was done here: the cursor takes the next one."""
        if self.cursor.order_id == order.id:
            self.cursor.step_on()

    # -- keys

    def action_step(self) -> None:
        """The next step of the order under the cursor."""
        order = self._under_cursor()
        if order is None:
            return
        if order.id in self.board.struck:
            self.board.dismiss(order.id)
            self._changed()
        else:
            self.actions.step(order)

    def action_refuse(self) -> None:
        """Reject it, or call it off."""
        if (order := self._open_under_cursor()) is not None:
            self.actions.refuse(order)

    def action_driver(self) -> None:
        """Name a driver."""
        if (order := self._open_under_cursor()) is not None:
            self.actions.change_driver(order)

    def action_minutes(self) -> None:
        """Give it other minutes."""
        if (order := self._open_under_cursor()) is not None:
            self.actions.change_minutes(order)

    def action_details(self) -> None:
        """The whole order."""
        order = self._under_cursor()
        if order is not None:
            self.app.push_screen(OrderScreen(order, lambda: self.board.order(order.id)))

    def action_menu(self) -> None:
        """The menu."""
        account = self.session.account
        if account is not None and account.restaurant_id is not None:
            self.app.push_screen(MenuScreen(account.restaurant_id))

    def action_mute(self) -> None:
        """The bell off, or on again."""
        self.bell.muted = not self.bell.muted
        self._changed()

    def action_next_new(self) -> None:
        """To the oldest new order that nobody has looked at, else to the oldest new one."""
        new = self.board.column(OrderStatus.PLACED)
        unseen = [order for order in new if order.id in self.board.unseen]
        for order in (unseen or new)[:1]:
            self.cursor.go(order.id)
            self._moved()

    @on(BoardView.Moved)
    def _moved(self) -> None:
        self._under_cursor()
        self._changed()

    @on(ColumnStrip.Chosen)
    def _chosen(self, event: ColumnStrip.Chosen) -> None:
        self.view.focus()
        self.cursor.move(COLUMNS.index(event.status) - self.cursor.column, 0)
        self._moved()

    def on_resize(self, event: events.Resize) -> None:
        """Where the order under the cursor has room."""
        width, height = self.content_size
        below = height >= BELOW_FROM_ROWS
        right = not below and width >= RIGHT_FROM_COLUMNS
        self.set_class(below, "-below")
        self.set_class(right, "-right")
        self.set_class(not below and not right, "-bare")
        self._changed()

    # -- what happens by itself

    def _changed(self) -> None:
        self.needs_redraw = True

    def _under_cursor(self) -> Order | None:
        """The order under the cursor, which has now been looked at."""
        order = self.cursor.order
        if order is not None and self.board.look_at(order.id):
            self._changed()
        return order

    def _open_under_cursor(self) -> Order | None:
        order = self._under_cursor()
        return None if order is None or order.id in self.board.struck else order

    def _beat(self) -> None:
        unseen = self.board.unseen
        now = time.monotonic()
        self.bell.tick(unseen, now)
        lit = bool(unseen) and not self.view.lit
        if lit != self.view.lit:
            self.view.lit = self.strip.lit = lit
            self._changed()
        if int(now) != self._second:
            self._second = int(now)
            self._changed()
        self._show_trouble(now)
        self._announcer.tell(datetime.now(UTC))

    def _show_trouble(self, now: float) -> None:
        """Words above the board while it may be old."""
        loaded = self.feed is not None and self.feed.loaded
        self.show_meter(self.feed.meter if self.feed is not None else None)
        words = self._watch.words(self.meter, now) if loaded else ""
        self.query_one(TroubleLine).say(words)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A feed that broke by a mistake of ours must not look like a quiet evening."""
        if event.state is WorkerState.ERROR and event.worker.group == FEED:
            words = f"stopped by an error: {event.worker.error!r}. Log out and in again."
            self.meter.set_state(State.DOWN, words)
            self._changed()
