"""Makes an order of a basket."""

from server.core.auth import Identity
from server.core.clock import now
from server.core.errors import Problem, conflict, invalid
from server.core.ids import new_id
from server.core.transaction import Transaction
from server.features.accounts.service import AccountService, actor
from server.features.orders.schemas import (
    Order,
    OrderCustomer,
    OrderItem,
    OrderRestaurant,
    OrderStatus,
    PlaceOrder,
    TimelineEntry,
)
from server.features.restaurants.schemas import RestaurantSummary
from server.features.restaurants.service import RestaurantService
from server.features.shared.schemas import Address
from server.geo.sphere import distance, format_km


async def new_order(
    tx: Transaction,
    identity: Identity,
    basket: PlaceOrder,
    accounts: AccountService,
    restaurants: RestaurantService,
) -> Order:
    """The order at the current names and prices.

    Raises Problem 409 where a dish is sold out or has changed since the customer saw it, 422.
    """
    restaurant = await restaurants.summary_of(tx, basket.restaurant_id)
    if restaurant is None:
        raise invalid(["restaurant_id"], "There is no such restaurant.")
    check_reach(restaurant, basket.address)
    items = []
    changed = []
    for position, line in enumerate(basket.items):
        dish = await restaurants.dish_of(tx, restaurant.id, line.menu_item_id)
        if dish is None:
            raise invalid(
                ("items", position, "menu_item_id"), "There is no such dish on this menu."
            )
        if not dish.available:
            raise conflict(
                f"{dish.name} is sold out. Take it out of the basket.", menu_item_id=dish.id
            )
        if line.expected_version not in (None, dish.version):
            changed.append(dish.name)
        items.append(
            OrderItem(
                menu_item_id=dish.id,
                name=dish.name,
                price_cents=dish.price_cents,
                quantity=line.quantity,
                note=line.note or None,
            )
        )
    total_cents = sum(item.price_cents * item.quantity for item in items)
    if basket.expected_total_cents not in (None, total_cents):
        detail = (
            f"The menu has changed: the total is {total_cents} cents now, not"
            f" {basket.expected_total_cents}. Show what is new and ask again."
        )
        raise await _changed("total-changed", detail, tx, total_cents, restaurant.id, restaurants)
    if changed:
        detail = f"The menu has changed: {', '.join(changed)}. Show what is new and ask again."
        raise await _changed("dish-changed", detail, tx, total_cents, restaurant.id, restaurants)
    account = await accounts.account_of(tx, identity.account_id)
    placed = TimelineEntry(status=OrderStatus.PLACED, at=now(), by=actor(identity))
    return Order(
        id=new_id("ord"),
        number=await restaurants.number_order(tx, restaurant.id),
        restaurant=OrderRestaurant(
            id=restaurant.id, name=restaurant.name, lat=restaurant.lat, lng=restaurant.lng
        ),
        customer=OrderCustomer(id=account.id, name=account.name, phone=account.phone or None),
        items=items,
        total_cents=total_cents,
        status=OrderStatus.PLACED,
        version=1,
        timeline=[placed],
        address=basket.address,
        note=basket.note or None,
    )


def check_reach(restaurant: RestaurantSummary, address: Address) -> None:
    """Raises Problem 422 where the address is outside of the restaurant's delivery radius."""
    radius = restaurant.delivery_radius_m
    away = distance((restaurant.lat, restaurant.lng), (address.lat, address.lng))
    if radius and away > radius:
        problem = invalid(
            ["address"],
            f"{restaurant.name} delivers within {format_km(radius)}, and this address is"
            f" {format_km(away)} away. Choose a restaurant nearer to it, or correct the address'"
            " position on the map.",
        )
        problem.kind = "out-of-reach"
        raise problem


async def _changed(
    kind: str,
    detail: str,
    tx: Transaction,
    total_cents: int,
    restaurant_id: str,
    restaurants: RestaurantService,
) -> Problem:
    """409, with the total and the menu as they are now."""
    found = await restaurants.restaurant_of(tx, restaurant_id)
    assert found is not None
    problem = conflict(detail, total_cents=total_cents, restaurant=found.model_dump(mode="json"))
    problem.kind = kind
    return problem
