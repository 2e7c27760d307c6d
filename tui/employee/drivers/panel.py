"""The panel "Drivers": what each is about, and all of them on the map, as they move."""

import time
from collections.abc import Coroutine, Iterable
from datetime import datetime
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.worker import Worker

from server.features.orders.schemas import Order
from server.features.restaurants.schemas import Restaurant
from tui.common.client.meter import Pattern
from tui.common.map.basemap import Basemap, load_basemap
from tui.common.map.widget import TownMap
from tui.common.panel import Panel
from tui.common.tracking.track import point_of
from tui.employee.drivers import format as drivers_format
from tui.employee.drivers import map as driver_map
from tui.employee.drivers.controller import DriversController
from tui.employee.drivers.dialogs import AssignScreen, takeable
from tui.employee.drivers.layout import Layout, layout_for
from tui.employee.drivers.model import DriverList, DriverState
from tui.employee.drivers.view import DriverListView
from tui.employee.kitchen import format as kitchen_text
from tui.employee.kitchen.model import COLUMNS
from tui.employee.kitchen.panel import KitchenPanel
from tui.employee.staleness import Banner

BEAT_SECONDS = 0.5
"""How often ages are drawn again, and the board is looked at."""
PAINT_SECONDS = 0.2
"""In a storm: a map that changes faster cannot be read."""
TOO_EARLY = "The open orders are still being read; try again in a moment."


