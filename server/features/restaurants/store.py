"""Restaurants, dishes and drivers: rows in and out."""

from server.core.clock import now, to_text
from server.core.ids import new_id
from server.core.queries import load_queries
from server.core.transaction import Transaction
from server.features.restaurants.schemas import (
    Driver,
    MenuItem,
    NewMenuItem,
    NewRestaurant,
    Restaurant,
    RestaurantSummary,
)

_queries = load_queries(__file__)


async def restaurants(tx: Transaction) -> list[RestaurantSummary]:
    """All of them, by name."""
    return [RestaurantSummary(**row) for row in await _queries.restaurants(tx)]


async def summary(tx: Transaction, restaurant_id: str) -> RestaurantSummary | None:
    """One without its menu."""
    row = await _queries.restaurant(tx, id=restaurant_id)
    return RestaurantSummary(**row) if row else None


async def restaurant(tx: Transaction, restaurant_id: str) -> Restaurant | None:
    """One with its menu."""
    row = await _queries.restaurant(tx, id=restaurant_id)
    if row is None:
        return None
    menu = [MenuItem(**item) for item in await _queries.menu(tx, restaurant_id=restaurant_id)]
    return Restaurant(**row, menu=menu)


async def id_of(tx: Transaction, name: str) -> str | None:
    """The id of the restaurant with that id or name."""
    found = await _queries.restaurant_named(tx, name=name)
    return str(found) if found else None


async def add_restaurant(tx: Transaction, new: NewRestaurant) -> str:
    """Insert a restaurant; returns its id."""
    restaurant_id = new_id("rst")
    await _queries.insert_restaurant(tx, id=restaurant_id, **new.model_dump())
    return restaurant_id


async def set_radius(tx: Transaction, restaurant_id: str, metres: int) -> None:
    """How far it delivers; 0 is no limit."""
    await _queries.set_radius(tx, id=restaurant_id, metres=metres)


async def next_number(tx: Transaction, restaurant_id: str) -> int:
    """The number of the restaurant's next order."""
    return int(await _queries.next_number(tx, id=restaurant_id))


async def menu_item(tx: Transaction, restaurant_id: str, item_id: str) -> MenuItem | None:
    """One dish of that restaurant."""
    row = await _queries.menu_item(tx, id=item_id, restaurant_id=restaurant_id)
    return MenuItem(**row) if row else None


async def lock_menu_item(tx: Transaction, restaurant_id: str, item_id: str) -> MenuItem | None:
    """The dish, which no other transaction changes until this one ends."""
    row = await _queries.lock_menu_item(tx, id=item_id, restaurant_id=restaurant_id)
    return MenuItem(**row) if row else None


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
