"""The autopilot's rules: whose order it is, what comes next, when, and by whom."""

from datetime import UTC, datetime, timedelta

import pytest

from server.features.drivers.schemas import DriverLocation, DriverOnDuty, Point
from server.features.orders.schemas import (
    STEPS,
    Order,
    OrderCustomer,
    OrderDriver,
    OrderRestaurant,
    OrderStatus,
    TimelineEntry,
)
from server.features.restaurants.schemas import CarriedOrder
from server.features.shared.schemas import Actor, Address
from tui.common.tracking.planner import LONGEST_TRIP_SECONDS, TOO_FAR_METRES
from tui.demo.autopilot.rules import (
    FULL_HANDS,
    STEP_SECONDS,
    Delivery,
    change_for,
    choose_driver,
    decide,
    next_status,
    soonest,
    stay_seconds,
    touched_by_person,
    trip_seconds,
)

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
CUSTOMER = Actor(id="guest", name="Ada", role="customer")
PILOT = Actor(id="pilot", name="Robin", role="employee")
PERSON = Actor(id="person", name="Kim", role="employee")
OWN = {"pilot"}
RESTAURANT = Point(lat=48, lng=2)


def order_of(
    *actors: Actor, order_id: str = "o1", number: int = 1, age: float = 0, driver: bool = False
) -> Order:
    """An order that these actors took along in turn; its last step is `age` seconds ago."""
    at = NOW - timedelta(seconds=age)
    timeline = [
        TimelineEntry(status=status, at=at, by=actor)
        for status, actor in zip(STEPS, actors, strict=False)
    ]
    return Order(
        id=order_id,
        number=number,
        restaurant=OrderRestaurant(id="r", name="Saffron", lat=48, lng=2),
        customer=OrderCustomer(id="guest", name="Ada"),
        items=[],
        total_cents=0,
        status=timeline[-1].status,
        version=len(timeline),
        timeline=timeline,
        driver=OrderDriver(id="d", name="Lou", vehicle="bike") if driver else None,
        address=Address(text="here", lat=48, lng=2),
    )


def driver_with(name: str, carrying: int, metres_away: float | None = None) -> DriverOnDuty:
    """A driver; `metres_away` is how far north of the restaurant they were seen, if ever."""
    loads = [CarriedOrder(id=f"c{n}", number=n, status="ready") for n in range(carrying)]
    location = metres_away and DriverLocation(
        driver_id=name,
        lat=RESTAURANT.lat + metres_away / 111_195,
        lng=RESTAURANT.lng,
        heading=None,
        speed_mps=None,
        seq=1,
        at=NOW,
        pace_mps=5,
    )
    return DriverOnDuty(
        id=name, name=name, vehicle="bike", carrying=loads, location=location or None
    )


def test_every_open_status_leads_to_the_next_and_has_a_duration() -> None:
    assert [next_status(status) for status in STEPS] == [*STEPS[1:], None]
    assert next_status(OrderStatus.CANCELLED) is None
    assert set(STEP_SECONDS) == {status for status in OrderStatus if not status.terminal}
    assert sum(STEP_SECONDS.values()) == 90


@pytest.mark.parametrize("steps", range(1, 6))
def test_an_order_that_only_the_autopilot_changed_goes_on(steps: int) -> None:
    order = order_of(CUSTOMER, *[PILOT] * (steps - 1), driver=steps == 5)
    step = decide(order, OWN, NOW, delivery=Delivery.AT_THE_DOOR)
    assert step is not None
    assert step.to is STEPS[steps]


@pytest.mark.parametrize("place", range(1, 5))
@pytest.mark.parametrize("steps", range(2, 6))
def test_a_persons_step_leaves_the_order_to_people(place: int, steps: int) -> None:
    actors = [CUSTOMER, *[PILOT] * (steps - 1)]
    if place >= len(actors):
        return
    actors[place] = PERSON
    assert decide(order_of(*actors), OWN, NOW + timedelta(days=1)) is None


