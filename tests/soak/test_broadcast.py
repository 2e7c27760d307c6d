"""Announcements to thousands of streams, half of which are cut and reconnect."""

import asyncio
import json
import random
from pathlib import Path

import pytest

from support.prober import Prober
from support.raw_http import RawRequest, raise_file_limit
from support.rest import Rest
from support.server_process import ServerProcess, StartServer
from support.town import PASSWORD, open_restaurant
from support.waiting import wait_until

ENV = {
    "TIFFIN_MAX_CONNECTIONS": "20000",
    "TIFFIN_MAX_STREAMS_PER_ACCOUNT": "20000",
    "TIFFIN_MAX_SOCKETS": "0",
    "TIFFIN_LOG_LEVEL": "WARNING",
}
AUDIENCES = ("everyone", "customers", "employees")
AT_A_TIME = 100
"""Connections opened in parallel."""
AT_ONCE = 5
"""Announcements made together."""
LONGEST_WAIT = 0.1
"""Seconds in which all but one percent of other requests are answered meanwhile."""
FELT = 3
"""The same as a multiple of an idle server's time, for a busy machine."""


class Listener:
    """A client that is cut and reconnects, and the ids it received."""

    def __init__(self, server: ServerProcess, who: Rest, cursor: str) -> None:
        self.role = who.grant["account"]["role"]
        self.heard: list[str] = []
        self._server = server
        self._token = who.token
        self._cursor = cursor
        self._request: RawRequest | None = None
        self._reading: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Open the stream after the last event received."""
        path = f"/announcements/stream?after={self._cursor}"
        request = await (await RawRequest.send(self._server.port, path, self._token)).head()
        assert request.status == 200
        request.cursor = self._cursor
        self._request = request
        self._reading = asyncio.create_task(self._read(request))

    async def cut(self) -> None:
        """Drop the connection at any moment."""
        assert self._request is not None
        assert self._reading is not None
        self._reading.cancel()
        await asyncio.wait({self._reading})
        self._request.close()
        self._cursor = self._request.cursor

    async def _read(self, request: RawRequest) -> None:
        while True:
            kind, data = await request.event()
            assert kind == "announcement"
            self.heard.append(json.loads(data)["id"])


async def at_most(number: int, doing: list[object]) -> None:
    """Wait for all of them, this many at a time."""
    places = asyncio.Semaphore(number)

    async def one(job: object) -> None:
        async with places:
            await job  # type: ignore[misc]

    await asyncio.gather(*map(one, doing))


@pytest.mark.parametrize(
    ("streams", "announcements"),
    [
        (200, 20),
        pytest.param(5000, 100, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
async def test_every_reader_gets_all_of_its_audience_once_and_in_order(
    start_server: StartServer, data_dir: Path, streams: int, announcements: int
) -> None:
    raise_file_limit(streams + 500)
    rng = random.Random(streams)
    server = start_server(env=ENV)
    place = await open_restaurant(data_dir, server.url)
    async with Rest(server.url) as customer:
        await customer.register("ana@example.org")
        employee = await customer.another().log_in(place.employees[0], PASSWORD)
        people = (customer, employee)
        cursors = [(await who.get("/announcements")).must(200).json["cursor"] for who in people]
        listeners = [
            Listener(server, people[number % 2], cursors[number % 2]) for number in range(streams)
        ]
        await at_most(AT_A_TIME, [one.connect() for one in listeners])

        async def announce(number: int) -> tuple[str, str]:
            audience = AUDIENCES[number % 3]
            news = {"title": f"No. {number}", "body": "…", "severity": "info"}
            answer = await employee.post("/announcements", news | {"audience": audience})
            return answer.must(201).json["id"], audience

        made: dict[str, str] = {}
        away: list[Listener] = []
        idle = start_server(data_dir / "idle", env=ENV)
        async with Rest(idle.url) as nobody:
            await nobody.register("ana@example.org")
        probers = [
            Prober(server.port, customer.token or ""),
            Prober(idle.port, nobody.token or ""),
        ]
        for prober in probers:
            await prober.ready()
        for number in range(0, announcements, AT_ONCE):
            if number == announcements // 2:
                # Thousands that disconnect and reconnect are another matter.
                taken, others = [sorted(await prober.stop()) for prober in probers]
            back, away = away, []
            if number >= announcements // 2 and number % (2 * AT_ONCE) == 0:
                away = rng.sample(listeners, streams // 2)
            cutting = asyncio.gather(*(one.cut() for one in away))
            made |= await asyncio.gather(*(announce(number + at) for at in range(AT_ONCE)))
            await cutting
            await at_most(AT_A_TIME, [one.connect() for one in back])
        await at_most(AT_A_TIME, [one.connect() for one in away])

        order = await in_order(employee)
        expected = {
            role: [one for one in order if made[one] in ("everyone", f"{role}s")]
            for role in ("customer", "employee")
        }
        await wait_until(
            lambda: all(len(one.heard) >= len(expected[one.role]) for one in listeners),
            120,
            every=0.2,
            what="everybody has heard all of it",
        )
        for one in listeners:
            assert one.heard == expected[one.role]
            await one.cut()
        slow, usual = [one[len(one) * 99 // 100] for one in (taken, others)]
        print(
            f"{streams} streams, {announcements} announcements; {len(taken)} other requests"
            f" meanwhile: p50 {taken[len(taken) // 2] * 1000:.1f} p99 {slow * 1000:.1f}"
            f" most {taken[-1] * 1000:.1f} ms; p99 at an idle server {usual * 1000:.1f} ms"
        )
        assert slow < max(LONGEST_WAIT, FELT * usual)


async def in_order(employee: Rest) -> list[str]:
    """The ids of all announcements in the log: by the stream from its beginning."""
    from server.realtime.event import Cursor

    page = (await employee.get("/announcements?scope=all")).must(200).json
    head = Cursor.parse(page["cursor"])
    assert head is not None
    beginning = Cursor(head.epoch, head.topic, 0)
    port = int(employee.base_url.rpartition(":")[2])
    path = f"/announcements/stream?scope=all&after={beginning}"
    request = await (await RawRequest.send(port, path, employee.token)).head()
    found = [json.loads((await request.event())[1])["id"] for _ in range(head.seq)]
    request.close()
    return found
