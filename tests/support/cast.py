"""Everybody who may call: two customers, employees of two restaurants, and nobody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from server.core.auth import Claims, Gate
from server.core.database import Database
from server.features.accounts.administration import add_employee
from server.features.accounts.schemas import Role
from support.frozen import Rows, store, stored
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Rest
from support.server_process import ON_POSTGRES
from support.town import HOME, PASSWORD, Place, database_in, open_restaurant
from support.waiting import in_a_thread

OWN_ROWS = ("meta", "leases", "presence_leases", "upload_turns")
"""Tables in which a server has rows of its own."""


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
    """Open two restaurants there, and log everybody in.

    Where there are no accounts yet, all of it is copied from another server's database: that takes
    a tenth of the time.
    """
    database = server.services[Database]
    inhabited = await database.read(lambda tx: tx.fetch("SELECT 1 FROM accounts LIMIT 1", {}))
    async with Rest(server.url, keep_alive=True) as nobody:
        if ON_POSTGRES or inhabited:
            yield await _new_cast(server, nobody)
            return
        known = _known(server.settings.shared_support)
        await database.write(lambda tx: store(tx, known.rows))
        tokens = server.services[Gate].tokens

        def copy_of(name: str) -> Rest:
            other, claims, rest = getattr(known.cast, name), known.claims[name], nobody.another()
            rest.password = other.password
            rest.token = tokens.issue(claims.account_id, claims.session_id)
            rest.grant = deepcopy(other.grant) | {"access_token": rest.token}
            return rest

        clients = {name: copy_of(name) for name in known.claims}
        yield replace(known.cast, nobody=nobody, **clients)


async def _new_cast(server: LiveServer, nobody: Rest) -> Cast:
    place = await open_restaurant(server.settings.data_dir, server.url, "Saffron", employees=2)
    elsewhere = await open_restaurant(server.settings.data_dir, server.url, "Harbour Grill")
    return Cast(
        nobody=nobody,
        customer=await nobody.another().register("ana@example.com", name="Ana"),
        stranger=await nobody.another().register("bram@example.com", name="Bram"),
        employee=await nobody.another().log_in(place.employees[0], PASSWORD),
        outsider=await nobody.another().log_in(elsewhere.employees[0], PASSWORD),
        place=place,
        elsewhere=elsewhere,
    )


@dataclass(frozen=True)
class _Known:
    """A cast whose server is gone: what that had stored, and whom the tokens are of."""

    cast: Cast
    rows: Rows
    claims: dict[str, Claims]


@cache
def _known(shared_support: bool) -> _Known:
    async def make() -> _Known:
        with TemporaryDirectory() as folder:
            settings = settings_for(Path(folder), photo_workers=0, shared_support=shared_support)
            async with running_server(settings) as server, Rest(server.url) as nobody:
                cast = await _new_cast(server, nobody)
                rows = await server.services[Database].read(stored)
                tokens = server.services[Gate].tokens
        logged_in = {name: one for name, one in vars(cast).items() if isinstance(one, Rest)}
        claims = {name: tokens.verify(one.token) for name, one in logged_in.items() if one.token}
        return _Known(cast, {name: rows[name] for name in rows if name not in OWN_ROWS}, claims)

    return in_a_thread(make())


async def log_in_support(server: LiveServer, nobody: Rest) -> Rest:
    """Somebody of support, logged in."""
    async with database_in(server.settings.data_dir) as database:
        email = "support@example.com"
        await add_employee(database, email, PASSWORD, "Sue", None, role=Role.SUPPORT)
    return await nobody.another().log_in(email, PASSWORD)


__all__ = ["HOME", "Cast", "cast_of", "log_in_support"]
