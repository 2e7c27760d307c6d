"""Schemas of orders, and their statuses."""

from enum import StrEnum
from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator

from server.features.shared.schemas import (
    Actor,
    Address,
    Cents,
    Id,
    Latitude,
    Longitude,
    Note,
    Page,
    Timestamp,
    Whole,
    Wire,
    absent,
)

MOST_NOTES = 4000
"""Characters of all notes of an order: 80 for each item of the largest basket. Lists and events
contain whole orders, so notes cost a lot."""
MOST_MINUTES = 100_000
"""The largest `eta_minutes`: enough to ride a bicycle to the other end of the earth."""
MOST_CENTS = 10**12
"""More than the largest basket of the most expensive dishes, brought from the earth's other end."""


class OrderStatus(StrEnum):
    """Where an order stands."""

    PLACED = "placed"
    ACCEPTED = "accepted"
    PREPARING = "preparing"
    READY = "ready"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether no other status can follow."""
        return self in (OrderStatus.DELIVERED, OrderStatus.CANCELLED)


STEPS = (
    OrderStatus.PLACED,
    OrderStatus.ACCEPTED,
    OrderStatus.PREPARING,
    OrderStatus.READY,
    OrderStatus.OUT_FOR_DELIVERY,
    OrderStatus.DELIVERED,
)
"""The statuses of an order that is not cancelled, in order."""

CANCELLABLE = (OrderStatus.PLACED, OrderStatus.ACCEPTED)
"""The statuses in which the customer may cancel."""


class OrderedItem(Wire):
    """One line of a basket.

    `expected_version` is the dish's, as the customer saw it; for another one the order is refused.
    """

    menu_item_id: Id
    quantity: Annotated[int, Field(ge=1, le=99)]
    note: Note | None = None
    expected_version: Annotated[int, Field(ge=1)] | None = absent()


class PlaceOrder(Wire):
    """A basket, sent off.

    `expected_total_cents` is what the customer was shown, fees and tip included; at another total
    the order is refused.
    """

    restaurant_id: Id
    items: Annotated[list[OrderedItem], Field(min_length=1, max_length=50)]
    address: Address
    note: Note | None = None
    tip_cents: Cents | None = absent()
    expected_total_cents: Annotated[int, Field(ge=0, le=MOST_CENTS)] | None = absent()

    @model_validator(mode="after")
    def _notes_together(self) -> Self:
        notes = [self.note, *(item.note for item in self.items)]
        if sum(len(note) for note in notes if note) > MOST_NOTES:
            raise ValueError(f"the notes of an order hold at most {MOST_NOTES} characters together")
        return self


class OrderItem(Wire):
    """One line of an order, at the name and price it was ordered for."""

    menu_item_id: str
    name: str
    price_cents: Cents
    quantity: Whole
    note: str | None = absent()


class Fee(Wire):
    """What an order costs beside its dishes; `kind` is `delivery`, and others may come."""

    kind: str
    cents: Whole


class Quote(Wire):
    """What a basket would cost now, part by part, and how long it would take to the door.

    `total_cents` is the sum of dishes, fees and tip, and what `expected_total_cents` should be.
    """

    items: list[OrderItem]
    fees: list[Fee]
    tip_cents: Whole
    total_cents: Whole
    currency: str
    eta_minutes: Whole


class OrderRating(Wire):
    """What the customer thought of an order that has come."""

    stars: Whole
    text: str | None = absent()


class NewRating(Wire):
    """A rating to give, 1 to 5 stars; another one takes its place."""

    stars: Annotated[int, Field(ge=1, le=5)]
    text: Note | None = None


class OrderRestaurant(Wire):
    """The restaurant of an order."""

    id: str
    name: str
    lat: Latitude
    lng: Longitude


class OrderCustomer(Wire):
    """The customer of an order, as its restaurant sees them."""

    id: str
    name: str
    phone: str | None = absent()


class OrderDriver(Wire):
    """The driver of an order."""

    id: str
    name: str
    vehicle: str
    assigned_by: Actor | None = absent()


class TimelineEntry(Wire):
    """One step the order took."""

    status: OrderStatus
    at: Timestamp
    by: Actor
    reason: str | None = absent()


class Order(Wire):
    """An order, whole. `version` counts its changes of status and driver from 1.

    `eta` is when it should be at the door, `ready_by` when the kitchen should be done with it.
    `promised_at` is when it was to be there as placed, or as accepted with other minutes; unlike
    `eta` it stays. `total_cents` includes fees and tip; it is paid at the door.
    """

    id: str
    number: Whole
    restaurant: OrderRestaurant
    customer: OrderCustomer
    items: list[OrderItem]
    fees: list[Fee] = Field(default_factory=list)
    tip_cents: Whole = 0
    total_cents: Whole
    currency: str = "EUR"
    status: OrderStatus
    version: Whole
    timeline: Annotated[list[TimelineEntry], Field(min_length=1)]
    driver: OrderDriver | None = absent()
    eta: Timestamp | None = absent()
    ready_by: Timestamp | None = absent()
    promised_at: Timestamp | None = absent()
    address: Address
    note: str | None = absent()
    rating: OrderRating | None = absent()


class OrderPage(Page[Order]):
    """Orders, newest first. An employee's `cursor` goes on in the kitchen's stream, a customer's
    with `GET /orders?after=`, whose answer says in `logged_at` when the last of these changed."""

    cursor: str
    logged_at: Timestamp | None = absent()


class StatusChange(Wire):
    """A step to take. The current status again, with a driver or minutes, changes those alone.

    `eta_minutes` is how long from now until it is at the door.
    """

    status: OrderStatus
    expected_version: Annotated[int, Field(ge=1)] | None = None
    driver_id: Id | None = None
    eta_minutes: Annotated[int, Field(ge=1, le=MOST_MINUTES)] | None = None
    reason: Note | None = None


class Cancellation(Wire):
    """Why the customer changed their mind, if they say."""

    reason: Note | None = None


class Delivery(NamedTuple):
    """The restaurant and the customer of an order that a driver is delivering. Not on the wire."""

    order_id: str
    restaurant_id: str
    customer_id: str


class TrackedStatus(Wire):
    """The answer of a long poll. `logged_at` is when the order came to this status."""

    order_id: str
    status: OrderStatus
    version: Whole
    terminal: bool
    eta: Timestamp | None = absent()
    logged_at: Timestamp | None = absent()
