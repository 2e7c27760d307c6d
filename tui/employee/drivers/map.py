"""What lies on the map of the drivers."""

from datetime import datetime

from server.features.drivers.schemas import Point
from server.features.restaurants.schemas import Restaurant
from tui.common.map.geometry import Marker, Overlay
from tui.common.tracking.track import driver_marker, lat_lng, lat_lngs, metres_between, point_of
from tui.demo.autopilot.rules import TOO_FAR_METRES
from tui.employee.drivers.model import DriverList, DriverState


def overlay(
    driver_list: DriverList,
    chosen: DriverState | None,
    restaurant: Restaurant | None,
    corner: str,
    now: datetime,
) -> Overlay:
    """The restaurant, every driver who was seen about there, and for the one in view their doors,
    the way behind and the way ahead."""
    home = None if restaurant is None else point_of(restaurant)
    markers: list[Marker] = []
    if restaurant is not None:
        markers.append(Marker("restaurant", restaurant.name, lat_lng(restaurant)))
    for state in driver_list.states:
        if state is not chosen and _is_about(state, home):
            other = driver_marker(state.driver.name, state.track, now, chosen=False)
            markers += [other] if other is not None else []
    if chosen is None:
        return Overlay(tuple(markers), hud=corner)
    markers += [Marker("home", f"#{one.number}", lat_lng(one.address)) for one in chosen.doors]
    watched = driver_marker(chosen.driver.name, chosen.track, now, chosen=True)
    if watched is None:
        return Overlay(tuple(markers), hud=corner)
    return Overlay(
        (*markers, watched), lat_lngs(chosen.track.trail), lat_lngs(chosen.track.ahead), corner
    )


def _is_about(state: DriverState, home: Point | None) -> bool:
    """Whether the driver is near enough to be worth a look: one who was seen a country away, long
    ago, would make the map of the town a dot."""
    newest = state.track.newest
    if newest is None or home is None:
        return newest is not None
    return metres_between(point_of(newest), home) <= TOO_FAR_METRES
