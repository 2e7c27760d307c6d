from datetime import datetime

import pytest
from order_samples import an_order

from server.features.restaurants.schemas import MenuItem, Restaurant
from server.features.shared.schemas import Address
from tui.common.format import set_clock
from tui.customer.ordering.basket import Basket, address_for, map_note
from tui.customer.ordering.format import not_now, out_of_reach
from tui.customer.ordering.menu import MenuList, basket_line

HOME = Address(text="1 Quay Street", lat=47.1, lng=15.1)


def a_dish(number: int, **changes: object) -> MenuItem:
    values = {
        "id": f"dish_{number}",
        "name": f"Dish {number}",
        "description": "",
        "price_cents": 100 * number,
        "available": True,
    }
    return MenuItem.model_validate(values | changes)


def a_restaurant(*menu: MenuItem) -> Restaurant:
    return Restaurant(
        id="rst_1",
        name="Thai Basil",
        cuisine="Thai",
        description="",
        address="2 Mill Lane",
        lat=47.0,
        lng=15.0,
        preparation_minutes=15,
        menu=list(menu),
    )


@pytest.fixture
def basket() -> Basket:
    return Basket(a_restaurant())


def test_quantities_and_total_add_up(basket: Basket) -> None:
    basket.set_quantity(a_dish(1), 3)
    basket.set_quantity(a_dish(2), 1)
    basket.set_quantity(a_dish(2), 0)
    basket.set_quantity(a_dish(3), 1000)
    assert (basket.count, basket.total_cents) == (3 + 99, 300 + 99 * 300)
    assert list(basket.lines) == ["dish_1", "dish_3"]


@pytest.mark.parametrize("width", [28, 40, 100])
def test_no_price_is_cut(basket: Basket, width: int) -> None:
    dishes = [a_dish(1), a_dish(2, name="Truffles " * 8, price_cents=10_000_000)]
    for dish in dishes:
        basket.set_quantity(dish, 99)
    menu = MenuList()
    menu.show(dishes, basket)
    for rows, prices in (
        ([menu.draw(at, width, False)[0] for at in (0, 1)], ("€1.00", "€100,000.00")),
        ([basket_line(basket, at, width) for at in (0, 1)], ("€99.00", "€9,900,000.00")),
    ):
        assert [row.cell_length for row in rows] == [width, width]
        for row, price in zip(rows, prices, strict=True):
            assert row.plain.endswith(f" {price} ")


def test_a_note_adds_its_dish_to_the_basket(basket: Basket) -> None:
    basket.set_note(a_dish(1), "")
    assert not basket.lines
    basket.set_note(a_dish(1), "no nuts")
    sent = basket.content(HOME)
    assert [(item.quantity, item.note) for item in sent.items] == [(1, "no nuts")]
    basket.set_note(a_dish(1), "")
    assert basket.content(HOME).items[0].note is None


def test_ordering_again_uses_todays_prices_and_skips_sold_out_dishes() -> None:
    menu = a_restaurant(a_dish(1, price_cents=1000), a_dish(2, available=False))
    basket, changes = Basket.from_order(an_order(1), menu)
    assert changes == [
        "Not available now: Tom yum.",
        "Pad thai is called Dish 1 now.",
        "Dish 1: €10.00 now, not €9.00.",
    ]
    assert (basket.count, basket.total_cents) == (2, 2000)


def test_the_basket_is_updated_from_the_menu(basket: Basket) -> None:
    for number in (1, 2, 3, 4):
        basket.set_quantity(a_dish(number), 1)
    other = a_dish(4, name="Soup", description="With peanuts", version=2)
    menu = [a_dish(1, price_cents=150, version=2), a_dish(2, available=False), other]
    changes = basket.update_menu(a_restaurant(*menu))
    assert changes == [
        "Dish 1: €1.50 now, not €1.00.",
        "Dish 2 is sold out.",
        "Dish 3 is not on the menu any more.",
        "Dish 4 is called Soup now.",
        "Soup has a new description: With peanuts",
    ]
    assert [line.item.id for line in basket.sold_out] == ["dish_2", "dish_3"]
    assert basket.lines["dish_1"].cents == 150
    assert basket.update_menu(a_restaurant(*menu)) == []
    back = a_dish(2, price_cents=300)
    assert basket.update_menu(a_restaurant(menu[0], back, other)) == [
        "Dish 2: €3.00 now, not €2.00."
    ]
    basket.drop_sold_out()
    sent = basket.content(HOME)
    assert sent.expected_total_cents == 150 + 300 + 400
    assert [item.expected_version for item in sent.items] == [2, 1, 2]


def test_the_key_changes_only_when_nothing_is_unconfirmed(basket: Basket) -> None:
    key = basket.key
    basket.set_quantity(a_dish(1), 1)
    assert basket.key == key
    assert Basket(a_restaurant()).key != key
    first = basket.content(HOME)
    basket.unconfirmed.append(first)
    basket.set_quantity(a_dish(1), 2)
    second = basket.content(HOME)
    basket.unconfirmed.append(second)
    basket.on_refused(second)
    assert basket.key == key, "the first may yet arrive"
    basket.on_refused(first)
    assert basket.key != key


def test_a_restaurant_that_is_too_far_is_explained() -> None:
    restaurant = a_restaurant()
    assert out_of_reach(restaurant, HOME) == ""
    assert out_of_reach(restaurant, None) == ""
    near = restaurant.model_copy(update={"delivery_radius_m": 5_000})
    assert out_of_reach(near, HOME) == "It delivers within 5.0 km, and you are 13.5 km away."
    assert out_of_reach(near, HOME.model_copy(update={"lat": 47.01, "lng": 15.0})) == ""


def test_an_address_has_the_profiles_coordinates_or_some_near_the_restaurant() -> None:
    restaurant = a_restaurant()
    assert address_for("The attic", HOME, restaurant) == Address(
        text="The attic", lat=47.1, lng=15.1
    )
    near = address_for("The attic", None, restaurant)
    assert near == address_for("The attic", None, restaurant)
    assert 0 < abs(near.lat - restaurant.lat) + abs(near.lng - restaurant.lng) < 0.02


def test_the_map_note_explains_which_coordinates_are_used() -> None:
    assert map_note(" 1 Quay Street ", HOME) == ""
    assert "still 1 Quay Street" in map_note("The attic", HOME)
    assert "near the restaurant" in map_note("The attic", None)


def test_a_closed_restaurant_says_when_it_opens_by_its_clock_and_the_users_setting() -> None:
    opens = datetime.fromisoformat("2026-03-02T16:30:00Z")
    closed = a_restaurant().model_copy(
        update={"open_now": False, "opens_at": opens, "time_zone": "Europe/Vienna"}
    )
    assert not_now(closed) == "Closed until Mon 17:30."
    set_clock(twelve_hours=True)
    try:
        assert not_now(closed) == "Closed until Mon 5:30pm."
    finally:
        set_clock(twelve_hours=False)
