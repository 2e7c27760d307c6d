"""A basket: dishes of one restaurant, and the key that makes them one order however often sent."""

import uuid
from dataclasses import dataclass
from hashlib import blake2b

from server.features.drivers.schemas import Point
from server.features.orders.schemas import Order, OrderedItem, PlaceOrder
from server.features.restaurants.schemas import MenuItem, Restaurant, RestaurantSummary
from server.features.shared.schemas import Address
from tui.common.sanitize import plain
from tui.common.tracking.format import human_distance
from tui.common.tracking.track import metres_between
from tui.customer.orders.format import euros

MOST_OF_ONE = 99
MOST_DISHES = 50
NEIGHBOURHOOD_DEGREES = 0.008
"""Some 900 m of latitude: how far from its restaurant an address without a place is put."""


@dataclass
class Line:
    """One dish; `item` is as the menu last showed it."""

    item: MenuItem
    quantity: int
    note: str = ""

    @property
    def cents(self) -> int:
        """What the line costs."""
        return self.quantity * self.item.price_cents


class Basket:
    """What is about to be ordered. No screen, no network.

    `key` stays the same until the order is placed or refused: the server keeps it with what it
    made, so that a reply that was lost never turns into a second order. `in_doubt` holds what was
    sent under it without an answer, to be able to ask for that order should it have arrived after
    all.
    """

    def __init__(self, restaurant: RestaurantSummary) -> None:
        self.restaurant = restaurant
        self.lines: dict[str, Line] = {}
        self.note = ""
        self.address: str | None = None
        """The text typed; None until somebody typed one."""
        self.key = str(uuid.uuid4())
        self.in_doubt: list[PlaceOrder] = []

    @classmethod
    def like(cls, order: Order, restaurant: Restaurant) -> "tuple[Basket, list[str]]":
        """The dishes of an earlier order at today's prices; what is another than then, in words."""
        basket = cls(restaurant)
        menu = {item.id: item for item in restaurant.menu}
        missing: list[str] = []
        changes: list[str] = []
        for ordered in order.items:
            item = menu.get(ordered.menu_item_id)
            if item is None or not item.available:
                missing.append(plain(ordered.name))
                continue
            then = item.model_copy(
                update={"name": ordered.name, "price_cents": ordered.price_cents}
            )
            changes += _changes(then, item)
            line = basket.lines.setdefault(item.id, Line(item, 0))
            line.quantity = min(MOST_OF_ONE, line.quantity + ordered.quantity)
            line.note = line.note or ordered.note or ""
        if missing:
            changes.insert(0, f"Not to be had now: {', '.join(missing)}.")
        return basket, changes

    @property
    def count(self) -> int:
        """How many dishes in all."""
        return sum(line.quantity for line in self.lines.values())

    @property
    def total_cents(self) -> int:
        """What they cost, in minor units."""
        return sum(line.cents for line in self.lines.values())

    def quantity(self, item_id: str) -> int:
        """How many of that dish."""
        line = self.lines.get(item_id)
        return line.quantity if line else 0

    def set_quantity(self, item: MenuItem, quantity: int) -> None:
        """So many of that dish, 0 to 99; none takes it out, with its note."""
        quantity = max(0, min(MOST_OF_ONE, quantity))
        if not quantity:
            self.lines.pop(item.id, None)
        elif item.id in self.lines:
            self.lines[item.id].quantity = quantity
        elif len(self.lines) < MOST_DISHES:
            self.lines[item.id] = Line(item, quantity)

    def set_note(self, item: MenuItem, note: str) -> None:
        """A wish for that dish; one of it comes into the basket if there was none."""
        if item.id not in self.lines and note:
            self.set_quantity(item, 1)
        if item.id in self.lines:
            self.lines[item.id].note = note

    def follow(self, restaurant: Restaurant) -> list[str]:
        """Take up the menu as it is now; what that changed, in words."""
        self.restaurant = restaurant
        menu = {item.id: item for item in restaurant.menu}
        changes: list[str] = []
        for line in self.lines.values():
            now, name = menu.get(line.item.id), plain(line.item.name)
            if now is None or not now.available:
                if line.item.available:
                    why = "is not on the menu any more" if now is None else "is sold out"
                    changes.append(f"{name} {why}.")
                # What it was when it was seen stays, to compare with should it come back.
                now = line.item.model_copy(update={"available": False})
            else:
                changes += _changes(line.item, now)
            line.item = now
        return changes

    def drop_sold_out(self) -> None:
        """Take out what cannot be had any more."""
        for line in self.sold_out:
            del self.lines[line.item.id]

    def refused(self, content: PlaceOrder) -> None:
        """The server has refused this for good: what is sent next is something else, under a key
        of its own. While another content is in doubt the key stays, as that might yet arrive."""
        self.in_doubt.remove(content)
        if not self.in_doubt:
            self.key = str(uuid.uuid4())

    @property
    def sold_out(self) -> list[Line]:
        """The lines that cannot be had any more."""
        return [line for line in self.lines.values() if not line.item.available]

    def content(self, address: Address) -> PlaceOrder:
        """What to send: dishes and total as they were shown, so that no others are charged.

        Raises pydantic's ValidationError where a text is not acceptable.
        """
        return PlaceOrder(
            restaurant_id=self.restaurant.id,
            items=[
                OrderedItem(
                    menu_item_id=line.item.id,
                    quantity=line.quantity,
                    note=line.note or None,
                    expected_version=line.item.version,
                )
                for line in self.lines.values()
            ],
            address=address,
            note=self.note or None,
            expected_total_cents=self.total_cents,
        )


