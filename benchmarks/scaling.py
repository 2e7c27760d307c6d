"""What gives way first as the load grows: the cost of what all processes share, on PostgreSQL with
fsync and on Redis, and how far each is from its limit at 1, 10, 100 and 1,000 times a load.

The services are those of the server, without HTTP, in two databases' worth of connections, as two
processes have. Kinds of work take turns, and the median of the rounds counts. `docs/scaling.md`
says what follows.
"""

import argparse
import asyncio
import copy
import json
import math
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from redis.asyncio import Redis

from benchmarks._scaling_page import (
    AT_ONCE,
    MESSAGE,
    NO_QUEUE,
    ONE_ROOM,
    ONE_TOPIC,
    ORDER,
    PLACES,
    RESULTS,
    STEP,
    Cost,
    report,
)
from server.core.auth import Identity
from server.core.database import Database
from server.core.databases import migrate
from server.core.services import Services
from server.features.accounts.administration import add_employee
from server.features.chat.frame_schemas import SendMessage
from server.features.chat.messages import MessageService
from server.features.chat.service import QUEUE
from server.features.orders.schemas import OrderStatus, PlaceOrder, StatusChange
from server.features.orders.service import OrderService
from server.features.restaurants.schemas import NewRestaurant
from server.features.restaurants.service import add_restaurant
from server.realtime.event import Event
from server.realtime.hub import Hub
from server.realtime.log import EventLog
from support.live_server import LiveServer, running_server, settings_for
from support.postgres import shared_folder
from support.rest import Rest
from support.room import open_chat
from support.town import PASSWORD, Place
from support.waiting import wait_until
from tools.cluster.postgres import PostgresServer
from tools.cluster.redis_server import RedisServer

ROUNDS = 3
SUBSCRIBERS = (1, 10, 100)
PUBLISHED, BATCH = 50_000, 50
"""Messages that Redis delivers, and how many are sent at once."""
CHANNELS = 20_000
Job = Callable[[int], Awaitable[object]]


class Postgres:
    """The server, and what it has used."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        pid = int((server.data / "postmaster.pid").read_text().split()[0])
        self._main = psutil.Process(pid)

    def processes(self) -> list[psutil.Process]:
        return [self._main, *self._main.children(recursive=True)]

    def cpu(self) -> float:
        """Seconds of CPU so far, of those that run; connections are kept open."""
        total = 0.0
        for process in self.processes():
            times = process.cpu_times()
            total += times.user + times.system
        return total

    def connection_bytes(self) -> float:
        """The memory of a connection that has worked: its own, and its part of what is shared."""
        own = [
            process.memory_full_info().pss
            for process in self.processes()
            if "tiffin 127.0.0.1" in " ".join(process.cmdline())
        ]
        return median(own)

    async def wal(self, database: Database) -> int:
        """The position in the write-ahead log."""
        sql = "SELECT (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint AS at"
        [row] = await database.read(lambda tx: tx.fetch(sql, {}))
        return int(row["at"])


async def timed(postgres: Postgres, database: Database, job: Job, count: int, cost: Cost) -> None:
    """Do `count` jobs, AT_ONCE of them at a time, and add what each has cost."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await job(number)

    cpu, wal, began = postgres.cpu(), await postgres.wal(database), time.perf_counter()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    cost.seconds.append((time.perf_counter() - began) / count)
    cost.cpu.append((postgres.cpu() - cpu) / count)
    cost.wal.append((await postgres.wal(database) - wal) / count)


class WithoutQueue(EventLog):
    """A log that leaves out the queue's events, as if each chat had a queue of its own."""

    def __init__(self, log: EventLog, database: Database) -> None:
        super().__init__(database)
        self.epoch = log.epoch

    async def append(self, tx: Any, topic: str, *rest: Any, **more: Any) -> Event:
        if topic == QUEUE:
            return Event(topic, 0, "", "", "", "")
        return await super().append(tx, topic, *rest, **more)


@dataclass
class Town:
    """Two servers on one database; each customer has a chat, each restaurant an employee."""

    servers: Sequence[LiveServer]
    places: Sequence[Place]
    employees: Sequence[Identity]
    customers: Sequence[Identity]
    chats: Sequence[str]
    rounds: int = 0

    def jobs(self) -> dict[str, Job]:
        """Kinds of work by their names, for one round."""
        self.rounds += 1
        placed: list[tuple[str, Identity]] = []

        def services(number: int) -> Services:
            return self.servers[number % len(self.servers)].services

        def append(topics: int) -> Job:
            async def job(number: int) -> None:
                log, topic = services(number)[EventLog], f"benchmark:{number % topics}"
                database = services(number)[Database]
                await database.write(lambda tx: log.append(tx, topic, "x", '{"a":1}'))

            return job

        def message(rooms: int, *, queue: bool = True) -> Job:
            async def job(number: int) -> None:
                who = number % rooms
                name = f"{self.rounds}.{rooms}.{queue}.{number}"
                sent = SendMessage(client_id=name, text="Is it on its way?")
                messages = services(number)[MessageService]
                if not queue:
                    messages = copy.copy(messages)
                    database = services(number)[Database]
                    messages._log = WithoutQueue(services(number)[EventLog], database)
                await messages.post(self.customers[who], self.chats[who], sent)

            return job

        def place(restaurants: int) -> Job:
            async def job(number: int) -> None:
                where = number % restaurants
                basket = PlaceOrder.model_validate(self.places[where].basket())
                customer = self.customers[number % len(self.customers)]
                orders = services(number)[OrderService]
                order = await orders.place(
                    customer, basket, f"{self.rounds}.{restaurants}.{number}"
                )
                if restaurants == PLACES:
                    placed.append((json.loads(order)["id"], self.employees[where]))

            return job

        async def step(number: int) -> None:
            order_id, employee = placed[number]
            change = StatusChange(status=OrderStatus.ACCEPTED)
            await services(number)[OrderService].step(employee, order_id, change)

        rooms = len(self.chats)
        return {
            ONE_TOPIC: append(1),
            f"an event, to {4 * AT_ONCE} topics": append(4 * AT_ONCE),
            ONE_ROOM: message(1),
            MESSAGE: message(rooms),
            NO_QUEUE: message(rooms, queue=False),
            "an order placed, all at one restaurant": place(1),
            ORDER: place(PLACES),
            STEP: step,
        }


