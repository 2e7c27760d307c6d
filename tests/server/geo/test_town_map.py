"""Which GeoJSON files are maps, and the streets in them."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.geo.town_map import TownMap, kind_of, streets_in


def feature(shape: str, coordinates: Any, **properties: object) -> dict[str, Any]:
    properties = properties or {"kind": "street"}
    geometry = {"type": shape, "coordinates": coordinates}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def collection(*features: object) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


LANE = [[15.44, 47.07], [15.441, 47.07, 353.2], [15.441, 47.071]]
TOWN = collection(
    feature("LineString", LANE, kind="street", name="Mill Lane"),
    feature("Polygon", [[[15.4, 47.0], [15.5, 47.0], [15.5, 47.1], [15.4, 47.0]]], kind="water"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "map.geojson"
    found.write_text(json.dumps(TOWN))
    return found


@pytest.mark.parametrize(
    ("properties", "kind"),
    [
        ({"kind": "street"}, "street"),
        ({"kind": "lake", "highway": "path"}, "lake"),
        ({"kind": 7}, None),
        ({"highway": "residential", "name": "x"}, "street"),
        ({"highway": "no"}, None),
        ({"highway": None, "waterway": "river"}, "water"),
        ({"natural": "water"}, "water"),
        ({"natural": "peak"}, None),
        ({"leisure": "park"}, "park"),
        ({"landuse": "forest"}, "park"),
        ({"landuse": "industrial"}, None),
        ({}, None),
    ],
)
def test_the_kind_is_the_features_own_or_from_openstreetmaps_tags(
    properties: dict[str, object], kind: str | None
) -> None:
    assert kind_of(properties) == kind


def test_only_lines_of_kind_street_are_streets() -> None:
    document = collection(
        feature("LineString", LANE),
        feature("MultiLineString", [LANE[:2], LANE[1:]], highway="footway"),
        feature("LineString", LANE[:1]),
        feature("Polygon", [LANE]),
        feature("LineString", LANE, kind="water"),
        feature("LineString", "whatever", kind="tramline"),
        {"type": "Feature", "properties": None, "geometry": None},
        {"type": "Feature", "properties": {"kind": "street"}},
    )
    places = [(lat, lng) for lng, lat, *_ in LANE]
    assert list(streets_in(document)) == [places, places[:2], places[1:]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "FeatureCollection"),
        (b'{"type": "Feature"}', "FeatureCollection"),
        (b'{"type": "FeatureCollection"}', "`features` must be a list"),
        (b'{"type": "FeatureCollection", "features": [NaN]}', "NaN is not a number"),
        (collection(7), "feature 0: it must have the type"),
        (collection({"type": "Feature", "properties": []}), None),
        (collection({"type": "Feature", "properties": [1]}), "feature 0: `properties`"),
        (collection(feature("LineString", None)), "must be lists"),
        (collection(feature("LineString", [15.0, 47.0])), "must be lists"),
        (collection(feature("LineString", [[15.0], [15.1]])), "a position must be"),
        (collection(feature("LineString", [["15", "47"], ["15", "48"]])), "a position must be"),
        (collection(feature("LineString", [[True, 47], [15, 48]])), "a position must be"),
        (json.dumps(TOWN).replace("15.44,", "1e400,").encode(), "is not a position"),
        (json.dumps(TOWN).replace("15.44,", f"{10**400},").encode(), "is not a position"),
        (collection(feature("LineString", [[5e5, 5.2e6], [5e5, 5.3e6]])), "WGS 84"),
        (collection(feature("Polygon", [[[200, 0], [0, 0]]], kind="park")), "is not a position"),
    ],
)
def test_reading_what_is_not_a_map_says_why(path: Path, content: Any, words: str | None) -> None:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    if words is None:
        TownMap.read(path)
        return
    with pytest.raises(ValueError, match=str(path)) as error:
        TownMap.read(path)
    assert words in str(error.value)


def test_a_missing_file_or_a_folder_cannot_be_read(tmp_path: Path) -> None:
    for bad in (tmp_path, tmp_path / "gone"):
        with pytest.raises(ValueError, match="cannot be read"):
            TownMap.read(bad)
