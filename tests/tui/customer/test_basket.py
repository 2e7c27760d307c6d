import pytest
from order_samples import an_order

from server.features.restaurants.schemas import MenuItem, Restaurant
from server.features.shared.schemas import Address
from tui.customer.screens.basket import Basket, address_for, where_it_goes
from tui.customer.screens.menu_list import MenuList, basket_line

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


def test_quantities_add_up(basket: Basket) -> None:
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
        ([menu.draw(at, width, False)[0] for at in (0, 1)], ("1.00", "100000.00")),
        ([basket_line(basket, at, width) for at in (0, 1)], ("99.00", "9900000.00")),
    ):
        assert [row.cell_length for row in rows] == [width, width]
        for row, price in zip(rows, prices, strict=True):
            assert row.plain.endswith(f" {price} ")


def test_a_note_brings_its_dish_along(basket: Basket) -> None:
    basket.set_note(a_dish(1), "")
    assert not basket.lines
    basket.set_note(a_dish(1), "no nuts")
    sent = basket.content(HOME)
    assert [(item.quantity, item.note) for item in sent.items] == [(1, "no nuts")]
    basket.set_note(a_dish(1), "")
    assert basket.content(HOME).items[0].note is None


def test_an_order_again_is_at_todays_prices_without_what_is_sold_out() -> None:
    menu = a_restaurant(a_dish(1, price_cents=1000), a_dish(2, available=False))
    basket, missing = Basket.like(an_order(1), menu)
    assert missing == ["Tom yum"]
    assert (basket.count, basket.total_cents) == (2, 2000)


def test_the_basket_follows_the_menu(basket: Basket) -> None:
    for number in (1, 2, 3):
        basket.set_quantity(a_dish(number), 1)
    changes = basket.follow(a_restaurant(a_dish(1, price_cents=150), a_dish(2, available=False)))
    assert changes == [
        "Dish 1 has another price now.",
        "Dish 2 is sold out.",
        "Dish 3 is sold out.",
    ]
    assert [line.item.id for line in basket.sold_out] == ["dish_2", "dish_3"]
    assert basket.lines["dish_1"].cents == 150


def test_the_key_is_of_the_basket(basket: Basket) -> None:
    key = basket.key
    basket.set_quantity(a_dish(1), 1)
    assert basket.key == key
    assert Basket(a_restaurant()).key != key


def test_an_address_has_the_profiles_place_or_one_near_the_restaurant() -> None:
    place = a_restaurant()
    assert address_for("The attic", HOME, place) == Address(text="The attic", lat=47.1, lng=15.1)
    near = address_for("The attic", None, place)
    assert near == address_for("The attic", None, place)
    assert 0 < abs(near.lat - place.lat) + abs(near.lng - place.lng) < 0.02


def test_it_says_where_the_driver_is_sent() -> None:
    assert where_it_goes(" 1 Quay Street ", HOME) == ""
    assert "your profile" in where_it_goes("The attic", HOME)
    assert "near the restaurant" in where_it_goes("The attic", None)
