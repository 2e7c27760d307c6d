"""The panel "Drivers": a list of what each is doing, and a map on which they move."""

from collections.abc import Coroutine, Iterable, Sequence
from datetime import datetime
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.worker import Worker

from server.features.drivers.schemas import Point
from server.features.orders.schemas import Order
from server.features.restaurants.schemas import RestaurantSummary
from tui.common.client.meter import Pattern
from tui.common.dialogs.copy import Copyable
from tui.common.language import _
from tui.common.map.basemap import Basemap, load_basemap
from tui.common.map.geometry import Marker, Overlay
from tui.common.map.widget import TownMap
from tui.common.panel import Panel
from tui.common.tracking.format import PATTERN_SOURCES, PATTERN_WHY
from tui.common.tracking.planner import TOO_FAR_METRES
from tui.common.tracking.track import driver_marker, lat_lng, lat_lngs, metres_between, point_of
from tui.common.widgets.filter import FilterField
from tui.employee.drivers import format as drivers_format
from tui.employee.drivers.controller import DriversController
from tui.employee.drivers.dialogs import AssignScreen, assignable
from tui.employee.drivers.model import DriverList, DriverState
from tui.employee.drivers.view import DriverListView, MapPosition, map_position
from tui.employee.kitchen.format import NO_RESTAURANT
from tui.employee.kitchen.model import COLUMNS
from tui.employee.kitchen.panel import KitchenPanel
from tui.employee.staleness import Banner

RETRY_SECONDS = 1.0
"""How often it is checked whether a tracker that has ended may start again."""
TOO_EARLY = _("The open orders are still loading; try again in a moment.")


