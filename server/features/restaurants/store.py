"""Reads and writes restaurants, dishes and drivers."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from server.core.clock import from_text, now, to_text
from server.core.database import Transaction
from server.core.ids import new_id
from server.core.queries import Row, load_queries
from server.features.restaurants.hours import hours_of, opens_at
from server.features.restaurants.schemas import (
    DeliveryFee,
    Driver,
    MenuItem,
    NewMenuItem,
    NewRestaurant,
    Rating,
    Restaurant,
    RestaurantSummary,
)

_queries = load_queries(__file__)

NO_END = timedelta(days=366)
"""A pause of more than that lasts until somebody ends it."""


def _fields(row: Row) -> dict[str, Any]:
    """The fields of a RestaurantSummary, as they are now."""
    fields = dict(row)
    hours = hours_of(fields["opening_hours"])
    moment = now()
    paused = from_text(fields["paused_until"]) if fields["paused_until"] else None
    opens = opens_at(hours, fields["time_zone"], paused, moment)
    open_now = opens is not None and opens <= moment
    stars, count = fields["rating_stars"], fields["rating_count"]
    return fields | {
        "opening_hours": hours,
        "delivery_fee": DeliveryFee(
            base_cents=fields["fee_base_cents"], per_km_cents=fields["fee_per_km_cents"]
        ),
        "paused_until": paused if paused and paused > moment else None,
        "open_now": open_now,
        "opens_at": None if open_now or opens is None or opens - moment > NO_END else opens,
        "rating": Rating(average=round(stars / count, 2) if count else None, count=count),
    }


def _columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a restaurant's fields, from `model_dump`."""
    columns = dict(fields)
    fee = columns.pop("delivery_fee")
    return columns | {
        "opening_hours": json.dumps(columns["opening_hours"]),
        "fee_base_cents": fee["base_cents"],
        "fee_per_km_cents": fee["per_km_cents"],
    }


def _dish(row: Row) -> MenuItem:
    return MenuItem(**{**row, "tags": json.loads(row["tags"])})


async def restaurants(tx: Transaction) -> list[RestaurantSummary]:
    """All of them, by name."""
    return [RestaurantSummary(**_fields(row)) for row in await _queries.restaurants(tx)]


async def summary(tx: Transaction, restaurant_id: str) -> RestaurantSummary | None:
    """One without its menu."""
    row = await _queries.restaurant(tx, id=restaurant_id)
    return RestaurantSummary(**_fields(row)) if row else None


async def restaurant(tx: Transaction, restaurant_id: str) -> Restaurant | None:
    """One with its menu."""
    row = await _queries.restaurant(tx, id=restaurant_id)
    if row is None:
        return None
    menu = [_dish(item) for item in await _queries.menu(tx, restaurant_id=restaurant_id)]
    return Restaurant(**_fields(row), menu=menu)


async def id_of(tx: Transaction, name: str) -> str | None:
    """The id of the restaurant with that id or name."""
    found = await _queries.restaurant_named(tx, name=name)
    return str(found) if found else None


async def add_restaurant(tx: Transaction, new: NewRestaurant) -> str:
    """Insert a restaurant; returns its id."""
    restaurant_id = new_id("rst")
    await _queries.insert_restaurant(tx, id=restaurant_id, **_columns(new.model_dump()))
    return restaurant_id


async def lock(tx: Transaction, restaurant_id: str) -> RestaurantSummary | None:
    """The restaurant, which no other transaction changes until this one ends."""
    row = await _queries.lock_restaurant(tx, id=restaurant_id)
    return RestaurantSummary(**_fields(row)) if row else None


async def save(tx: Transaction, restaurant: RestaurantSummary) -> None:
    """The restaurant as it is now."""
    columns = _columns(restaurant.model_dump())
    columns["paused_until"] = to_text(restaurant.paused_until) if restaurant.paused_until else None
    await _queries.update_restaurant(tx, **columns)


