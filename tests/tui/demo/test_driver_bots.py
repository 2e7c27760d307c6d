"""The autopilot's drivers on the road: to every door, back, and through what goes wrong."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from running_autopilot import running_autopilot

from server.features.drivers.schemas import Point
from server.features.restaurants.service import set_radius
from support.live_server import running_server, settings_for
from support.location_front import Front, Sent, front_of
from support.rest import Rest
from support.server_process import StartServer
from support.town import PASSWORD, Place, database_in, open_restaurant
from support.waiting import wait_until
from tui.common.tracking import planner, trip
from tui.common.tracking.track import metres_between
from tui.demo.autopilot import drivers
from tui.demo.autopilot.rules import Delivery

BASE = Point(lat=48.86, lng=2.36)
INTERVAL = 0.2
NEAR, MIDDLE, FAR = 60, 120, 3_000
SPEED = 100
"""Metres a second: the short way of these tests is no jump at any speed."""
STEP = SPEED * INTERVAL
"""Metres between two positions."""


def door(metres: float) -> Point:
    """That far north of the restaurant."""
    return Point(lat=BASE.lat + metres / 111_195, lng=BASE.lng)


@pytest.fixture(autouse=True)
def _short_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Near is nearer and fast is faster, so that no test takes long."""
    monkeypatch.setattr(trip, "FASTEST", SPEED)
    monkeypatch.setattr(planner, "PICK_UP_METRES", 10)


@pytest.fixture
async def front(data_dir: Path) -> AsyncIterator[Front]:
    """In front of a server whose drivers report positions five times a second."""
    settings = settings_for(data_dir, driver_interval_seconds=INTERVAL)
    async with running_server(settings) as server, front_of(server.url) as front:
        yield front


@pytest.fixture
async def place(front: Front, data_dir: Path) -> Place:
    """A kitchen with an account for the autopilot and one for a person, and one driver."""
    return await open_restaurant(data_dir, front.url, employees=2, drivers=1)


@pytest.fixture
async def guest(front: Front) -> AsyncIterator[Rest]:
    """A customer."""
    async with Rest(front.url) as rest:
        yield await rest.register("ada@example.com")


@pytest.fixture
async def person(guest: Rest, place: Place) -> Rest:
    """An employee with a screen."""
    return await guest.another().log_in(place.employees[1], PASSWORD)


async def placed(guest: Rest, place: Place, metres: float) -> str:
    """An order to the door that far away; its id."""
    where = door(metres)
    address = {"text": f"{metres} North", "lat": where.lat, "lng": where.lng}
    answer = await guest.post("/orders", place.basket() | {"address": address})
    order_id: str = answer.must(201).json["id"]
    return order_id


async def at_status(guest: Rest, order_id: str, status: str) -> dict[str, Any]:
    async def reached() -> dict[str, Any] | None:
        order: dict[str, Any] = (await guest.get(f"/orders/{order_id}")).must(200).json
        return order if order["status"] == status else None

    order = await wait_until(reached, what=f"order {order_id} is {status}")
    assert order is not None
    return order


async def person_does(person: Rest, order_id: str, status: str, **more: Any) -> None:
    (await person.post(f"/orders/{order_id}/status", {"status": status, **more})).must(200)


async def on_the_road(front: Front, metres: float = 0) -> None:
    """Wait until a position that far from the restaurant was taken."""
    await wait_until(lambda: front.taken and from_base(front.taken[-1]) > metres)


def from_base(one: Sent) -> float:
    return metres_between(BASE, one.point)


def moved_steadily(taken: list[Sent]) -> None:
    """No position is farther from the one before than the speed allows."""
    for a, b in pairwise(taken):
        assert metres_between(a.point, b.point) < STEP + SPEED * (b.at - a.at)


