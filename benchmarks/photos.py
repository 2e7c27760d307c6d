"""The cost of photos: pictures a second, memory, and the delay for other requests."""

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil

from benchmarks._figures import machine, share, spread
from support.event_stream import event_stream
from support.rest import Rest
from support.server_process import ServerProcess
from support.town import PASSWORD, open_restaurant
from support.uploads import COFFEE, FINAL, sent
from support.waiting import wait_until
from tools.ports import free_port

IDLE_SECONDS = 8.0
PING_SECONDS = 0.02
ORDER_SECONDS = 0.1
ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("U2NET_HOME", str(ROOT / ".tiffin" / "rembg"))


@dataclass
class Felt:
    """What others felt, in seconds: a ping's answer, and an order's way into a kitchen's stream."""

    pings: list[float] = field(default_factory=list)
    events: list[float] = field(default_factory=list)

    def tell(self, when: str) -> None:
        """Print it."""
        print(f"  {when:<16} ping          {spread(self.pings)}")
        if self.events:
            print(f"  {'':<16} order to SSE  {spread(self.events)}", flush=True)


async def pinging(url: str, felt: list[float]) -> None:
    """Ping the server at that URL all the time."""
    async with aiohttp.ClientSession() as http:
        while True:
            began = time.perf_counter()
            async with http.get(f"{url}/healthz") as answer:
                await answer.read()
            felt.append(time.perf_counter() - began)
            await asyncio.sleep(PING_SECONDS)


async def ordering(folder: Path, url: str, felt: list[float], opened: asyncio.Event) -> None:
    """Place orders all the time, and see them come into the kitchen's stream."""
    place = await open_restaurant(folder, url)
    async with Rest(url) as customer, Rest(url) as kitchen:
        await customer.register("orders@example.com")
        await kitchen.log_in(place.employees[0], PASSWORD)
        async with event_stream(kitchen, f"/restaurants/{place.id}/orders/stream") as stream:
            opened.set()
            while True:
                began = time.perf_counter()
                sending = asyncio.create_task(customer.post("/orders", place.basket()))
                await stream.next(30)
                felt.append(time.perf_counter() - began)
                (await sending).must(201)
                await asyncio.sleep(ORDER_SECONDS)


async def during(work: Callable[[], Awaitable[None]], felt: Felt) -> None:
    """Keep only what was felt while that work went on."""
    felt.pings.clear()
    felt.events.clear()
    await work()


def megabytes(pid: int) -> tuple[float, float]:
    """Resident memory of a process, and of its children together."""
    process = psutil.Process(pid)
    children = sum(one.memory_info().rss for one in process.children(recursive=True))
    return process.memory_info().rss / 1e6, children / 1e6


async def ours(photos: int) -> None:
    """Through the whole of it: upload, queue, child processes, blobs, short polling."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = ServerProcess(folder)
        server.start()
        try:
            async with Rest(server.url) as rest:
                await rest.register("ana@example.com")
                first = await sent(rest)
                await all_final(rest, 1)  # the workers have started, and are warm
                felt, opened = Felt(), asyncio.Event()
                tasks = [
                    asyncio.create_task(pinging(server.url, felt.pings)),
                    asyncio.create_task(ordering(folder, server.url, felt.events, opened)),
                ]
                await opened.wait()
                await during(lambda: asyncio.sleep(IDLE_SECONDS), felt)
                felt.tell("idle")
                idle = Felt(list(felt.pings), list(felt.events))
                began = time.perf_counter()

                async def work() -> None:
                    for _ in range(photos):
                        await sent(rest)
                    await all_final(rest, photos + 1)

                await during(work, felt)
                took = time.perf_counter() - began
                felt.tell(f"{photos} photos")
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                for what, busy, before in (
                    ("ping", felt.pings, idle.pings),
                    ("order to SSE", felt.events, idle.events),
                ):
                    more = (share(busy, 0.99) - share(before, 0.99)) * 1000
                    print(f"  p99 of {what} above idle: {more:.1f} ms")
                print(f"  {photos / took:.2f} pictures a second")
                mine, children = megabytes(server.pid)
                print(f"  kept: {mine:.0f} MB by the server, {children:.0f} MB by its workers")
                assert (await rest.get(f"/uploads/{first}")).json["status"] == "done"
        finally:
            server.terminate()


async def all_final(rest: Rest, photos: int) -> None:
    """Return once so many are; seldom asked, as asking costs the server too."""

    async def found() -> bool:
        uploads = (await rest.get("/uploads?limit=200")).must(200).json["items"]
        return sum(one["status"] in FINAL for one in uploads) == photos

    await wait_until(found, 300, every=0.5)


async def theirs(photos: int) -> None:
    """The thread pool, asked for the same pictures, two at a time."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    module = "benchmarks._thread_pool_photos"
    command = [sys.executable, "-m", module, str(port)]
    with await asyncio.to_thread(subprocess.Popen, command, cwd=ROOT) as process:
        try:
            async with aiohttp.ClientSession() as http:

                async def one() -> None:
                    async with http.post(f"{url}/photos", data=COFFEE.read_bytes()) as answer:
                        assert answer.status == 200
                        await answer.read()

                async def ready() -> bool:
                    with contextlib.suppress(aiohttp.ClientError):
                        async with http.get(f"{url}/healthz") as answer:
                            return answer.status == 200
                    return False

                await wait_until(ready, 60)
                await one()
                felt = Felt()
                task = asyncio.create_task(pinging(url, felt.pings))
                await during(lambda: asyncio.sleep(IDLE_SECONDS), felt)
                felt.tell("idle")
                began = time.perf_counter()

                async def work() -> None:
                    await asyncio.gather(*(one() for _ in range(photos)))

                await during(work, felt)
                took = time.perf_counter() - began
                felt.tell(f"{photos} photos")
                task.cancel()
                print(f"  {photos / took:.2f} pictures a second")
                print(f"  kept: {megabytes(process.pid)[0]:.0f} MB")
        finally:
            process.terminate()


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=20, help="pictures of 600 by 400 (20)")
    options = parser.parse_args()
    print(
        f"{machine()}; a ping every {PING_SECONDS * 1000:.0f} ms, an order every"
        f" {ORDER_SECONDS * 1000:.0f} ms; load {os.getloadavg()[0]:.1f} at the start"
    )
    print("Tiffin: two workers, processes of their own")
    asyncio.run(ours(options.photos))
    print("rembg in a thread pool of two, in an aiohttp server")
    asyncio.run(theirs(options.photos))


if __name__ == "__main__":
    main()
