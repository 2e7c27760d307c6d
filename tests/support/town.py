"""A small town for a test: restaurants with dishes, employees and drivers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from server.core.database import Database
from server.core.databases import opened_database
from server.core.queries import Row
from server.features.accounts.administration import add_employee
from server.features.restaurants.schemas import NewRestaurant
from server.features.restaurants.service import add_driver, add_restaurant
from support.rest import Rest
from support.server_process import new_database, where_for
from support.waiting import in_a_thread

PASSWORD = "correct horse battery"
HOME = {"text": "1 Quay Street", "lat": 48.85, "lng": 2.35}


@dataclass(frozen=True)
class Place:
    """An open restaurant: its employees' e-mails (with PASSWORD), its drivers and its dishes."""

    id: str
    name: str
    employees: tuple[str, ...]
    drivers: tuple[str, ...]
    dishes: tuple[str, ...]

    def basket(self, quantity: int = 1) -> dict[str, object]:
        """An order of the first dish, as `POST /orders` takes it."""
        items = [{"menu_item_id": self.dishes[0], "quantity": quantity}]
        return {"restaurant_id": self.id, "items": items, "address": HOME}


def stored_rows(data_dir: Path, sql: str, **parameters: object) -> Sequence[Row]:
    """What that statement finds in the database of the servers whose data is there."""

    async def read() -> Sequence[Row]:
        async with opened_database(where_for(data_dir / "tiffin.sqlite3")) as database:
            return await database.read(lambda tx: tx.fetch(sql, parameters))

    return in_a_thread(read())


@asynccontextmanager
async def database_in(data_dir: Path | str) -> AsyncIterator[Database]:
    """The database of the servers whose data is there, or that URL's, opened once more."""
    where: Path | str = data_dir
    if isinstance(data_dir, Path):
        where = new_database(data_dir / "tiffin.sqlite3")
    async with opened_database(where) as database:
        yield database


async def open_restaurant(
    data_dir: Path | str,
    url: str,
    name: str = "Saffron",
    *,
    employees: int = 1,
    drivers: int = 2,
    dishes: int = 2,
) -> Place:
    """Open a restaurant in a running server's town."""
    slug = name.lower().replace(" ", "-")
    emails = tuple(f"{slug}{number}@example.com" for number in range(1, employees + 1))
    async with database_in(data_dir) as database:
        new = NewRestaurant(name=name, cuisine="Indian", address="2 Mill Lane", lat=48.86, lng=2.36)
        restaurant_id = await add_restaurant(database, new)
        for email in emails:
            await add_employee(database, email, PASSWORD, email.partition("@")[0], restaurant_id)
        driver_ids = [
            await add_driver(database, restaurant_id, f"Driver {number}", "bike", None)
            for number in range(1, drivers + 1)
        ]
    dish_ids = []
    async with Rest(url) as rest:
        await rest.log_in(emails[0], PASSWORD)
        for number in range(1, dishes + 1):
            dish = {"name": f"Dish {number}", "price_cents": 900 + number}
            answer = await rest.post(f"/restaurants/{restaurant_id}/menu", dish)
            dish_ids.append(answer.must(201).json["id"])
    return Place(restaurant_id, name, emails, tuple(driver_ids), tuple(dish_ids))
