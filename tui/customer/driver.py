"""The customer's panel "Driver": the driver of an order, moving on the map."""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from math import inf
from typing import ClassVar

from textual.app import ComposeResult, SystemCommand
from textual.content import Content

from server.features.accounts.schemas import Account
from server.features.drivers.schemas import Point
from server.features.orders.schemas import Order, OrderStatus
from tui.common.client.meter import Pattern
from tui.common.dialogs.copy import Copyable, order_parts
from tui.common.format import STATUS_LOOKS, clock_time, fit
from tui.common.language import _
from tui.common.map.basemap import Basemap, load_basemap
from tui.common.map.geometry import Marker, Overlay
from tui.common.map.widget import TownMap
from tui.common.panel import Panel
from tui.common.sanitize import plain
from tui.common.tracking import format as tracking_format
from tui.common.tracking.format import PATTERN_SOURCES, PATTERN_WHY, vehicle_name
from tui.common.tracking.track import DriverTrack, driver_marker, lat_lng, lat_lngs
from tui.common.tracking.tracker import DriverTracker
from tui.customer.orders.feed import OrderFeed
from tui.customer.orders.format import arrival
from tui.customer.orders.model import OrderStore
from tui.customer.orders.panel import OrdersPanel

UPDATE_SECONDS = 1.0
"""How often ages are drawn again while a driver is followed."""
RETRY_SECONDS = 5.0
"""Until the server is asked again for a driver whom it does not show."""
NO_LOCATION = _("no location yet")
DOOR_CELLS = 20
"""Of an address on the map."""


class DriverPanel(Panel):
    """Shows the delivery selected in Orders; else the one it shows already, else the newest."""

    TITLE = _("Driver")
    PATTERN = Pattern.SSE
    WHY = PATTERN_WHY
    SOURCES = PATTERN_SOURCES
    NOTHING_TO_CUT = _("No driver on the way; nothing to cut.")
    CARD_BODY = (30, 9)
    KEYS = (
        ("f", _("follow the driver, or show the whole route")),
        ("+ -", _("zoom, also with the mouse wheel")),
        ("←↑↓→", _("move the map, also by dragging it")),
        ("0", _("the whole route")),
    )
    DEFAULT_CSS = "DriverPanel > .body { padding: 0; }"
    TRACKER_GROUP: ClassVar[str] = "driver-tracker"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.order: Order | None = None
        """The order whose driver is shown, also after the delivery."""
        self.tracker: DriverTracker | None = None
        self._retry_at = 0.0

    def body(self) -> ComposeResult:
        """The map, with text in its corner."""
        yield TownMap()

    def start(self) -> None:
        """Read the map; the orders are those of the Orders panel."""
        self.run_worker(load_basemap(self.api, self._set_basemap), group="map", exit_on_error=False)
        self._orders.followers.append(self)
        self.needs_redraw = True

    def drop_connection(self) -> bool:
        """Drop the driver's stream, or the poll that replaces it."""
        return self.tracker is not None and self.tracker.drop_connection()

    def worker_failed(self, group: str, message: str) -> None:
        """Say it on the map too, where it was the tracker."""
        super().worker_failed(group, message)
        if group == self.TRACKER_GROUP and self.tracker is not None:
            self.tracker.error, self._retry_at = message, inf
            self.needs_redraw = True

    def copyable(self) -> Sequence[Copyable]:
        """Of the order whose driver is shown."""
        order = self.order or self._next()
        return () if order is None else order_parts(order, _("your phone"))

    def commands(self) -> Iterable[SystemCommand]:
        """What the command palette offers."""
        yield SystemCommand(
            _("Follow the driver"), _("Or show the whole route"), self._follow_on_map
        )

    def redraw(self) -> None:
        """Choose the order, then draw map, card and edge."""
        self._choose_order()
        if self.tracker is not None and self.order is not None and not self.order.status.terminal:
            self.redraw_in(UPDATE_SECONDS)
        now = self.session.server_now()
        shown = self.order or self._next()
        track = self.tracker.track if self.tracker is not None else None
        corner = map_corner(shown, self.tracker, now)
        overlay = overlay_of(shown, self.session.account, track, corner, now)
        self.query_one(TownMap).show(overlay)
        self.set_summary(summary(shown, self.tracker, now))
        self.set_badge(note=footer(self.order))
        self.show_meter(self.tracker.meter if self.tracker is not None else None)

    # -- which driver

    def _choose_order(self) -> None:
        deliveries = [one for one in self._store.open() if _is_on_the_way(one)]
        wanted = next((one for one in deliveries if one.id == self._selected_id), None)
        if wanted is None and self.order is not None:
            wanted = next((one for one in deliveries if one.id == self.order.id), None)
        wanted = wanted or next(iter(deliveries), None)
        if wanted is None:
            self._keep_last()
            return
        if self._is_tracked(wanted):
            self.order = wanted
            return
        self._track(wanted)

    def _is_tracked(self, order: Order) -> bool:
        over = self.tracker is None or self.tracker.over
        return self._shows(order) and (not over or time.monotonic() < self._retry_at)

    def _shows(self, order: Order) -> bool:
        """Whether the tracker is for this order and its driver."""
        if self.tracker is None or self.order is None or order.driver is None:
            return False
        return (order.id, order.driver.id) == (self.order.id, self.tracker.driver_id)

    def _track(self, order: Order) -> None:
        assert order.driver is not None
        driver, before = order.driver, self.tracker
        same = before is not None and self._shows(order)
        track = before.track if before is not None and same else None
        self.order = order
        name = plain(f"{driver.name} #{order.number:04d}")
        self.tracker = DriverTracker(
            self.session, self.api, driver.id, name, self._changed, track=track
        )
        door = order.address
        self.tracker.set_target(Point(lat=door.lat, lng=door.lng))
        self.run_worker(
            self._run(self.tracker, order),
            group=self.TRACKER_GROUP,
            exclusive=True,
            exit_on_error=False,
        )

    async def _run(self, tracker: DriverTracker, order: Order) -> None:
        await tracker.run()
        # The order says why the stream ended. If it is still on its way, try again in a while.
        self._retry_at = time.monotonic() + RETRY_SECONDS
        await self._feed.refresh(order.id)
        self._changed()

    def _keep_last(self) -> None:
        """With nothing on its way, show the last delivery until there is another open order."""
        if self.order is None:
            return
        known = self._store.get(self.order.id)
        if known is not None:
            self.order = known
        if any(order.id != self.order.id for order in self._store.open()):
            self.order, self.tracker = None, None

    def _next(self) -> Order | None:
        """The open order that will leave first: its restaurant and door are shown."""
        return next(iter(self._store.open()), None)

    def _changed(self) -> None:
        self.needs_redraw = True

    def _set_basemap(self, basemap: Basemap) -> None:
        self.query_one(TownMap).basemap = basemap

    def _follow_on_map(self) -> None:
        self.query_one(TownMap).action_follow()

    # -- the Orders panel

    @property
    def _orders(self) -> OrdersPanel:
        return self.screen.query_one(OrdersPanel)

    @property
    def _store(self) -> OrderStore:
        return self._orders.store

    @property
    def _feed(self) -> OrderFeed:
        return self._orders.feed

    @property
    def _selected_id(self) -> str | None:
        order = self._orders.order
        return None if order is None else order.id


