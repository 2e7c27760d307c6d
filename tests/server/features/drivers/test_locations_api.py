"""Reporting positions, and the list of drivers that shows them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from server.core import clock
from server.features.drivers import service
from support.cast import Cast, cast_of
from support.live_server import running_server, settings_for

HERE = {"lat": 48.86, "lng": 2.36}
THERE = {"lat": 48.861, "lng": 2.36}
"""111 m from HERE."""
FAR = {"lat": 0.0, "lng": 0.0}
FIELDS = ["driver_id", "lat", "lng", "heading", "speed_mps", "seq", "at", "pace_mps"]


def ago(seconds: float) -> str:
    return before_now()(seconds)


def before_now() -> Callable[[float], str]:
    """Gives times before this moment, exact to each other however long requests take."""
    moment = datetime.now(UTC)
    return lambda seconds: (moment - timedelta(seconds=seconds)).isoformat()


async def put(cast: Cast, status: int = 204, driver: int = 0, **position: Any) -> Any:
    path = f"/drivers/{cast.place.drivers[driver]}/location"
    answer = (await cast.employee.put(path, position)).must(status)
    return answer.json if status != 204 else None


async def listed(cast: Cast, driver: int = 0) -> dict[str, Any]:
    """The driver's location in the list of drivers."""
    page = (await cast.employee.get("/drivers")).must(200).json
    found: dict[str, Any] = page["items"][driver]["location"]
    return found


async def test_the_list_of_drivers_shows_a_reported_position(cast: Cast) -> None:
    page = (await cast.employee.get("/drivers")).must(200).json
    assert all("location" not in driver for driver in page["items"])
    assert page["interval_seconds"] == 45
    before = datetime.now(UTC) - timedelta(milliseconds=2)
    await put(cast, **HERE)
    location = await listed(cast)
    assert list(location) == FIELDS
    assert location["driver_id"] == cast.place.drivers[0]
    assert (location["lat"], location["lng"], location["seq"]) == (48.86, 2.36, 1)
    assert (location["heading"], location["speed_mps"], location["pace_mps"]) == (None, None, 5.0)
    assert before <= datetime.fromisoformat(location["at"]) <= datetime.now(UTC)
    page = (await cast.employee.get("/drivers")).must(200).json
    assert "location" not in page["items"][1]
    assert (await cast.outsider.get("/drivers")).json["items"][0].get("location") is None


async def test_the_list_of_drivers_shows_their_orders_and_comes_in_pages(cast: Cast) -> None:
    order = await cast.order_at("out_for_delivery")
    page = (await cast.employee.get("/drivers", params={"limit": "1"})).must(200).json
    assert [one["id"] for one in page["items"][0]["carrying"]] == [order["id"]]
    page = (await cast.employee.get("/drivers", params={"before": page["next"]})).must(200).json
    assert [one["id"] for one in page["items"]] == [cast.place.drivers[1]]
    assert page["next"] is None


INVALID = [
    ("lat", 90.1),
    ("lat", None),
    ("lat", "48.86"),
    ("lng", -180.5),
    ("heading", 360),
    ("heading", -0.1),
    ("speed_mps", -1),
    ("speed_mps", 100.5),
    ("speed_mps", False),
    ("at", "yesterday"),
    ("at", 0),
    ("at", 1.5e9),
    ("at", "1500000000"),
    ("at", "2026-01-01T12:00:00"),
    ("at", "9999-12-31T23:59:59-23:59"),
    ("at", "0001-01-01T00:00:00+23:59"),
]
NOT_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e400")


async def test_an_invalid_position_is_422(cast: Cast) -> None:
    for field, value in INVALID:
        problem = await put(cast, 422, **(HERE | {field: value}))
        assert problem["errors"][0]["loc"] == [field]
    path = f"/drivers/{cast.place.drivers[0]}/location"
    for field in ("lat", "lng", "heading", "speed_mps"):
        for number in NOT_NUMBERS:
            others = {"lat": "1", "lng": "1"} | {field: number}
            body = "{" + ", ".join(f'"{name}": {text}' for name, text in others.items()) + "}"
            headers = {"Content-Type": "application/json"}
            answer = await cast.employee.put(path, data=body.encode(), headers=headers)
            assert answer.status in (400, 422), answer.body
    assert "location" not in (await cast.employee.get("/drivers")).json["items"][0]


async def test_a_time_in_the_future_is_422_and_a_small_skew_counts_as_now(
    cast: Cast,
) -> None:
    problem = await put(cast, 422, **HERE, at=ago(-90))
    assert "clock" in problem["detail"]
    await put(cast, **HERE, at=ago(-30))
    at = datetime.fromisoformat((await listed(cast))["at"])
    assert at <= datetime.now(UTC)
    await put(cast, **THERE)  # the skewed time does not exclude it
    assert (await listed(cast))["lat"] == THERE["lat"]


