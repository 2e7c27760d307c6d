"""The loop of a driver who has nothing to deliver."""

import json
from importlib import resources
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.features.drivers.schemas import Point
from tui.common.map.basemap import Basemap
from tui.common.map.geometry import to_lat_lng
from tui.common.tracking.track import bearing, metres_between
from tui.employee.drivers.trips import FURTHEST_METRES, NEAREST_METRES, SIDE_METRES, loop_from

BASE = Point(lat=47.07613, lng=15.43387)
BEARINGS = st.floats(0, 360, exclude_max=True)


@pytest.fixture(scope="module")
def basemap() -> Basemap:
    """The demo's town."""
    text = resources.files("server.demo").joinpath("map.geojson").read_text(encoding="utf-8")
    return Basemap.parse(json.loads(text))


@given(towards=BEARINGS)
def test_without_a_map_a_loop_is_a_triangle(towards: float) -> None:
    first, second = loop_from(BASE, None, towards)
    for a, b in ((BASE, first), (first, second), (second, BASE)):
        assert metres_between(a, b) == pytest.approx(SIDE_METRES, rel=0.01)
    assert abs((bearing(BASE, first) - towards + 180) % 360 - 180) < 1


@given(towards=BEARINGS)
def test_on_a_map_a_loop_passes_corners_of_streets_in_reach(
    basemap: Basemap, towards: float
) -> None:
    ends = {
        (round(lat_lng.lat, 9), round(lat_lng.lng, 9))
        for street in basemap.streets
        for lat_lng in map(to_lat_lng, street.points)
    }
    first, second = loop_from(BASE, basemap, towards)
    for corner in (first, second):
        assert NEAREST_METRES <= metres_between(BASE, corner) <= FURTHEST_METRES
        assert (round(corner.lat, 9), round(corner.lng, 9)) in ends
    assert metres_between(first, second) >= NEAREST_METRES


def test_where_no_street_is_near_a_loop_is_a_triangle(basemap: Basemap) -> None:
    nowhere = Point(lat=0, lng=0)
    assert loop_from(nowhere, basemap, 30) == loop_from(nowhere, None, 30)


@given(lat=st.floats(-90, 90), lng=st.floats(-180, 180), towards=BEARINGS)
def test_a_loop_can_start_anywhere_on_earth(lat: float, lng: float, towards: float) -> None:
    for corner in loop_from(Point(lat=lat, lng=lng), Basemap(), towards):
        assert -90 <= corner.lat <= 90
        assert -180 <= corner.lng <= 180
        assert metres_between(corner, BASE) < inf
