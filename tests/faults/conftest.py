"""Two processes and their Redis, for tests that break and repair them."""

from collections.abc import Iterator

import pytest

from support.server_process import ON_POSTGRES
from support.two_processes import Two, two_processes
from support.waiting import wait_for
from tools.cluster.redis_server import RedisServer


@pytest.fixture(scope="module")
def broken_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The Redis of `with_redis`."""
    with RedisServer(tmp_path_factory.mktemp("broken-redis")) as server:
        yield server


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory, broken_redis: RedisServer) -> Iterator[Two]:
    """The processes of `with_redis`; on PostgreSQL, two gunicorn masters of two workers each."""
    folder, workers = tmp_path_factory.mktemp("with-redis"), 2 if ON_POSTGRES else 0
    with two_processes(folder, broken_redis.url, workers=workers) as two:
        yield two


@pytest.fixture
def with_redis(processes: Two, broken_redis: RedisServer) -> Two:
    """Two processes that share a database and `broken_redis`, all working."""
    if not broken_redis.running:
        broken_redis.start()
    for server in processes.both:
        if not server.running:
            server.start()
        wait_for(server.healthy, what=f"{server.url} has found Redis again")
    return processes
