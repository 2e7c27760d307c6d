"""The shortest way along the streets, against what can be found by trying everything."""

import asyncio
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.features.drivers.grid import NEAR_METRES, Grid, Place, nearest_on
from server.features.drivers.streets import Streets
from server.features.drivers.ways import WAITING, Way, Ways
from server.features.shared.geo import metres

LAT, LNG = 47.07, 15.44
STEP = 0.001
"""Degrees between two corners: 111 metres north, 76 east."""


def corner(row: float, column: float) -> Place:
    return LAT + row * STEP, LNG + column * STEP


def length(places: tuple[Place, ...]) -> float:
    return sum(metres(*a, *b) for a, b in pairwise(places))


def every_shortest(edges: set[tuple[Place, Place]]) -> dict[tuple[Place, Place], float]:
    """Floyd and Warshall's: metres between any two corners."""
    corners = {place for edge in edges for place in edge}
    found = {(a, b): 0.0 if a == b else inf for a in corners for b in corners}
    for a, b in edges:
        found[a, b] = found[b, a] = min(found[a, b], metres(*a, *b))
    for k in corners:
        for a in corners:
            for b in corners:
                found[a, b] = min(found[a, b], found[a, k] + found[k, b])
    return found


corners = st.builds(corner, st.integers(0, 4), st.integers(0, 4))
towns = st.lists(st.lists(corners, min_size=2, max_size=6), min_size=1, max_size=8)
spots = st.builds(corner, st.floats(-1, 5), st.floats(-1, 5))


@given(towns, st.data())
def test_between_corners_it_is_the_shortest_there_is(
    lines: list[list[Place]], data: st.DataObject
) -> None:
    edges = {(a, b) for line in lines for a, b in pairwise(line) if a != b}
    if not edges:
        return
    shortest = every_shortest(edges)
    start, end = data.draw(st.sampled_from(sorted(shortest)))
    way = Streets(lines).way(start, end)
    expected = shortest[start, end]
    if expected == inf:
        # They may still meet where two streets run over the same ground without a corner.
        assert way is None or way.metres == pytest.approx(length(way.places), abs=1e-6)
        return
    assert way is not None
    assert way.metres <= expected + 1e-6
    assert way.metres == pytest.approx(length(way.places), abs=1e-6)


@given(towns, spots, spots)
def test_from_anywhere_it_joins_both_ends_along_streets(
    lines: list[list[Place]], start: Place, end: Place
) -> None:
    streets = Streets(lines)
    way, back = streets.way(start, end), streets.way(end, start)
    assert (way is None) == (back is None)
    if way is None or back is None:
        return
    assert (way.places[0], way.places[-1]) == (start, end)
    assert way.metres == pytest.approx(back.metres, rel=1e-9, abs=1e-6), "the same both ways"
    # What is off the street is measured on a plane, which is a few millimetres out.
    assert way.metres == pytest.approx(length(way.places), abs=0.02)
    assert way.metres >= metres(*start, *end) - 0.02
    edges = [(a, b) for line in lines for a, b in pairwise(line)]
    for a, b in pairwise(way.places[1:-1]):
        middle = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
        assert min(nearest_on(middle, *edge)[1] for edge in edges) < 0.1, "never across a block"


@given(towns, spots)
def test_the_nearest_place_is_nearer_than_any_other(lines: list[list[Place]], spot: Place) -> None:
    edges = [(a, b) for line in lines for a, b in pairwise(line)]
    least = min(nearest_on(spot, *edge)[1] for edge in edges)
    near = Grid(edges).nearest(spot)
    if least > NEAR_METRES:
        assert not near
    else:
        assert min(one.metres for one in near) == pytest.approx(least)


@given(st.floats(-89.9, 89.9), st.floats(-179.9, 179.9), st.floats(0, 20), st.floats(0, 6.28))
def test_a_long_street_is_found_wherever_on_the_globe(
    lat: float, lng: float, far: float, direction: float
) -> None:
    """Twenty degrees long: a grid that skipped a square would lose it somewhere."""
    from math import cos, sin

    a = (lat, lng)
    b = (
        min(89.9, max(-89.9, lat + far * sin(direction))),
        min(179.9, max(-179.9, lng + far * cos(direction))),
    )
    grid = Grid([(a, b)])
    for part in range(8):
        t = part / 7
        on = (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t)
        (near,) = grid.nearest(on)
        assert near.metres < 1


