"""`make cluster`: everything as real processes, half of it stopped, and nothing left at the end."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.transports.connections import DRAINED_RETRY_MS
from server.transports.outbox import CloseCode
from support.processes import all_gone, left_of
from support.rest import Answer, Rest
from support.room import Closed, open_chat, room
from support.server_process import ROOT, UNLIMITED
from support.town import PASSWORD, Place, database_in, open_restaurant
from support.uploads import done, sent
from support.waiting import PATIENCE, wait_for, wait_until
from tools.cluster.nginx import command
from tools.ports import free_port
from tui.common.client.retry import Backoff
from tui.common.client.sse import SSEParser

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

STREAMS, POLLS, SOCKETS = 150, 30, 20


class Running:
    """`python -m tools.cluster` as a child process, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "output"
        settings = {f"TIFFIN_{name.upper()}": str(value) for name, value in UNLIMITED.items()}
        settings |= {"TIFFIN_MAX_STREAMS_PER_ACCOUNT": "1000", "TIFFIN_LOG_LEVEL": "INFO"}
        clean = {name: value for name, value in os.environ.items() if "TIFFIN_" not in name}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tools.cluster", "--folder", str(folder / "data")),
                    *("--port", str(free_port())),
                ],
                cwd=ROOT,
                env=clean | settings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            wait_for(self._begun, 120, what="the cluster runs")
        except BaseException:
            self.process.kill()
            raise
        text = self.text()
        self.url = found(r"open +(http://\S+)", text)
        self.masters = re.findall(r"(http://127.0.0.1:\d+)   process \d+", text)
        self.pids = [int(pid) for pid in re.findall(r"process (\d+)", text)]
        self.database = found(r"(postgresql://\S+)", text)
        self.logs = [Path(path) for path in re.findall(r"(/\S+\.log)$", text, re.M)]
        self.everything = psutil.Process(self.process.pid).children(recursive=True)

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def _begun(self) -> bool:
        assert self.process.poll() is None, self.text()
        return "ctrl-c" in self.text()


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """It takes 20 s to start, so `make test` leaves it to `make test-all` and `make faults`."""
    if command() is None:
        pytest.skip("there is no nginx here: apt-get install nginx-light")
    if "FAULT_SECONDS" not in os.environ:
        pytest.skip("run by make test-all and make faults, which set FAULT_SECONDS")
    running = Running(tmp_path_factory.mktemp("cluster"))
    yield running
    if running.process.poll() is None:
        running.process.terminate()
        running.process.wait(60)
    print(running.text())


@dataclass
class Return:
    """How a reader came back after its connection."""

    ended: float
    """When it had none any more: the monotonic clock, as below."""
    told: float | None
    """Seconds that the server told it to wait; None where the connection broke."""
    asked: float = 0.0
    """When it first asked again."""
    back: float = 0.0
    """When it was answered."""


@dataclass
class Reader:
    """A client of nginx, which comes back as the apps do; `seen` is what it got, in order."""

    rest: Rest
    seen: list[str] = field(default_factory=list)
    returns: list[Return] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    backoff: Backoff = field(default_factory=Backoff)

    async def stream(self, place: Place, cursor: str) -> None:
        """Follow the kitchen's stream."""
        url = self.rest.url(f"/restaurants/{place.id}/orders/stream")
        timeout = aiohttp.ClientTimeout(total=None, sock_read=40)
        while True:
            parser, headers = SSEParser(cursor), self.rest.headers | {"Last-Event-ID": cursor}
            ended = False
            try:
                async with self.rest.http.get(url, headers=headers, timeout=timeout) as answer:
                    if answer.status == 200:
                        self._opened()
                    async for chunk in answer.content.iter_any():
                        for event in parser.feed(chunk):
                            assert event.type != "reset"
                            self.seen.append(event.data)
                        cursor = parser.last_event_id
                    ended = answer.status == 200
                    assert ended or answer.status in (502, 503), answer.status
            except aiohttp.ClientError:
                pass
            await self._return(parser.retry_ms / 1000 if ended and parser.retry_ms else None)

    async def poll(self, place: Place, cursor: str) -> None:
        """Follow the same by long polling."""
        while True:
            path = f"/restaurants/{place.id}/orders/events?after={cursor}&timeout=45"
            self.begun.set()
            try:
                answer = await self.rest.get(path)
            except aiohttp.ClientError:
                await self._return(None)
                continue
            assert answer.status in (200, 204, 502, 503), answer.body
            if answer.status in (502, 503):
                await self._return(None)
                continue
            self._opened()
            if answer.status == 200:
                cursor = answer.json["cursor"]
                self.seen += [json.dumps(event["data"]) for event in answer.json["events"]]
            elif "Retry-After" in answer.headers:
                await self._return(float(answer.headers["Retry-After"]))

    async def sit(self, chat_id: str, cursor: str) -> None:
        """Read the messages of a chat in its socket."""
        while True:
            told = None
            try:
                async with room(self.rest, chat_id, cursor) as socket:
                    self._opened()
                    while True:
                        frame = await socket.next("message", seconds=60)
                        cursor = frame["cursor"]
                        self.seen.append(frame["client_id"])
            except Closed as closed:
                if closed.code == CloseCode.GOING_AWAY:
                    told = closed.reason["retry_after_ms"] / 1000
            except aiohttp.ClientError:  # a handshake that found no server
                pass
            await self._return(told)

    def _opened(self) -> None:
        self.begun.set()
        self.backoff.opened()
        if self.returns and not self.returns[-1].back:
            self.returns[-1].back = time.monotonic()

    async def _return(self, told: float | None) -> None:
        if told is None:
            waits = self.backoff.lost()
        else:
            self.backoff.floor = told
            waits = self.backoff.ended()
        if not self.returns or self.returns[-1].back:  # else it is another try
            self.returns.append(Return(time.monotonic(), told))
        await asyncio.sleep(waits)
        self.returns[-1].asked = self.returns[-1].asked or time.monotonic()


