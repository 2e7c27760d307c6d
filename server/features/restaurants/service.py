"""The rules of restaurants: who may change which menu."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from server.core.auth import Identity
from server.core.clock import now
from server.core.database import Database, Transaction
from server.core.errors import conflict, invalid, not_found
from server.features.restaurants import store
from server.features.restaurants.hours import zone_of
from server.features.restaurants.schemas import (
    Driver,
    MenuItem,
    MenuItemChange,
    NewMenuItem,
    NewRestaurant,
    Restaurant,
    RestaurantChange,
    RestaurantSummary,
)

MENU_LENGTH = 500

OnChange = Callable[[Transaction, RestaurantSummary], Awaitable[None]]


def own_restaurant(identity: Identity, restaurant_id: str) -> None:
    """Raises Problem 404 unless the employee works there."""
    if identity.restaurant_id != restaurant_id:
        raise not_found("restaurant")


class RestaurantService:
    """Restaurants, their menus and their drivers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.on_change: list[OnChange] = []
        """Called in the transaction that changes a restaurant's terms, with those of now."""

    async def restaurants(self) -> Sequence[RestaurantSummary]:
        """All of them, by name."""
        return await self._database.read(store.restaurants)

    async def restaurant(self, restaurant_id: str) -> Restaurant:
        """One with its menu. Raises Problem 404."""

        async def fn(tx: Transaction) -> Restaurant:
            found = await store.restaurant(tx, restaurant_id)
            if found is None:
                raise not_found("restaurant")
            return found

        return await self._database.read(fn)

    async def span(
        self, restaurant_id: str, since: str | None, until: str | None
    ) -> tuple[RestaurantSummary, datetime, datetime]:
        """The restaurant, and the moments that two texts mean by its clock: a day, or a time such
        as `2026-01-31T18:00`; a zone that one names goes first. By default `since` is the beginning
        of today, and `until` a day later. Raises Problem 404, 422.
        """
        found = await self._database.read(lambda tx: store.summary(tx, restaurant_id))
        if found is None:
            raise not_found("restaurant")
        zone = zone_of(found.time_zone)
        today = now().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        start = _moment("from", since, zone) or today
        end = _moment("to", until, zone)
        if end is None:
            day_later = start.astimezone(zone).replace(tzinfo=None) + timedelta(days=1)
            end = day_later.replace(tzinfo=zone)
        if end <= start:
            raise invalid(["to"], "`to` must be later than `from`.")
        return found, start, end

    async def change(
        self, identity: Identity, restaurant_id: str, change: RestaurantChange
    ) -> Restaurant:
        """The restaurant with the fields that were sent. Raises Problem 404."""
        own_restaurant(identity, restaurant_id)
        changes = {name: getattr(change, name) for name in change.model_fields_set}

        async def fn(tx: Transaction) -> Restaurant:
            before = await store.lock(tx, restaurant_id)
            if before is None:
                raise not_found("restaurant")
            new = before.model_copy(update=changes)
            if new != before:
                await store.save(tx, new)
            if new.currency != before.currency:
                await store.reprice(tx, restaurant_id)
            changed = await store.restaurant(tx, restaurant_id)
            assert changed is not None
            for tell in self.on_change if new != before else ():
                await tell(tx, changed)
            return changed

        return await self._database.write(fn)

    async def add_menu_item(
        self, identity: Identity, restaurant_id: str, new: NewMenuItem
    ) -> MenuItem:
        """A new dish. Raises Problem 404, 409."""
        own_restaurant(identity, restaurant_id)

        async def fn(tx: Transaction) -> MenuItem:
            if await store.menu_length(tx, restaurant_id) >= MENU_LENGTH:
                raise conflict(
                    f"A menu has at most {MENU_LENGTH} dishes. Remove one first.", "menu-full"
                )
            item_id = await store.add_menu_item(tx, restaurant_id, new)
            return await self._menu_item(tx, restaurant_id, item_id)

        return await self._database.write(fn)

    async def change_menu_item(
        self, identity: Identity, restaurant_id: str, item_id: str, change: MenuItemChange
    ) -> MenuItem:
        """The dish with the fields that were sent. Raises Problem 404."""
        own_restaurant(identity, restaurant_id)
        changes = change.model_dump(include=change.model_fields_set)

        async def fn(tx: Transaction) -> MenuItem:
            item = await self._menu_item(tx, restaurant_id, item_id)
            changed = item.model_copy(update=changes)
            if changed.offer != item.offer:
                changed = changed.model_copy(update={"version": item.version + 1})
            await store.save_menu_item(tx, changed)
            return changed

        return await self._database.write(fn)

    async def remove_menu_item(self, identity: Identity, restaurant_id: str, item_id: str) -> None:
        """Remove a dish from the menu. Raises Problem 404."""
        own_restaurant(identity, restaurant_id)

        async def fn(tx: Transaction) -> None:
            if not await store.remove_menu_item(tx, restaurant_id, item_id):
                raise not_found("dish")

        await self._database.write(fn)

    async def summary_of(self, tx: Transaction, restaurant_id: str) -> RestaurantSummary | None:
        """In another feature's transaction: a restaurant without its menu."""
        return await store.summary(tx, restaurant_id)

    async def restaurant_of(self, tx: Transaction, restaurant_id: str) -> Restaurant | None:
        """In another feature's transaction: a restaurant with its menu."""
        return await store.restaurant(tx, restaurant_id)

    async def dish_of(self, tx: Transaction, restaurant_id: str, item_id: str) -> MenuItem | None:
        """In another feature's transaction: a dish that is on the menu."""
        return await store.menu_item(tx, restaurant_id, item_id)

    async def set_photo(
        self, tx: Transaction, restaurant_id: str, item_id: str, photo_url: str | None
    ) -> None:
        """In another feature's transaction: a dish's photo, or none; a dish that is no longer on
        the menu stays as it is."""
        await store.set_photo(tx, restaurant_id, item_id, photo_url)

    async def number_order(self, tx: Transaction, restaurant_id: str) -> tuple[int, bool]:
        """In another feature's transaction: the next order's number, and whether the restaurant
        pauses now. Nobody changes its terms before the transaction's end."""
        return await store.next_number(tx, restaurant_id)

    async def add_rating(
        self, tx: Transaction, restaurant_id: str, stars: int, number: int
    ) -> None:
        """In another feature's transaction: that many stars more, by so many more customers."""
        await store.add_rating(tx, restaurant_id, stars, number)

    async def drivers_of(self, tx: Transaction, restaurant_id: str) -> list[Driver]:
        """In another feature's transaction: the drivers, without the orders they carry."""
        return await store.drivers(tx, restaurant_id)

    async def driver_of(self, tx: Transaction, restaurant_id: str, driver_id: str) -> Driver | None:
        """In another feature's transaction: one driver of that restaurant."""
        return await store.driver(tx, restaurant_id, driver_id)

    async def _menu_item(self, tx: Transaction, restaurant_id: str, item_id: str) -> MenuItem:
        item = await store.lock_menu_item(tx, restaurant_id, item_id)
        if item is None:
            raise not_found("dish")
        return item


