import json
import random
from typing import Any

import pytest
from map_overlays import demo_basemap

from tui.common.map.basemap import Basemap, Kind, Segments

LINE = [[15.44, 47.07], [15.45, 47.07]]
SQUARE = [[[15.44, 47.07], [15.45, 47.07], [15.45, 47.08], [15.44, 47.07]]]


def collection(*features: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


def feature(shape: str, coordinates: Any, **properties: Any) -> dict[str, Any]:
    geometry = {"type": shape, "coordinates": coordinates}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def test_the_demos_map_has_all_kinds() -> None:
    basemap = demo_basemap()
    assert {line.kind for line in basemap.streets} >= {Kind.MAIN, Kind.SIDE, Kind.BRIDGE}
    assert {area.kind for area in basemap.areas} == {Kind.WATER, Kind.PARK}
    assert basemap.waters


@pytest.mark.parametrize(
    ("properties", "kind"),
    [
        ({"kind": "street"}, Kind.SIDE),
        ({"kind": "street", "class": "main"}, Kind.MAIN),
        ({"kind": "street", "class": "path"}, Kind.PATH),
        ({"kind": "street", "class": "main", "bridge": True}, Kind.BRIDGE),
        ({"highway": "primary_link"}, Kind.MAIN),
        ({"highway": "residential"}, Kind.SIDE),
        ({"highway": "footway"}, Kind.PATH),
        ({"highway": "tertiary", "bridge": "yes"}, Kind.BRIDGE),
        ({"highway": "tertiary", "bridge": "no"}, Kind.MAIN),
        ({"kind": "street", "highway": ["primary"], "bridge": True}, Kind.BRIDGE),
    ],
)
def test_streets_are_read_by_our_tags_and_by_openstreetmaps(
    properties: dict[str, Any], kind: Kind
) -> None:
    basemap = Basemap.parse(collection(feature("LineString", LINE, **properties)))
    assert [line.kind for line in basemap.streets] == [kind]
    many = Basemap.parse(collection(feature("MultiLineString", [LINE, LINE], **properties)))
    assert len(many.streets) == 2


@pytest.mark.parametrize(
    ("properties", "kind"),
    [
        ({"kind": "water"}, Kind.WATER),
        ({"natural": "water"}, Kind.WATER),
        ({"waterway": "riverbank"}, Kind.WATER),
        ({"kind": "park"}, Kind.PARK),
        ({"leisure": "park"}, Kind.PARK),
        ({"landuse": "forest"}, Kind.PARK),
    ],
)
def test_waters_and_parks_are_read(properties: dict[str, Any], kind: Kind) -> None:
    basemap = Basemap.parse(collection(feature("Polygon", SQUARE, **properties)))
    assert [area.kind for area in basemap.areas] == [kind]


def test_a_water_line_has_its_given_width() -> None:
    basemap = Basemap.parse(
        collection(
            feature("LineString", LINE, kind="water", width_m=33),
            feature("LineString", LINE, waterway="canal"),
            feature("LineString", LINE, kind="water", width_m="wide"),
        )
    )
    assert [water.metres for water in basemap.waters] == [33.0, 14.0, 8.0]


@pytest.mark.parametrize(
    "odd",
    [
        None,
        7,
        {},
        {"type": "Feature", "properties": None, "geometry": None},
        feature("LineString", LINE, kind="railway"),
        feature("LineString", LINE, kind=["street"]),
        feature("LineString", [[15.44, 47.07]], kind="street"),
        feature("LineString", [["a", None], [1]], kind="street"),
        feature("LineString", [[15.44, float("nan")], [True, False]], kind="street"),
        feature("LineString", [[500, 47], [600, 47]], kind="street"),
        feature("LineString", [[10**400, 47], [1, -(10**400)]], kind="street"),
        feature("LineString", None, kind="street"),
        feature("MultiLineString", [None, 3], kind="street"),
        feature("Point", [15.44, 47.07], kind="place", name="Square"),
        feature("Polygon", [None, [[1, 2]]], kind="park"),
        feature("MultiPolygon", [7], kind="water"),
        feature("LineString", LINE, kind="park"),
    ],
)
def test_unknown_and_invalid_features_are_left_out(odd: Any) -> None:
    basemap = Basemap.parse(collection(odd, feature("LineString", LINE, kind="street", name="One")))
    assert [street.name for street in basemap.streets] == ["One"]
    assert not basemap.waters
    assert not basemap.areas


@pytest.mark.parametrize(
    "wrong", [[], None, {}, {"type": "Feature"}, {"type": "FeatureCollection"}]
)
def test_anything_but_a_feature_collection_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="map"):
        Basemap.parse(wrong)


def test_an_empty_collection_is_an_empty_basemap() -> None:
    basemap = Basemap.parse(json.loads('{"type": "FeatureCollection", "features": []}'))
    assert not basemap.streets
    assert basemap.middle() == ()


def test_names_cannot_steer_the_terminal() -> None:
    basemap = Basemap.parse(collection(feature("LineString", LINE, kind="street", name="A\x1b[2J")))
    assert "\x1b" not in basemap.streets[0].name


def test_the_grid_finds_the_same_segments_as_a_full_search() -> None:
    rng = random.Random(3)
    pairs = []
    for owner in range(3000):
        x, y = rng.uniform(-5, 5), rng.uniform(-5, 5)
        reach = 9.0 if owner % 100 == 0 else 0.1
        pairs.append(
            (owner, (x, y), (x + rng.uniform(-reach, reach), y + rng.uniform(-reach, reach)))
        )
    segments = Segments.of(pairs)
    for _ in range(50):
        x, y = rng.uniform(-6, 6), rng.uniform(-6, 6)
        box = (x, y, x + rng.uniform(0, 3), y + rng.uniform(0, 3))
        found = segments.near(box)
        owners = [one[0] for one in found]
        assert owners == sorted(set(owners))
        wanted = {
            owner
            for owner, a, b in pairs
            if max(a[0], b[0]) >= box[0]
            and min(a[0], b[0]) <= box[2]
            and max(a[1], b[1]) >= box[1]
            and min(a[1], b[1]) <= box[3]
        }
        assert wanted <= set(owners)
    assert len(segments.near((0, 0, 0.1, 0.1))) < 300
    assert Segments().near((0, 0, 1, 1)) == []
