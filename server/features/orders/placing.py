"""Makes an order of a basket, or says what it would cost."""

from datetime import datetime, timedelta
from typing import NamedTuple

from server.core.auth import Identity
from server.core.clock import now, to_text
from server.core.database import Transaction
from server.core.errors import Problem, conflict, invalid
from server.core.ids import new_id
from server.features.accounts.service import AccountService
from server.features.orders.schemas import OrderStatus, PlaceOrder, Quote
from server.features.orders.steps import delivery_time_of
from server.features.orders.store import OrderRow, entry_json, item_json
from server.features.restaurants.schemas import DeliveryFee, RestaurantSummary
from server.features.restaurants.service import RestaurantService
from server.features.shared.schemas import Address
from server.geo.sphere import distance, format_km


class Bill(NamedTuple):
    """What a basket costs now: its restaurant, items and fees as JSON, money in minor units, the
    dishes that are other than the customer saw them, and when it could be at the door."""

    restaurant: RestaurantSummary
    items: str
    fees: str
    tip_cents: int
    total_cents: int
    changed: list[str]
    at: datetime
    promised: datetime


async def bill_of(tx: Transaction, basket: PlaceOrder, restaurants: RestaurantService) -> Bill:
    """The bill at the current names and prices, the same for a quote and for an order.

    Raises Problem 409 where a dish is sold out, 422 where there is no such thing, or the restaurant
    is closed, the basket below its minimum or the address out of its reach.
    """
    restaurant = await restaurants.summary_of(tx, basket.restaurant_id)
    if restaurant is None:
        raise invalid(["restaurant_id"], "There is no such restaurant.")
    check_open(restaurant)
    metres = check_reach(restaurant, basket.address)
    items = []
    items_cents = 0
    changed = []
    for position, line in enumerate(basket.items):
        dish = await restaurants.dish_of(tx, restaurant.id, line.menu_item_id)
        if dish is None:
            raise invalid(
                ("items", position, "menu_item_id"),
                "There is no such dish on this menu.",
                "no-such-dish",
            )
        if not dish.available:
            raise conflict(
                f"{dish.name} is sold out. Take it out of the basket.",
                "sold-out",
                menu_item_id=dish.id,
                dish=dish.name,
            )
        if line.expected_version not in (None, dish.version):
            changed.append(dish.name)
        items_cents += dish.price_cents * line.quantity
        items.append(
            item_json(dish.id, dish.name, dish.price_cents, line.quantity, line.note or None)
        )
    check_minimum(restaurant, items_cents)
    fee_cents = delivery_cents(restaurant.delivery_fee, metres)
    tip_cents = basket.tip_cents or 0
    at = now()
    preparation = timedelta(minutes=restaurant.preparation_minutes + restaurant.extra_minutes)
    return Bill(
        restaurant=restaurant,
        items=f"[{','.join(items)}]",
        fees=f'[{{"kind":"delivery","cents":{fee_cents}}}]' if fee_cents else "[]",
        tip_cents=tip_cents,
        total_cents=items_cents + fee_cents + tip_cents,
        changed=changed,
        at=at,
        promised=at + preparation + delivery_time_of(metres),
    )


async def quote_of(tx: Transaction, basket: PlaceOrder, restaurants: RestaurantService) -> Quote:
    """What an order of this basket would cost, whatever the customer expects it to.

    Raises Problem 409 where a dish is sold out or has changed since the customer saw it, 422.
    """
    bill = await bill_of(tx, basket, restaurants)
    await _check_dishes(tx, bill, restaurants)
    minutes = (bill.promised - bill.at) // timedelta(minutes=1)
    return Quote.model_validate_json(
        f'{{"items":{bill.items},"fees":{bill.fees},"tip_cents":{bill.tip_cents},"total_cents":'
        f'{bill.total_cents},"currency":"{bill.restaurant.currency}","eta_minutes":{minutes}}}'
    )


