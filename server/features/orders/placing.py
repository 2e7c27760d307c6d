"""Makes an order of a basket."""

from server.core.auth import Identity
from server.core.clock import now, to_text
from server.core.errors import Problem, conflict, invalid
from server.core.ids import new_id
from server.core.transaction import Transaction
from server.features.accounts.service import AccountService
from server.features.orders.schemas import OrderStatus, PlaceOrder
from server.features.orders.store import OrderRow, entry_json, item_json
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
) -> OrderRow:
    """The order at the current names and prices.

    Raises Problem 409 where a dish is sold out or has changed since the customer saw it, 422.
    """
    restaurant = await restaurants.summary_of(tx, basket.restaurant_id)
    if restaurant is None:
        raise invalid(["restaurant_id"], "There is no such restaurant.")
    check_reach(restaurant, basket.address)
    items = []
    total_cents = 0
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
        total_cents += dish.price_cents * line.quantity
        items.append(
            item_json(dish.id, dish.name, dish.price_cents, line.quantity, line.note or None)
        )
    if basket.expected_total_cents not in (None, total_cents):
        detail = (
            f"The menu has changed: the total is {total_cents} cents now, not"
            f" {basket.expected_total_cents}. Show what is new and ask again."
        )
        raise await _changed("total-changed", detail, tx, total_cents, restaurant.id, restaurants)
    if changed:
        detail = f"The menu has changed: {', '.join(changed)}. Show what is new and ask again."
        raise await _changed("dish-changed", detail, tx, total_cents, restaurant.id, restaurants)
    customer = await accounts.contact_of(tx, identity.account_id)
    at = to_text(now())
    return OrderRow(
        id=new_id("ord"),
        number=await restaurants.number_order(tx, restaurant.id),
        restaurant_id=restaurant.id,
        restaurant_name=restaurant.name,
        restaurant_lat=restaurant.lat,
        restaurant_lng=restaurant.lng,
        customer_id=identity.account_id,
        customer_name=customer.name,
        customer_phone=customer.phone or None,
        items=f"[{','.join(items)}]",
        total_cents=total_cents,
        status=OrderStatus.PLACED.value,
        version=1,
        timeline=f"[{entry_json(OrderStatus.PLACED, at, identity)}]",
        driver_id=None,
        driver_name=None,
        driver_vehicle=None,
        assigned_by=None,
        eta=None,
        ready_by=None,
        address=basket.address.text,
        lat=basket.address.lat,
        lng=basket.address.lng,
        note=basket.note or None,
        placed_at=at,
    )


def check_reach(restaurant: RestaurantSummary, address: Address) -> None:
    """Raises Problem 422 where the address is outside of the restaurant's delivery radius."""
    radius = restaurant.delivery_radius_m
    if not radius:
        return
    away = distance((restaurant.lat, restaurant.lng), (address.lat, address.lng))
    if away > radius:
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