def _is_on_the_way(order: Order) -> bool:
    return order.status is OrderStatus.OUT_FOR_DELIVERY and order.driver is not None


def door_name(order: Order, account: Account | None) -> str:
    """Home or work, where the order goes there, else the start of its address."""
    kept = (account.address, account.work_address) if account else ()
    for name, one in zip((_("Home"), _("Work")), kept, strict=False):
        if one is not None and one.text == order.address.text:
            return name
    return fit(order.address.text.partition(",")[0], DOOR_CELLS)


def overlay_of(
    order: Order | None,
    account: Account | None,
    track: DriverTrack | None,
    corner: str,
    now: datetime,
) -> Overlay:
    """What lies on the map for this order; without one only the corner's text."""
    if order is None:
        return Overlay(hud=corner)
    markers = [
        Marker("restaurant", order.restaurant.name, lat_lng(order.restaurant)),
        Marker("home", door_name(order, account), lat_lng(order.address)),
    ]
    if track is None:
        return Overlay(tuple(markers), hud=corner)
    over = order.status.terminal
    name = order.driver.name if order.driver else _("Driver")
    if driver := driver_marker(name, track, now, chosen=True, over=over):
        markers.append(driver)
    route = () if over else lat_lngs(track.ahead)
    return Overlay(tuple(markers), lat_lngs(track.trail), route, corner)


def map_corner(order: Order | None, tracker: DriverTracker | None, now: datetime) -> str:
    """The text in the map's corner: how far the driver is, or why there is none."""
    if order is None:
        return _("no order on its way")
    if order.status is not OrderStatus.OUT_FOR_DELIVERY:
        return _status_line(order, now)
    if tracker is None:
        return _("looking for the driver…")
    if tracker.error:
        return tracker.error
    return tracking_format.trip_line(tracker.track, now) or NO_LOCATION


def summary(order: Order | None, tracker: DriverTracker | None, now: datetime) -> Content:
    """The card's two lines."""
    if order is None:
        return Content.assemble((_("Shows the driver once an order is on its way."), "$wire-ink"))
    if order.status is not OrderStatus.OUT_FOR_DELIVERY or tracker is None:
        glyph, _name, ink = STATUS_LOOKS[order.status]
        return Content.assemble(
            (f"{glyph} ", ink), (plain(order.restaurant.name), "bold"), "\n",
            (map_corner(order, tracker, now), "$wire-ink"),
        )  # fmt: skip
    track = tracker.track
    eta = " · ".join(tracking_format.eta_parts(track, now)) or NO_LOCATION
    stale = track.is_stale(now)
    age = tracking_format.ago(track, now) if track.newest else ""
    speed = tracking_format.speed(track)
    return Content.assemble(
        ("▶ ", "$primary"), (plain(order.driver.name if order.driver else ""), "bold"),
        "  ", (eta, "bold $primary"), "\n",
        (_("last seen {age}").format(age=age) if stale else f"{speed} · {age}" if age else "",
         "$warning" if stale else "$wire-ink"),
    )  # fmt: skip


def footer(order: Order | None) -> str:
    """`Ken · bicycle · #1042`, at the panel's lower edge."""
    if order is None or order.driver is None:
        return ""
    return f"{order.driver.name} · {vehicle_name(order.driver.vehicle)} · #{order.number:04d}"


def _status_line(order: Order, now: datetime) -> str:
    """For an order that is not on its way: its status, and when it leaves or left."""
    if order.status is OrderStatus.DELIVERED:
        return f"✓ {arrival(order, now)}"
    if order.status is OrderStatus.CANCELLED:
        return f"✕ {arrival(order, now)}"
    name = STATUS_LOOKS[order.status][1].lower()
    leaves = ""
    if order.status is OrderStatus.READY:
        leaves = _(", waiting for the driver")
    elif order.ready_by is not None:
        leaves = _(" · leaves about {ready_by}").format(ready_by=clock_time(order.ready_by, now))
    return f"{plain(order.restaurant.name)}: {name}{leaves}"