def test_a_driver_assigned_before_ready_leaves_the_order_to_people() -> None:
    assert touched_by_person(order_of(CUSTOMER, PILOT, driver=True), OWN)
    assert not touched_by_person(order_of(CUSTOMER, *[PILOT] * 4, driver=True), OWN)


def test_a_driver_replaced_on_the_road_leaves_the_order_to_people() -> None:
    exchanged = order_of(CUSTOMER, *[PILOT] * 4, driver=True).model_copy(update={"version": 6})
    assert touched_by_person(exchanged, OWN)


def test_a_driver_assigned_by_a_person_leaves_the_order_to_people() -> None:
    order = order_of(CUSTOMER, *[PILOT] * 4, driver=True)
    assert order.driver is not None
    by_pilot = order.driver.model_copy(update={"assigned_by": PILOT})
    by_person = order.driver.model_copy(update={"assigned_by": PERSON})
    assert not touched_by_person(order.model_copy(update={"driver": by_pilot}), OWN)
    assert touched_by_person(order.model_copy(update={"driver": by_person}), OWN)


def test_a_finished_order_has_no_step() -> None:
    delivered = order_of(CUSTOMER, *[PILOT] * 5, driver=True)
    assert delivered.status is OrderStatus.DELIVERED
    assert decide(delivered, OWN, NOW) is None
    cancelled = order_of(CUSTOMER).model_copy(update={"status": OrderStatus.CANCELLED})
    assert decide(cancelled, OWN, NOW) is None


def test_an_order_on_its_way_waits_for_its_driver() -> None:
    order = order_of(CUSTOMER, *[PILOT] * 4, driver=True, age=10_000)
    assert decide(order, OWN, NOW) is None
    assert decide(order, OWN, NOW, delivery=Delivery.ON_THE_WAY) is None
    fresh = order_of(CUSTOMER, *[PILOT] * 4, driver=True)
    there = decide(fresh, OWN, NOW, delivery=Delivery.AT_THE_DOOR)
    assert there is not None
    assert (there.to, there.seconds) == (OrderStatus.DELIVERED, 0)


def test_a_stranded_order_is_delivered_after_a_stay() -> None:
    fresh, late = (order_of(CUSTOMER, *[PILOT] * 4, driver=True, age=age) for age in (0, 10_000))
    first = decide(fresh, OWN, NOW, delivery=Delivery.STRANDED)
    second = decide(late, OWN, NOW, delivery=Delivery.STRANDED)
    assert first is not None
    assert second is not None
    assert first.seconds == pytest.approx(stay_seconds(fresh, 1))
    assert second.seconds == 0


def test_a_persons_order_at_the_door_has_no_step() -> None:
    order = order_of(CUSTOMER, PILOT, PILOT, PERSON, PILOT, driver=True)
    for delivery in Delivery:
        assert decide(order, OWN, NOW, delivery=delivery) is None


def test_the_wait_counts_from_the_last_step_and_stretches_with_the_pace() -> None:
    fresh = order_of(CUSTOMER)
    stay = stay_seconds(fresh, 1)
    assert STEP_SECONDS[OrderStatus.PLACED] * 0.8 <= stay <= STEP_SECONDS[OrderStatus.PLACED] * 1.2
    first, half, late = (
        decide(order_of(CUSTOMER, age=age), OWN, NOW) for age in (0, stay / 2, 500)
    )
    assert first is not None
    assert half is not None
    assert late is not None
    assert first.seconds == pytest.approx(stay)
    assert half.seconds == pytest.approx(stay / 2)
    assert late.seconds == 0
    slow = decide(fresh, OWN, NOW, pace=3)
    assert slow is not None
    assert slow.seconds == pytest.approx(stay * 3)


