"""The demo's map has to fit the demo's addresses and to be one connected town."""

import json
import re
from importlib import resources
from itertools import pairwise
from math import cos, dist, inf, radians
from typing import Any

import pytest

from server.geo.sphere import METRES_PER_DEGREE

Point = tuple[float, float]


def read(name: str) -> Any:
    return json.loads(resources.files("server.demo").joinpath(name).read_text(encoding="utf-8"))


def metres(lng: float, lat: float) -> Point:
    """Metres east and north of 0, 0, on a plane that fits the town."""
    return lng * METRES_PER_DEGREE * cos(radians(47.07)), lat * METRES_PER_DEGREE


TOWN = read("town.json")
FEATURES = read("map.geojson")["features"]
STREETS = [one for one in FEATURES if one["properties"]["kind"] == "street"]
HOMES = [one["address"] for one in TOWN["customers"]]
ADDRESSES = [
    *((one["address"], one["lat"], one["lng"]) for one in TOWN["restaurants"]),
    *((home["text"], home["lat"], home["lng"]) for home in HOMES),
]


def away(point: Point, a: Point, b: Point) -> float:
    rx, ry = b[0] - a[0], b[1] - a[1]
    t = ((point[0] - a[0]) * rx + (point[1] - a[1]) * ry) / ((rx * rx + ry * ry) or 1.0)
    t = min(1.0, max(0.0, t))
    return dist(point, (a[0] + rx * t, a[1] + ry * t))


def nearest(point: Point) -> tuple[float, str]:
    best = (inf, "")
    for street in STREETS:
        line = [metres(*position) for position in street["geometry"]["coordinates"]]
        for a, b in pairwise(line):
            best = min(best, (away(point, a, b), street["properties"]["name"]))
    return best


@pytest.mark.parametrize(("address", "lat", "lng"), ADDRESSES)
def test_every_address_is_on_its_street(address: str, lat: float, lng: float) -> None:
    off, street = nearest(metres(lng, lat))
    assert off < 25
    assert street == re.sub(r"^\d+ |,.*", "", address)


def test_all_streets_are_connected() -> None:
    leader: dict[Point, Point] = {}

    def find(node: Point) -> Point:
        while leader.setdefault(node, node) != node:
            node = leader[node]
        return node

    for street in STREETS:
        for a, b in pairwise(street["geometry"]["coordinates"]):
            leader[find(tuple(a))] = find(tuple(b))
    assert len({find(node) for node in list(leader)}) == 1


def test_streets_that_cross_meet_at_a_vertex() -> None:
    segments = [
        (tuple(a), tuple(b), metres(*a), metres(*b))
        for street in STREETS
        for a, b in pairwise(street["geometry"]["coordinates"])
    ]
    crossed = []
    for index, (a, b, here, there) in enumerate(segments):
        for c, d, this, that in segments[index + 1 :]:
            if {a, b} & {c, d}:
                continue
            if _side(here, there, this) * _side(here, there, that) < 0 and (
                _side(this, that, here) * _side(this, that, there) < 0
            ):
                crossed.append((a, b, c, d))
    assert crossed == []


def _side(a: Point, b: Point, point: Point) -> float:
    return (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])


def test_it_is_a_town_with_a_river_bridges_and_parks() -> None:
    kinds = [one["properties"]["kind"] for one in FEATURES]
    names = {one["properties"]["name"] for one in STREETS}
    assert 60 <= len(names) <= 120
    assert all(names)
    assert kinds.count("water") >= 2
    assert 3 <= kinds.count("park") <= 8
    bridges = [one for one in STREETS if one["properties"].get("bridge")]
    assert len(bridges) >= 4
    assert {one["properties"]["class"] for one in STREETS} >= {"main", "side"}
