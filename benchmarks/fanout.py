"""The CPU time of the server to deliver one event to many streams, and that of a naive server."""

import argparse
import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks._figures import machine
from support.metrics import figure
from support.raw_http import RawRequest, raise_file_limit
from support.rest import Rest
from support.server_process import ServerProcess
from support.town import PASSWORD, open_restaurant
from support.waiting import wait_until

Publish = Callable[[int], Awaitable[object]]

ENV = {
    "TIFFIN_MAX_CONNECTIONS": "20000",
    "TIFFIN_MAX_STREAMS_PER_ACCOUNT": "20000",
    "TIFFIN_MAX_SOCKETS": "0",
    "TIFFIN_LOG_LEVEL": "WARNING",
}
WARM_UP = 5


@contextmanager
def running(**settings: Any) -> Iterator[ServerProcess]:
    """A server process on data of its own."""
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(Path(folder), **settings)
        try:
            yield server.start()
        finally:
            server.terminate()


@asynccontextmanager
async def streams(
    port: int, path: str, token: str | None, number: int
) -> AsyncIterator[list[RawRequest]]:
    """That many open streams."""
    opened = []
    try:
        for _ in range(number):
            opened.append(await (await RawRequest.send(port, path, token)).head())
            assert opened[-1].status == 200
        yield opened
    finally:
        for request in opened:
            request.close()


async def cost(
    server: ServerProcess, opened: list[RawRequest], publish: Publish, events: int
) -> float:
    """Microseconds of the server's CPU time a delivery, everything it does for it included."""
    process = psutil.Process(server.pid)
    before = 0.0
    for number in range(WARM_UP + events):
        if number == WARM_UP:
            before = sum(process.cpu_times()[:2])
        await publish(number)
        await asyncio.gather(*(stream.event() for stream in opened))
    spent = sum(process.cpu_times()[:2]) - before
    return spent / (events * len(opened)) * 1e6


async def tiffin(server: ServerProcess, number: int, events: int) -> tuple[float, dict[str, Any]]:
    """What Tiffin takes, and the order that it sent."""
    place = await open_restaurant(server.data_dir, server.url)
    async with Rest(server.url) as customer:
        await customer.register("ana@example.org")
        employee = await customer.another().log_in(place.employees[0], PASSWORD)
        order = (await customer.post("/orders", place.basket())).must(201).json
        path = f"/restaurants/{place.id}/orders/stream"
        async with streams(server.port, path, employee.token, number) as opened:

            async def all_listen() -> bool:
                return await figure(customer, "listeners") > number

            await wait_until(all_listen, what="all listen")

            async def publish(count: int) -> None:
                step = {"status": "placed", "eta_minutes": 10 + count % 50}
                (await employee.post(f"/orders/{order['id']}/status", step)).must(200)

            return await cost(server, opened, publish, events), order


async def naive(server: ServerProcess, number: int, events: int, order: dict[str, Any]) -> float:
    """What a queue and a `json.dumps` a client take for the same."""
    async with (
        Rest(server.url) as rest,
        streams(server.port, "/stream", None, number) as opened,
    ):

        async def all_listen() -> bool:
            return bool((await rest.get("//readyz")).json == number)

        await wait_until(all_listen, what="all listen")

        async def publish(count: int) -> None:
            event = {"type": "order.updated", "seq": count, "data": order}
            (await rest.post("/events", event)).must(204)

        return await cost(server, opened, publish, events)


def main() -> None:
    """Measure both, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--events", type=int, default=100)
    options = parser.parse_args()
    raise_file_limit(options.streams + 500)
    with running(env=ENV) as server:
        ours, order = asyncio.run(tiffin(server, options.streams, options.events))
    with running(module="benchmarks._naive_sse") as server:
        theirs = asyncio.run(naive(server, options.streams, options.events, order))
    size = len(json.dumps(order))
    print(f"{machine()}; {options.streams} streams, {options.events} events of {size} bytes")
    print(f"a queue and a json.dumps a client  {theirs:6.1f} µs of CPU a delivery")
    print(f"Tiffin, its transaction included   {ours:6.1f} µs")
    print(f"ratio                              {theirs / ours:6.1f}")


if __name__ == "__main__":
    main()
