"""A short round for a driver who has nothing to bring: two corners, and back."""

from collections.abc import Iterator
from math import cos, cosh, radians, sin

from server.features.drivers.schemas import Point
from tui.common.map.ground import Ground
from tui.common.map.scene import Spot
from tui.common.map.view import EARTH_METRES, flat, spot_of
from tui.common.rides.course import metres_between

SIDE_METRES = 500.0
"""Of the triangle that the round is, as the crow flies."""
FURTHEST_METRES, NEAREST_METRES = 1_000.0, 150.0
"""How far from the start a corner may be."""
METRES_A_DEGREE = 111_195.0


def round_from(start: Point, ground: Ground | None, bearing: float) -> tuple[Point, Point]:
    """The two corners to pass, the first of them in about that direction (degrees clockwise from
    north): corners of the ground's streets, where there are any near enough."""
    corners = list(_corners(start, ground)) if ground is not None else []
    first, second = (_away(start, bearing + turn) for turn in (0.0, 60.0))
    if not corners:
        return first, second
    nearest = min(corners, key=lambda corner: metres_between(corner, first))
    others = [corner for corner in corners if metres_between(corner, nearest) >= NEAREST_METRES]
    return nearest, min(others or [second], key=lambda corner: metres_between(corner, second))


def _corners(start: Point, ground: Ground) -> Iterator[Point]:
    """Where streets bend, cross or end, neither too near nor too far."""
    x, y = flat(Spot(start.lat, start.lng))
    reach = FURTHEST_METRES * cosh(y) / EARTH_METRES
    near = ground.segments.near((x - reach, y - reach, x + reach, y + reach))
    for end in {end for _, ax, ay, bx, by in near for end in ((ax, ay), (bx, by))}:
        spot = spot_of(end)
        corner = Point(lat=spot.lat, lng=spot.lng)
        if NEAREST_METRES <= metres_between(start, corner) <= FURTHEST_METRES:
            yield corner


def _away(start: Point, bearing: float) -> Point:
    """One side of the triangle further, never over a pole or the date line."""
    degrees = SIDE_METRES / METRES_A_DEGREE
    lat = start.lat + degrees * cos(radians(bearing))
    lng = start.lng + degrees * sin(radians(bearing)) / max(0.01, cos(radians(start.lat)))
    return Point(lat=max(-90.0, min(90.0, lat)), lng=max(-180.0, min(180.0, lng)))
