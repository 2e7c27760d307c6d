"""Simulated trips at a real server: doors in turn, back, and what changes on the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.features.drivers.schemas import DriverLocation, DriverOnDuty, Point
from server.features.orders.schemas import (
    Order,
    OrderCustomer,
    OrderRestaurant,
    OrderStatus,
    TimelineEntry,
)
from server.features.shared.schemas import Actor, Address
from support.live_server import LiveServer
from support.location_front import Front, front_of
from support.town import PASSWORD, Place, open_restaurant
from support.waiting import PATIENCE, wait_until
from tui.common.client.api import Api
from tui.common.client.meter import Wire
from tui.common.client.session import Session
from tui.common.tracking import planner as planner_module
from tui.common.tracking import trip
from tui.common.tracking.planner import TOO_FAR_METRES, TripPlanner
from tui.common.tracking.track import metres_between

BASE = Point(lat=48.86, lng=2.36)
SPEED = 100.0
INTERVAL = 0.1
LEFT_AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
SOON, LONG_AGO = LEFT_AT + timedelta(minutes=1), LEFT_AT - timedelta(minutes=1)


def north(metres: float) -> Point:
    return Point(lat=BASE.lat + metres / 111_195, lng=BASE.lng)


def order_to(number: int, metres: float) -> Order:
    """On its way to that door."""
    door = north(metres)
    employee = Actor(id="kim", name="Kim", role="employee")
    return Order(
        id=f"ord_{number}",
        number=number,
        restaurant=OrderRestaurant(id="rst", name="Thai Basil", lat=BASE.lat, lng=BASE.lng),
        customer=OrderCustomer(id="ana", name="Ana"),
        items=[],
        total_cents=0,
        status=OrderStatus.OUT_FOR_DELIVERY,
        version=5,
        timeline=[TimelineEntry(status=OrderStatus.OUT_FOR_DELIVERY, at=LEFT_AT, by=employee)],
        address=Address(text=f"{metres} North", lat=door.lat, lng=door.lng),
    )


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trip, "SPEEDS", {})
    monkeypatch.setattr(trip, "USUAL_SPEED", SPEED)
    monkeypatch.setattr(trip, "FASTEST", SPEED)
    monkeypatch.setattr(planner_module, "PICK_UP_METRES", 10)


@pytest.fixture
async def place(live_server: LiveServer, data_dir: Path) -> Place:
    """A restaurant with a driver."""
    return await open_restaurant(data_dir, live_server.url, drivers=1)


@dataclass
class Road:
    """A driver, and the front that their positions pass."""

    api: Api
    driver: DriverOnDuty
    front: Front
    log: list[str] = field(default_factory=list)
    """Destinations and doors reached, in turn: most of them do not last long."""

    def planner(
        self,
        *corners: Point,
        last_seen: Point | None = None,
        at: datetime = SOON,
        waits_at_doors: bool = False,
    ) -> TripPlanner:
        """From the restaurant, or from where the driver was last seen, at that time."""

        def record() -> None:
            stop = planner.destination
            if stop is not None and self.log[-1:] != [stop.label]:
                self.log.append(stop.label)

        location = None
        if last_seen is not None:
            location = DriverLocation(
                driver_id=self.driver.id,
                lat=last_seen.lat,
                lng=last_seen.lng,
                heading=None,
                speed_mps=None,
                seq=1,
                at=at,
                pace_mps=5,
            )
        planner = TripPlanner(
            self.api,
            self.driver,
            BASE,
            INTERVAL,
            last_seen=location,
            corners=corners,
            waits_at_doors=waits_at_doors,
            on_change=record,
            on_door=lambda order: self.log.append(f"at #{order.number}"),
        )
        return planner

    async def logged(self, entry: str) -> None:
        """Wait for that entry of the log."""
        await wait_until(lambda: entry in self.log, what=entry)

    async def beyond(self, metres: float) -> None:
        """Wait for a position so far north of the restaurant."""
        await wait_until(
            lambda: self.front.sent and self.last.lat > north(metres).lat, what=f"{metres} m"
        )

    @property
    def last(self) -> Point:
        """The newest position sent."""
        return self.front.sent[-1].point


@pytest.fixture
async def road(live_server: LiveServer, place: Place) -> AsyncIterator[Road]:
    """The restaurant's driver, and an empty log."""
    async with front_of(live_server.url) as front:
        session = Session(front.url, Wire())
        await session.log_in(place.employees[0], PASSWORD)
        api = Api(session)
        yield Road(api, (await api.drivers()).pop(), front)
        await session.close()


