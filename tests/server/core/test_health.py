"""What the server says of its own state."""

from pathlib import Path

from support.live_server import LiveServer, running_server, settings_for
from support.redis_server import RedisServer
from support.rest import Rest
from support.waiting import wait_until

PARTS = ("database", "broker", "connections", "tasks", "blobs", "worker")


async def test_without_redis_a_server_is_degraded_and_still_ready(
    data_dir: Path, own_redis: RedisServer
) -> None:
    redis = own_redis
    settings = settings_for(data_dir, redis_url=redis.url)
    async with running_server(settings) as server, Rest(server.url) as rest:
        answer = (await rest.get("//readyz")).must(200).json
        assert answer["status"] == "ok"
        assert answer["parts"] == dict.fromkeys(PARTS, "ok")
        redis.kill()

        async def degraded() -> bool:
            found = (await rest.get("//readyz")).must(200).json
            return bool(found["status"] == "degraded" and "Redis" in found["parts"]["broker"])

        await wait_until(degraded)


async def test_a_draining_server_is_not_ready(live_server: LiveServer, rest: Rest) -> None:
    from server.transports.connections import CONNECTIONS

    live_server.app[CONNECTIONS].drain()
    answer = (await rest.get("//readyz")).must(503).json
    assert answer["status"] == "not ready"
    assert answer["parts"]["connections"] == "draining"
    (await rest.get("//healthz")).must(200)