async def new_order(
    tx: Transaction,
    identity: Identity,
    basket: PlaceOrder,
    accounts: AccountService,
    restaurants: RestaurantService,
) -> OrderRow:
    """The order at the current names and prices.

    Raises Problem 409 where a dish is sold out or has changed since the customer saw it, or the
    total is another than expected, 422.
    """
    bill = await bill_of(tx, basket, restaurants)
    restaurant, total_cents = bill.restaurant, bill.total_cents
    if basket.expected_total_cents not in (None, total_cents):
        detail = (
            f"The menu or the fees have changed: the total is {total_cents} cents now, not"
            f" {basket.expected_total_cents}. Show what is new and ask again."
        )
        raise await _changed("total-changed", detail, tx, bill, restaurants)
    await _check_dishes(tx, bill, restaurants)
    customer = await accounts.contact_of(tx, identity.account_id)
    number, paused = await restaurants.number_order(tx, restaurant.id)
    if paused:  # since it was read: its kitchen has been told, and expects no order after that
        check_open(await restaurants.summary_of(tx, restaurant.id) or restaurant)
    at = to_text(bill.at)
    return OrderRow(
        id=new_id("ord"),
        number=number,
        restaurant_id=restaurant.id,
        restaurant_name=restaurant.name,
        restaurant_lat=restaurant.lat,
        restaurant_lng=restaurant.lng,
        customer_id=identity.account_id,
        customer_name=customer.name,
        customer_phone=customer.phone or None,
        items=bill.items,
        fees=bill.fees,
        tip_cents=bill.tip_cents,
        total_cents=total_cents,
        currency=restaurant.currency,
        status=OrderStatus.PLACED.value,
        version=1,
        timeline=f"[{entry_json(OrderStatus.PLACED, at, identity)}]",
        driver_id=None,
        driver_name=None,
        driver_vehicle=None,
        assigned_by=None,
        eta=None,
        ready_by=None,
        promised_at=to_text(bill.promised),
        address=basket.address.text,
        lat=basket.address.lat,
        lng=basket.address.lng,
        note=basket.note or None,
        placed_at=at,
        rating=None,
    )


def delivery_cents(fee: DeliveryFee, metres: int) -> int:
    """The fee for that distance, half a cent rounded up.

    Distance is in whole metres, so this is exact, and it is the only place that rounds money: every
    other amount is a sum or a multiple of integers.
    """
    return fee.base_cents + (fee.per_km_cents * metres + 500) // 1000


def check_open(restaurant: RestaurantSummary) -> None:
    """Raises Problem 422 while the restaurant is closed or pauses."""
    if restaurant.open_now:
        return
    if restaurant.opens_at is None:
        words, then, again = "", "", None
    else:
        words, then = f" until {restaurant.opens_in_words('%A')}", ", or order then"
        again = to_text(restaurant.opens_at)
    state = "takes no orders" if restaurant.paused_until else "is closed"
    raise invalid(
        ["restaurant_id"],
        f"{restaurant.name} {state}{words}. Choose another restaurant{then}.",
        "closed",
        opens_at=again,
    )


def check_minimum(restaurant: RestaurantSummary, items_cents: int) -> None:
    """Raises Problem 422 where the dishes cost less than what the restaurant delivers."""
    if items_cents < restaurant.minimum_cents:
        raise invalid(
            ["items"],
            f"{restaurant.name} delivers from {restaurant.minimum_cents} cents, and these dishes"
            f" are {items_cents}. Add something to the basket.",
            "below-minimum",
            minimum_cents=restaurant.minimum_cents,
            items_cents=items_cents,
        )


def check_reach(restaurant: RestaurantSummary, address: Address) -> int:
    """The whole metres to the address as the crow flies. Raises Problem 422 where it is outside of
    the restaurant's delivery radius."""
    radius = restaurant.delivery_radius_m
    away = distance((restaurant.lat, restaurant.lng), (address.lat, address.lng))
    if radius and away > radius:
        raise invalid(
            ["address"],
            f"{restaurant.name} delivers within {format_km(radius)}, and this address is"
            f" {format_km(away)} away. Choose a restaurant nearer to it, or correct the address's"
            " position on the map.",
            "out-of-reach",
        )
    return int(away + 0.5)


async def _check_dishes(tx: Transaction, bill: Bill, restaurants: RestaurantService) -> None:
    if bill.changed:
        detail = f"The menu has changed: {', '.join(bill.changed)}. Show what is new and ask again."
        raise await _changed("dish-changed", detail, tx, bill, restaurants)


async def _changed(
    kind: str, detail: str, tx: Transaction, bill: Bill, restaurants: RestaurantService
) -> Problem:
    """409, with the total and the menu as they are now."""
    found = await restaurants.restaurant_of(tx, bill.restaurant.id)
    assert found is not None
    return conflict(
        detail, kind, total_cents=bill.total_cents, restaurant=found.model_dump(mode="json")
    )
