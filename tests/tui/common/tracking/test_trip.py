"""A simulated trip at a live server: how it moves, meets errors and ends."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from server.features.drivers.schemas import DriverOnDuty, DriverPosition, Point
from support.live_server import LiveServer, running_server, settings_for
from support.location_front import Front, Sent, front_of
from support.town import PASSWORD, Place, open_restaurant
from support.waiting import PATIENCE, wait_until
from tui.common.client.api import Api
from tui.common.client.meter import Wire
from tui.common.client.session import Session
from tui.common.tracking import trip as trip_module
from tui.common.tracking.track import metres_between
from tui.common.tracking.trip import FASTEST, Trip, TripEnd, speed_of

BASE = Point(lat=48.86, lng=2.36)
QUICK = 0.01
"""A pace at which every vehicle is as fast as it may be."""


def north_of(point: Point, metres: float) -> Point:
    return Point(lat=point.lat + metres / 111_195, lng=point.lng)


NEAR, FAR = north_of(BASE, 60), north_of(BASE, 4_000)


@pytest.fixture
async def place(live_server: LiveServer, data_dir: Path) -> Place:
    """A restaurant with two drivers."""
    return await open_restaurant(data_dir, live_server.url)


@pytest.fixture
async def front(live_server: LiveServer) -> AsyncIterator[Front]:
    """The API that the trip uses."""
    async with front_of(live_server.url) as front:
        yield front


@pytest.fixture
async def api(front: Front, place: Place) -> AsyncIterator[Api]:
    """An employee's."""
    session = Session(front.url, Wire())
    await session.log_in(place.employees[0], PASSWORD)
    yield Api(session)
    await session.close()


@pytest.fixture
async def driver(api: Api) -> DriverOnDuty:
    """The first driver."""
    return await on_duty(api)


async def on_duty(api: Api) -> DriverOnDuty:
    return (await api.drivers_on_duty()).items[0]


def a_trip(
    api: Api, driver: DriverOnDuty, *stops: Point, interval: float = 0.1, **more: Any
) -> Trip:
    more = {"start": BASE, "pace": QUICK} | more
    return Trip(api, driver, stops or (NEAR,), interval, **more)


def between(a: Sent, b: Sent) -> float:
    return metres_between(a.point, b.point)


async def test_a_trip_moves_at_its_speed_and_reports_it(
    api: Api, driver: DriverOnDuty, front: Front
) -> None:
    trip = a_trip(api, driver)
    assert trip.progress == 0
    assert await trip.run()
    assert (trip.end, trip.progress, trip.error) == (TripEnd.ARRIVED, 1.0, None)
    assert trip.metres == pytest.approx(60, abs=0.5)
    assert metres_between(front.sent[0].point, BASE) < 1
    assert front.sent[-1].point == NEAR == trip.position
    assert 2 <= len(front.sent) <= 18  # fewer where answers take longer than the interval
    for a, b in pairwise(front.sent):
        left = metres_between(a.point, NEAR)  # the last may be late, but goes no further
        assert between(a, b) == pytest.approx(min(left, FASTEST * (b.at - a.at)), abs=3)
    assert {one.position.heading for one in front.sent} == {0.0}
    assert [one.position.speed_mps for one in front.sent[-2:]] == [FASTEST, 0.0]
    assert all(one.position.at is None for one in front.sent)
    location = (await on_duty(api)).location
    assert location is not None
    assert (location.lat, location.lng, location.suspect) == (NEAR.lat, NEAR.lng, False)


async def test_a_trip_passes_every_stop_in_turn(
    api: Api, driver: DriverOnDuty, front: Front
) -> None:
    trip = a_trip(api, driver, NEAR, BASE, interval=0.05)
    assert await trip.run()
    assert trip.metres == pytest.approx(120, abs=1)
    assert front.sent[-1].point == BASE
    assert max(metres_between(BASE, one.point) for one in front.sent) > 55
    assert {one.position.heading for one in front.sent} == {0.0, 180.0}


