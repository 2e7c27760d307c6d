"""A load generator, not a server: made-up orders changing as fast as asked, in the API's words.

`python -m benchmarks._kitchen_load` prints its address. It answers what the employee's app asks at
its log-in, and streams `order.updated` over real HTTP, each event a write of its own as the server
does it: ten new orders whose note changes and forty that go from column to column, in turn.
`POST /load?rate=N` sets the events a second and answers with how many have been sent.
"""

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from aiohttp import web

from server.features.orders.schemas import STEPS, Order, OrderStatus

RESTAURANT = {"id": "res_load", "name": "Load Kitchen", "lat": 48.86, "lng": 2.36}
ORDERS = 50
NEW = 10
NOTE = "Change {:07d}"
SOON = 0.001
DISHES = ("Green curry", "Jasmine rice", "Papaya salad", "Pad see ew", "Mango with sticky rice")


def made_up(number: int, status: OrderStatus, change: int) -> Order:
    """The order of that number, 0 to 49, at `status`."""
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=20 * (ORDERS - number))
    customer = {"id": f"acc_{number:022d}", "name": f"Customer {number}"}
    cook = {"id": "acc_cook", "name": "Robin", "role": "employee"}
    taken = STEPS[: STEPS.index(status) + 1]
    timeline = [
        {
            "status": step,
            "at": began + timedelta(seconds=5 * at),
            "by": cook if at else {**customer, "role": "customer"},
        }
        for at, step in enumerate(taken)
    ]
    items = [
        {
            "menu_item_id": f"itm_{number:020d}{at}",
            "name": DISHES[(number + at) % len(DISHES)],
            "price_cents": 950,
            "quantity": 1 + at,
        }
        for at in range(2)
    ]
    order = {
        "id": f"ord_{number:022d}",
        "number": 1000 + number,
        "restaurant": RESTAURANT,
        "customer": customer,
        "items": items,
        "total_cents": 2850,
        "status": status,
        "version": change,
        "timeline": timeline,
        "address": {"text": f"{number} Quay Street", "lat": 48.85, "lng": 2.35},
        "note": NOTE.format(change),
    }
    if len(taken) > 1:
        order["eta"] = began + timedelta(minutes=40)
        order["ready_by"] = began + timedelta(minutes=25)
    if status is OrderStatus.OUT_FOR_DELIVERY:
        order["driver"] = {"id": "drv_1", "name": "Driver 1", "vehicle": "bike"}
    return Order.model_validate(order)


class Load:
    """The orders, and how fast they change."""

    def __init__(self) -> None:
        self.rate = 0
        self.sent = 0
        self._wanted = asyncio.Event()
        # An order at a status is text around its two numbers, made once: the generator has to
        # leave the processor to what is measured.
        self._texts = {
            (number, status): self._around(number, status)
            for number in range(ORDERS)
            for status in (STEPS[:1] if number < NEW else STEPS[1:-1])
        }

    @staticmethod
    def _around(number: int, status: OrderStatus) -> tuple[str, str, str]:
        mark = 7_777_777
        text = made_up(number, status, mark).model_dump_json()
        before, _, after = text.partition(f'"version":{mark}')
        between, _, after = after.partition(NOTE.format(mark))
        return before, between, after

    def set_rate(self, rate: int) -> None:
        """Set the number of events a second."""
        self.rate = rate
        self._wanted.set()

    def snapshot(self) -> list[Order]:
        """The orders before any event."""
        return [
            made_up(number, STEPS[0] if number < NEW else STEPS[1 + number % 4], 0)
            for number in range(ORDERS)
        ]

    def event(self) -> bytes:
        """The next change as sent on the wire."""
        self.sent += 1
        number = self.sent % ORDERS
        turn = self.sent // ORDERS
        status = STEPS[0] if number < NEW else STEPS[1 + (number + turn) % 4]
        before, between, after = self._texts[number, status]
        note = NOTE.format(self.sent)
        data = f'{before}"version":{self.sent}{between}{note}{after}'
        return f"id: load-{self.sent}\nevent: order.updated\ndata: {data}\n\n".encode()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """The events, evenly spread over each second."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": hello\n\n")
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):
            while True:
                self._wanted.clear()
                rate, began, sent = self.rate, loop.time(), 0
                while rate and rate == self.rate:
                    due = int((loop.time() - began) * rate)
                    while sent < due:
                        await response.write(self.event())
                        sent += 1
                    await asyncio.sleep(SOON)
                if not rate:
                    await self._wanted.wait()
        return response


def application(load: Load) -> web.Application:
    """Everything the app requests."""
    account = {
        "id": "acc_robin",
        "email": "robin@load.example",
        "name": "Robin",
        "role": "employee",
        "restaurant_id": RESTAURANT["id"],
    }
    place = {**RESTAURANT, "cuisine": "Thai", "description": "", "address": "2 Mill Lane"}
    place |= {"preparation_minutes": 20, "menu": []}
    session = {"access_token": "none", "refresh_token": "none", "expires_in": 86400}

    async def log_in(_request: web.Request) -> web.Response:
        return web.json_response({**session, "account": account})

    async def orders(_request: web.Request) -> web.Response:
        items = [json.loads(order.model_dump_json()) for order in load.snapshot()]
        return web.json_response({"items": items, "next": None, "cursor": "load-0"})

    async def restaurant(_request: web.Request) -> web.Response:
        return web.json_response(place)

    async def drivers(_request: web.Request) -> web.Response:
        return web.json_response({"items": [], "next": None})

    async def set_load(request: web.Request) -> web.Response:
        load.set_rate(int(request.query["rate"]))
        return web.json_response({"sent": load.sent})

    app = web.Application()
    app.add_routes(
        [
            web.post("/api/v1/auth/demo", log_in),
            web.get("/api/v1/orders", orders),
            web.get("/api/v1/drivers", drivers),
            web.get("/api/v1/restaurants/{id}", restaurant),
            web.get("/api/v1/restaurants/{id}/orders/stream", load.stream),
            web.post("/load", set_load),
        ]
    )
    return app


async def main() -> None:
    """Serve until killed."""
    runner = web.AppRunner(application(Load()), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    print(f"http://127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