def _changes(before: MenuItem, now: MenuItem) -> list[str]:
    """What is another of a dish, in words. Another description counts: it may name an allergen."""
    name, called = plain(before.name), plain(now.name)
    changes = [f"{name} is called {called} now."] if name != called else []
    if before.price_cents != now.price_cents:
        changes.append(f"{called}: {euros(now.price_cents)} now, not {euros(before.price_cents)}.")
    if before.description != now.description:
        words = plain(now.description)
        changes.append(
            f"{called} is described as: {words}" if words else f"{called} has no description now."
        )
    return changes


def out_of_reach(restaurant: RestaurantSummary, known: Address | None) -> str:
    """That the restaurant does not deliver to that place, in words; "" where it does."""
    if known is None or not restaurant.delivery_radius_m:
        return ""
    here = Point(lat=restaurant.lat, lng=restaurant.lng)
    away = metres_between(here, Point(lat=known.lat, lng=known.lng))
    if away <= restaurant.delivery_radius_m:
        return ""
    radius = human_distance(restaurant.delivery_radius_m)
    return f"It delivers within {radius}, and you are {human_distance(away)} away."


def address_for(text: str, known: Address | None, restaurant: RestaurantSummary) -> Address:
    """An address with a place, without a geocoder.

    The profile's place serves any text, as it is the best there is. Without one, the place is near
    the restaurant, always the same for the same text.
    """
    if known is not None:
        return Address(text=text, lat=known.lat, lng=known.lng)
    digest = blake2b(text.strip().casefold().encode(), digest_size=2).digest()
    north, east = (byte / 255 * 2 - 1 for byte in digest)
    return Address(
        text=text,
        lat=max(-90.0, min(90.0, restaurant.lat + north * NEIGHBOURHOOD_DEGREES)),
        lng=max(-180.0, min(180.0, restaurant.lng + east * NEIGHBOURHOOD_DEGREES)),
    )


def where_it_goes(text: str, known: Address | None) -> str:
    """A word about the place on the map, where the text alone does not settle it."""
    if known is None:
        return "On the map near the restaurant; set yours in the profile, f2."
    if text.strip() != known.text.strip():
        return "On the map still where your profile has it; f2 changes that."
    return ""