class DriversPanel(Panel):
    """A roster and a map; the driver under the cursor is the one who is watched on it."""

    TITLE = "Drivers"
    PATTERN = Pattern.SSE
    CARD_BODY = (44, 18)
    KEYS = (
        ("↑↓", "go among the drivers"),
        ("enter f", "follow on the map, and back"),
        ("a", "give the driver an order"),
        ("s", "simulate a ride, or stop it"),
        ("m", "to the map, and back"),
        ("+ - 0", "zoom the map; all of it"),
        ("r", "read the roster again"),
    )
    DEFAULT_CSS = """
    DriversPanel {
        & > .body { padding: 0; }
        & Banner { padding: 0 1; }
        & #stage { height: 1fr; layout: vertical; }
        &.-right #stage { layout: horizontal; }
        &.-right #roster { width: 48%; max-width: 56; }
        &.-bare TownMap { display: none; }
        &.-bare.-map TownMap { display: block; }
        &.-bare.-map #roster { display: none; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "follow", "Follow"),
        Binding("a", "assign", "Assign"),
        Binding("s", "ride", "Simulate ride"),
        Binding("m", "map", "Map"),
        Binding("r,f5", "retry", "Reload"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.driver_list = DriverList()
        self.view = DriverListView(self._now)
        self.map = TownMap()
        self.controller: DriversController | None = None
        self._kitchen: KitchenPanel | None = None
        self._moved_by_hand = False
        self._painted_at = 0.0
        self._layout: Layout | None = None

    def body(self) -> ComposeResult:
        """A line for trouble, the roster, the map."""
        yield Banner()
        with Container(id="stage"):
            yield self.view
            yield self.map

    def start(self) -> None:
        """Read roster and map, and look at the board beside."""
        self.needs_redraw = True
        self._kitchen = self.screen.query_one(KitchenPanel)
        account = self.session.account
        if account is None or account.restaurant_id is None:
            self.view.words = kitchen_text.NO_RESTAURANT
            return
        self.controller = DriversController(
            self.session, self.api, self.driver_list, self._run, self.toast, self._changed
        )
        self._run("map", load_basemap(self.api, self._lay))
        self.set_interval(BEAT_SECONDS, self._beat)

    def stop(self) -> None:
        """Nobody rides on without this window."""
        if self.controller is not None:
            self.controller.close()

    def drop_connection(self) -> None:
        """Drop the stream of the driver in view, or the poll that stands in for it."""
        tracker = self.controller.watch_of(self.state) if self.controller is not None else None
        if tracker is None or not tracker.drop_connection():
            self.notify("There is no connection to cut just now.", title=self.TITLE)

    def commands(self) -> Iterable[SystemCommand]:
        """What the palette offers of it."""
        if self.state is not None:
            yield SystemCommand(
                "Follow the driver", "Close by on the map, or back to the whole", self.action_follow
            )
            yield SystemCommand(
                "Give the driver an order", "What is open and not theirs yet", self.action_assign
            )
            yield SystemCommand(
                "Simulate a ride of the driver, or stop it",
                "Along the streets, to the doors and back",
                self.action_ride,
            )
        yield SystemCommand("Read the roster again", "Who is on duty, and where", self.action_retry)

    def redraw(self) -> None:
        """Paint roster, map, card and edge."""
        beat = time.monotonic()
        if beat - self._painted_at < PAINT_SECONDS:
            self.needs_redraw = True
            return
        self._painted_at = beat
        self._paint()

    # -- what others use

    @property
    def state(self) -> DriverState | None:
        """The driver under the cursor."""
        return self.driver_list.get(self.view.driver_id)

    # -- keys

    def action_follow(self) -> None:
        """Follow the driver on the map, close by, or show everything again."""
        state = self.state
        if state is None:
            return
        if state.track.newest is None:
            self.toast(f"{state.driver.name} was never seen, so there is nothing to follow.")
            return
        self._paint()
        self.map.action_follow()
        if self.has_class("-bare") and not self.has_class("-map"):
            self.action_map()

    def action_assign(self) -> None:
        """Give the driver an order."""
        state = self.state
        if state is None:
            return
        kitchen, orders = self._kitchen, self._open_orders()
        if kitchen is None or orders is None:
            self.toast(TOO_EARLY)
            return

        def answered(order: Order | None) -> None:
            if order is not None:
                kitchen.actions.assign(order, state.id)

        self.app.push_screen(AssignScreen(state.driver, takeable(orders, state.id)), answered)

    def action_ride(self) -> None:
        """Start a simulated ride of the driver, or stop it."""
        state, restaurant = self.state, self._restaurant
        if state is None or self.controller is None:
            return
        self._look()
        if restaurant is None or self._open_orders() is None:
            self.toast(TOO_EARLY)
            return
        self.controller.trip(state, point_of(restaurant), self.map.basemap)

    def action_map(self) -> None:
        """To the map, so that its keys work, and back to the roster."""
        there = self.map.has_focus or self.has_class("-bare", "-map")
        self.set_class(not there, "-map", update=False)
        self.app.stylesheet.update_nodes([self, self.view, self.map])
        self.screen.set_focus(self.view if there else self.map)

    def action_retry(self) -> None:
        """Read the roster again."""
        if self.controller is not None:
            self.controller.reload()

    @on(DriverListView.Moved)
    def _moved(self) -> None:
        self._moved_by_hand = True
        self._changed()

    def on_resize(self, event: events.Resize) -> None:
        """Where the map has room."""
        super().on_resize(event)
        self._fit()
        self._changed()

    # -- what happens by itself

    def _beat(self) -> None:
        """Ages have changed, and maybe the orders."""
        by_itself = not self._moved_by_hand and not self.has_focus_within
        if self.controller is not None and by_itself:
            self.view.driver_id = self.controller.lead(self.state)
        self._look()
        self._changed()

    def _look(self) -> None:
        """Look at the orders as the kitchen's board has them."""
        if self.controller is not None:
            self.controller.look(self._open_orders(), self.view.driver_id)

    def _paint(self) -> None:
        now, controller = self._now(), self.controller
        if controller is None:
            self.view.show(())
            return
        self.view.words = drivers_format.words_for_empty(controller.feed)
        self.query_one(Banner).show(drivers_format.words_for_old(controller.feed))
        self.view.show([controller.row(one) for one in self.driver_list.states])
        self._fit()
        state = self.state
        tracker = controller.watch_of(state)
        corner = drivers_format.corner(state, tracker, now)
        self.map.show(driver_map.overlay(self.driver_list, state, self._restaurant, corner, now))
        self.set_summary(drivers_format.summary(self.driver_list, controller.feed, now))
        self.set_badge(self.driver_list.out_count, drivers_format.note(self.driver_list, state))
        self.show_meter(tracker.meter if tracker is not None else None)

    def _fit(self) -> None:
        """Roster and map where there is room for them."""
        width, height = self.content_size
        layout = layout_for(width, height, len(self.driver_list.states), self.view.lines_wanted)
        if layout != self._layout:
            self._layout = layout
            self.set_class(layout.right, "-right")
            self.set_class(not layout.below and not layout.right, "-bare")
            self.view.styles.height = layout.roster_lines or "1fr"

    def _lay(self, basemap: Basemap) -> None:
        self.map.basemap = basemap

    def _changed(self) -> None:
        self.needs_redraw = True

    def _now(self) -> datetime:
        return self.session.server_now()

    def _run(self, group: str, work: Coroutine[object, object, None]) -> Worker[None]:
        return self.run_worker(work, group=group, exit_on_error=False)

    # -- the panel beside

    def _open_orders(self) -> list[Order] | None:
        """As the kitchen's board has them; None while it has not been read."""
        kitchen = self._kitchen
        if kitchen is None or kitchen.feed is None or not kitchen.feed.loaded:
            return None
        orders = (order for status in COLUMNS for order in kitchen.board.column(status))
        return [order for order in orders if not order.status.terminal]

    @property
    def _restaurant(self) -> Restaurant | None:
        feed = self._kitchen.feed if self._kitchen is not None else None
        return feed.restaurant if feed is not None else None