def _moment(field: str, text: str | None, zone: tzinfo) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        raise invalid(
            [field], "Send a day or a time, such as 2026-01-31 or 2026-01-31T18:00."
        ) from None
    if not 1970 < moment.year < 8999:  # a day later must be a time too, in any zone
        raise invalid([field], "The year must be between 1971 and 8998.")
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


async def restaurant_named(database: Database, name: str) -> str:
    """The id of the restaurant with that name or id. Raises Problem 422."""

    async def fn(tx: Transaction) -> str:
        found = await store.id_of(tx, name)
        if found is None:
            names = ", ".join(one.name for one in await store.restaurants(tx)) or "none yet"
            raise invalid(["restaurant"], f"There is no restaurant {name!r}; there are: {names}")
        return found

    return await database.read(fn)


async def add_restaurant(database: Database, new: NewRestaurant) -> str:
    """Add a restaurant; returns its id. Raises Problem 409 where the name is taken."""

    async def fn(tx: Transaction) -> str:
        if await store.id_of(tx, new.name):
            raise conflict(f"There is a restaurant {new.name!r} already.")
        return await store.add_restaurant(tx, new)

    return await database.write(fn)


async def set_radius(database: Database, restaurant_id: str, metres: int) -> None:
    """How far from its door a restaurant delivers; 0 is no limit."""
    await database.write(lambda tx: store.set_radius(tx, restaurant_id, metres))


async def add_driver(
    database: Database, restaurant_id: str, name: str, vehicle: str, phone: str | None
) -> str:
    """Add a driver; returns their id."""
    return await database.write(
        lambda tx: store.add_driver(tx, restaurant_id, name, vehicle, phone)
    )