class DriversPanel(Panel):
    """A list and a map; the map follows the driver under the cursor."""

    TITLE = _("Drivers")
    PATTERN = Pattern.SSE
    WHY = PATTERN_WHY
    SOURCES = PATTERN_SOURCES
    NOTHING_TO_CUT = _("No driver is being tracked; nothing to cut.")
    REDRAW_SECONDS = 0.2
    CARD_BODY = (44, 18)
    KEYS = (
        ("↑↓", _("choose a driver")),
        ("/", _("filter the drivers")),
        ("enter f", _("follow on the map, or show all of it")),
        ("a", _("assign an order to the driver")),
        ("s", _("simulate a trip, or stop it")),
        ("m", _("to the map, or back to the list")),
        ("+ - 0", _("zoom the map, or show all of it")),
        ("r F5", _("refresh the drivers")),
    )
    DEFAULT_CSS = """
    DriversPanel {
        & > .body { padding: 0; }
        & Banner { padding: 0 1; }
        & #list-and-map { height: 1fr; layout: vertical; }
        &.-beside #list-and-map { layout: horizontal; }
        &.-beside #drivers { width: 48%; max-width: 56; }
        &.-one TownMap { display: none; }
        &.-one.-map TownMap { display: block; }
        &.-one.-map #drivers { display: none; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "follow", _("Follow")),
        Binding("a", "assign", _("Assign")),
        Binding("s", "simulate", _("Simulate trip")),
        Binding("m", "map", _("Map")),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.driver_list = DriverList()
        self.view = DriverListView(self._now)
        self.map = TownMap()
        self.controller: DriversController | None = None
        self._kitchen: KitchenPanel | None = None
        self._position: MapPosition | None = None

    def body(self) -> ComposeResult:
        """A warning line, the list, the map."""
        yield Banner()
        with Container(id="list-and-map"):
            yield self.view
            yield self.map
        yield FilterField()

    def start(self) -> None:
        """Read the drivers and the map; the open orders are the kitchen's."""
        self.needs_redraw = True
        self._kitchen = self.screen.query_one(KitchenPanel)
        account = self.session.account
        if account is None or account.restaurant_id is None:
            self.view.message = NO_RESTAURANT
            return
        self.controller = DriversController(
            self.session, self.api, self.driver_list, self._run, self.toast, self._changed
        )
        self._run("map", load_basemap(self.api, self._set_basemap))
        self._kitchen.followers.append(self)

    def stop(self) -> None:
        """Stop the simulated trips of this window."""
        if self.controller is not None:
            self.controller.close()

    def drop_connection(self) -> bool:
        """Drop the stream of the selected driver, or the poll that replaces it."""
        tracker = self.controller.tracker_of(self.state) if self.controller is not None else None
        return tracker is not None and tracker.drop_connection()

    def commands(self) -> Iterable[SystemCommand]:
        """What the command palette offers."""
        if self.state is not None:
            yield SystemCommand(
                _("Follow the driver"), _("On the map, or show all of it"), self.action_follow
            )
            yield SystemCommand(
                _("Assign an order to the driver"),
                _("One that has not left yet"),
                self.action_assign,
            )
            yield SystemCommand(
                _("Simulate a trip of the driver, or stop it"),
                _("Along the streets, to the doors and back"),
                self.action_simulate,
            )
        yield SystemCommand(_("Refresh the drivers"), _("Refresh the list now"), self.action_retry)

    def redraw(self) -> None:
        """Apply the board, then draw list, map, card and edge."""
        self._update()
        controller, chosen = self.controller, self.view.selected_by_user or self.has_focus_within
        if controller is not None and not chosen:
            self.view.driver_id = controller.default_selection(self.state)
        self._draw()

    @property
    def state(self) -> DriverState | None:
        """The driver under the cursor."""
        return self.driver_list.get(self.view.driver_id)

    def copyable(self) -> Sequence[Copyable]:
        """Of the driver under the cursor: phone and name, and where the next door is."""
        if (state := self.state) is None:
            return ()
        doors = [
            (_("address of #{number}").format(number=one.number), one.address.text)
            for one in state.doors
        ]
        driver = state.driver
        return [(_("phone"), driver.phone or ""), (_("name"), driver.name), *doors]

    # -- keys

    def action_follow(self) -> None:
        """Follow the driver on the map, or show all of it again."""
        state = self.state
        if state is None:
            return
        if state.track.newest is None:
            self.toast(
                _("{state}, so the map cannot follow.").format(
                    state=drivers_format.no_location(state)
                )
            )
            return
        self._draw()
        self.map.action_follow()
        if self.has_class("-one") and not self.has_class("-map"):
            self.action_map()

    def action_assign(self) -> None:
        """Assign an order to the driver."""
        state = self.state
        if state is None:
            return
        kitchen, orders = self._kitchen, self._open_orders()
        if kitchen is None or orders is None:
            self.toast(TOO_EARLY)
            return

        def on_choice(order: Order | None) -> None:
            if order is not None:
                kitchen.actions.assign(order, state.id)

        self.app.push_screen(AssignScreen(state.driver, assignable(orders, state.id)), on_choice)

    def action_simulate(self) -> None:
        """Start a simulated trip of the driver, or stop it."""
        state, restaurant = self.state, self._restaurant
        if state is None or self.controller is None:
            return
        self._update()
        if restaurant is None or self._open_orders() is None:
            self.toast(TOO_EARLY)
            return
        self.controller.trips.toggle(state, point_of(restaurant), self.map.basemap)

    def action_map(self) -> None:
        """Move the focus to the map, so that its keys work, or back to the list."""
        on_map = self.map.has_focus or self.has_class("-one", "-map")
        self.set_class(not on_map, "-map", update=False)
        self.app.stylesheet.update_nodes([self, self.view, self.map])
        self.screen.set_focus(self.view if on_map else self.map)

    def reload(self) -> None:
        """Read the drivers again now."""
        if self.controller is not None:
            self.controller.reload()

    @on(DriverListView.Moved)
    def _on_moved(self) -> None:
        self._changed()

    def on_resize(self, event: events.Resize) -> None:
        """Place the map where there is room for it."""
        super().on_resize(event)
        self._arrange()
        self._changed()

    # -- updates

    def _update(self) -> None:
        """Apply the orders as the kitchen's board has them."""
        if self.controller is not None:
            self.controller.update(self._open_orders(), self.view.driver_id)

    def _draw(self) -> None:
        now, controller = self._now(), self.controller
        if controller is None:
            self.view.show(())
            return
        self.view.message = drivers_format.empty_message(controller.feed)
        self.query_one(Banner).show(drivers_format.stale_message(controller.feed))
        self.view.show([controller.row(one) for one in self.driver_list.states])
        self._arrange()
        state = self.state
        tracker = controller.tracker_of(state)
        corner = drivers_format.map_corner(state, tracker, now)
        self.map.show(overlay_of(self.driver_list, state, self._restaurant, corner, now))
        self.set_summary(drivers_format.summary(self.driver_list, controller.feed, now))
        self.set_badge(self.driver_list.out_count, drivers_format.footer(self.driver_list, state))
        self.show_meter(tracker.meter if tracker is not None else None)
        self._redraw_with_time(now)

    def _redraw_with_time(self, now: datetime) -> None:
        """Be redrawn when an age is another, or a tracker may start again."""
        for state in self.driver_list.states:
            if state.track.newest is not None:
                self.redraw_with_age(state.track.age(now))
        if self.controller is not None and self.controller.trackers.any_over:
            self.redraw_in(RETRY_SECONDS)

    def _arrange(self) -> None:
        """Place the map where there is room for it."""
        width, height = self.content_size
        count = len(self.driver_list.states)
        position = map_position(width, height, count, self.view.lines_wanted)
        if position != self._position:
            self._position = position
            self.set_class(position.beside, "-beside")
            self.set_class(not position.below and not position.beside, "-one")
            self.view.styles.height = position.list_lines or "1fr"

    def _set_basemap(self, basemap: Basemap) -> None:
        self.map.basemap = basemap

    def _changed(self) -> None:
        self.needs_redraw = True

    def _now(self) -> datetime:
        return self.session.server_now()

    def _run(self, group: str, work: Coroutine[object, object, None]) -> Worker[None]:
        return self.run_worker(work, group=group, exit_on_error=False)

    # -- the kitchen's panel

    def _open_orders(self) -> list[Order] | None:
        """As the kitchen's board has them; None before it is loaded."""
        kitchen = self._kitchen
        if kitchen is None or kitchen.feed is None or not kitchen.feed.loaded:
            return None
        orders = (order for status in COLUMNS for order in kitchen.board.column(status))
        return [order for order in orders if not order.status.terminal]

    @property
    def _restaurant(self) -> RestaurantSummary | None:
        feed = self._kitchen.feed if self._kitchen is not None else None
        return feed.restaurant if feed is not None else None


