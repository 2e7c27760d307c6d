"""The geometry of a route: distance, position and heading along it."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from server.features.drivers.schemas import DriverPosition, Point
from tui.common.tracking.track import Polyline, bearing, metres_between

degrees = st.floats(-0.02, 0.02)
points = st.builds(
    lambda lat, lng: Point(lat=47.07 + lat, lng=15.44 + lng), lat=degrees, lng=degrees
)
ways = st.lists(points, min_size=1, max_size=12)
shares = st.floats(0, 1)

HERE = Point(lat=47.07, lng=15.44)


def walked(polyline: Polyline, start: float, end: float) -> float:
    """Metres from one place of the course to another, around every corner in between."""
    passed, along = [polyline.at(start).point], 0.0
    for a, b in pairwise(polyline.points):
        along += metres_between(a, b)
        if start < along < end:
            passed.append(b)
    passed.append(polyline.at(end).point)
    return sum(metres_between(a, b) for a, b in pairwise(passed))


@given(ways, shares, shares)
def test_distance_along_the_line_is_speed_times_time(way: list[Point], a: float, b: float) -> None:
    polyline = Polyline(way)
    start, end = sorted((a * polyline.metres, b * polyline.metres))
    assert walked(polyline, start, end) == pytest.approx(end - start, rel=1e-3, abs=0.2)


@given(ways, st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_positions_are_clamped_to_the_ends(way: list[Point], metres: float) -> None:
    polyline = Polyline(way)
    place = polyline.at(metres).point
    if metres >= polyline.metres:
        assert place == way[-1]
    elif metres <= 0:
        assert metres_between(place, way[0]) < 0.02
    assert polyline.at(polyline.metres).point == way[-1]


@given(ways, st.lists(shares, min_size=2, max_size=20))
def test_positions_only_go_forward(way: list[Point], moments: list[float]) -> None:
    polyline = Polyline(way)
    done = [walked(polyline, 0, share * polyline.metres) for share in sorted(moments)]
    for before, after in pairwise(done):
        assert after >= before - 1e-3


@given(ways, shares)
def test_the_heading_is_that_of_the_current_leg(way: list[Point], share: float) -> None:
    polyline = Polyline(way)
    assume(polyline.metres > 10)
    metres = share * (polyline.metres - 2)
    here, ahead = polyline.at(metres), polyline.at(metres + 1)
    assert here.heading is not None
    DriverPosition(lat=here.lat, lng=here.lng, heading=here.heading)
    if here.heading == ahead.heading:
        seen = bearing(here.point, ahead.point)
        assert abs((seen - here.heading + 180) % 360 - 180) < 2


@given(points, points)
def test_every_heading_is_valid_for_the_server(a: Point, b: Point) -> None:
    assert 0 <= bearing(a, b) < 360


@pytest.mark.parametrize(
    ("lat", "lng", "degrees"), [(1, 0, 0), (0, 1, 90), (-1, 0, 180), (0, -1, 270), (1, -1e-9, 0)]
)
def test_bearings_of_the_four_directions(lat: float, lng: float, degrees: float) -> None:
    there = Point(lat=HERE.lat + lat / 1000, lng=HERE.lng + lng / 1000)
    assert bearing(HERE, there) == degrees


def test_the_heading_changes_at_a_corner() -> None:
    corner = Point(lat=47.07, lng=15.45)
    polyline = Polyline([HERE, corner, Point(lat=47.08, lng=15.45)])
    first = metres_between(HERE, corner)
    assert first == pytest.approx(757, abs=1)
    assert polyline.at(first - 1).heading == pytest.approx(90, abs=0.1)
    assert polyline.at(first + 1).heading == 0


def test_a_line_without_length_has_a_position_and_no_heading() -> None:
    for way in ([HERE], [HERE, HERE, HERE]):
        polyline = Polyline(way)
        assert (polyline.metres, polyline.at(5).point, polyline.at(5).heading) == (0, HERE, None)


def test_equal_neighbours_are_one_corner() -> None:
    there = Point(lat=47.08, lng=15.44)
    assert Polyline([HERE, HERE, there, there]).at(10) == Polyline([HERE, there]).at(10)


def test_a_line_crosses_the_date_line() -> None:
    polyline = Polyline([Point(lat=0, lng=179.999), Point(lat=0, lng=-179.999)])
    assert polyline.metres == pytest.approx(222, abs=1)
    assert abs(polyline.at(polyline.metres / 2 - 1).lng) == pytest.approx(180, abs=1e-4)
    assert polyline.at(0).heading == 90
