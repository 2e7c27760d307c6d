"""The map and routes over REST."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.app import create_app
from server.settings import SettingsError
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Rest

STREET = [[15.44, 47.07], [15.441, 47.07], [15.441, 47.071]]
TOWN = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"kind": "street", "name": "Mill Lane"},
            "geometry": {"type": "LineString", "coordinates": STREET},
        }
    ],
}


@pytest.fixture
async def mapped(tmp_path: Path, data_dir: Path) -> AsyncIterator[LiveServer]:
    path = tmp_path / "map.geojson"
    await asyncio.to_thread(path.write_text, json.dumps(TOWN))
    async with running_server(settings_for(data_dir, map=path)) as server:
        await asyncio.to_thread(path.unlink)  # it is read once
        yield server


async def test_the_map_is_served_unchanged(mapped: LiveServer) -> None:
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


async def test_a_route_follows_the_streets(mapped: LiveServer) -> None:
    async with Rest(mapped.url) as rest:
        await rest.register("a@example.com")
        params = {"from_lat": "47.07", "from_lng": "15.44", "to_lat": "47.071", "to_lng": "15.441"}
        route = (await rest.get("/map/route", params=params)).must(200).json
        assert route["along_streets"] is True
        assert [(one["lng"], one["lat"]) for one in route["points"]] == [
            (lng, lat) for lng, lat in STREET
        ]
        assert route["metres"] == pytest.approx(75.7 + 111.2, abs=0.2)
        far = params | {"to_lat": "47.2"}
        assert (await rest.get("/map/route", params=far)).must(200).json["along_streets"] is False


async def test_a_route_to_an_invalid_position_is_422(rest: Rest) -> None:
    await rest.register("a@example.com")
    for value in ("91", "-90.1", "nan", "inf", "north", "", None):
        params = {"from_lat": "1", "from_lng": "1", "to_lng": "1"}
        if value is not None:
            params["to_lat"] = value
        answer = (await rest.get("/map/route", params=params)).must(422)
        assert answer.json["errors"][0]["loc"] == ["to_lat"]


async def test_without_a_map_it_is_404_and_routes_are_straight(rest: Rest) -> None:
    await rest.register("a@example.com")
    answer = (await rest.get("/map")).must(404)
    assert "TIFFIN_MAP" in answer.json["detail"]
    params = {"from_lat": "1", "from_lng": "1", "to_lat": "1", "to_lng": "2"}
    assert (await rest.get("/map/route", params=params)).must(200).json["along_streets"] is False


def test_a_file_that_is_not_a_map_stops_the_start(tmp_path: Path, data_dir: Path) -> None:
    path = tmp_path / "map.geojson"
    path.write_text("[]")
    with pytest.raises(SettingsError) as error:
        create_app(settings_for(data_dir, map=path))
    assert str(error.value).startswith(f"TIFFIN_MAP: {path} is not a map: ")
