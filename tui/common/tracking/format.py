"""A driver's trip in a few words: for the map's corner, a card, a table."""

from datetime import datetime
from typing import TYPE_CHECKING

from tui.common.format import human_age, human_distance, human_minutes
from tui.common.language import _
from tui.common.sanitize import plain
from tui.common.tracking.track import DriverTrack

if TYPE_CHECKING:
    from server.features.orders.schemas import OrderDriver

NOW_SECONDS = 5.0
"""Less than that is shown as `now`."""
VEHICLES = {
    "bicycle": _("bicycle"),
    "bike": _("bike"),
    "car": _("car"),
    "cargo bike": _("cargo bike"),
    "e-bike": _("e-bike"),
    "moped": _("moped"),
    "motorcycle": _("motorcycle"),
    "scooter": _("scooter"),
    "van": _("van"),
}


def vehicle_name(vehicle: str) -> str:
    """What a driver's vehicle is called; an operator may name others."""
    return VEHICLES.get(vehicle, plain(vehicle))


def driver_name(driver: "OrderDriver") -> str:
    """`Ken, bicycle`."""
    return _("{name}, {vehicle}").format(
        name=plain(driver.name), vehicle=vehicle_name(driver.vehicle)
    )


PATTERN_WHY = _(
    "The map needs each position soon and sends nothing back, so one stream "
    "from the server is enough. Only the newest position counts: a slow reader "
    "skips the others."
)
"""Why positions come over SSE."""
PATTERN_SOURCES = (
    "server/features/drivers/sse.py",
    "server/features/drivers/long_polling.py",
    "tui/common/client/locations.py",
    "tui/common/client/sse.py",
)
"""Files that carry them."""


def trip_line(track: DriverTrack, now: datetime) -> str:
    """`6 min · 1.6 km · 24 km/h · 2 s ago`, as far as it is known; "" without a location."""
    if track.newest is None:
        return ""
    parts = eta_parts(track, now)
    if track.is_stale(now):
        parts.append(_("last seen {track}").format(track=ago(track, now)))
    else:
        parts += [speed(track), ago(track, now)]
    if track.suspect is not None:
        parts.append(_("doubtful position"))
    return " · ".join(parts)


def eta_parts(track: DriverTrack, now: datetime) -> list[str]:
    """Time and distance to the target; empty without one."""
    seconds, metres = track.seconds_left(now), track.metres_left
    if seconds is None or metres is None:
        return []
    if seconds < NOW_SECONDS and track.is_stale(now):
        return [human_distance(metres)]  # the arrival is only assumed
    return [human_minutes(seconds), human_distance(metres)]


def speed(track: DriverTrack) -> str:
    """`24 km/h`: as the newest location says, else the recent average."""
    newest = track.newest
    if newest is None:
        return ""
    metres = newest.speed_mps if newest.speed_mps is not None else newest.pace_mps
    return _("{speed:.0f} km/h").format(speed=metres * 3.6)


def ago(track: DriverTrack, now: datetime) -> str:
    """`2 s ago`: the age of the newest location."""
    seconds = track.age(now)
    return (
        _("{seconds:.0f} s ago").format(seconds=seconds)
        if seconds < 99.5
        else _("{seconds} ago").format(seconds=human_age(seconds))
    )