async def sent_again(rest: Rest, path: str, body: object, key: str = "") -> Answer:
    """Send until a server has answered, as a client does."""
    headers = {"Idempotency-Key": key} if key else {}

    async def answered() -> Answer | None:
        try:
            answer = await rest.post(path, body, headers=headers)
        except aiohttp.ClientError:
            return None
        return None if answer.status in (502, 503) else answer

    found = await wait_until(answered, what=f"an answer to {path}")
    assert found is not None
    return found


async def longest_stall(stalls: list[float]) -> None:
    """Keep in the list, in seconds, the longest time that this loop was late by."""
    while True:
        then = time.monotonic() + 0.02
        await asyncio.sleep(0.02)
        stalls[0] = max(stalls[0], time.monotonic() - then)


async def logged(cluster: Running, topic: str) -> list[tuple[str, str]]:
    """Subject and data of every event of that topic."""
    async with database_in(cluster.database) as database:
        sql = "SELECT subject, data FROM events WHERE topic = :topic ORDER BY seq"
        rows = await database.read(lambda tx: tx.fetch(sql, {"topic": topic}))
    return [(row["subject"], row["data"]) for row in rows]


async def test_an_order_placed_through_nginx_is_seen_at_both_masters(cluster: Running) -> None:
    place = await open_restaurant(cluster.database, cluster.url, "Saffron", employees=1)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        readers = []
        for url in (*cluster.masters, cluster.url):
            rest = await stack.enter_async_context(Rest(url))
            await rest.log_in(place.employees[0], PASSWORD)
            cursor = (await rest.get("/orders")).must(200).json["cursor"]
            readers.append(Reader(rest))
            group.create_task(readers[-1].stream(place, cursor))
        following = [*group._tasks]
        for reader in readers:
            await reader.begun.wait()
        customer = await readers[-1].rest.another().register("ana@example.com")
        for _ in range(4):  # nginx gives them to one master and the other
            (await customer.post("/orders", place.basket())).must(201)
        events = await logged(cluster, f"restaurant:{place.id}")
        assert len(events) == 4
        await wait_until(
            lambda: all(len(reader.seen) >= 4 for reader in readers), what="everybody has them"
        )
        ids = [order_id for order_id, _ in events]
        for reader in readers:
            assert [json.loads(data)["id"] for data in reader.seen] == ids
        upload = await sent(customer)
        for url in cluster.masters:  # one has received it, and any may process it
            there = Rest(url, readers[0].rest.http)
            there.token = customer.token
            await done(there, upload)
        for task in following:
            task.cancel()

    async def orders_by_process() -> dict[str, float] | None:
        """As any worker of a master tells it; None until one tells of both workers."""
        counts: Counter[str] = Counter()
        for url in cluster.masters:
            async with Rest(url) as rest:
                text = (await rest.get("//metrics")).must(200).body.decode()
            processes = set()
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    processes.add(sample.labels["process"])
                    if sample.name == "tiffin_requests_total":
                        route = sample.labels["route"].removeprefix("/api/v1")
                        counts[f"{sample.labels['method']} {route}"] += int(sample.value)
            if processes != {"0", "1"}:
                return None
        return counts if counts["POST /orders"] >= 4 else None

    told = await wait_until(orders_by_process, what="the metrics tell of all four workers")
    assert told is not None
    assert told["POST /orders"] == 4


