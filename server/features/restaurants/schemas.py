"""Schemas of restaurants: menus and drivers."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from server.features.restaurants.hours import OpeningHours, zone_named, zone_of
from server.features.shared.schemas import (
    LINE_ENDS,
    ONE_LINE,
    Actor,
    Cents,
    GivenTime,
    Id,
    Latitude,
    Longitude,
    Name,
    Note,
    Page,
    Timestamp,
    Whole,
    Wire,
    absent,
    left_alone,
)

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
"""ISO 4217: `EUR`. Its amounts are integers of its minor unit."""
TimeZone = Annotated[str, StringConstraints(max_length=64), AfterValidator(zone_named)]
"""A name of the IANA database: `Europe/Vienna`."""
Minutes = Annotated[int, Field(ge=1, le=240)]
MOST_METRES = 1_000_000
"""The widest delivery radius."""
Radius = Annotated[int, Field(ge=0, le=MOST_METRES)]
Tag = Annotated[
    str, StringConstraints(pattern=r"^(vegetarian|vegan|spicy|contains:[a-z][a-z-]{0,39})$")
]
"""`contains:` is followed by an allergen: `contains:peanuts`."""
Tags = Annotated[
    list[Tag], Field(max_length=24), AfterValidator(lambda tags: [*dict.fromkeys(tags)])
]
Category = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=40), LINE_ENDS, ONE_LINE
]
"""What a menu groups its dishes by; empty is none."""


class DeliveryFee(Wire):
    """What a delivery costs: a base, and so much for each kilometre as the crow flies."""

    base_cents: Cents = 0
    per_km_cents: Annotated[int, Field(ge=0, le=100_000)] = 0


class Rating(Wire):
    """The mean of a restaurant's stars, 1 to 5, and how many customers gave some; null for none."""

    average: float | None = None
    count: Whole = 0


class Terms(Wire):
    """On which terms a restaurant delivers. The defaults are: always open, no minimum, no fee."""

    currency: Currency = "EUR"
    opening_hours: OpeningHours = OpeningHours()
    time_zone: str = "UTC"
    minimum_cents: Cents = 0
    delivery_fee: DeliveryFee = DeliveryFee()


class RestaurantSummary(Terms):
    """A restaurant without its menu.

    It delivers within `delivery_radius_m` of its door, as the crow flies; 0 is no limit. `open_now`
    is false outside of its hours and until `paused_until`; `opens_at` is when it takes orders
    again, left out where nobody knows: a pause of more than a year has no end. Its dishes take
    `preparation_minutes`, and `extra_minutes` more for the time being.
    """

    id: str
    name: str
    cuisine: str
    description: str
    address: str
    lat: Latitude
    lng: Longitude
    preparation_minutes: Whole
    extra_minutes: Whole = 0
    delivery_radius_m: Whole = 0
    paused_until: Timestamp | None = None
    open_now: bool = True
    opens_at: Timestamp | None = absent()
    rating: Rating = Rating()

    @property
    def opens_soon(self) -> bool:
        """Whether `opens_at` is before the same weekday comes again."""
        return self.opens_at is not None and self.opens_at - datetime.now(UTC) < timedelta(days=6)

    def opens_in_words(self, day: str) -> str:
        """`opens_at` by the restaurant's clock: `Sunday 11:00`, with the date where that may be
        another week's; `day` is the form of the weekday for strftime. "" where nobody knows."""
        if self.opens_at is None:
            return ""
        there = self.there(self.opens_at)
        return (
            f"{there:{day} %H:%M}"
            if self.opens_soon
            else f"{there:{day}} {there.day} {there:%b %H:%M}"
        )

    def there(self, moment: datetime) -> datetime:
        """A moment by the restaurant's clock."""
        return moment.astimezone(zone_of(self.time_zone))


class NewRestaurant(Terms):
    """A restaurant to open. Its radius is by default what a bicycle rides in some 20 minutes."""

    name: Name
    cuisine: Name
    description: Note = ""
    address: Name
    lat: Latitude
    lng: Longitude
    preparation_minutes: Minutes = 20
    delivery_radius_m: Radius = 5_000
    time_zone: TimeZone = "UTC"


class RestaurantChange(Wire):
    """The fields of a restaurant to change; one left out stays. A `paused_until` of null, or one
    that is past, ends the pause."""

    cuisine: Name = left_alone()
    description: Note = left_alone()
    preparation_minutes: Minutes = left_alone()
    extra_minutes: Annotated[int, Field(ge=0, le=240)] = left_alone()
    delivery_radius_m: Radius = left_alone()
    paused_until: GivenTime | None = None
    currency: Currency = left_alone()
    opening_hours: OpeningHours = left_alone()
    time_zone: TimeZone = left_alone()
    minimum_cents: Cents = left_alone()
    delivery_fee: DeliveryFee = left_alone()


class RestaurantPage(Page[RestaurantSummary]):
    """Restaurants by name."""


class StaffPage(Page[Actor]):
    """Employees who are signed in."""


class MenuItem(Wire):
    """A dish; one that is sold out is not `available`.

    `version` counts its changes of name, description, price, currency and tags from 1.
    """

    id: str
    name: str
    description: str
    price_cents: Cents
    available: bool
    category: str = ""
    tags: list[str] = Field(default_factory=list)
    photo_url: str | None = absent()
    version: Whole = 1

    @property
    def offer(self) -> tuple[str, str, int, list[str]]:
        """What a customer orders: name, description, price, and what is said of it."""
        return self.name, self.description, self.price_cents, self.tags


class Restaurant(RestaurantSummary):
    """A restaurant with its menu, in the menu's own order."""

    menu: list[MenuItem]


class NewMenuItem(Wire):
    """A dish to add to the menu's end."""

    name: Name
    description: Note = ""
    price_cents: Cents
    available: bool = True
    category: Category = ""
    tags: Tags = Field(default_factory=list)


class MenuItemChange(Wire):
    """The fields of a dish to change; one left out stays."""

    name: Name = left_alone()
    description: Note = left_alone()
    price_cents: Cents = left_alone()
    available: bool = left_alone()
    category: Category = left_alone()
    tags: Tags = left_alone()


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