@asynccontextmanager
async def running(planner: TripPlanner) -> AsyncIterator[asyncio.Task[bool]]:
    """Inside, the planner drives."""
    task = asyncio.create_task(planner.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def ended(task: asyncio.Task[bool]) -> bool:
    """Wait for the end; whether it came back."""
    async with asyncio.timeout(PATIENCE):
        return await task


BACK = "back to the restaurant"


async def test_doors_are_visited_in_turn_and_the_driver_returns(road: Road) -> None:
    planner = road.planner()
    planner.set_orders([order_to(7, 60), order_to(5, 30)])
    async with running(planner) as task:
        assert await ended(task)
    assert road.log == ["to #7", "at #7", "to #5", "at #5", BACK]
    assert road.last == BASE
    assert max(metres_between(BASE, one.point) for one in road.front.sent) > 59
    assert planner.destination is None


async def test_the_door_of_a_cancelled_order_is_skipped(road: Road) -> None:
    first, second = order_to(1, 2_000), order_to(2, 20)
    planner = road.planner()
    planner.set_orders([first, second])
    async with running(planner) as task:
        await road.logged("to #1")
        planner.set_orders([second])
        assert await ended(task)
    assert road.log == ["to #1", "to #2", "at #2", BACK]


async def test_an_order_that_leaves_while_the_driver_is_away_is_picked_up_first(road: Road) -> None:
    first, later = order_to(1, 100), order_to(2, 20)
    planner = road.planner()
    planner.set_orders([first])
    async with running(planner) as task:
        await road.beyond(20)
        planner.set_orders([first, later])
        assert await ended(task)
    assert road.log == ["to #1", "at #1", BACK, "to #2", "at #2", BACK]


async def test_an_order_that_leaves_while_the_driver_is_near_is_taken_along(road: Road) -> None:
    first, later = order_to(1, 100), order_to(2, 20)
    planner = road.planner()
    planner.set_orders([first])
    planner.set_orders([first, later])
    async with running(planner) as task:
        assert await ended(task)
    assert road.log == ["to #1", "at #1", "to #2", "at #2", BACK]


async def test_a_driver_seen_after_an_order_left_has_it_aboard(road: Road) -> None:
    for at, expected in (
        (SOON, ["to #1", "at #1", BACK]),
        (LONG_AGO, [BACK, "to #1", "at #1", BACK]),
    ):
        road.log.clear()
        planner = road.planner(last_seen=north(40), at=at)
        planner.set_orders([order_to(1, 80)])
        async with running(planner) as task:
            assert await ended(task)
        assert road.log == expected


async def test_a_driver_who_waits_at_doors_moves_on_when_the_order_is_delivered(
    road: Road,
) -> None:
    first, second = order_to(1, 40), order_to(2, 20)
    planner = road.planner(waits_at_doors=True)
    planner.set_orders([first, second])
    async with running(planner) as task:
        assert await ended(task)
    assert road.log == ["to #1", "at #1"]
    assert planner.has_visited(first.id)
    planner.set_orders([second])
    async with running(planner) as task:
        assert await ended(task)
    assert road.log == ["to #1", "at #1", "to #2", "at #2"]
    planner.returns = False
    planner.set_orders([])
    assert planner.next_stop() is None
    planner.returns = True
    async with running(planner) as task:
        assert await ended(task)
    assert road.last == BASE


async def test_a_newer_version_of_an_order_interrupts_no_trip(road: Road) -> None:
    order = order_to(1, 60)
    planner = road.planner()
    planner.set_orders([order])
    async with running(planner) as task:
        await road.beyond(20)
        before = len(road.front.sent)
        planner.set_orders([order.model_copy(update={"version": 6})])
        assert await ended(task)
    between = [one.point.lat for one in road.front.sent[before - 1 :]]
    turn = between.index(max(between))
    assert between[: turn + 1] == sorted(set(between[: turn + 1]))
    assert road.log == ["to #1", "at #1", BACK]


async def test_a_loop_is_broken_off_for_an_order(road: Road) -> None:
    planner = road.planner(north(50), north(3_000))
    planner.set_orders([])
    async with running(planner) as task:
        await road.beyond(60)
        planner.set_orders([order_to(1, 20)])
        assert await ended(task)
    assert road.log == ["on a loop", BACK, "to #1", "at #1", BACK]


async def test_a_cancelled_trip_ends_where_the_driver_is(road: Road) -> None:
    planner = road.planner(north(3_000))
    planner.set_orders([])
    async with running(planner) as task:
        await road.beyond(20)
        planner.cancel()
        assert planner.stopping
        assert not await ended(task)
    assert metres_between(BASE, road.last) < 1_000
    assert not planner.refusal


async def test_a_refused_trip_says_why(road: Road) -> None:
    road.front.refuse = 404
    planner = road.planner(north(30))
    planner.set_orders([])
    async with running(planner) as task:
        assert not await ended(task)
    assert planner.refusal
    assert len(road.front.sent) == 1


async def test_a_trip_starts_where_the_driver_is_unless_that_is_far_away(road: Road) -> None:
    for last_seen, expected in ((north(30), north(30)), (north(TOO_FAR_METRES + 100), BASE)):
        road.front.sent.clear()
        planner = road.planner(north(50), last_seen=last_seen)
        planner.set_orders([])
        async with running(planner) as task:
            assert await ended(task)
        assert metres_between(road.front.sent[0].point, expected) < 5
