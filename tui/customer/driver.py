"""The customer's panel "Driver": who brings the order, on the map, as they move."""

import time
from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

from textual.app import ComposeResult, SystemCommand
from textual.content import Content

from server.features.drivers.schemas import Point
from server.features.orders.schemas import Order, OrderStatus
from tui.common.client.meter import Pattern
from tui.common.format import clock_time
from tui.common.map.basemap import Basemap, load_basemap
from tui.common.map.geometry import Marker, Overlay
from tui.common.map.widget import TownMap
from tui.common.panel import Panel
from tui.common.sanitize import plain
from tui.common.tracking import format as words
from tui.common.tracking.track import DriverTrack, driver_marker, lat_lng, lat_lngs
from tui.common.tracking.tracker import DriverTracker
from tui.customer.orders.feed import OrderFeed
from tui.customer.orders.format import STATUS_LOOKS, arrival
from tui.customer.orders.model import OrderStore
from tui.customer.orders.panel import OrdersPanel

CLOCK_SECONDS = 0.5
"""How often ages are drawn again, and the orders looked at."""
AGAIN_SECONDS = 5.0
"""Until a driver is asked for again whom the server does not show, though they are on the way."""
ETA_APART_SECONDS = 30.0
"""The order is read again when its `eta` is further than that from where the driver is by now."""
READ_SECONDS = 10.0
"""At least, between two such readings."""


class DriverPanel(Panel):
    """Shows the delivery in view in Orders; else the one it shows already, else the newest."""

    TITLE = "Driver"
    PATTERN = Pattern.SSE
    CARD_BODY = (30, 9)
    KEYS = (
        ("f", "follow the driver, and back to the whole way"),
        ("+ -", "zoom, also with the mouse wheel"),
        ("←↑↓→", "move the map, also by dragging it"),
        ("0", "the whole way"),
    )
    DEFAULT_CSS = "DriverPanel > .body { padding: 0; }"
    WATCH: ClassVar[str] = "driver-watch"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.order: Order | None = None
        """The order whose driver is shown, also after it has arrived."""
        self.tracker: DriverTracker | None = None
        self._again_at = 0.0
        self._read_at = 0.0

    def body(self) -> ComposeResult:
        """The map alone: words stand in its corner."""
        yield TownMap()

    def start(self) -> None:
        """Fetch the ground, and look whether something is on its way."""
        self.run_worker(load_basemap(self.api, self._lay), group="map", exit_on_error=False)
        self.set_interval(CLOCK_SECONDS, self._beat)
        self.needs_redraw = True

    def drop_connection(self) -> None:
        """Drop the driver's stream, or the poll that stands in for it."""
        if self.tracker is None or not self.tracker.drop_connection():
            self.notify("No driver is on the way, so nothing is held.", title=self.TITLE)

    def commands(self) -> Iterable[SystemCommand]:
        """What the palette offers of it."""
        yield SystemCommand("Follow the driver", "Close by, or the whole way", self._map_follow)

    def redraw(self) -> None:
        """Paint what has changed."""
        now = self.session.server_now()
        delivery = self.order
        lead = delivery or self._next()
        track = self.tracker.track if self.tracker is not None else None
        words = corner(lead, self.tracker, now)
        self.query_one(TownMap).show(overlay(lead, track, words, now))
        self.set_summary(summary(lead, self.tracker, now))
        self.set_badge(note=note(delivery))
        self.show_meter(self.tracker.meter if self.tracker is not None else None)

    # -- which driver

    def _beat(self) -> None:
        """Look at the orders, as the panel beside this one knows them."""
        self._look()
        self.needs_redraw = True

    def _look(self) -> None:
        deliveries = [one for one in self._store.open() if _rides(one)]
        wanted = next((one for one in deliveries if one.id == self._in_view), None)
        if wanted is None and self.order is not None:
            wanted = next((one for one in deliveries if one.id == self.order.id), None)
        wanted = wanted or next(iter(deliveries), None)
        if wanted is None:
            self._keep_last()
            return
        if self._is_watched(wanted):
            self.order = wanted
            self._keep_eta(wanted)
            return
        self._follow(wanted)

    def _is_watched(self, order: Order) -> bool:
        over = self.tracker is None or self.tracker.over
        return self._shows(order) and (not over or time.monotonic() < self._again_at)

    def _shows(self, order: Order) -> bool:
        """Whether it is this order's ride, by this driver, that is shown."""
        if self.tracker is None or self.order is None or order.driver is None:
            return False
        return (order.id, order.driver.id) == (self.order.id, self.tracker.driver_id)

    def _follow(self, order: Order) -> None:
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
            self._read(self.tracker, order),
            group=self.WATCH,
            exclusive=True,
            exit_on_error=False,
        )

    async def _read(self, watch: DriverTracker, order: Order) -> None:
        await watch.run()
        # The order tells what became of it; where it is still on its way, ask again in a while.
        self._again_at = time.monotonic() + AGAIN_SECONDS
        await self._feed.refresh(order.id)
        self._beat()

    def _keep_last(self) -> None:
        """Nothing is on its way: what was stays in view, as it ended, until something else is."""
        if self.order is None:
            return
        known = self._store.get(self.order.id)
        if known is not None:
            self.order = known
        if any(order.id != self.order.id for order in self._store.open()):
            self.order, self.tracker = None, None

    def _keep_eta(self, order: Order) -> None:
        """A new `eta` alone does not end a held request: read it where it must be another."""
        now = self.session.server_now()
        track = self.tracker.track if self.tracker is not None else None
        seconds = track.seconds_left(now) if track is not None else None
        if seconds is None or order.eta is None or time.monotonic() < self._read_at:
            return
        if abs((order.eta - now).total_seconds() - seconds) > ETA_APART_SECONDS:
            self._read_at = time.monotonic() + READ_SECONDS
            self.run_worker(self._feed.refresh(order.id), group="driver-eta", exit_on_error=False)

    def _next(self) -> Order | None:
        """The open order that will leave first, to show where it comes from and goes."""
        return next(iter(self._store.open()), None)

    def _changed(self) -> None:
        self.needs_redraw = True

    def _lay(self, basemap: Basemap) -> None:
        self.query_one(TownMap).basemap = basemap

    def _map_follow(self) -> None:
        self.query_one(TownMap).action_follow()

    # -- the panel beside

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
    def _in_view(self) -> str | None:
        order = self._orders.order
        return None if order is None else order.id