async def test_an_order_is_driven_to_the_door_and_the_driver_returns(
    front: Front, place: Place, guest: Rest
) -> None:
    order_id = await placed(guest, place, MIDDLE)
    async with running_autopilot(front.url, place.employees[0]) as pilot:
        on_the_way = Delivery.ON_THE_WAY
        await wait_until(
            lambda: (
                [pilot.driver_bots.delivery(order) for order in pilot.orders.values()]
                == [on_the_way]
            ),
            every=0.005,
            what="its driver is on the road",
        )
        await at_status(guest, order_id, "delivered")
        assert any(one.point == door(MIDDLE) for one in front.taken)
        await wait_until(lambda: front.taken[-1].point == BASE)
    # From the restaurant on: under load the driver has gone some metres by the first report.
    assert from_base(front.taken[0]) < MIDDLE / 2
    # About thirteen; fewer where answers take longer than the interval.
    assert len(front.taken) > 4
    assert {one.driver_id for one in front.taken} == set(place.drivers)
    moved_steadily(front.taken)


async def test_one_driver_visits_every_door_in_the_order_the_orders_left(
    front: Front, place: Place, guest: Rest
) -> None:
    doors = {await placed(guest, place, metres): metres for metres in (MIDDLE, NEAR, 80)}
    async with running_autopilot(front.url, place.employees[0]):
        orders = [await at_status(guest, one, "delivered") for one in doors]
        await wait_until(lambda: front.taken[-1].point == BASE)
    left = [one["id"] for one in sorted(orders, key=lambda one: str(one["timeline"][-2]["at"]))]
    arrived = [one["id"] for one in sorted(orders, key=lambda one: str(one["timeline"][-1]["at"]))]
    assert left == arrived
    passed = [one.point for one in front.taken]
    visits = [passed.index(door(doors[order_id])) for order_id in left]
    assert visits == sorted(visits)
    moved_steadily(front.taken)


async def test_an_order_that_left_while_its_driver_was_away_is_picked_up_first(
    front: Front, place: Place, guest: Rest
) -> None:
    first = await placed(guest, place, MIDDLE)
    async with running_autopilot(front.url, place.employees[0]):
        await on_the_road(front, 40)
        second = await placed(guest, place, NEAR)
        for one in (first, second):
            await at_status(guest, one, "delivered")
    passed = [one.point for one in front.taken]
    assert passed.index(door(MIDDLE)) < passed.index(BASE, 1) < passed.index(door(NEAR))
    moved_steadily(front.taken)


async def test_a_new_order_is_picked_up_on_the_way_back(
    front: Front, place: Place, guest: Rest
) -> None:
    first = await placed(guest, place, MIDDLE)
    async with running_autopilot(front.url, place.employees[0]):
        await at_status(guest, first, "delivered")
        await wait_until(lambda: from_base(front.taken[-1]) < MIDDLE - 20)
        second = await placed(guest, place, NEAR)
        await at_status(guest, second, "delivered")
        await wait_until(lambda: front.taken[-1].point == BASE)
    moved_steadily(front.taken)


async def test_a_persons_order_is_left_to_the_person(
    front: Front, place: Place, guest: Rest, person: Rest
) -> None:
    order_id = await placed(guest, place, NEAR)
    for status in ("accepted", "preparing", "ready"):
        await person_does(person, order_id, status)
    await person_does(person, order_id, "out_for_delivery", driver_id=place.drivers[0])
    async with running_autopilot(front.url, place.employees[0]) as pilot:
        await wait_until(lambda: pilot.driver_bots.with_persons == {place.drivers[0]})
        # Placed later and delivered: by then the other could have been delivered too.
        later = await placed(guest, place, NEAR)
        await at_status(guest, later, "delivered")
        await at_status(guest, order_id, "out_for_delivery")
        # A driver with a person's order is not driven back either.
        await wait_until(lambda: not pilot.driver_bots.on_the_road)
        assert front.taken[-1].point == door(NEAR)


async def test_an_order_given_to_another_driver_on_the_road_is_dropped(
    front: Front, data_dir: Path, guest: Rest
) -> None:
    two = await open_restaurant(data_dir, front.url, "Two", employees=2, drivers=2)
    person = await guest.another().log_in(two.employees[1], PASSWORD)
    order_id = await placed(guest, two, FAR)
    async with running_autopilot(front.url, two.employees[0]):
        await on_the_road(front, 40)
        driver_id = front.taken[-1].driver_id
        other = next(one for one in two.drivers if one != driver_id)
        await person_does(person, order_id, "out_for_delivery", driver_id=other)
        await wait_until(lambda: front.taken[-1].point == BASE)
        later = await placed(guest, two, NEAR)
        await at_status(guest, later, "delivered")
        assert (await at_status(guest, order_id, "out_for_delivery"))["driver"]["id"] == other
    assert {one.driver_id for one in front.taken} == {driver_id}
    moved_steadily(front.taken)


