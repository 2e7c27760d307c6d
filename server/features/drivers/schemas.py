"""The drivers feature on the wire: where a driver is, and routes along the streets."""

from typing import Annotated

from pydantic import Field

from server.features.orders.schemas import OrderStatus
from server.features.restaurants.schemas import Driver
from server.features.shared.schemas import (
    GivenTime,
    Latitude,
    Longitude,
    Page,
    Timestamp,
    Whole,
    Wire,
    absent,
)

Heading = Annotated[float, Field(ge=0, lt=360)]
"""Degrees clockwise from north."""
Speed = Annotated[float, Field(ge=0, le=100)]
"""Metres a second."""


def _is_false(value: object) -> bool:
    return value is False


class DriverPosition(Wire):
    """Where a driver is, as their device reports it. Without `at`: now."""

    lat: Latitude
    lng: Longitude
    heading: Heading | None = None
    speed_mps: Speed | None = None
    at: GivenTime | None = None


class DriverLocation(Wire):
    """Where a driver is, as it is shown. `seq` counts the driver's locations from 1.

    `pace_mps` is the recent speed, smoothed; before a driver has moved, the vehicle's usual speed.
    A `suspect` location is further from the last than any vehicle could have driven. `at` may be by
    the device's clock; `logged_at` is when it was stored, where a long poll answers with it.
    """

    driver_id: str
    lat: Latitude
    lng: Longitude
    heading: float | None
    speed_mps: float | None
    seq: Whole
    at: Timestamp
    pace_mps: float
    suspect: bool = Field(default=False, exclude_if=_is_false)
    logged_at: Timestamp | None = absent()


class WatchEnd(Wire):
    """The data of a stream's last event, `end`: the order that the customer was watching.

    A status that is not terminal means that another driver delivers it now.
    """

    order_id: str
    status: OrderStatus


class DriverOnDuty(Driver):
    """A driver of the restaurant, their open orders, and their last location."""

    location: DriverLocation | None = absent()


class DriverOnDutyPage(Page[DriverOnDuty]):
    """The restaurant's drivers by name. Each reports a position every `interval_seconds`."""

    interval_seconds: float


class Point(Wire):
    """A position on the map."""

    lat: Latitude
    lng: Longitude


class Route(Wire):
    """A route over the map; `along_streets` is false where it is the straight line."""

    metres: float
    along_streets: bool
    points: Annotated[list[Point], Field(min_length=1)]
