"""Shortest paths along the streets, checked against an exhaustive search."""

import asyncio
from itertools import pairwise
from math import cos, inf, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.geo.route_finder import MAX_QUEUED, RouteFinder
from server.geo.segment_index import SNAP_METRES, SegmentIndex
from server.geo.sphere import LatLng, distance, interpolate, nearest_on_segment
from server.geo.street_network import Path, StreetNetwork

LAT, LNG = 47.07, 15.44
STEP = 0.001
"""Degrees between two corners: 111 metres north, 76 east."""

Edge = tuple[LatLng, LatLng]


def corner(row: float, column: float) -> LatLng:
    return LAT + row * STEP, LNG + column * STEP


def length(points: tuple[LatLng, ...]) -> float:
    return sum(distance(a, b) for a, b in pairwise(points))


def all_shortest(edges: set[Edge]) -> dict[Edge, float]:
    """Floyd and Warshall's algorithm: metres between any two corners."""
    corners = {point for edge in edges for point in edge}
    found = {(a, b): 0.0 if a == b else inf for a in corners for b in corners}
    for a, b in edges:
        found[a, b] = found[b, a] = min(found[a, b], distance(a, b))
    for k in corners:
        for a in corners:
            for b in corners:
                found[a, b] = min(found[a, b], found[a, k] + found[k, b])
    return found


corners = st.builds(corner, st.integers(0, 4), st.integers(0, 4))
towns = st.lists(st.lists(corners, min_size=2, max_size=6), min_size=1, max_size=8)
points = st.builds(corner, st.floats(-1, 5), st.floats(-1, 5))


@given(towns, st.data())
def test_between_corners_no_path_is_shorter(lines: list[list[LatLng]], data: st.DataObject) -> None:
    edges = {(a, b) for line in lines for a, b in pairwise(line) if a != b}
    if not edges:
        return
    shortest = all_shortest(edges)
    start, end = data.draw(st.sampled_from(sorted(shortest)))
    path = StreetNetwork(lines).shortest_path(start, end)
    expected = shortest[start, end]
    if expected == inf:
        # Two streets may still be connected where they overlap without a corner.
        assert path is None or path.metres == pytest.approx(length(path.points), abs=1e-6)
        return
    assert path is not None
    assert path.metres <= expected + 1e-6
    assert path.metres == pytest.approx(length(path.points), abs=1e-6)


@given(towns, points, points)
def test_from_anywhere_a_path_joins_both_ends_along_streets(
    lines: list[list[LatLng]], start: LatLng, end: LatLng
) -> None:
    streets = StreetNetwork(lines)
    path, back = streets.shortest_path(start, end), streets.shortest_path(end, start)
    assert (path is None) == (back is None)
    if path is None or back is None:
        return
    assert (path.points[0], path.points[-1]) == (start, end)
    assert path.metres == pytest.approx(back.metres, rel=1e-9, abs=1e-6), "the same both ways"
    # Off the streets distances are measured on a plane, which is a few millimetres out.
    assert path.metres == pytest.approx(length(path.points), abs=0.02)
    assert path.metres >= distance(start, end) - 0.02
    edges = [(a, b) for line in lines for a, b in pairwise(line)]
    for a, b in pairwise(path.points[1:-1]):
        middle = interpolate(a, b, 0.5)
        assert min(nearest_on_segment(middle, *edge)[1] for edge in edges) < 0.1, "across a block"


@given(towns, points)
def test_a_point_snaps_to_the_nearest_street(lines: list[list[LatLng]], point: LatLng) -> None:
    edges = [(a, b) for line in lines for a, b in pairwise(line)]
    least = min(nearest_on_segment(point, *edge)[1] for edge in edges)
    snaps = SegmentIndex(edges).snap(point)
    if least > SNAP_METRES:
        assert not snaps
    else:
        assert min(snap.metres for snap in snaps) == pytest.approx(least)


@given(st.floats(-89.9, 89.9), st.floats(-179.9, 179.9), st.floats(0, 20), st.floats(0, 6.28))
def test_a_long_street_is_found_anywhere_on_the_globe(
    lat: float, lng: float, far: float, direction: float
) -> None:
    """Up to twenty degrees long: an index that skips a cell loses it somewhere."""
    a = (lat, lng)
    b = (
        min(89.9, max(-89.9, lat + far * sin(direction))),
        min(179.9, max(-179.9, lng + far * cos(direction))),
    )
    index = SegmentIndex([(a, b)])
    for part in range(8):
        (snap,) = index.snap(interpolate(a, b, part / 7))
        assert snap.metres < 1


