"""What is a map, and how it is served."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from server.app import create_app
from server.features.drivers.town_map import TownMap, kind_of, streets_in
from server.settings import SettingsError
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Rest


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


@pytest.fixture
async def mapped(path: Path, data_dir: Path) -> AsyncIterator[LiveServer]:
    async with running_server(settings_for(data_dir, map=path)) as server:
        await asyncio.to_thread(path.unlink)  # it is read once
        yield server


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
def test_the_kind_is_our_own_or_openstreetmaps(
    properties: dict[str, object], kind: str | None
) -> None:
    assert kind_of(properties) == kind


def test_the_streets_are_the_lines_of_streets() -> None:
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
        (b'{"type": "FeatureCollection", "features": [NaN]}', "NaN is no number"),
        (collection(7), "feature 0: it must have the type"),
        (collection({"type": "Feature", "properties": []}), None),
        (collection({"type": "Feature", "properties": [1]}), "feature 0: `properties`"),
        (collection(feature("LineString", None)), "must be lists"),
        (collection(feature("LineString", [15.0, 47.0])), "must be lists"),
        (collection(feature("LineString", [[15.0], [15.1]])), "a position must be"),
        (collection(feature("LineString", [["15", "47"], ["15", "48"]])), "a position must be"),
        (collection(feature("LineString", [[True, 47], [15, 48]])), "a position must be"),
        (json.dumps(TOWN).replace("15.44,", "1e400,").encode(), "is no place"),
        (json.dumps(TOWN).replace("15.44,", f"{10**400},").encode(), "is no place"),
        (collection(feature("LineString", [[5e5, 5.2e6], [5e5, 5.3e6]])), "WGS 84"),
        (collection(feature("Polygon", [[[200, 0], [0, 0]]], kind="park")), "is no place"),
    ],
)
def test_what_is_no_map_is_told_in_words_at_the_start(
    path: Path, data_dir: Path, content: Any, words: str | None
) -> None:
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    if words is None:
        TownMap.read(path)
        return
    with pytest.raises(SettingsError) as error:
        create_app(settings_for(data_dir, map=path))
    assert str(error.value).startswith("TIFFIN_MAP: ")
    assert str(path) in str(error.value)
    assert words in str(error.value)


def test_a_file_that_has_gone_or_is_a_folder_is_told_in_words(tmp_path: Path) -> None:
    for bad in (tmp_path, tmp_path / "gone"):
        with pytest.raises(ValueError, match="cannot be read"):
            TownMap.read(bad)


async def test_the_map_is_served_as_it_is(mapped: LiveServer) -> None:
    async with Rest(mapped.url) as rest:
        await rest.register("a@example.com")
        answer = (await rest.get("/map")).must(200)
        assert answer.body == json.dumps(TOWN).encode()
        assert answer.headers["Content-Type"] == "application/geo+json"
        tag = answer.headers["ETag"]
        for tags in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = (await rest.get("/map", headers={"If-None-Match": tags})).must(304)
            assert again.body == b""
            assert again.headers["ETag"] == tag
        for tags in ('"other"', "", tag.strip('"'), "\xff", ",,,"):
            (await rest.get("/map", headers={"If-None-Match": tags})).must(200)


async def test_a_route_goes_along_the_streets(mapped: LiveServer) -> None:
    async with Rest(mapped.url) as rest:
        await rest.register("a@example.com")
        params = {"from_lat": "47.07", "from_lng": "15.44", "to_lat": "47.071", "to_lng": "15.441"}
        route = (await rest.get("/map/route", params=params)).must(200).json
        assert route["along_streets"] is True
        assert [(one["lng"], one["lat"]) for one in route["points"]] == [
            (lng, lat) for lng, lat, *_ in LANE
        ]
        assert route["metres"] == pytest.approx(75.7 + 111.2, abs=0.2)
        far = params | {"to_lat": "47.2"}
        assert (await rest.get("/map/route", params=far)).must(200).json["along_streets"] is False


async def test_a_route_to_nowhere_is_422(rest: Rest) -> None:
    await rest.register("a@example.com")
    for value in ("91", "-90.1", "nan", "inf", "north", "", None):
        params = {"from_lat": "1", "from_lng": "1", "to_lng": "1"}
        if value is not None:
            params["to_lat"] = value
        answer = (await rest.get("/map/route", params=params)).must(422)
        assert answer.json["errors"][0]["loc"] == ["to_lat"]


async def test_without_a_map_there_is_none(rest: Rest) -> None:
    await rest.register("a@example.com")
    answer = (await rest.get("/map")).must(404)
    assert "TIFFIN_MAP" in answer.json["detail"]
    params = {"from_lat": "1", "from_lng": "1", "to_lat": "1", "to_lng": "2"}
    assert (await rest.get("/map/route", params=params)).must(200).json["along_streets"] is False
