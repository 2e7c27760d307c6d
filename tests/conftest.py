"""Fixtures for all tests: a real Redis, real server processes, a live server."""

import gc
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from support.preloaded import run_folder
from support.server_process import ON_POSTGRES, ServerProcess, StartServer
from support.uploads import QUICK_WORKER
from tools.cluster.azurite import Azurite
from tools.cluster.redis_server import RedisServer
from tools.cluster.service import ServiceMissing

if TYPE_CHECKING:
    from support.live_server import LiveServer
    from support.rest import Rest
    from support.two_processes import Two

# Nothing of what is imported and collected becomes garbage; see `pytest_collection_finish`.
gc.disable()
os.environ.pop("NO_COLOR", None)
os.environ["LC_ALL"] = "C.UTF-8"  # money is written as the locale does
os.environ["COLORTERM"] = "truecolor"  # an app has another palette where there are fewer colours
# A run in the background of a script, or under nohup, ignores these signals, and children inherit
# that. They do not inherit a handler: with one here they start with the default action.
for _signal in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, lambda _number, _frame: None)
# Whatever imports onnxruntime: it would keep a device id and a queue of reports in the home.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# How long an example takes on a busy machine says nothing of what it shows.
settings.register_profile(
    "tiffin", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50
)
settings.register_profile("all", settings.get_profile("tiffin"), max_examples=500)
settings.load_profile("tiffin")
# Where `make test` has put the model: servers under test have data folders of their own.
os.environ.setdefault("U2NET_HOME", str(Path(__file__).resolve().parents[1] / ".tiffin" / "rembg"))


