"""Schemas of restaurants: menus and drivers."""

from typing import Annotated

from pydantic import Field

from server.features.shared.schemas import (
    Actor,
    Cents,
    Id,
    Latitude,
    Longitude,
    Name,
    Note,
    Page,
    Whole,
    Wire,
    absent,
    left_alone,
)


class RestaurantSummary(Wire):
    """A restaurant without its menu.

    It delivers within `delivery_radius_m` of its door, as the crow flies; 0 is no limit.
    """

    id: str
    name: str
    cuisine: str
    description: str
    address: str
    lat: Latitude
    lng: Longitude
    preparation_minutes: Whole
    delivery_radius_m: Whole = 0


MOST_METRES = 1_000_000
"""The widest delivery radius."""


class NewRestaurant(Wire):
    """A restaurant to open. Its radius is by default what a bicycle rides in some 20 minutes."""

    name: Name
    cuisine: Name
    description: Note = ""
    address: Name
    lat: Latitude
    lng: Longitude
    preparation_minutes: Annotated[int, Field(ge=1, le=240)] = 20
    delivery_radius_m: Annotated[int, Field(ge=0, le=MOST_METRES)] = 5_000


class RestaurantPage(Page[RestaurantSummary]):
    """Restaurants by name."""


class StaffPage(Page[Actor]):
    """Employees who are signed in."""


class MenuItem(Wire):
    """A dish; one that is sold out is not `available`.

    `version` counts its changes of name, description and price from 1.
    """

    id: str
    name: str
    description: str
    price_cents: Cents
    available: bool
    photo_url: str | None = absent()
    version: Whole = 1

    @property
    def offer(self) -> tuple[str, str, int]:
        """What a customer orders: name, description, price."""
        return self.name, self.description, self.price_cents


class Restaurant(RestaurantSummary):
    """A restaurant with its menu, in the menu's own order."""

    menu: list[MenuItem]


class NewMenuItem(Wire):
    """A dish to add to the menu's end."""

    name: Name
    description: Note = ""
    price_cents: Cents
    available: bool = True


class MenuItemChange(Wire):
    """The fields of a dish to change; one left out stays."""

    name: Name = left_alone()
    description: Note = left_alone()
    price_cents: Cents = left_alone()
    available: bool = left_alone()


class CarriedOrder(Wire):
    """An open order that a driver carries."""

    id: Id
    number: Whole
    status: str


class Driver(Wire):
    """A driver of the restaurant and the open orders that are theirs."""

    id: str
    name: str
    vehicle: str
    phone: str | None = absent()
    carrying: list[CarriedOrder] = Field(default_factory=list)
