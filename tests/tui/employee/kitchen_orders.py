"""Orders for the tests of the kitchen: out of nothing, and at a real server."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from server.features.orders.schemas import (
    STEPS,
    Order,
    OrderCustomer,
    OrderItem,
    OrderRestaurant,
    OrderStatus,
    TimelineEntry,
)
from server.features.shared.schemas import Actor, Address
from support.rest import Rest

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ANA = Actor(id="acc_ana", name="Ana", role="customer")
MAYA = Actor(id="acc_maya", name="Maya", role="employee")


def an_order(
    number: int, status: OrderStatus = OrderStatus.PLACED, *, placed: datetime = NOON, **fields: Any
) -> Order:
    """An order that has come to `status`, a minute a step."""
    path = STEPS[: STEPS.index(status) + 1] if status in STEPS else (OrderStatus.PLACED, status)
    timeline = [
        TimelineEntry(status=step, at=placed + timedelta(minutes=at), by=MAYA if at else ANA)
        for at, step in enumerate(path)
    ]
    values: dict[str, Any] = {
        "id": f"ord_{number}",
        "number": number,
        "restaurant": OrderRestaurant(id="rst", name="Thai Basil", lat=52.5, lng=13.4),
        "customer": OrderCustomer(id=ANA.id, name=ANA.name),
        "items": [OrderItem(menu_item_id="itm", name="Pad thai", price_cents=1150, quantity=2)],
        "total_cents": 2300,
        "status": status,
        "version": len(path),
        "timeline": timeline,
        "address": Address(text="1 Linden Street", lat=52.5, lng=13.41),
    }
    return Order(**(values | fields))


def moved(order: Order, status: OrderStatus, by: Actor = MAYA, reason: str | None = None) -> Order:
    """The order one step later."""
    at = order.timeline[-1].at + timedelta(minutes=1)
    entry = TimelineEntry(status=status, at=at, by=by, reason=reason)
    changes = {
        "status": status,
        "version": order.version + 1,
        "timeline": [*order.timeline, entry],
    }
    return order.model_copy(update=changes)


@dataclass
class Town:
    """A real server's demo restaurant, with its employee and a customer."""

    employee: Rest
    customer: Rest
    restaurant_id: str
    menu: list[dict[str, Any]]
    drivers: list[dict[str, Any]]

    async def place(self, *, dishes: int = 1, note: str | None = None, **item: Any) -> Order:
        """The customer's next order."""
        items = [
            {"menu_item_id": self.menu[at]["id"], "quantity": at + 1, **item}
            for at in range(dishes)
        ]
        body = {
            "restaurant_id": self.restaurant_id,
            "items": items,
            "address": {"text": "1 Linden Street", "lat": 47.08, "lng": 15.44},
            "note": note,
        }
        answer = (await self.customer.post("/orders", body)).must(201)
        return Order.model_validate_json(answer.body)

    async def step(self, order: Order, status: OrderStatus, **fields: Any) -> Order:
        """What a colleague does, somewhere else."""
        path = f"/orders/{order.id}/status"
        answer = (await self.employee.post(path, {"status": status, **fields})).must(200)
        return Order.model_validate_json(answer.body)

    async def bring(self, order: Order, status: OrderStatus) -> Order:
        """All the steps up to `status`."""
        while order.status is not status:
            following = STEPS[STEPS.index(order.status) + 1]
            out = following is OrderStatus.OUT_FOR_DELIVERY
            fields = {"driver_id": self.drivers[0]["id"]} if out and order.driver is None else {}
            order = await self.step(order, following, **fields)
        return order

    async def now(self, order: Order) -> Order:
        """The order as the server has it."""
        return Order.model_validate_json((await self.employee.get(f"/orders/{order.id}")).body)


async def a_town(rest: Rest) -> Town:
    """The demo's restaurant at `rest`'s server, with a customer of the test's own."""
    employee = await rest.demo("employee")
    restaurant_id = employee.grant["account"]["restaurant_id"]
    customer = await rest.another().register("ana@example.org", name="Ana [b]Kowalski[/b]")
    menu = (await employee.get(f"/restaurants/{restaurant_id}")).must(200).json["menu"]
    drivers = (await employee.get("/drivers")).must(200).json["items"]
    dishes = [dish for dish in menu if dish["available"]]
    return Town(employee, customer, restaurant_id, dishes, drivers)
