"""The list of drivers as a model: activities, orders, the most urgent driver, whom to track."""

from datetime import timedelta
from typing import Any

import pytest
from kitchen_orders import NOON, an_order

from server.features.drivers.schemas import DriverLocation, DriverOnDuty, DriverOnDutyPage, Point
from server.features.orders.schemas import Order, OrderDriver, OrderStatus
from server.features.restaurants.schemas import CarriedOrder
from server.features.shared.schemas import Address
from tui.employee.drivers import format as drivers_format
from tui.employee.drivers.controller import drivers_to_track
from tui.employee.drivers.dialogs import assignable
from tui.employee.drivers.model import Activity, DriverList, most_urgent

S = OrderStatus


def located(driver_id: str, *, seq: int = 1, ago: float = 0, lat: float = 52.5) -> DriverLocation:
    return DriverLocation(
        driver_id=driver_id,
        lat=lat,
        lng=13.4,
        heading=None,
        speed_mps=None,
        seq=seq,
        at=NOON - timedelta(seconds=ago),
        pace_mps=5,
    )


def list_of(*names: str, **locations: DriverLocation) -> DriverList:
    """Drivers whose ids are their names in small letters."""
    driver_list = DriverList()
    driver_list.update(page_of(*names, **locations))
    return driver_list


def page_of(*names: str, **locations: DriverLocation) -> DriverOnDutyPage:
    drivers = [
        DriverOnDuty(
            id=name.lower(), name=name, vehicle="bicycle", location=locations.get(name.lower())
        )
        for name in names
    ]
    return DriverOnDutyPage(items=drivers, next=None, interval_seconds=45)


def order_of(driver_id: str, number: int, status: OrderStatus, **more: Any) -> Order:
    driver = OrderDriver(id=driver_id, name=driver_id, vehicle="bicycle")
    return an_order(number, status, driver=driver, **more)


def activity_of(driver_list: DriverList, name: str) -> str:
    state = driver_list.get(name)
    assert state is not None
    return drivers_format.activity_text(state, NOON)


def test_each_activity_has_its_text() -> None:
    driver_list = list_of("Amy", "Bob", "Cy", "Dee", "Eve", dee=located("dee"))
    orders = [
        order_of("amy", 1, S.PREPARING),
        order_of("bob", 2, S.READY),
        order_of("bob", 3, S.ACCEPTED),
        order_of("cy", 4, S.OUT_FOR_DELIVERY),
        order_of("dee", 5, S.OUT_FOR_DELIVERY, address=Address(text="door", lat=52.5, lng=13.4)),
    ]
    assert driver_list.set_orders(orders) == set()
    texts = [activity_of(driver_list, name) for name in ("amy", "bob", "cy", "dee", "eve")]
    assert texts == ["1 being made", "1 at the counter", "on the way", "at the door", "free"]
    assert driver_list.out_count == 2
    assert driver_list.count(NOON, Activity.FREE) == 1
    assert [state.id for state in driver_list.states] == ["amy", "bob", "cy", "dee", "eve"]
    assert most_urgent(driver_list.states, NOON) is driver_list.get("dee")


def test_before_the_board_is_known_the_list_has_the_orders() -> None:
    page = page_of("Amy")
    carried = CarriedOrder(id="o", number=9, status="out_for_delivery")
    amy = page.items[0].model_copy(update={"carrying": [carried]})
    driver_list = DriverList()
    driver_list.update(page.model_copy(update={"items": [amy]}))
    state = driver_list.get("amy")
    assert state is not None
    assert (state.activity(NOON), drivers_format.order_numbers(state), state.doors) == (
        Activity.ON_THE_WAY,
        "#9",
        (),
    )
    driver_list.set_orders([])
    assert state.activity(NOON) is Activity.FREE


def test_orders_are_in_the_order_in_which_they_leave() -> None:
    driver_list = list_of("Amy")
    late = order_of("amy", 1, S.OUT_FOR_DELIVERY, placed=NOON + timedelta(minutes=5))
    driver_list.set_orders(
        [order_of("amy", 3, S.READY), late, order_of("amy", 2, S.OUT_FOR_DELIVERY)]
    )
    state = driver_list.get("amy")
    assert state is not None
    assert drivers_format.order_numbers(state) == "#2 #1, then #3"
    assert [order.number for order in state.doors] == [2, 1]


def test_a_driver_missing_from_the_list_is_returned() -> None:
    driver_list = list_of("Amy")
    assert driver_list.set_orders([order_of("zoe", 1, S.READY)]) == {"zoe"}
    driver_list.update(page_of("Amy", "Zoe"))
    assert activity_of(driver_list, "zoe") == "1 at the counter"


def test_an_older_location_does_not_move_a_driver() -> None:
    driver_list = list_of("Amy", amy=located("amy", seq=5, lat=52.6))
    state = driver_list.get("amy")
    assert state is not None
    driver_list.update(page_of("Amy", amy=located("amy", seq=4, ago=10)))
    assert driver_list.get("amy") is state
    assert state.track.newest is not None
    assert state.track.newest.lat == 52.6


def test_a_new_trip_forgets_the_trail() -> None:
    driver_list = list_of("Amy", amy=located("amy"))
    state = driver_list.get("amy")
    assert state is not None
    state.track.add(located("amy", seq=2, lat=52.6))
    assert len(state.track.trail) == 2
    driver_list.set_orders([order_of("amy", 1, S.OUT_FOR_DELIVERY)])
    assert list(state.track.trail) == [Point(lat=52.6, lng=13.4)]


@pytest.mark.parametrize(
    ("ago", "text"),
    [(0, "0 s ago"), (67, "67 s ago"), (68, "? stale, 68 s ago"), (7_200, "? stale, 2h ago")],
)
def test_a_location_is_called_stale_once_the_next_is_overdue(ago: float, text: str) -> None:
    driver_list = list_of("Amy", amy=located("amy", ago=ago))
    assert drivers_format.location_age(driver_list.states[0], NOON)[0] == text
    assert drivers_format.location_age(list_of("Amy").states[0], NOON)[0] == "no location yet"


def test_the_selected_driver_is_tracked_then_those_on_the_way() -> None:
    driver_list = list_of("Amy", "Bob", "Cy", "Dee")
    driver_list.set_orders([order_of("dee", 1, S.OUT_FOR_DELIVERY), order_of("cy", 2, S.READY)])
    names = [state.id for state in drivers_to_track(driver_list.states, "bob", 3)]
    assert names == ["bob", "dee", "cy"]
    names = [state.id for state in drivers_to_track(driver_list.states, None, 3)]
    assert names == ["dee", "cy", "amy"]


def test_assignable_orders_are_others_that_have_not_left() -> None:
    orders = [
        order_of("bob", 6, S.READY),
        an_order(5, S.PLACED),
        an_order(4, S.OUT_FOR_DELIVERY),
        an_order(3, S.READY),
        an_order(2, S.ACCEPTED),
        order_of("amy", 1, S.READY),
    ]
    assert [order.number for order in assignable(orders, "amy")] == [2, 3, 6]