def pytest_configure() -> None:
    """Make the folder that all workers share. Say in words that PostgreSQL cannot be had here, and
    end the run."""
    run_folder()
    if ON_POSTGRES:
        try:
            from tools.cluster.postgres import BINARIES
        except ImportError as error:
            pytest.exit(f"no test is run on PostgreSQL, which cannot be had here: {error}", 0)
        if not (BINARIES / "bin" / "postgres").exists():
            pytest.exit(f"no test is run on PostgreSQL: there is none in {BINARIES}", 0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the files that wait for other processes over the first three quarters of the rest.

    Side by side they would leave the cores idle, and at the end one worker would wait for the last.
    The apps' windows, the longest files, come first.
    """
    files: dict[Path, list[pytest.Item]] = {}
    for item in reversed(items):
        files.setdefault(item.path, []).insert(0, item)
    waits = [
        path
        for path, inside in files.items()
        if not {"e2e", "faults", "soak"}.isdisjoint(path.parts)
        or any("start_server" in getattr(item, "fixturenames", ()) for item in inside)
    ]
    order = [path for path in files if path not in waits]
    every = max(1, len(order) * 3 // 4 // max(1, len(waits)))
    for number, path in enumerate(waits):
        order.insert(number * (every + 1), path)
    items[:] = [item for path in order for item in files[path]]


def pytest_collection_finish() -> None:
    """Let the garbage collector leave modules and collected tests alone, as a server does."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Folders for this run: no test reads or writes the user's state and settings."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    os.environ["XDG_CONFIG_HOME"] = str(tmp_path_factory.mktemp("config"))


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """A server that logs to its own handlers does so for one test: the next test's log would
    otherwise be kept in memory, and be slower."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def cheap_hashes() -> Iterator[int]:
    """Servers of the tests hash passwords with little memory: much faster, and otherwise the same.
    Yields the memory in KiB that production uses; `full_hashes` restores it for one test."""
    from server.features.accounts import passwords

    full = passwords.MEMORY_KIB
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "MEMORY_KIB", 64)
        yield full


@pytest.fixture(scope="session", autouse=True)
def no_fsync() -> Iterator[None]:
    """Databases of the tests wait for the disk with no commit, as their PostgreSQL does not either.

    Only a power failure would make a difference; a process that is killed loses nothing.
    """
    from server.core import sqlite

    full, off = "PRAGMA synchronous=FULL", "PRAGMA synchronous=OFF"
    assert full in sqlite.PRAGMAS
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sqlite, "PRAGMAS", tuple(off if one == full else one for one in sqlite.PRAGMAS)
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_photos() -> Iterator[tuple[str, ...]]:
    """Photo workers of servers in this process have a stand-in for the model. Yields Python's
    arguments for the true ones; `true_model` restores them for one test."""
    from server.features.uploads import worker_process

    true = worker_process.PROGRAM
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_process, "PROGRAM", QUICK_WORKER)
        yield true


@pytest.fixture
def true_model(monkeypatch: pytest.MonkeyPatch, quick_photos: tuple[str, ...]) -> None:
    """Remove backgrounds as a server in production does."""
    from server.features.uploads import worker_process

    monkeypatch.setattr(worker_process, "PROGRAM", quick_photos)


@pytest.fixture(scope="session", autouse=True)
def maps_read_once() -> Iterator[None]:
    """Servers in this process share the map of a file that is the same: none changes it."""
    from server.geo.town_map import TownMap

    read, known = TownMap.read, dict[tuple[Path, int], TownMap]()

    def read_once(path: Path) -> TownMap:
        key = path, path.stat().st_mtime_ns if path.exists() else 0
        if key not in known:
            known[key] = read(path)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TownMap, "read", read_once)
        yield


@pytest.fixture
def full_hashes(monkeypatch: pytest.MonkeyPatch, cheap_hashes: int) -> None:
    """Hash passwords as a server in production does."""
    from server.features.accounts import passwords

    monkeypatch.setattr(passwords, "MEMORY_KIB", cheap_hashes)


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The redis-server that the tests of a file share, as starting one costs less than leaving one
    idle for the whole run. Don't break it: `own_redis` is for that."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The shared Redis, emptied."""
    redis_server.command("FLUSHALL")
    return redis_server.url


@pytest.fixture
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A running Redis for this test alone, to be stopped, killed, frozen and restarted."""
    with RedisServer(tmp_path_factory.mktemp("own-redis")) as server:
        yield server


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """The blob store that the whole run shares; without Azurite, the test is skipped."""
    yield from _blob_store(tmp_path_factory.mktemp("azurite"))


@pytest.fixture
def own_azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A blob store for this test alone, to kill and restart."""
    yield from _blob_store(tmp_path_factory.mktemp("own-azurite"))


def _blob_store(folder: Path) -> Iterator[Azurite]:
    try:
        with Azurite(folder) as store:
            yield store
    except ServiceMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A fresh folder for a server's data."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def start_server(data_dir: Path) -> Iterator[StartServer]:
    """Starts `python -m server`, as many as needed: `start_server(redis_url=..., demo=True)`.

    All share `data_dir` unless given another; `wait=False` does not wait for readiness. Their
    output is shown when the test fails.
    """
    started: list[ServerProcess] = []

    def start(folder: Path | None = None, *, wait: bool = True, **more: Any) -> ServerProcess:
        server = ServerProcess(folder or data_dir, **more)
        started.append(server)
        if wait:
            server.start()
        else:
            server.spawn()
        return server

    yield start
    for server in started:
        server.terminate(seconds=5)
        print(f"--- {server.url} ---\n{server.log_tail()}")


@pytest.fixture(scope="module")
def two_on_redis(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer
) -> Iterator["Two"]:
    """Two processes on one database and the shared Redis, for a file's tests: leave them running,
    and open a restaurant for your test."""
    from support.two_processes import two_processes

    with two_processes(tmp_path_factory.mktemp("two-on-redis"), redis_server.url) as two:
        yield two


@pytest.fixture(scope="module")
def without_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Two"]:
    """Two processes on one database, without Redis."""
    from support.two_processes import two_processes

    with two_processes(tmp_path_factory.mktemp("without-redis")) as two:
        yield two


@pytest.fixture
async def live_server(
    data_dir: Path, request: pytest.FixtureRequest
) -> AsyncIterator["LiveServer"]:
    """A server in this loop, without Redis, on a port of its own; its town is empty.

    The mark `server_settings(**changes)` changes its settings. `support.town.open_restaurant` fills
    the town; `support.live_server` starts other servers.
    """
    from support.live_server import running_server, settings_for

    mark = request.node.get_closest_marker("server_settings")
    changes = mark.kwargs if mark is not None else {}
    async with running_server(settings_for(data_dir, **changes)) as server:
        yield server


@pytest.fixture
async def demo_server(data_dir: Path) -> AsyncIterator["LiveServer"]:
    """The same in demo mode, with the demo's town."""
    from support.live_server import running_server, settings_for

    async with running_server(settings_for(data_dir, demo=True)) as server:
        yield server


@pytest.fixture
async def rest(live_server: "LiveServer") -> AsyncIterator["Rest"]:
    """A client of `live_server` that is not logged in; `another()` makes more."""
    from support.rest import Rest

    async with Rest(live_server.url, keep_alive=True) as client:
        yield client