async def test_a_cancelled_order_is_not_delivered(
    front: Front, place: Place, guest: Rest, person: Rest
) -> None:
    order_id = await placed(guest, place, FAR)
    async with running_autopilot(front.url, place.employees[0]):
        await on_the_road(front, 40)
        await person_does(person, order_id, "cancelled", reason="Fell off")
        await wait_until(lambda: front.taken[-1].point == BASE)
    assert max(map(from_base, front.taken)) < FAR / 3
    moved_steadily(front.taken)


async def test_a_restarted_autopilot_continues_where_the_driver_was(
    front: Front, place: Place, guest: Rest
) -> None:
    order_id = await placed(guest, place, MIDDLE)
    async with running_autopilot(front.url, place.employees[0]):
        await on_the_road(front, 40)
    before = len(front.taken)
    async with running_autopilot(front.url, place.employees[0]):
        await at_status(guest, order_id, "delivered")
    assert metres_between(front.taken[before - 1].point, front.taken[before].point) < STEP
    arrival = next(n for n, one in enumerate(front.taken) if one.point == door(MIDDLE))
    assert min(map(from_base, front.taken[before:arrival])) > 30, "it has picked up the order twice"
    moved_steadily(front.taken)


async def test_a_driver_moves_on_while_the_server_restarts(
    start_server: StartServer, data_dir: Path
) -> None:
    server = start_server(env={"TIFFIN_DRIVER_INTERVAL_SECONDS": str(INTERVAL)})
    async with front_of(server.url) as front, Rest(front.url) as guest:
        place = await open_restaurant(data_dir, server.url, drivers=1)
        await guest.register("ada@example.com")
        order_id = await placed(guest, place, 500)
        async with running_autopilot(front.url, place.employees[0]):
            await on_the_road(front, 20)
            before = front.taken[-1]
            await asyncio.to_thread(server.restart)
            await at_status(guest, order_id, "delivered")
        after = front.taken[front.taken.index(before) + 1]
        assert from_base(after) >= from_base(before)
        assert metres_between(before.point, after.point) < SPEED * (after.at - before.at) + STEP
        assert any(one.point == door(500) for one in front.taken)


@pytest.mark.parametrize("status", [403, 503])
async def test_orders_are_delivered_although_positions_are_refused(
    front: Front, place: Place, guest: Rest, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(drivers, "STRANDED_SECONDS", 0.5)
    monkeypatch.setattr(drivers, "REFUSED_SECONDS", 0.3)
    front.refuse = status
    first = await placed(guest, place, FAR)
    async with running_autopilot(front.url, place.employees[0]):
        await at_status(guest, first, "delivered")
        front.refuse = None
        second = await placed(guest, place, NEAR)
        await at_status(guest, second, "delivered")
        assert any(one.point == door(NEAR) for one in front.taken)


async def test_an_order_to_another_country_is_delivered_without_a_trip(
    front: Front, place: Place, guest: Rest, data_dir: Path
) -> None:
    async with database_in(data_dir) as database:
        await set_radius(database, place.id, 0)
    order_id = await placed(guest, place, 900_000)
    async with running_autopilot(front.url, place.employees[0]):
        await at_status(guest, order_id, "delivered")
    assert not front.sent


async def test_a_driver_last_seen_in_another_country_starts_at_the_restaurant(
    front: Front, place: Place, guest: Rest, person: Rest
) -> None:
    path = f"/drivers/{place.drivers[0]}/location"
    (await person.request("PUT", path, {"lat": 1, "lng": 1})).must(204)
    order_id = await placed(guest, place, NEAR)
    async with running_autopilot(front.url, place.employees[0]):
        await at_status(guest, order_id, "delivered")
    assert metres_between(front.taken[1].point, BASE) < 1
