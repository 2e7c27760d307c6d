"""PostgreSQL crashes, freezes, drops connections: 503 meanwhile, and nothing is lost."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from server.core.databases import migrate, opened_database
from support.rest import Rest
from support.scene import play
from support.server_process import ON_POSTGRES
from support.two_processes import Two, two_processes
from support.waiting import PATIENCE, wait_until
from support.witness import Outage

pytestmark = [
    pytest.mark.fault,
    pytest.mark.skipif(not ON_POSTGRES, reason="needs TIFFIN_TEST_DATABASE=postgresql"),
]

TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname <> 'postgres'"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """Two processes without Redis that wait for PostgreSQL a second, instead of ten."""
    with two_processes(tmp_path_factory.mktemp("impatient"), database_seconds=1) as two:
        yield two


async def crash(two: Two) -> None:
    """It is killed, and recovers as it starts again."""
    from support.postgres import shared_server

    await asyncio.to_thread(shared_server().restart)


async def terminate(two: Two) -> None:
    """Its connections are terminated, once and again."""
    from support.postgres import shared_server

    for _ in range(3):
        await shared_server().execute(TERMINATE)
        await asyncio.sleep(0.3)


async def freeze(two: Two) -> None:
    """It does not answer, for longer than a server waits."""
    from support.postgres import shared_server

    async with Rest(two.left.url) as ana:
        await ana.register("ana@example.org")
        shared_server().freeze()
        try:
            async with asyncio.timeout(PATIENCE):
                for answer in await asyncio.gather(*(ana.get("/restaurants") for _ in range(4))):
                    assert answer.must(503).headers["Retry-After"]
                ready = (await ana.get("//readyz")).must(503).json
            assert ready["parts"]["database"] != "ok"
        finally:
            shared_server().thaw()


async def test_a_standby_is_refused_until_it_has_taken_over_as_another_instance() -> None:
    """What that leads to is in tests/server/realtime/test_hub.py."""
    from tools.cluster.postgres import PostgresServer

    with (
        tempfile.TemporaryDirectory(prefix="tiffin-postgres-") as folder,
        PostgresServer(Path(folder), {"fsync": "off"}) as server,
    ):
        where = server.url("postgres")
        await migrate(where)
        async with opened_database(where) as database:
            before = database.instance
            await asyncio.to_thread(server.stop)
            (server.data / "standby.signal").touch()
            await asyncio.to_thread(server.start)

            async def says(words: str) -> bool:
                return words in await database.state()

            await wait_until(lambda: says("it is a standby"), what="it is refused")
            await asyncio.to_thread(server.promote)
            await wait_until(lambda: says("ok"), what="it is the primary")
            assert database.instance == f"{before}.00000002"


@pytest.mark.parametrize("fault", [crash, terminate, freeze])
async def test_every_order_stays_and_every_event_arrives(
    impatient: Two, fault: Callable[[Two], Awaitable[None]]
) -> None:
    async def outage(two: Two) -> Outage:
        begins = time.time()
        await fault(two)

        def ready() -> bool:
            return all(server.healthy() for server in two.both)

        await wait_until(lambda: asyncio.to_thread(ready), what="both are ready again")
        return Outage(begins, time.time(), both=True)

    await play(impatient, outage)