def test_a_server_clock_ahead_delays_no_step_beyond_the_stay() -> None:
    step = decide(order_of(CUSTOMER, age=-3600), OWN, NOW)
    assert step is not None
    assert step.seconds == pytest.approx(stay_seconds(step.order, 1))


def test_stays_differ_by_order_and_are_repeatable() -> None:
    stays = {stay_seconds(order_of(CUSTOMER, order_id=f"o{n}"), 1) for n in range(20)}
    assert len(stays) > 10
    assert stay_seconds(order_of(CUSTOMER), 1) == stay_seconds(order_of(CUSTOMER, age=3), 1)


def test_the_step_due_first_comes_first() -> None:
    theirs = order_of(CUSTOMER, PERSON, order_id="theirs", age=900)
    old = order_of(CUSTOMER, order_id="old", number=7, age=500)
    older = order_of(CUSTOMER, order_id="older", number=3, age=400)
    new = order_of(CUSTOMER, order_id="new", number=9)
    step = soonest([theirs, new, old, older], OWN, NOW)
    assert step is not None
    assert step.order.id == "older"
    assert soonest([theirs], OWN, NOW) is None
    assert soonest([], OWN, NOW) is None


def test_the_driver_who_carries_least_is_chosen() -> None:
    busy, idle, idler = driver_with("a", 2), driver_with("b", 1), driver_with("c", 1)
    assert choose_driver([busy, idle, idler], RESTAURANT) is idle


def test_a_driver_at_the_restaurant_is_chosen_before_one_away() -> None:
    away, here = driver_with("a", 0, metres_away=900), driver_with("b", 2, metres_away=30)
    assert choose_driver([away, here], RESTAURANT) is here
    never_anywhere = driver_with("c", 1)
    assert choose_driver([away, here, never_anywhere], RESTAURANT) is never_anywhere
    full = driver_with("d", FULL_HANDS)
    assert choose_driver([full, away], RESTAURANT) is away


def test_a_driver_who_delivers_for_a_person_is_chosen_last() -> None:
    theirs, away = driver_with("a", 1), driver_with("b", 2, metres_away=900)
    assert choose_driver([theirs, away], RESTAURANT, {"a"}) is away
    assert choose_driver([theirs], RESTAURANT, {"a"}) is theirs


def test_no_driver_is_chosen_while_all_are_full() -> None:
    assert choose_driver([], RESTAURANT) is None
    full = [driver_with("a", FULL_HANDS), driver_with("b", FULL_HANDS)]
    assert choose_driver(full, RESTAURANT) is None


def test_a_trips_time_grows_with_its_length_up_to_a_limit() -> None:
    def to(metres: float) -> Order:
        north = Address(text="there", lat=RESTAURANT.lat + metres / 111_195, lng=RESTAURANT.lng)
        return order_of(CUSTOMER).model_copy(update={"address": north})

    assert trip_seconds(to(600), 1) == pytest.approx(130, abs=1)
    assert trip_seconds(to(600), 0.5) == pytest.approx(65, abs=1)
    assert trip_seconds(to(5_000), 1) == LONGEST_TRIP_SECONDS
    stay = STEP_SECONDS[OrderStatus.OUT_FOR_DELIVERY]
    assert trip_seconds(to(TOO_FAR_METRES + 10), 1) == stay


def test_a_change_names_the_version_it_is_based_on() -> None:
    step = decide(order_of(CUSTOMER), OWN, NOW)
    assert step is not None
    change = change_for(step)
    assert (change.status, change.expected_version) == (OrderStatus.ACCEPTED, 1)
    assert change.eta_minutes == 1
    assert change_for(step, pace=0.01).eta_minutes == 1
    assert (change_for(step, pace=1000).eta_minutes or 0) > 600, "no figure is cut"
    ready = decide(order_of(CUSTOMER, *[PILOT] * 3), OWN, NOW)
    assert ready is not None
    change = change_for(ready, driver_with("lou", 0))
    assert (change.driver_id, change.eta_minutes) == ("lou", None)
