"""Distances, directions and nearest points on the globe, in metres and degrees."""

from math import asin, atan2, cos, degrees, hypot, radians, sin, sqrt

LatLng = tuple[float, float]
"""Latitude and longitude, in degrees (WGS 84)."""

EARTH_METRES = 6_371_008.8
"""Mean radius (IUGG)."""
METRES_PER_DEGREE = radians(EARTH_METRES)
"""Of latitude. For longitude, multiply by the cosine of the latitude."""
DETOUR_FACTOR = 1.3
"""How much longer streets are than the straight line, where no route is known."""


def distance(a: LatLng, b: LatLng) -> float:
    """The great-circle distance in metres."""
    half_lat, half_lng = radians(b[0] - a[0]) / 2, radians(b[1] - a[1]) / 2
    chord = sin(half_lat) ** 2 + cos(radians(a[0])) * cos(radians(b[0])) * sin(half_lng) ** 2
    return 2 * EARTH_METRES * asin(sqrt(min(1.0, chord)))


def bearing(a: LatLng, b: LatLng) -> float:
    """The direction of `b` seen from `a`: 0 <= degrees < 360, clockwise from north."""
    north, to_north, east = radians(a[0]), radians(b[0]), radians(b[1] - a[1])
    y = sin(east) * cos(to_north)
    x = cos(north) * sin(to_north) - sin(north) * cos(to_north) * cos(east)
    return degrees(atan2(y, x)) % 360


def nearest_on_segment(point: LatLng, a: LatLng, b: LatLng) -> tuple[LatLng, float]:
    """The point of the segment from `a` to `b` that is nearest to `point`, and how many metres
    away it is. Computed on a plane, which is exact enough within a town."""
    scale = METRES_PER_DEGREE * cos(radians(point[0]))
    x, y = (a[1] - point[1]) * scale, (a[0] - point[0]) * METRES_PER_DEGREE
    dx, dy = (b[1] - a[1]) * scale, (b[0] - a[0]) * METRES_PER_DEGREE
    square = dx * dx + dy * dy
    t = min(1.0, max(0.0, -(x * dx + y * dy) / square)) if square else 0.0
    if t == 0.0:
        nearest = a
    elif t == 1.0:
        nearest = b
    else:
        nearest = interpolate(a, b, t)
    return nearest, hypot(x + dx * t, y + dy * t)


def interpolate(a: LatLng, b: LatLng, t: float) -> LatLng:
    """The point at the fraction `t` of the way from `a` to `b`, in degrees."""
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t


def format_km(metres: float) -> str:
    """Metres as kilometres: `4.2 km`, `19,987 km`."""
    return f"{metres / 1000:,.1f} km" if metres < 99_950 else f"{metres / 1000:,.0f} km"