def overlay_of(
    driver_list: DriverList,
    selected: DriverState | None,
    restaurant: RestaurantSummary | None,
    corner: str,
    now: datetime,
) -> Overlay:
    """The restaurant, every driver near it, and of the selected driver the doors, trail and
    route."""
    home = None if restaurant is None else point_of(restaurant)
    markers: list[Marker] = []
    if restaurant is not None:
        markers.append(Marker("restaurant", restaurant.name, lat_lng(restaurant)))
    for state in driver_list.states:
        if state is not selected and _is_near(state, home):
            other = driver_marker(state.driver.name, state.track, now, chosen=False)
            markers += [other] if other is not None else []
    if selected is None:
        return Overlay(tuple(markers), hud=corner)
    markers += [Marker("home", f"#{one.number}", lat_lng(one.address)) for one in selected.doors]
    driver = driver_marker(selected.driver.name, selected.track, now, chosen=True)
    if driver is None:
        return Overlay(tuple(markers), hud=corner)
    track = selected.track
    return Overlay((*markers, driver), lat_lngs(track.trail), lat_lngs(track.ahead), corner)


def _is_near(state: DriverState, home: Point | None) -> bool:
    """Whether the driver belongs on the map: one last seen in another country would shrink the
    town to a dot."""
    newest = state.track.newest
    if newest is None or home is None:
        return newest is not None
    return metres_between(point_of(newest), home) <= TOO_FAR_METRES