def test_corners_within_a_metre_are_one() -> None:
    apart = 0.5 / 111_195
    a, b, c = corner(0, 0), corner(0, 3), corner(3, 3)
    joined = Streets([[a, b], [(b[0] + apart, b[1]), c]]).way(a, c)
    assert joined is not None
    assert joined.metres == pytest.approx(length((a, b, c)), abs=1)
    assert Streets([[a, b], [(b[0] + 4 * apart, b[1]), c]]).way(a, c) is None


def test_streets_that_cross_without_a_corner_do_not_meet() -> None:
    """A bridge."""
    over = [corner(2, 0), corner(2, 4)]
    under = [corner(0, 2), corner(4, 2)]
    assert Streets([over, under]).way(over[0], under[0]) is None


def test_on_one_street_it_goes_straight_to_the_place() -> None:
    streets = Streets([[corner(0, 0), corner(0, 4), corner(4, 4), corner(4, 0), corner(0, 0)]])
    way = streets.way(corner(0, 1), corner(0, 2))
    assert way is not None
    assert way.places == (corner(0, 1), corner(0, 2))


def test_who_is_nearer_to_the_door_than_to_a_street_goes_straight() -> None:
    streets = Streets([[corner(0, 0), corner(0, 4)]])
    assert streets.way(corner(1, 1), corner(1, 1.2)) is None
    assert streets.way(corner(1, 1), corner(1, 4)) is not None


def test_no_street_is_near_the_end_of_the_world() -> None:
    streets = Streets([[corner(0, 0), corner(0, 4)]])
    assert streets.way(corner(0, 0), (LAT + 1, LNG)) is None
    assert streets.way((-90.0, 180.0), corner(0, 0)) is None
    assert Streets([]).way(corner(0, 0), corner(0, 4)) is None
    assert Streets([[corner(0, 0), corner(0, 0)]]).way(corner(0, 0), corner(0, 0)) is None


def grid_town(rows: int) -> Streets:
    across = [[corner(row, column) for column in range(rows)] for row in range(rows)]
    return Streets([*across, *map(list, zip(*across, strict=True))])


async def test_a_way_in_a_large_town_is_found_while_the_loop_turns() -> None:
    streets = await asyncio.to_thread(grid_town, 224)
    assert len(streets) == 50_176
    ways = Ways(streets)
    finding = asyncio.ensure_future(ways.between(corner(0, 0), corner(223, 223)))
    turns = 0
    while not finding.done():
        await asyncio.sleep(0.001)
        turns += 1
    route = finding.result()
    assert turns > 5, "the loop was held"  # how long it takes is in benchmarks/ways.py
    assert route.along_streets
    straight = [corner(0, 0), *[corner(row, 0) for row in range(224)]]
    north = length(tuple(straight))
    assert route.metres == pytest.approx(
        sum(metres(*corner(0, c), *corner(0, c + 1)) for c in range(223)) + north, rel=0.003
    )
    ways.close()


async def test_whoever_asks_for_many_ways_in_a_large_town_gets_straight_ones() -> None:
    ways = Ways(await asyncio.to_thread(grid_town, 40))
    asked = [ways.between(corner(0, 0), corner(39, 39)) for _ in range(WAITING + 15)]
    found = [route.along_streets for route in await asyncio.gather(*asked)]
    assert found == [True] * WAITING + [False] * 15
    assert (await ways.between(corner(0, 0), corner(39, 39))).along_streets
    ways.close()


async def test_without_a_map_the_way_is_the_straight_line() -> None:
    ways = Ways(None)
    route = await ways.between(corner(0, 0), corner(3, 4))
    assert not route.along_streets
    assert [(point.lat, point.lng) for point in route.points] == [corner(0, 0), corner(3, 4)]
    assert route.metres == pytest.approx(metres(*corner(0, 0), *corner(3, 4)), abs=0.1)


async def test_what_is_left_of_a_way_falls_along_it_and_ends_off_it() -> None:
    ways = Ways(Streets([[corner(0, 0), corner(0, 4), corner(4, 4)]]))
    route = await ways.between(corner(0, 0), corner(4, 4))
    way = Way(route)
    stops = [corner(0, 0), corner(0, 2), corner(0, 4), corner(2, 4), corner(4, 4)]
    left = [way.left_from(stop) for stop in stops]
    assert left[0] == pytest.approx(route.metres, abs=0.1)
    assert left[-1] == pytest.approx(0, abs=0.1)
    assert all(a is not None and b is not None and a > b for a, b in pairwise(left))
    assert way.left_from(corner(2, 2)) is None
