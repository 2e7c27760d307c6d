"""Distances and directions on the globe, in metres and degrees."""

from math import asin, atan2, cos, degrees, radians, sin, sqrt

EARTH_METRES = 6_371_008.8
"""Mean radius (IUGG)."""
METRES_A_DEGREE = radians(EARTH_METRES)
"""Of latitude; of longitude it is that times the cosine of the latitude."""
DETOUR = 1.3
"""How much longer the way along streets is than the straight line, on average."""


def metres(lat: float, lng: float, to_lat: float, to_lng: float) -> float:
    """Great-circle distance between two points in degrees."""
    half_lat, half_lng = radians(to_lat - lat) / 2, radians(to_lng - lng) / 2
    chord = sin(half_lat) ** 2 + cos(radians(lat)) * cos(radians(to_lat)) * sin(half_lng) ** 2
    return 2 * EARTH_METRES * asin(sqrt(min(1.0, chord)))


def in_km(distance: float) -> str:
    """Metres as text: `4.2 km`, `19,987 km`."""
    return f"{distance / 1000:,.1f} km" if distance < 99_950 else f"{distance / 1000:,.0f} km"


def bearing(lat: float, lng: float, to_lat: float, to_lng: float) -> float:
    """The initial bearing from the first point to the second: 0 <= degrees < 360 from north."""
    north, to_north, east = radians(lat), radians(to_lat), radians(to_lng - lng)
    y = sin(east) * cos(to_north)
    x = cos(north) * sin(to_north) - sin(north) * cos(to_north) * cos(east)
    return degrees(atan2(y, x)) % 360
