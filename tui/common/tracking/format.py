"""A ride in few words: for the map's corner, for a card, for a table."""

from datetime import datetime

from tui.common.format import human_age, human_distance, human_minutes
from tui.common.tracking.track import DriverTrack

NOW_SECONDS = 5.0
"""Less than that is now."""


def figures(track: DriverTrack, now: datetime) -> str:
    """`6 min · 1.6 km · 24 km/h · 2s ago`, as much of it as is known; "" before anything is."""
    if track.newest is None:
        return ""
    parts = [*lead(track, now)]
    if track.is_stale(now):
        parts.append(f"last seen {ago(track, now)}")
    else:
        parts += [speed(track), ago(track, now)]
    if track.doubt is not None:
        parts.append("doubtful position")
    return " · ".join(parts)


def lead(track: DriverTrack, now: datetime) -> list[str]:
    """How long it will take, and how far it is; empty without a target."""
    seconds, metres = track.seconds_left(now), track.metres_left
    if seconds is None or metres is None:
        return []
    if seconds < NOW_SECONDS and track.is_stale(now):
        return [human_distance(metres)]  # by the clock they are there, but nobody has seen it
    return [human_minutes(seconds), human_distance(metres)]


def speed(track: DriverTrack) -> str:
    """`24 km/h`: what the newest location says, else what was lately driven."""
    newest = track.newest
    if newest is None:
        return ""
    metres = newest.speed_mps if newest.speed_mps is not None else newest.pace_mps
    return f"{metres * 3.6:.0f} km/h"


def ago(track: DriverTrack, now: datetime) -> str:
    """`2 s ago`: how old the newest position is."""
    seconds = track.age(now)
    return f"{seconds:.0f} s ago" if seconds < 99.5 else f"{human_age(seconds)} ago"