async def test_a_position_older_than_the_last_is_ignored(cast: Cast) -> None:
    await put(cast, **HERE, at=ago(20))
    await put(cast, **THERE, at=ago(40))
    location = await listed(cast)
    assert (location["lat"], location["seq"]) == (HERE["lat"], 1)
    await put(cast, **THERE, at=ago(5))
    location = await listed(cast)
    assert (location["lat"], location["seq"]) == (THERE["lat"], 2)


async def test_a_server_clock_that_was_set_back_excludes_no_position(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(cast, **HERE)
    earlier = clock.now() - timedelta(hours=1)
    monkeypatch.setattr(service, "now", lambda: earlier)
    await put(cast, **THERE)
    assert (await listed(cast))["lat"] == THERE["lat"]
    await put(cast, **HERE, at=(earlier + timedelta(seconds=1)).isoformat())
    assert (await listed(cast))["lat"] == HERE["lat"]


async def test_positions_through_servers_with_different_clocks_both_count(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(cast, **HERE)
    behind = clock.now() - timedelta(seconds=10)
    monkeypatch.setattr(service, "now", lambda: behind)
    await put(cast, **THERE)
    assert (await listed(cast))["lat"] == THERE["lat"]


async def test_an_unchanged_position_updates_the_time_but_not_the_seq(cast: Cast) -> None:
    await put(cast, **HERE, at=ago(60))
    first = await listed(cast)
    await put(cast, **HERE, at=ago(10))
    again = await listed(cast)
    assert again["seq"] == first["seq"]
    assert again["at"] > first["at"]


async def test_speed_and_heading_are_the_clients_or_measured(cast: Cast) -> None:
    ago = before_now()
    await put(cast, **HERE, at=ago(60))
    await put(cast, **THERE, at=ago(40))
    location = await listed(cast)
    assert location["heading"] == pytest.approx(0, abs=0.1)
    assert location["speed_mps"] == pytest.approx(111.2 / 20, abs=0.02)
    assert 5 < location["pace_mps"] < location["speed_mps"]
    await put(cast, **HERE, at=ago(20), heading=12.5, speed_mps=3)
    location = await listed(cast)
    assert (location["heading"], location["speed_mps"]) == (12.5, 3)


async def test_a_jump_is_stored_and_marked_suspect(cast: Cast) -> None:
    ago = before_now()
    await put(cast, **HERE, at=ago(60))
    await put(cast, **FAR, at=ago(58))
    location = await listed(cast)
    assert list(location) == [*FIELDS, "suspect"]
    assert (location["suspect"], location["lat"], location["seq"]) == (True, 0.0, 2)
    assert location["pace_mps"] == 5.0
    await put(cast, **THERE, at=ago(40))
    location = await listed(cast)
    assert "suspect" not in location
    assert location["speed_mps"] == pytest.approx(111.2 / 20, abs=0.02), "from the last good one"


async def test_a_confirmed_position_is_published_though_it_is_unchanged(cast: Cast) -> None:
    ago = before_now()
    await put(cast, **FAR, at=ago(60))
    await put(cast, **HERE, at=ago(58))
    assert (await listed(cast))["suspect"]
    await put(cast, **HERE, at=ago(56))
    location = await listed(cast)
    assert "suspect" not in location
    assert location["seq"] == 3


async def test_an_unknown_driver_and_another_restaurants_driver_are_404(cast: Cast) -> None:
    for path in ("/drivers/drv_nobody/location", f"/drivers/{cast.elsewhere.drivers[0]}/location"):
        (await cast.employee.put(path, HERE)).must(404)
        (await cast.employee.get(path)).must(404)
        (await cast.employee.get(f"{path}/stream")).must(404)
    (await cast.customer.put(f"/drivers/{cast.place.drivers[0]}/location", HERE)).must(403)


async def test_concurrent_positions_are_processed_one_after_the_other(cast: Cast) -> None:
    positions = [{"lat": 48.86 + number / 10_000, "lng": 2.36} for number in range(20)]
    await asyncio.gather(*(put(cast, **position) for position in positions))
    assert (await listed(cast))["seq"] == 20


@pytest.fixture
async def counted(data_dir: Path, at_one_moment: None) -> AsyncIterator[Cast]:
    """A server where an account may write ten times a minute; the setup uses up some of them."""
    async with (
        running_server(settings_for(data_dir, rate_per_minute=10)) as server,
        cast_of(server) as cast,
    ):
        yield cast


async def test_positions_are_limited_per_driver_apart_from_other_writes(counted: Cast) -> None:
    one, other = counted.place.drivers
    for number in range(10):
        body = {"lat": 48.0 + number / 10_000, "lng": 2.0}
        (await counted.employee.put(f"/drivers/{one}/location", body)).must(204)
    answer = (await counted.employee.put(f"/drivers/{one}/location", HERE)).must(429)
    assert "driver" in answer.json["detail"]
    assert int(answer.headers["Retry-After"]) >= 1
    (await counted.employee.put(f"/drivers/{other}/location", HERE)).must(204)
    (await counted.outsider.put(f"/drivers/{other}/location", HERE)).must(404)
    (await counted.employee.patch("/me", {"phone": "+31 6 1234"})).must(200)