async def test_half_of_a_cluster_is_stopped_and_nobody_loses_anything(cluster: Running) -> None:
    place = await open_restaurant(cluster.database, cluster.url, "Harbour", employees=1)
    async with Rest(cluster.url) as employee, asyncio.TaskGroup() as group:
        await employee.log_in(place.employees[0], PASSWORD)
        customer = await employee.another().register("bram@example.com")
        chat = await open_chat(customer)
        orders = (await employee.get("/orders")).must(200).json["cursor"]
        said = (await customer.get(f"/chats/{chat}/messages")).must(200).json["cursor"]
        kitchen = [Reader(employee) for _ in range(STREAMS + POLLS)]
        desk = [Reader(employee) for _ in range(SOCKETS)]
        tasks = [group.create_task(one.stream(place, orders)) for one in kitchen[:STREAMS]]
        tasks += [group.create_task(one.poll(place, orders)) for one in kitchen[STREAMS:]]
        tasks += [group.create_task(one.sit(chat, said)) for one in desk]
        for reader in (*kitchen, *desk):
            await reader.begun.wait()
        stopped = asyncio.Event()

        async def work() -> int:
            """Orders and messages, one after the other, until it is over; and a photo."""
            number = 0
            photo = await sent(customer)
            while not stopped.is_set():
                number += 1
                order = await sent_again(customer, "/orders", place.basket(), f"order-{number}")
                assert order.status == 201, order.body
                message = {"client_id": f"m{number}", "text": f"Where is number {number}?"}
                said = await sent_again(customer, f"/chats/{chat}/messages", message)
                assert said.status in (200, 201), said.body
                await asyncio.sleep(0.05)
            await done(customer, photo)
            return number

        working = group.create_task(work())
        await wait_until(lambda: all(one.seen for one in kitchen), what="everybody follows")
        stalls = [0.0]
        tasks.append(group.create_task(longest_stall(stalls)))
        half = psutil.Process(cluster.pids[0])
        begun = time.monotonic()
        half.terminate()
        await asyncio.to_thread(half.wait, PATIENCE)
        took = time.monotonic() - begun
        await wait_until(
            lambda: "master one has ended with 0" in cluster.text(), what="it has ended in order"
        )
        stopped.set()
        number = await working
        events = [json.loads(data) for _, data in await logged(cluster, f"restaurant:{place.id}")]
        await wait_until(
            lambda: (
                all(len(one.seen) >= len(events) for one in kitchen)
                and all(len(one.seen) >= number for one in desk)
            ),
            what="everybody has everything",
        )
        for task in tasks:
            task.cancel()
    assert len(events) == number
    for reader in kitchen:
        assert [json.loads(data) for data in reader.seen] == events
    for reader in desk:
        assert reader.seen == [f"m{count + 1}" for count in range(number)]
    # Polls that were held when their server stopped are answered, and ask again at once.
    returns = [one for reader in (*kitchen, *desk) for one in reader.returns]
    times = [one.asked for one in returns]

    def most_within(seconds: float) -> float:
        """The most in so many seconds, as a share of all."""
        most = max(sum(start <= at < start + seconds for at in times) for start in times)
        return most / len(times)

    away = sorted(one.back - one.ended for one in returns)
    broken = sum(one.told is None for one in returns)
    print(
        f"ended after {took:.1f} s; {len(returns)} came back, at most {most_within(1):.0%} in one"
        f" second, each after {away[0]:.2f} to {away[-1]:.2f} s"
        f" (half of them {away[len(away) // 2]:.2f} s); {broken} connections broke;"
        f" the longest stall was {stalls[0]:.2f} s"
    )
    assert took < 10
    # Those who could not return while the machine was busy elsewhere return together.
    assert most_within(1 - stalls[0]) <= 1 / 5
    # That the ends are even, and the wait, are in tests/server/transports/test_connections.py.
    assert {one.told for one in returns} - {None} == {DRAINED_RETRY_MS / 1000}
    for log in cluster.logs:
        assert "Task was destroyed" not in log.read_text(errors="replace"), log


def test_sigterm_ends_everything(cluster: Running) -> None:
    everything = left_of(cluster.everything)
    assert len(everything) >= 8
    ports = [int(port) for port in re.findall(r"\((\d+)\)", cluster.text())]
    cluster.process.send_signal(signal.SIGTERM)
    assert cluster.process.wait(60) == 0, cluster.text()
    all_gone(everything)
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0, port
