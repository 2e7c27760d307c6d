"""The panel "Driver" in words and markers: the map's scene, its corner, the card."""

from datetime import datetime

from textual.content import Content

from server.features.orders.schemas import Order, OrderStatus
from tui.common.map.scene import Marker, Scene
from tui.common.rides import words
from tui.common.rides.journey import Journey
from tui.common.rides.markers import driver_marker, spot, spots
from tui.common.rides.watch import DriverWatch
from tui.common.text import plain
from tui.customer.panels.wording import LOOKS, arrival, clock_time


def scene(order: Order | None, journey: Journey | None, corner: str, now: datetime) -> Scene:
    """What lies on the map for this order; nothing but the corner's words without one."""
    if order is None:
        return Scene(hud=corner)
    markers = [
        Marker("restaurant", order.restaurant.name, spot(order.restaurant)),
        Marker("home", "Home", spot(order.address)),
    ]
    if journey is None:
        return Scene(tuple(markers), hud=corner)
    over = order.status.terminal
    name = order.driver.name if order.driver else "Driver"
    if driver := driver_marker(name, journey, now, chosen=True, over=over):
        markers.append(driver)
    route = () if over else spots(journey.ahead)
    return Scene(tuple(markers), spots(journey.trail), route, corner)


def corner(order: Order | None, watch: DriverWatch | None, now: datetime) -> str:
    """What the map's corner says: how far the driver is, or why there is none."""
    if order is None:
        return "nothing on its way"
    if order.status is not OrderStatus.OUT_FOR_DELIVERY:
        return _standing(order, now)
    if watch is None:
        return "looking for the driver …"
    if watch.trouble:
        return watch.trouble
    return words.figures(watch.journey, now) or "no position yet"


def summary(order: Order | None, watch: DriverWatch | None, now: datetime) -> Content:
    """The card's two lines."""
    if order is None:
        return Content.assemble(("Wakes up when an order leaves.", "$wire-ink"))
    if order.status is not OrderStatus.OUT_FOR_DELIVERY or watch is None:
        glyph, _, ink = LOOKS[order.status]
        return Content.assemble(
            (f"{glyph} ", ink), (plain(order.restaurant.name), "bold"), "\n",
            (corner(order, watch, now), "$wire-ink"),
        )  # fmt: skip
    lead = " · ".join(words.lead(watch.journey, now)) or "no position yet"
    stale = watch.journey.is_stale(now)
    age = words.ago(watch.journey, now) if watch.journey.newest else ""
    return Content.assemble(
        ("▶ ", "$primary"), (plain(order.driver.name if order.driver else ""), "bold"),
        "  ", (lead, "bold $primary"), "\n",
        (f"last seen {age}" if stale else f"{words.speed(watch.journey)} · {age}" if age else "",
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
    name = LOOKS[order.status][1].lower()
    leaves = ""
    if order.status is OrderStatus.READY:
        leaves = ", waiting for the driver"
    elif order.ready_by is not None:
        leaves = f" · leaves about {clock_time(order.ready_by, now)}"
    return f"{plain(order.restaurant.name)}: {name}{leaves}"
