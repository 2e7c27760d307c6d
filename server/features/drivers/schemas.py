"""What the drivers feature says on the wire: where a driver is, and the way along the streets."""

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
    """Where a driver is, as their device says. Without `at`: now."""

    lat: Latitude
    lng: Longitude
    heading: Heading | None = None
    speed_mps: Speed | None = None
    at: GivenTime | None = None


class DriverLocation(Wire):
    """Where a driver is, as those who watch see it. `seq` counts the driver's locations from 1.

    `pace_mps` is the speed lately driven, smoothed; before a driver has moved, what is usual for
    the vehicle. A `suspect` one lies further off than any vehicle could have come.
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


class WatchEnd(Wire):
    """The data of a stream's last event, `end`: the order for whose sake a customer watched.

    A status that is not terminal says that another driver brings it now.
    """

    order_id: str
    status: OrderStatus


class DriverOnDuty(Driver):
    """A driver of the restaurant, the open orders that are theirs, and where they were last."""

    location: DriverLocation | None = absent()


class DriverOnDutyPage(Page[DriverOnDuty]):
    """The restaurant's drivers by name. Positions are sent every `interval_seconds`."""

    interval_seconds: float


class Point(Wire):
    """A place on the map."""

    lat: Latitude
    lng: Longitude


class Route(Wire):
    """A way over the map; `along_streets` is false where it is the straight line."""

    metres: float
    along_streets: bool
    points: Annotated[list[Point], Field(min_length=1)]