async def test_a_trip_keeps_to_the_streets(data_dir: Path) -> None:
    corner = Point(lat=BASE.lat, lng=BASE.lng + 0.0005)
    end = north_of(corner, 50)
    line = [[one.lng, one.lat] for one in (BASE, corner, end)]
    street = {
        "type": "Feature",
        "properties": {"kind": "street"},
        "geometry": {"type": "LineString", "coordinates": line},
    }
    path = data_dir / "map.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [street]}))
    async with running_server(settings_for(data_dir, map=path)) as server:
        place = await open_restaurant(data_dir, server.url)
        async with front_of(server.url) as front:
            session = Session(front.url, Wire())
            await session.log_in(place.employees[0], PASSWORD)
            trip = a_trip(Api(session), await on_duty(Api(session)), end)
            assert await trip.run()
            await session.close()
    assert trip.points[0] == BASE
    assert corner in trip.points
    for one in front.sent:
        on_the_first = abs(one.point.lat - BASE.lat) < 1e-6
        on_the_second = abs(one.point.lng - corner.lng) < 1e-6
        assert on_the_first or on_the_second
    headings = [one.position.heading for one in front.sent]
    assert headings[0] == pytest.approx(90, abs=0.2)
    assert headings[-1] == 0


@pytest.mark.parametrize("status", [0, 502])
async def test_a_trip_goes_on_during_an_outage_without_a_jump(
    api: Api, driver: DriverOnDuty, front: Front, status: int
) -> None:
    trip = a_trip(api, driver, FAR)
    running = asyncio.create_task(trip.run())
    await wait_until(lambda: len(front.taken) >= 3)
    front.refuse = status
    await wait_until(lambda: trip.error is not None)
    assert trip.error_since is not None
    before, shut_at = front.taken[-1], time.monotonic()
    await wait_until(lambda: trip.metres_done > 40 * (1 + shut_at - before.at))
    tries = len(front.sent)
    front.refuse = None
    await wait_until(lambda: len(front.taken) >= 8)
    trip.stop()
    assert not await running
    after = front.taken[front.taken.index(before) + 1]
    assert between(before, after) == pytest.approx(FASTEST * (after.at - before.at), abs=4)
    # aiohttp asks twice where a connection that it had kept breaks.
    assert tries < 60, "it hammers a server that is away"
    assert (trip.error, trip.error_since) == (None, None)
    # One position for the whole absence, then one an interval as ever.
    for a, b in pairwise(front.taken[3:]):
        assert b.at - a.at > 0.05
    location = (await on_duty(api)).location
    assert location is not None
    assert not location.suspect


@pytest.mark.parametrize("status", [429, 503])
async def test_a_trip_retries_when_the_server_says(
    api: Api, driver: DriverOnDuty, front: Front, status: int
) -> None:
    front.refuse, front.retry_after = status, "1"
    trip = a_trip(api, driver)
    running = asyncio.create_task(trip.run())
    await wait_until(lambda: front.sent)
    front.refuse = None
    assert await running
    first, second = front.sent[:2]
    assert second.at - first.at > 0.95
    assert between(first, second) == pytest.approx(FASTEST * (second.at - first.at), abs=4)


@pytest.mark.parametrize("status", [403, 404])
async def test_a_refused_trip_ends_with_the_reason(
    api: Api, driver: DriverOnDuty, front: Front, status: int
) -> None:
    front.refuse = status
    trip = a_trip(api, driver)
    assert not await trip.run()
    assert trip.end is TripEnd.REFUSED
    assert trip.error is not None
    assert str(status) in trip.error.message
    assert len(front.sent) == 1


async def test_a_trip_of_another_restaurants_driver_is_refused(
    api: Api, driver: DriverOnDuty, live_server: LiveServer, data_dir: Path
) -> None:
    other = await open_restaurant(data_dir, live_server.url, "Other")
    trip = a_trip(api, driver.model_copy(update={"id": other.drivers[0]}))
    assert not await trip.run()
    assert trip.error is not None
    assert trip.error.message


