"""Orders, reads, chat and announcements with 1, 2 and 4 workers, on SQLite and on PostgreSQL.

Gunicorn, Redis, PostgreSQL with its fsyncs and this load client share the machine's cores, so rates
stop growing where these are all busy; CPU times tell what a process would do on cores of its own.
Then what NOTIFY would cost PostgreSQL, and how many connections a process can use.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import psutil

from benchmarks._figures import machine
from benchmarks.peers.targets import CORES, FILES, WARM_UP_CONNECTIONS
from benchmarks.peers.tiffin import SETTINGS, Tiffin
from benchmarks.peers.works import Work, fan_out, full_rooms, place, read
from server.settings import Settings
from support.raw_http import raise_file_limit
from support.server_process import server_environment
from tools.cluster.postgres import PostgresServer
from tools.cluster.redis_server import RedisServer

WORKERS = (1, 2, 4)
POOLS = (2, 4, 8, 16)
WORKS: dict[str, tuple[Work, int]] = {
    "an order placed": (place, 64),
    "an order read": (read, 64),
    "a chat message": (full_rooms, 100),
    "an announcement to one of 200 streams": (fan_out, 200),
}
COMMITTERS = 8
RESULTS = Path(__file__).with_name("results") / "cluster.md"


class Cluster(Tiffin):
    """Gunicorn with some workers, on one of the two databases."""

    cores = CORES

    def __init__(
        self,
        folder: Path,
        redis: RedisServer,
        postgres: PostgresServer | None,
        workers: int,
        connections: int = 0,
    ) -> None:
        super().__init__(folder)
        self._redis = redis
        self._postgres = postgres
        self._workers = workers
        self._connections = connections

    @property
    def where(self) -> Path | str:
        if self._postgres is None:
            return super().where
        return self._postgres.url(self.folder.name)

    def command(self) -> Sequence[str | Path]:
        worker = ["-k", "aiohttp.GunicornUVLoopWebWorker", "-w", str(self._workers)]
        listen = ["-b", f"127.0.0.1:{self.port}", "--log-level", "warning"]
        return [sys.executable, "-m", "gunicorn", "server.app:create_runner", *worker, *listen]

    def environment(self) -> dict[str, str]:
        more = SETTINGS | {"TIFFIN_PHOTO_WORKERS": "0"}
        if self._postgres is not None:
            asyncio.run(self._postgres.execute(f'CREATE DATABASE "{self.folder.name}"'))
            more["TIFFIN_DATABASE_URL"] = str(self.where)
            more["TIFFIN_BLOB_DIR"] = str(self.folder)
        if self._connections:
            more["TIFFIN_DATABASE_CONNECTIONS"] = str(self._connections)
        return server_environment(self.folder, self._redis.url, more)

    def _is_ready(self) -> bool:
        return super()._is_ready() and self._at_work() == self._workers

    def _at_work(self) -> int:
        """Workers that have come so far as to be connected to Redis."""
        return sum(
            any(
                held.raddr and held.raddr.port == self._redis.port for held in one.net_connections()
            )
            for one in self._processes[1:]
        )


class Bench:
    """The services, and what is measured with them."""

    def __init__(self, redis: RedisServer, postgres: PostgresServer, seconds: float) -> None:
        self._redis = redis
        self._postgres = postgres
        self._seconds = seconds

    def works(self, counts: Sequence[int]) -> Iterator[str]:
        """A table of each work."""
        for name, (work, number) in WORKS.items():
            yield f"## {name.capitalize()}\n"
            yield "| workers | SQLite, a second | server's CPU, µs | PostgreSQL, a second |" + (
                " server's CPU, µs | PostgreSQL's CPU, µs |"
            )
            yield "|---:|---:|---:|---:|---:|---:|"
            for workers in counts:
                row = [str(workers)]
                for postgres in (None, self._postgres):
                    row += self._measured(work, number, postgres, workers)
                yield f"| {' | '.join(row)} |"
            yield ""

    def pools(self) -> Iterator[str]:
        """Orders by the number of connections."""
        default = Settings.model_fields["database_connections"].default
        yield "## Connections of a process to PostgreSQL\n"
        yield f"Orders placed by one worker. The default is {default} connections.\n"
        yield "| connections | a second | server's CPU, µs | PostgreSQL's CPU, µs |"
        yield "|---:|---:|---:|---:|"
        for connections in POOLS:
            row = self._measured(place, 64, self._postgres, 1, connections)
            yield f"| {connections} | {' | '.join(row)} |"
        yield ""

    def notifications(self) -> Iterator[str]:
        """Commits with NOTIFY and without."""
        yield "## NOTIFY\n"
        yield (
            f"Commits of one row a second by {COMMITTERS} connections of a client that does nothing"
            " else, three rounds each; two others listen.\n"
        )
        yield "| round | without NOTIFY | with NOTIFY | ÷ |"
        yield "|---:|---:|---:|---:|"
        for number in range(1, 4):
            plain, told = (asyncio.run(self._commits(notify)) for notify in (False, True))
            yield f"| {number} | {plain:,.0f} | {told:,.0f} | {told / plain:.2f} |"
        yield ""

    def _measured(
        self,
        work: Work,
        number: int,
        postgres: PostgresServer | None,
        workers: int,
        connections: int = 0,
    ) -> list[str]:
        with (
            tempfile.TemporaryDirectory(prefix="cluster") as folder,
            Cluster(Path(folder), self._redis, postgres, workers, connections) as server,
        ):
            work(server, min(number, WARM_UP_CONNECTIONS), 1)
            began, spent = time.monotonic(), self._postgres_seconds()
            found = work(server, number, self._seconds)
            took = time.monotonic() - began
            busy = (self._postgres_seconds() - spent) / took
        row = [f"{found.rate:,.0f}", f"{found.microseconds:,.0f}"]
        if postgres is not None:
            row.append(f"{busy / found.rate * 1e6:,.0f}")
        return row

    def _postgres_seconds(self) -> float:
        """CPU time that PostgreSQL has used, as long as its connections stay."""
        main = psutil.Process(self._postgres.pid)
        return sum(sum(one.cpu_times()[:2]) for one in (main, *main.children(recursive=True)))

    async def _commits(self, notify: bool) -> float:
        url = self._postgres.url("postgres")
        connections = [await asyncpg.connect(url) for _ in range(COMMITTERS)]
        listeners = [await asyncpg.connect(url) for _ in range(2)]
        for listener in listeners:
            await listener.add_listener("told", lambda *_: None)
        await connections[0].execute("CREATE TABLE IF NOT EXISTS told (n BIGINT)")
        done, end = 0, time.monotonic() + self._seconds

        async def commit(connection: asyncpg.Connection) -> None:
            nonlocal done
            while time.monotonic() < end:
                async with connection.transaction():
                    await connection.execute("INSERT INTO told (n) VALUES ($1)", done)
                    if notify:
                        await connection.execute("SELECT pg_notify('told', $1)", str(done))
                    else:
                        await connection.execute("SELECT $1::text", str(done))
                done += 1

        await asyncio.gather(*map(commit, connections))
        for connection in (*connections, *listeners):
            await connection.close()
        return done / self._seconds


def main() -> None:
    """Measure, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement (5)")
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--only", choices=("works", "pools", "notifications"))
    options = parser.parse_args()
    raise_file_limit(FILES)
    with ExitStack() as stack:
        folders = [
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tiffin")))
            for _ in range(2)
        ]
        redis = stack.enter_context(RedisServer(folders[0]))
        postgres = stack.enter_context(PostgresServer(folders[1]))
        bench = Bench(redis, postgres, options.seconds)
        parts: dict[str, Callable[[], Iterator[str]]] = {
            "works": lambda: bench.works(options.workers),
            "pools": bench.pools,
            "notifications": bench.notifications,
        }
        lines = []
        for name, part in parts.items():
            if options.only in (None, name):
                for line in part():
                    print(line, flush=True)
                    lines.append(line)
    if options.only is None:
        head = f"# SQLite and PostgreSQL\n\n`make bench ONLY=cluster`: {machine()}, shared by"
        head += " Gunicorn, Redis, the database and the load client.\n\n"
        RESULTS.write_text(head + "\n".join(lines))


if __name__ == "__main__":
    main()
