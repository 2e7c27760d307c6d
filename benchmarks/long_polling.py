"""How long a held poll takes to return on a change made in another process."""

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path

from benchmarks._figures import machine, spread
from server.features.orders.schemas import STEPS, OrderStatus
from support.metrics import figure
from support.rest import Rest
from support.town import PASSWORD
from support.two_processes import Two, two_processes
from support.waiting import wait_until
from tools.cluster.redis_server import RedisServer

SWEEP_SECONDS = 0.5


async def delays(two: Two, orders: int) -> tuple[list[float], list[float]]:
    """Seconds from sending a step to the process on the right until the poll at the left has its
    answer, and until the right has answered."""
    place = await two.open_restaurant()
    polled, answered = [], []
    async with Rest(two.left.url) as customer, Rest(two.right.url) as employee:
        await customer.register(f"c{place.employees[0]}")
        await employee.log_in(place.employees[0], PASSWORD)

        async def held() -> bool:
            return await figure(customer, "held_connections") == 1

        for _ in range(orders):
            order = (await customer.post("/orders", place.basket())).must(201).json["id"]
            path, known = f"/orders/{order}/status", "placed"
            for status in STEPS[1:]:
                params = {"last_status": known}

                async def poll(path: str = path, params: dict[str, str] = params) -> float:
                    (await customer.get(path, params=params)).must(200)
                    return time.perf_counter()

                polling = asyncio.create_task(poll())
                await wait_until(held, every=0.005)
                await asyncio.sleep(random.uniform(0, SWEEP_SECONDS))  # at any time of a sweep
                step = {"status": status.value}
                if status is OrderStatus.OUT_FOR_DELIVERY:
                    step["driver_id"] = place.drivers[0]
                began = time.perf_counter()
                (await employee.post(path, step)).must(200)
                answered.append(time.perf_counter() - began)
                polled.append(await polling - began)
                known = status.value
    return polled, answered


def measure(name: str, redis_url: str, orders: int) -> None:
    """Print what two processes take."""
    with (
        tempfile.TemporaryDirectory() as folder,
        two_processes(Path(folder), redis_url, quiet=True) as two,
    ):
        polled, answered = asyncio.run(delays(two, orders))
    print(f"{name}, {len(polled)} changes")
    print(f"  change sent until poll answered   {spread(polled)}")
    print(f"  change sent until it is answered  {spread(answered)}", flush=True)


def main() -> None:
    """Measure with Redis and without."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=20, help="five changes each (20)")
    options = parser.parse_args()
    print(f"{machine()}; two processes, one database")
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as redis:
        measure("with Redis", redis.url, options.orders)
    measure("without Redis", "", options.orders)


if __name__ == "__main__":
    main()
