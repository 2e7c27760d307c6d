"""Everybody who may call: two customers, employees of two restaurants, and nobody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from server.features.accounts.administration import add_employee
from server.features.accounts.schemas import Role
from support.live_server import LiveServer
from support.rest import Rest
from support.town import HOME, PASSWORD, Place, database_in, open_restaurant


@dataclass(frozen=True)
class Cast:
    """The callers of one server; `place` is the restaurant where `employee` works."""

    nobody: Rest
    customer: Rest
    stranger: Rest
    employee: Rest
    outsider: Rest
    place: Place
    elsewhere: Place

    async def order(self, **changes: object) -> dict[str, object]:
        """An order of `customer` at `place`."""
        body = self.place.basket() | changes
        found: dict[str, object] = (await self.customer.post("/orders", body)).must(201).json
        return found

    async def step(self, order_id: object, status: str, **more: object) -> dict[str, object]:
        """A step that `employee` takes and that must succeed."""
        if status == "out_for_delivery":
            more.setdefault("driver_id", self.place.drivers[0])
        if status == "cancelled":
            more.setdefault("reason", "No gas")
        answer = await self.employee.post(f"/orders/{order_id}/status", {"status": status} | more)
        found: dict[str, object] = answer.must(200).json
        return found

    async def order_at(self, status: str) -> dict[str, object]:
        """An order at that status."""
        way = ["accepted", "preparing", "ready", "out_for_delivery", "delivered"]
        order = await self.order()
        if status == "cancelled":
            return await self.step(order["id"], "cancelled")
        for step in way[: way.index(status) + 1] if status in way else []:
            order = await self.step(order["id"], step)
        return order


@asynccontextmanager
async def cast_of(server: LiveServer) -> AsyncIterator[Cast]:
    """Open two restaurants there, and log everybody in."""
    place = await open_restaurant(server.settings.data_dir, server.url, "Saffron", employees=2)
    elsewhere = await open_restaurant(server.settings.data_dir, server.url, "Harbour Grill")
    async with Rest(server.url) as nobody:
        yield Cast(
            nobody=nobody,
            customer=await nobody.another().register("ana@example.com", name="Ana"),
            stranger=await nobody.another().register("bram@example.com", name="Bram"),
            employee=await nobody.another().log_in(place.employees[0], PASSWORD),
            outsider=await nobody.another().log_in(elsewhere.employees[0], PASSWORD),
            place=place,
            elsewhere=elsewhere,
        )


async def log_in_support(server: LiveServer, nobody: Rest) -> Rest:
    """Somebody of support, logged in."""
    async with database_in(server.settings.data_dir) as database:
        email = "support@example.com"
        await add_employee(database, email, PASSWORD, "Sue", None, role=Role.SUPPORT)
    return await nobody.another().log_in(email, PASSWORD)


__all__ = ["HOME", "Cast", "cast_of", "log_in_support"]
