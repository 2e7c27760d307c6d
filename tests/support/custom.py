"""Keeps placing and progressing orders at a restaurant, through one server."""

import asyncio
import uuid
from dataclasses import dataclass, field

import aiohttp

from support.rest import Answer, Rest
from support.server_process import ServerProcess
from support.town import PASSWORD, Place

WAY = ("accepted", "preparing", "ready", "out_for_delivery", "delivered")


@dataclass
class Custom:
    """A customer and an employee at one server; each order in `placed` must exist once.

    A request that finds no server is sent again with the same key, as a client does.
    """

    server: ServerProcess
    place: Place
    name: str
    pause: float = 0.05
    placed: dict[str, str] = field(default_factory=dict)
    changes: int = 0

    async def go_on(self, until: asyncio.Event) -> None:
        """Place orders and move them along, one change every `pause` seconds."""
        async with Rest(self.server.url) as customer:
            await customer.register(f"{self.name}@example.org")
            employee = await customer.another().log_in(self.place.employees[0], PASSWORD)
            while not until.is_set():
                key = uuid.uuid4().hex
                order = await self._sent(
                    customer, "/orders", self.place.basket(), {"Idempotency-Key": key}
                )
                order.must(201)
                self.placed[key] = order.json["id"]
                await self._along(employee, order.json["id"], until)

    async def _along(self, employee: Rest, order_id: str, until: asyncio.Event) -> None:
        for status in WAY:
            await asyncio.sleep(self.pause)
            if until.is_set():
                return
            step = {"status": status}
            if status == "out_for_delivery":
                step["driver_id"] = self.place.drivers[0]
            answer = await self._sent(employee, f"/orders/{order_id}/status", step, {})
            # A step whose answer was lost has already happened when it is sent again.
            assert answer.status in (200, 409), answer.body
            assert answer.status == 200 or answer.json["order"]["status"] == status

    async def _sent(
        self,
        rest: Rest,
        path: str,
        body: dict[str, object] | dict[str, str],
        headers: dict[str, str],
    ) -> Answer:
        while True:
            try:
                answer = await rest.post(path, body, headers=headers)
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
                await asyncio.sleep(0.05)
                continue
            if answer.status != 503:
                self.changes += 1
                return answer
            assert "Retry-After" in answer.headers, answer.body
            await asyncio.sleep(0.05)