async def test_a_stopped_trip_can_be_continued_by_another(
    api: Api, driver: DriverOnDuty, front: Front
) -> None:
    first = a_trip(api, driver, FAR)
    running = asyncio.create_task(first.run())
    await wait_until(lambda: first.metres_done > 20)
    first.stop()
    assert not await running
    assert first.end is TripEnd.STOPPED
    left = first.position
    assert first.position == left
    assert 20 < metres_between(BASE, left) < 2_000
    count, end = len(front.sent), north_of(left, 40)
    assert await a_trip(api, driver, end, start=left).run()
    assert metres_between(front.sent[count].point, left) < 1
    assert front.sent[-1].point == end


async def test_a_trip_stopped_before_its_start_sends_nothing(
    api: Api, driver: DriverOnDuty, front: Front
) -> None:
    trip = a_trip(api, driver, FAR)
    trip.stop()
    assert not await trip.run()
    assert not front.sent
    trip = a_trip(api, driver, FAR)
    running = asyncio.create_task(trip.run())
    await wait_until(lambda: front.sent)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert trip.end is TripEnd.STOPPED


async def test_a_trip_cancelled_as_an_answer_comes_ends(
    api: Api, driver: DriverOnDuty, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_location = api.put_location

    async def put(driver_id: str, position: DriverPosition) -> None:
        await put_location(driver_id, position)
        running.cancel()

    monkeypatch.setattr(api, "put_location", put)
    running = asyncio.create_task(a_trip(api, driver, FAR).run())
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, PATIENCE)
    assert len(front.sent) == 1


async def test_a_trip_starts_where_the_driver_was_or_at_the_first_stop(
    api: Api, driver: DriverOnDuty, front: Front
) -> None:
    assert await a_trip(api, driver, NEAR, start=None).run()
    assert front.sent[0].point == NEAR
    assert await a_trip(api, await on_duty(api), BASE, start=None).run()
    assert metres_between(front.sent[1].point, NEAR) < 1
    assert front.sent[-1].point == BASE


async def test_without_a_route_a_trip_is_straight_and_errors_are_retried(
    api: Api, driver: DriverOnDuty, front: Front
) -> None:
    front.refuse_ways = 404
    assert await a_trip(api, driver).run()
    front.refuse_ways, front.ways = 503, 0
    trip = a_trip(api, driver)
    running = asyncio.create_task(trip.run())
    await wait_until(lambda: front.ways >= 2)
    assert trip.metres is None
    assert trip.position == BASE
    front.refuse_ways = None
    assert await running


async def test_an_unanswered_request_times_out(
    driver: DriverOnDuty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trip_module, "REQUEST_SECONDS", 0.3)
    silent = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    session = Session(f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}", Wire())
    monkeypatch.setattr(session._tokens, "access", lambda _rejected=None: asyncio.sleep(0, "token"))
    trip = a_trip(Api(session), driver)
    running = asyncio.create_task(trip.run())
    await wait_until(lambda: trip.error is not None)
    assert trip.error is not None
    assert "did not answer" in trip.error.message
    trip.stop()
    assert not await running
    await session.close()
    silent.close()


async def test_a_long_trip_is_faster_but_never_above_the_limit(
    api: Api, driver: DriverOnDuty, front: Front
) -> None:
    for longest, speed in ((100.0, 40.0), (None, 6.0), (1000.0, 6.0), (200.0, 20.0)):
        trip = a_trip(api, driver, FAR, pace=1.0, longest=longest)
        running = asyncio.create_task(trip.run())
        count = len(front.sent)
        await wait_until(lambda count=count: len(front.sent) > count)  # type: ignore[misc]
        assert trip.speed == pytest.approx(speed, rel=0.01)
        trip.stop()
        await running


def test_every_vehicle_has_its_speed() -> None:
    assert [speed_of(one) for one in ("bicycle", "Cargo Bike ", "scooter", "pogo stick")] == [
        6,
        5,
        9,
        6,
    ]
    assert speed_of("bicycle", 2) == 3
    assert speed_of("bicycle", 0.0001) == FASTEST


async def test_a_trip_without_stops_or_interval_raises(api: Api, driver: DriverOnDuty) -> None:
    with pytest.raises(ValueError, match="a stop"):
        Trip(api, driver, (), 1)
    for interval, pace in ((0, 1), (1, 0), (float("nan"), 1), (-1, 1)):
        with pytest.raises(ValueError, match="above 0"):
            Trip(api, driver, (NEAR,), interval, pace)