async def town_of(servers: Sequence[LiveServer]) -> Town:
    """Build it through the first server."""
    url, database = servers[0].url, servers[0].services[Database]
    places, employees, customers, chats = [], [], [], []
    async with Rest(url) as rest:
        for number in range(PLACES):
            new = NewRestaurant(
                name=f"Place {number}", cuisine="Thai", address="2 Mill Lane", lat=48.86, lng=2.36
            )
            place, email = await add_restaurant(database, new), f"cook{number}@example.com"
            await add_employee(database, email, PASSWORD, "Cook", place)
            cook = await rest.another().log_in(email, PASSWORD)
            dish = {"name": "Curry", "price_cents": 900}
            answer = await cook.post(f"/restaurants/{place}/menu", dish)
            places.append(Place(place, "", (), (), (answer.must(201).json["id"],)))
            employees.append(identity_of(cook))
        for number in range(AT_ONCE):
            customer = await rest.another().register(f"customer{number}@example.com")
            customers.append(identity_of(customer))
            chats.append(await open_chat(customer))
    return Town(servers, places, employees, customers, chats)


def identity_of(rest: Rest) -> Identity:
    account = rest.grant["account"]
    return Identity(
        account_id=account["id"],
        session_id="benchmark",
        expires=math.inf,
        name=account["name"],
        role=account["role"],
        restaurant_id=account.get("restaurant_id"),
    )


def folder_in(folder: Path) -> Path:
    """A folder that PostgreSQL's user can reach."""
    folder.chmod(0o755)
    own = folder / "postgres"
    own.mkdir()
    return own


async def measure_postgres(count: int, rounds: int) -> tuple[dict[str, Cost], float, float]:
    """What each kind of work costs, seconds of PostgreSQL's CPU a sweep, and bytes a connection."""
    costs: defaultdict[str, Cost] = defaultdict(Cost)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = PostgresServer(folder_in(folder))
        server.start()
        try:
            await server.execute("CREATE DATABASE tiffin")
            await migrate(server.url("tiffin"))
            async with AsyncExitStack() as stack:
                servers = []
                for number in range(2):
                    settings = settings_for(
                        folder / str(number),
                        database_url=server.url("tiffin"),
                        blob_dir=shared_folder(folder),
                        sweep_seconds=3600,
                        photo_workers=0,
                    )
                    servers.append(await stack.enter_async_context(running_server(settings)))
                postgres, database = Postgres(server), servers[0].services[Database]
                town = await town_of(servers)
                for _ in range(rounds):
                    for kind, job in town.jobs().items():
                        await timed(postgres, database, job, count, costs[kind])
                sweep: Cost = Cost()
                hub = servers[0].services[Hub]

                async def swept(_: int) -> None:
                    await database.data_version()
                    await hub._sweep()

                await timed(postgres, database, swept, 10 * count, sweep)
                return costs, median(sweep.cpu), postgres.connection_bytes()
        finally:
            server.kill()


async def hear(port: int) -> None:
    """Subscribe, and read what comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with closing(writer):
        writer.write(b"SUBSCRIBE channel\r\n")
        while await reader.read(1 << 20):
            pass


async def heard_by(redis: Redis, count: int) -> bool:
    """Whether so many subscribe."""
    [(_, found)] = await redis.pubsub_numsub("channel")
    return bool(found == count)


async def measure_redis() -> tuple[dict[int, float], float]:
    """Seconds of Redis' CPU a message, by the processes that hear it, and bytes a channel."""
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        redis = Redis.from_url(server.url)

        async def used() -> float:
            found = await redis.info("cpu")
            return float(found["used_cpu_user"] + found["used_cpu_sys"])

        costs = {}
        for count in SUBSCRIBERS:
            hearing = [asyncio.create_task(hear(server.port)) for _ in range(count)]
            await wait_until(partial(heard_by, redis, count))
            batches, before = math.ceil(PUBLISHED / count / BATCH), await used()
            for _ in range(batches):
                pipe = redis.pipeline(transaction=False)
                for _ in range(BATCH):
                    pipe.publish("channel", b"x" * 600)
                await pipe.execute()
            costs[count] = (await used() - before) / batches / BATCH
            for one in hearing:
                one.cancel()
            await asyncio.wait(hearing)
        before_bytes = (await redis.info("memory"))["used_memory"]
        many = redis.pubsub()
        for start in range(0, CHANNELS, 1000):
            await many.subscribe(*(f"channel:{number}" for number in range(start, start + 1000)))
        after = (await redis.info("memory"))["used_memory"]
        await many.aclose()
        await redis.aclose()
        return costs, (after - before_bytes) / CHANNELS


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="units of work a round (300)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds ({ROUNDS})")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the page to write")
    options = parser.parse_args()
    page = report(
        *asyncio.run(measure_postgres(options.count, options.rounds)), *asyncio.run(measure_redis())
    )
    options.out.write_text(page)
    print(page)


if __name__ == "__main__":
    main()
