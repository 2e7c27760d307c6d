"""Typed calls about drivers and the map, at a real server."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from faulty_server import FaultyServer, problem

from server.features.drivers.schemas import DriverPosition, Point
from support.live_server import LiveServer, running_server, settings_for
from support.town import PASSWORD, Place, open_restaurant
from tui.common.client.api import Api
from tui.common.client.meter import Wire
from tui.common.client.session import ApiError, Session, Unreachable

STREET = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"kind": "street", "name": "Mill Lane"},
            "geometry": {
                "type": "LineString",
                "coordinates": [[2.36, 48.86], [2.36, 48.87], [2.37, 48.87]],
            },
        }
    ],
}


@pytest.fixture
async def server(data_dir: Path) -> AsyncIterator[LiveServer]:
    """With a map of one street and its corner."""
    path = data_dir / "map.geojson"
    path.write_text(json.dumps(STREET))
    settings = settings_for(data_dir, map=path, driver_interval_seconds=7)
    async with running_server(settings) as server:
        yield server


@pytest.fixture
async def place(server: LiveServer, data_dir: Path) -> Place:
    return await open_restaurant(data_dir, server.url, drivers=3)


@pytest.fixture
async def api(server: LiveServer, place: Place) -> AsyncIterator[Api]:
    """An employee's."""
    session = Session(server.url, Wire())
    await session.log_in(place.employees[0], PASSWORD)
    yield Api(session)
    await session.close()


async def test_drivers_come_with_where_they_are_and_how_often_they_say_so(
    api: Api, place: Place
) -> None:
    page = await api.drivers_on_duty()
    assert {driver.id for driver in page.items} == set(place.drivers)
    assert (page.interval_seconds, page.next) == (7, None)
    assert [driver.location for driver in page.items] == [None] * 3
    await api.put_location(place.drivers[1], DriverPosition(lat=48.86, lng=2.36, heading=90))
    places = {driver.id: driver.location for driver in await api.drivers()}
    found = places[place.drivers[1]]
    assert found is not None
    assert (found.lat, found.lng, found.heading, found.seq) == (48.86, 2.36, 90, 1)
    assert places[place.drivers[0]] is None


async def test_a_position_of_somebody_elses_driver_is_refused(api: Api) -> None:
    with pytest.raises(ApiError) as refused:
        await api.put_location("drv_nobody", DriverPosition(lat=48.86, lng=2.36))
    assert refused.value.status == 404


async def test_the_map_and_a_way_on_it(api: Api) -> None:
    assert await api.town_map() == STREET
    way = await api.route(Point(lat=48.86, lng=2.36), Point(lat=48.87, lng=2.37))
    assert way.along_streets
    assert [(point.lat, point.lng) for point in way.points] == [
        (48.86, 2.36),
        (48.87, 2.36),
        (48.87, 2.37),
    ]
    assert way.metres == pytest.approx(1112 + 732, rel=0.01)


async def test_without_a_map_there_is_none_and_a_straight_line(
    live_server: LiveServer, data_dir: Path
) -> None:
    place = await open_restaurant(data_dir, live_server.url)
    session = Session(live_server.url, Wire())
    await session.log_in(place.employees[0], PASSWORD)
    api = Api(session)
    assert await api.town_map() is None
    # As small as a number gets: its text has an exponent.
    way = await api.route(Point(lat=0.0, lng=-0.00001), Point(lat=1e-7, lng=0.00001))
    assert (way.along_streets, len(way.points)) == (False, 2)
    await session.close()


async def test_pages_of_drivers_are_read_to_the_end(faulty: FaultyServer, session: Session) -> None:
    async def page(request: web.Request) -> web.Response:
        number = int(request.query.get("before", "1"))
        return web.json_response(
            {
                "items": [{"id": f"d-{number}", "name": "Dee", "vehicle": "bicycle"}],
                "next": str(number + 1) if number < 3 else None,
                "interval_seconds": 45,
            }
        )

    faulty.on("GET", "/drivers", page)
    found = await Api(session).drivers_on_duty()
    assert [driver.id for driver in found.items] == ["d-1", "d-2", "d-3"]
    assert (found.next, found.interval_seconds) == (None, 45)


async def test_a_map_that_is_none_is_said_in_words(faulty: FaultyServer, session: Session) -> None:
    async def no_map(_: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")

    async def broken(_: web.Request) -> web.Response:
        return problem(500)

    faulty.on("GET", "/map", no_map)
    with pytest.raises(Unreachable, match="not a map that this version understands"):
        await Api(session).town_map()
    faulty.on("GET", "/map", broken)
    with pytest.raises(ApiError):
        await Api(session).town_map()
