"""Schemas of the kitchen's summary."""

from typing import Annotated

from pydantic import Field

from server.features.shared.schemas import Timestamp, Whole, Wire, absent


class Preparation(Wire):
    """Minutes from `accepted` to `ready`, of the orders that came so far."""

    p50: Annotated[float, Field(ge=0)]
    p90: Annotated[float, Field(ge=0)]


class HourFigures(Wire):
    """What was placed in an hour of the day, by the restaurant's clock, and not cancelled."""

    hour: Annotated[int, Field(ge=0, le=23)]
    orders: Whole
    revenue_cents: Whole


class DishFigures(Wire):
    """How often a dish was ordered, cancelled orders left out."""

    menu_item_id: str
    name: str
    count: Whole
    revenue_cents: Whole


class KitchenSummary(Wire):
    """What a restaurant did with the orders placed from `from` on and before `to`.

    `orders` counts those that were not cancelled; `revenue_cents` is their total, with fees and
    tips, as far as they were in `currency`, which is the restaurant's now. Of `finished`,
    the orders that became ready by now, `late` did so after their `ready_by`. `hours` has all 24
    hours of the day; `dishes` come by count.
    """

    since: Annotated[Timestamp, Field(alias="from")]
    until: Annotated[Timestamp, Field(alias="to")]
    time_zone: str
    currency: str = "EUR"
    orders: Whole
    cancelled: Whole
    revenue_cents: Whole
    finished: Whole
    late: Whole
    preparation_minutes: Preparation | None = absent()
    busiest_hour: Annotated[int, Field(ge=0, le=23)] | None = absent()
    hours: list[HourFigures]
    dishes: list[DishFigures]
