"""What a ride puts on the map: places, ways, and the driver where they were last seen."""

from collections.abc import Iterable
from datetime import datetime

from tui.common.map.markers import Marker, Spot
from tui.common.tracking.track import Journey, Place


def spot(place: Place) -> Spot:
    """Where that is."""
    return Spot(place.lat, place.lng)


def spots(places: Iterable[Place]) -> tuple[Spot, ...]:
    """Where these are, in their order."""
    return tuple(Spot(place.lat, place.lng) for place in places)


def driver_marker(
    name: str, journey: Journey, now: datetime, *, chosen: bool, over: bool = False
) -> Marker | None:
    """The driver as they were last seen; None before that. Where the ride is `over`, an old
    position is no cause for doubt."""
    newest = journey.newest
    if newest is None:
        return None
    stale = not over and journey.is_stale(now)
    return Marker("driver", name, spot(newest), newest.heading, stale=stale, chosen=chosen)
