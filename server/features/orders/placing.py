"""A basket made into an order."""

from server.core.auth import Identity
from server.core.clock import now
from server.core.database import Transaction
from server.core.errors import conflict, invalid
from server.core.ids import new_id
from server.features.accounts.service import AccountService
from server.features.orders.schemas import (
    Order,
    OrderCustomer,
    OrderItem,
    OrderRestaurant,
    OrderStatus,
    PlaceOrder,
    TimelineEntry,
)
from server.features.restaurants.service import RestaurantService
from server.features.shared.schemas import Actor


def actor(identity: Identity) -> Actor:
    """Who asks, as an order remembers it."""
    return Actor(id=identity.account_id, name=identity.name, role=identity.role)


async def new_order(
    tx: Transaction,
    identity: Identity,
    basket: PlaceOrder,
    accounts: AccountService,
    restaurants: RestaurantService,
) -> Order:
    """The order at today's names and prices. Raises Problem 409 for what is sold out, 422."""
    restaurant = await restaurants.summary_of(tx, basket.restaurant_id)
    if restaurant is None:
        raise invalid(["restaurant_id"], "There is no such restaurant.")
    items = []
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
        items.append(
            OrderItem(
                menu_item_id=dish.id,
                name=dish.name,
                price_cents=dish.price_cents,
                quantity=line.quantity,
                note=line.note or None,
            )
        )
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
        total_cents=sum(item.price_cents * item.quantity for item in items),
        status=OrderStatus.PLACED,
        version=1,
        timeline=[placed],
        address=basket.address,
        note=basket.note or None,
    )