def test_corners_within_a_metre_are_one() -> None:
    apart = 0.5 / 111_195
    a, b, c = corner(0, 0), corner(0, 3), corner(3, 3)
    joined = StreetNetwork([[a, b], [(b[0] + apart, b[1]), c]]).shortest_path(a, c)
    assert joined is not None
    assert joined.metres == pytest.approx(length((a, b, c)), abs=1)
    assert StreetNetwork([[a, b], [(b[0] + 4 * apart, b[1]), c]]).shortest_path(a, c) is None


def test_streets_that_cross_without_a_corner_are_not_connected() -> None:
    """One is a bridge."""
    over = [corner(2, 0), corner(2, 4)]
    under = [corner(0, 2), corner(4, 2)]
    assert StreetNetwork([over, under]).shortest_path(over[0], under[0]) is None


def test_a_path_along_one_street_does_not_visit_its_corners() -> None:
    block = [corner(0, 0), corner(0, 4), corner(4, 4), corner(4, 0), corner(0, 0)]
    path = StreetNetwork([block]).shortest_path(corner(0, 1), corner(0, 2))
    assert path is not None
    assert path.points == (corner(0, 1), corner(0, 2))


def test_there_is_no_path_where_the_end_is_nearer_than_a_street() -> None:
    streets = StreetNetwork([[corner(0, 0), corner(0, 4)]])
    assert streets.shortest_path(corner(1, 1), corner(1, 1.2)) is None
    assert streets.shortest_path(corner(1, 1), corner(1, 4)) is not None


def test_there_is_no_path_without_a_street_near_both_ends() -> None:
    streets = StreetNetwork([[corner(0, 0), corner(0, 4)]])
    assert streets.shortest_path(corner(0, 0), (LAT + 1, LNG)) is None
    assert streets.shortest_path((-90.0, 180.0), corner(0, 0)) is None
    assert StreetNetwork([]).shortest_path(corner(0, 0), corner(0, 4)) is None
    point = StreetNetwork([[corner(0, 0), corner(0, 0)]])
    assert point.shortest_path(corner(0, 0), corner(0, 0)) is None


def test_the_remaining_distance_falls_along_a_path_and_is_unknown_off_it() -> None:
    streets = StreetNetwork([[corner(0, 0), corner(0, 4), corner(4, 4)]])
    path = streets.shortest_path(corner(0, 0), corner(4, 4))
    assert isinstance(path, Path)
    stops = [corner(0, 0), corner(0, 2), corner(0, 4), corner(2, 4), corner(4, 4)]
    remaining = [path.remaining_from(stop) for stop in stops]
    assert remaining[0] == pytest.approx(path.metres, abs=0.1)
    assert remaining[-1] == pytest.approx(0, abs=0.1)
    assert all(a is not None and b is not None and a > b for a, b in pairwise(remaining))
    assert path.remaining_from(corner(2, 2)) is None


def grid_town(rows: int) -> StreetNetwork:
    across = [[corner(row, column) for column in range(rows)] for row in range(rows)]
    return StreetNetwork([*across, *map(list, zip(*across, strict=True))])


async def test_a_search_in_a_large_town_does_not_hold_up_the_loop() -> None:
    streets = await asyncio.to_thread(grid_town, 224)
    assert len(streets) == 50_176
    finder = RouteFinder(streets)
    search = asyncio.ensure_future(finder.find(corner(0, 0), corner(223, 223)))
    turns = 0
    while not search.done():
        await asyncio.sleep(0.001)
        turns += 1
    path = search.result()
    assert turns > 5, "the loop was held up"  # how long a search takes: benchmarks/route_search.py
    assert path.along_streets
    north = length((corner(0, 0), *(corner(row, 0) for row in range(224))))
    east = length(tuple(corner(0, column) for column in range(224)))
    assert path.metres == pytest.approx(north + east, rel=0.003)
    finder.close()


async def test_beyond_the_queue_a_large_town_gives_straight_lines() -> None:
    finder = RouteFinder(await asyncio.to_thread(grid_town, 40))
    searches = [finder.find(corner(0, 0), corner(39, 39)) for _ in range(MAX_QUEUED + 15)]
    found = [path.along_streets for path in await asyncio.gather(*searches)]
    assert found == [True] * MAX_QUEUED + [False] * 15
    assert (await finder.find(corner(0, 0), corner(39, 39))).along_streets
    finder.close()


async def test_without_a_map_the_path_is_the_straight_line() -> None:
    path = await RouteFinder(None).find(corner(0, 0), corner(3, 4))
    assert not path.along_streets
    assert path.points == (corner(0, 0), corner(3, 4))
    assert path.metres == distance(corner(0, 0), corner(3, 4))
