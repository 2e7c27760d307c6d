"""Photos being processed do not slow down other requests; `benchmarks.photos` measures it."""

import asyncio
import time
from pathlib import Path
from statistics import median

from support.event_stream import event_stream
from support.rest import Rest
from support.server_process import StartServer
from support.town import PASSWORD, open_restaurant
from support.uploads import done, sent

PHOTOS = 2
PING_SECONDS = 0.1
"""Fifty times what a ping takes on an idle machine."""
FACTOR = 3
"""How many times longer than at a server without photos a ping may take on a busy machine."""


async def ping(rest: Rest) -> float:
    """Seconds until the answer."""
    started = time.perf_counter()
    (await rest.get("//healthz")).must(200)
    return time.perf_counter() - started


async def test_a_ping_and_a_stream_stay_fast_while_photos_are_processed(
    start_server: StartServer, data_dir: Path
) -> None:
    server, bystander = start_server(), start_server(data_dir / "bystander")
    place = await open_restaurant(data_dir, server.url)
    async with Rest(server.url) as ana, Rest(server.url) as kitchen, Rest(bystander.url) as other:
        await ana.register("ana@example.com")
        await kitchen.log_in(place.employees[0], PASSWORD)
        ids = [await sent(ana) for _ in range(PHOTOS)]
        working = asyncio.gather(*(done(ana, one) for one in ids))
        pings, others = [], []
        async with event_stream(kitchen, f"/restaurants/{place.id}/orders/stream") as stream:
            while not working.done():
                pings.append(await ping(ana))
                others.append(await ping(other))
                order = (await ana.post("/orders", place.basket())).must(201).json
                assert (await stream.next()).data["id"] == order["id"]
                await asyncio.sleep(0.05)
        await working
    assert len(pings) >= 5, "the photos were done too soon"
    print(f"a ping took {median(pings):.4f} s, at the other server {median(others):.4f} s")
    assert median(pings) < max(PING_SECONDS, FACTOR * median(others))