async def reprice(tx: Transaction, restaurant_id: str) -> None:
    """Count a change of each dish: its price is another one, though the number is the same."""
    await _queries.reprice(tx, restaurant_id=restaurant_id)


async def add_rating(tx: Transaction, restaurant_id: str, stars: int, number: int) -> None:
    """That many stars more, by so many more customers."""
    await _queries.add_rating(tx, id=restaurant_id, stars=stars, number=number)


async def set_radius(tx: Transaction, restaurant_id: str, metres: int) -> None:
    """How far it delivers; 0 is no limit."""
    await _queries.set_radius(tx, id=restaurant_id, metres=metres)


async def next_number(tx: Transaction, restaurant_id: str) -> tuple[int, bool]:
    """The number of the restaurant's next order, and whether it pauses now."""
    row = await _queries.next_number(tx, id=restaurant_id)
    paused = row["paused_until"] is not None and from_text(row["paused_until"]) > now()
    return row["last_number"], paused


async def menu_item(tx: Transaction, restaurant_id: str, item_id: str) -> MenuItem | None:
    """One dish of that restaurant."""
    row = await _queries.menu_item(tx, id=item_id, restaurant_id=restaurant_id)
    return _dish(row) if row else None


async def lock_menu_item(tx: Transaction, restaurant_id: str, item_id: str) -> MenuItem | None:
    """The dish, which no other transaction changes until this one ends."""
    row = await _queries.lock_menu_item(tx, id=item_id, restaurant_id=restaurant_id)
    return _dish(row) if row else None


async def menu_length(tx: Transaction, restaurant_id: str) -> int:
    """How many dishes its menu has."""
    return int(await _queries.menu_length(tx, restaurant_id=restaurant_id))


async def add_menu_item(tx: Transaction, restaurant_id: str, new: NewMenuItem) -> str:
    """A dish at the menu's end; returns its id."""
    item_id = new_id("dish")
    await _queries.insert_menu_item(
        tx,
        id=item_id,
        restaurant_id=restaurant_id,
        name=new.name,
        description=new.description,
        price_cents=new.price_cents,
        available=int(new.available),
        category=new.category,
        tags=json.dumps(new.tags),
    )
    return item_id


async def save_menu_item(tx: Transaction, item: MenuItem) -> None:
    """The dish as it is now."""
    await _queries.update_menu_item(
        tx,
        id=item.id,
        name=item.name,
        description=item.description,
        price_cents=item.price_cents,
        available=int(item.available),
        category=item.category,
        tags=json.dumps(item.tags),
        version=item.version,
    )


async def set_photo(
    tx: Transaction, restaurant_id: str, item_id: str, photo_url: str | None
) -> None:
    """The dish's photo, or none; nothing happens where it is not on the menu."""
    await _queries.set_photo(tx, id=item_id, restaurant_id=restaurant_id, photo_url=photo_url)


async def remove_menu_item(tx: Transaction, restaurant_id: str, item_id: str) -> bool:
    """Take it off the menu; False if it was not on it."""
    touched = await _queries.remove_menu_item(
        tx, id=item_id, restaurant_id=restaurant_id, at=to_text(now())
    )
    return bool(touched)


async def drivers(tx: Transaction, restaurant_id: str) -> list[Driver]:
    """The restaurant's drivers, by name, without the orders they carry."""
    return [Driver(**row) for row in await _queries.drivers(tx, restaurant_id=restaurant_id)]


async def driver(tx: Transaction, restaurant_id: str, driver_id: str) -> Driver | None:
    """One driver of that restaurant."""
    row = await _queries.driver(tx, id=driver_id, restaurant_id=restaurant_id)
    return Driver(**row) if row else None


async def add_driver(
    tx: Transaction, restaurant_id: str, name: str, vehicle: str, phone: str | None
) -> str:
    """A new driver; returns their id."""
    driver_id = new_id("drv")
    await _queries.insert_driver(
        tx, id=driver_id, restaurant_id=restaurant_id, name=name, vehicle=vehicle, phone=phone
    )
    return driver_id
