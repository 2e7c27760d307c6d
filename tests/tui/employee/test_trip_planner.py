"""A simulated tour at a real server: doors in turn, back, and what changes on the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kitchen_orders import an_order

from server.features.drivers.schemas import DriverOnDuty, Point
from server.features.orders.schemas import Order, OrderStatus
from server.features.shared.schemas import Address
from support.live_server import LiveServer
from support.location_front import Front, front_of
from support.town import PASSWORD, Place, open_restaurant
from support.waiting import wait_until
from tui.common.client.api import Api
from tui.common.client.meter import Wire
from tui.common.client.session import Session
from tui.common.tracking import trip as trip
from tui.common.tracking.track import metres_between
from tui.demo.autopilot.rules import TOO_FAR_METRES
from tui.employee.drivers.trips import TripPlanner

BASE = Point(lat=48.86, lng=2.36)
SPEED = 100.0
INTERVAL = 0.1


def north(metres: float) -> Point:
    return Point(lat=BASE.lat + metres / 111_195, lng=BASE.lng)


def order_to(number: int, metres: float) -> Order:
    """On its way to that door."""
    where = north(metres)
    address = Address(text=f"{metres} North", lat=where.lat, lng=where.lng)
    return an_order(number, OrderStatus.OUT_FOR_DELIVERY, address=address)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trip, "SPEEDS", {})
    monkeypatch.setattr(trip, "USUAL_SPEED", SPEED)
    monkeypatch.setattr(trip, "FASTEST", SPEED)


@pytest.fixture
async def place(live_server: LiveServer, data_dir: Path) -> Place:
    """A restaurant with a driver."""
    return await open_restaurant(data_dir, live_server.url, drivers=1)


@dataclass
class Overlay:
    """A driver, and what their positions go through."""

    api: Api
    driver: DriverOnDuty
    front: Front
    log: list[str] = field(default_factory=list)
    """Where it went and what it reached, in turn: most of it does not last long."""

    def planner(self, *corners: Point, start: Point | None = None) -> TripPlanner:
        """From the restaurant, unless told otherwise."""

        def note() -> None:
            if planner.target_stop is not None and self.log[-1:] != [planner.target_stop.words]:
                self.log.append(planner.target_stop.words)

        planner = TripPlanner(
            self.api,
            self.driver,
            BASE,
            INTERVAL,
            start=start,
            corners=corners,
            on_change=note,
            on_door=lambda order: self.log.append(f"at #{order.number}"),
        )
        return planner

    async def went(self, words: str) -> None:
        """Wait until it has gone there."""
        await wait_until(lambda: words in self.log, what=words)

    @property
    def last(self) -> Point:
        """The newest position sent."""
        return self.front.sent[-1].point


@pytest.fixture
async def overlay(live_server: LiveServer, place: Place) -> AsyncIterator[Overlay]:
    """All in place."""
    async with front_of(live_server.url) as front:
        session = Session(front.url, Wire())
        await session.log_in(place.employees[0], PASSWORD)
        api = Api(session)
        yield Overlay(api, (await api.drivers()).pop(), front)
        await session.close()


@asynccontextmanager
async def riding(planner: TripPlanner) -> AsyncIterator[asyncio.Task[bool]]:
    """Inside, the tour runs."""
    task = asyncio.create_task(planner.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def ended(task: asyncio.Task[bool]) -> bool:
    """Wait for the end; whether it came back."""
    return await asyncio.wait_for(task, 20)


BACK = "back to the restaurant"


async def test_it_goes_to_each_door_in_turn_and_back(overlay: Overlay) -> None:
    planner = overlay.planner()
    planner.bring([order_to(7, 60), order_to(5, 30)])
    async with riding(planner) as task:
        assert await ended(task)
    assert overlay.log == ["to #7", "at #7", "to #5", "at #5", BACK]
    assert overlay.last == BASE
    assert max(metres_between(BASE, one.point) for one in overlay.front.sent) > 59
    assert planner.target_stop is None


async def test_a_door_where_nobody_waits_any_more_is_passed_over(overlay: Overlay) -> None:
    first, second = order_to(1, 2_000), order_to(2, 20)
    planner = overlay.planner()
    planner.bring([first, second])
    async with riding(planner) as task:
        await overlay.went("to #1")
        planner.bring([second])
        assert await ended(task)
    assert overlay.log == ["to #1", "to #2", "at #2", BACK]


async def test_what_leaves_meanwhile_is_fetched_first(overlay: Overlay) -> None:
    first, later = order_to(1, 100), order_to(2, 20)
    planner = overlay.planner()
    planner.bring([first])
    async with riding(planner) as task:
        await overlay.went("to #1")
        planner.bring([first, later])
        assert await ended(task)
    assert overlay.log == ["to #1", "at #1", BACK, "to #2", "at #2", BACK]


async def test_a_round_is_broken_off_when_there_is_something_to_bring(overlay: Overlay) -> None:
    planner = overlay.planner(north(50), north(3_000))
    planner.bring([])
    async with riding(planner) as task:
        await wait_until(lambda: overlay.front.sent and overlay.last.lat > north(60).lat)
        planner.bring([order_to(1, 20)])
        assert await ended(task)
    assert overlay.log == ["on a round", BACK, "to #1", "at #1", BACK]


async def test_stopped_it_ends_where_the_driver_is(overlay: Overlay) -> None:
    planner = overlay.planner(north(3_000))
    planner.bring([])
    async with riding(planner) as task:
        await wait_until(lambda: overlay.front.sent and overlay.last.lat > north(20).lat)
        planner.stop()
        assert planner.stopping
        assert not await ended(task)
    assert metres_between(BASE, overlay.last) < 1_000
    assert not planner.refusal


async def test_one_that_is_refused_says_why(overlay: Overlay) -> None:
    overlay.front.refuse = 404
    planner = overlay.planner(north(30))
    planner.bring([])
    async with riding(planner) as task:
        assert not await ended(task)
    assert planner.refusal
    assert len(overlay.front.sent) == 1


async def test_it_begins_where_the_driver_is_unless_that_is_far_away(overlay: Overlay) -> None:
    for start, expected in ((north(30), north(30)), (north(TOO_FAR_METRES + 100), BASE)):
        overlay.front.sent.clear()
        planner = overlay.planner(start=start)
        planner.bring([])
        async with riding(planner) as task:
            assert await ended(task)
        assert metres_between(overlay.front.sent[0].point, expected) < 5