def _rides(order: Order) -> bool:
    return order.status is OrderStatus.OUT_FOR_DELIVERY and order.driver is not None


def overlay(order: Order | None, track: DriverTrack | None, corner: str, now: datetime) -> Overlay:
    """What lies on the map for this order; nothing but the corner's words without one."""
    if order is None:
        return Overlay(hud=corner)
    markers = [
        Marker("restaurant", order.restaurant.name, lat_lng(order.restaurant)),
        Marker("home", "Home", lat_lng(order.address)),
    ]
    if track is None:
        return Overlay(tuple(markers), hud=corner)
    over = order.status.terminal
    name = order.driver.name if order.driver else "Driver"
    if driver := driver_marker(name, track, now, chosen=True, over=over):
        markers.append(driver)
    route = () if over else lat_lngs(track.ahead)
    return Overlay(tuple(markers), lat_lngs(track.trail), route, corner)


def corner(order: Order | None, watch: DriverTracker | None, now: datetime) -> str:
    """What the map's corner says: how far the driver is, or why there is none."""
    if order is None:
        return "nothing on its way"
    if order.status is not OrderStatus.OUT_FOR_DELIVERY:
        return _standing(order, now)
    if watch is None:
        return "looking for the driver …"
    if watch.error:
        return watch.error
    return words.figures(watch.track, now) or "no position yet"


def summary(order: Order | None, watch: DriverTracker | None, now: datetime) -> Content:
    """The card's two lines."""
    if order is None:
        return Content.assemble(("Wakes up when an order leaves.", "$wire-ink"))
    if order.status is not OrderStatus.OUT_FOR_DELIVERY or watch is None:
        glyph, _, ink = STATUS_LOOKS[order.status]
        return Content.assemble(
            (f"{glyph} ", ink), (plain(order.restaurant.name), "bold"), "\n",
            (corner(order, watch, now), "$wire-ink"),
        )  # fmt: skip
    lead = " · ".join(words.lead(watch.track, now)) or "no position yet"
    stale = watch.track.is_stale(now)
    age = words.ago(watch.track, now) if watch.track.newest else ""
    return Content.assemble(
        ("▶ ", "$primary"), (plain(order.driver.name if order.driver else ""), "bold"),
        "  ", (lead, "bold $primary"), "\n",
        (f"last seen {age}" if stale else f"{words.speed(watch.track)} · {age}" if age else "",
         "$warning" if stale else "$wire-ink"),
    )  # fmt: skip


def note(order: Order | None) -> str:
    """`Ken · bicycle · #1042`, at the panel's lower edge."""
    if order is None or order.driver is None:
        return ""
    return f"{order.driver.name} · {order.driver.vehicle} · #{order.number:04d}"


def _standing(order: Order, now: datetime) -> str:
    """For an order that nobody is riding with: where it is instead."""
    if order.status is OrderStatus.DELIVERED:
        return f"✓ {arrival(order, now)}"
    if order.status is OrderStatus.CANCELLED:
        return f"✕ {arrival(order, now)}"
    name = STATUS_LOOKS[order.status][1].lower()
    leaves = ""
    if order.status is OrderStatus.READY:
        leaves = ", waiting for the driver"
    elif order.ready_by is not None:
        leaves = f" · leaves about {clock_time(order.ready_by, now)}"
    return f"{plain(order.restaurant.name)}: {name}{leaves}"
