"""How long other requests wait while an announcement goes to thousands of streams."""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from benchmarks._figures import machine, spread
from support.metrics import figure
from support.prober import Prober
from support.raw_http import RawRequest, raise_file_limit
from support.rest import Rest
from support.server_process import ServerProcess
from support.town import PASSWORD, open_restaurant
from support.waiting import wait_until

ENV = {
    "TIFFIN_MAX_CONNECTIONS": "20000",
    "TIFFIN_MAX_STREAMS_PER_ACCOUNT": "20000",
    "TIFFIN_MAX_SOCKETS": "0",
    "TIFFIN_LOG_LEVEL": "WARNING",
}
NEWS = {
    "title": "Rain over the river bank",
    "body": "Riders slow down; expect about ten minutes more on every order until it has passed.",
    "severity": "warning",
    "audience": "customers",
}


async def measure(server: ServerProcess, number: int, rounds: int, at_once: int) -> list[float]:
    """Seconds that other requests took while `at_once` announcements went out together, `rounds`
    times, to so many streams."""
    place = await open_restaurant(server.data_dir, server.url)
    async with Rest(server.url) as customer:
        await customer.register("ana@example.org")
        employee = await customer.another().log_in(place.employees[0], PASSWORD)
        opened = []
        for _ in range(number):
            request = await RawRequest.send(server.port, "/announcements/stream", customer.token)
            opened.append(await request.head())

        async def all_listen() -> bool:
            return await figure(customer, "listeners") > number

        await wait_until(all_listen, 60, what="all listen")
        prober = Prober(server.port, customer.token or "")
        await prober.ready()
        for _ in range(rounds):
            posts = (employee.post("/announcements", NEWS) for _ in range(at_once))
            for answer in await asyncio.gather(*posts):
                answer.must(201)
            for _ in range(at_once):
                await asyncio.gather(*(stream.event() for stream in opened))
        taken = await prober.stop()
        for request in opened:
            request.close()
    return taken


def main() -> None:
    """Announcements one by one, then many at once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    raise_file_limit(options.streams + 500)
    size = len(json.dumps(NEWS))
    print(f"{machine()}; {options.streams} streams, announcements of {size} bytes")
    for at_once in (1, 20):
        with tempfile.TemporaryDirectory() as folder:
            server = ServerProcess(Path(folder), env=ENV)
            try:
                server.start()
                taken = asyncio.run(measure(server, options.streams, options.rounds, at_once))
            finally:
                server.terminate()
        print(f"GET /me beside {at_once:2} at once   {spread(taken)}   ({len(taken)} requests)")


if __name__ == "__main__":
    main()
