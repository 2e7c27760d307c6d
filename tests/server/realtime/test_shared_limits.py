"""Limits of two processes that share a Redis."""

import json
from pathlib import Path

import pytest

from server.core.errors import Problem
from server.core.health import Readiness
from server.core.limits import RateLimit, RequestLimits
from server.realtime.event import Event
from server.realtime.shared_limits import TOPIC, SharedLimits
from support.live_server import LiveServer, running_server, settings_for
from support.rest import Rest
from support.waiting import wait_until
from tools.cluster.redis_server import RedisServer

MOST = 20
LIMITS = {
    "anonymous_per_minute": 10 * MOST,
    "login_failures": 3,
    "login_failures_per_account": 3,
    **dict.fromkeys(
        (
            "rate_per_minute",
            "reads_per_minute",
            "address_per_minute",
            "login_per_minute",
            "registrations_per_hour",
            "registrations_refused_per_hour",
            "chat_bytes_per_minute",
        ),
        MOST,
    ),
}


def shared(server: LiveServer) -> SharedLimits:
    return server.services[SharedLimits]


async def told(teller: LiveServer, listener: LiveServer) -> None:
    """Wait until everything that one has counted has arrived at the other."""
    sender = shared(teller)

    def arrived() -> bool:
        received = shared(listener)._received.get(sender._sender, 0)
        return sender._timer is None and received == sender._sent

    await wait_until(arrived, what="the other process knows")


@pytest.mark.usefixtures("at_one_moment")
async def test_what_one_process_has_admitted_another_one_refuses(
    data_dir: Path, redis_url: str
) -> None:
    settings = settings_for(data_dir, redis_url=redis_url, limits_shared_seconds=0.02, **LIMITS)
    async with running_server(settings) as left, running_server(settings) as right:
        ours, theirs = shared(left)._limits, shared(right)._limits
        assert ours.keys() == theirs.keys()
        names = [name for name, limit in ours.items() if isinstance(limit, RateLimit)]
        admitted = {name: use_up(ours[name]) for name in names}
        await told(left, right)
        for name in names:
            assert not admits(theirs[name], "somebody"), name
            assert admits(theirs[name], "another"), name
            ours[name].refund("somebody", admitted[name])
        await told(left, right)
        for name in names:
            assert admits(theirs[name], "somebody"), f"{name}, taken back"
        # By HTTP: passwords that were wrong at the left, then the right one at the right.
        async with Rest(left.url) as here, Rest(right.url) as there:
            await here.register("ana@example.com")
            credentials = {"email": "ana@example.com", "password": here.password}
            for _ in range(2):
                (await here.post("/auth/login", credentials | {"password": "wrong"})).must(401)
            await told(left, right)
            (await there.post("/auth/login", credentials)).must(200)
            await told(right, left)  # which resets the delay there too
            for _ in range(3):
                (await here.post("/auth/login", credentials | {"password": "wrong"})).must(401)
            await told(left, right)
            answer = (await there.post("/auth/login", credentials)).must(429)
            assert int(answer.headers["Retry-After"]) >= 1


async def test_a_message_counts_once_and_one_of_another_version_is_left_out(
    data_dir: Path, redis_url: str
) -> None:
    settings = settings_for(data_dir, redis_url=redis_url, **LIMITS)
    async with running_server(settings) as server:
        limits = shared(server)
        writes = server.services[RequestLimits].writes

        def receive(subject: str, counts: object) -> None:
            limits.write(Event(TOPIC, 1, "counted", subject, json.dumps(counts), ""))

        for _ in range(5):
            receive("other.7", {"writes": {"acc": MOST - 1}})
            receive("other.6", {"writes": {"acc": MOST - 1}})
        receive("other.8", {"writes": {"acc": "many"}})
        receive("other.9", {"what a later version has": {"acc": 1}})
        assert [admits(writes, "acc") for _ in range(2)] == [True, False]


async def test_without_redis_each_process_limits_alone_and_nobody_waits(
    data_dir: Path, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(data_dir, redis_url=own_redis.url, limits_shared_seconds=0.02, **LIMITS)
    async with running_server(settings) as left, running_server(settings) as right:
        own_redis.stop()
        limits = [server.services[RequestLimits].writes for server in (left, right)]
        await wait_until(lambda: "limits requests alone" in caplog.text, what="the log says so")
        assert [use_up(limit) for limit in limits] == [MOST, MOST]
        own_redis.start()
        broker = left.services[Readiness].checks["broker"]

        async def back() -> bool:
            use_up(limits[0], key="later")
            return await broker() == "ok" and not admits(limits[1], "later")

        await wait_until(back, what="they share again")
    alone = caplog.text.count("limits requests alone")
    assert alone <= 4, "once for listening and once for publishing, in each process"


def use_up(limit: object, key: str = "somebody") -> int:
    """How many it still admits."""
    admitted = 0
    while admits(limit, key):
        admitted += 1
    return admitted


def admits(limit: object, key: str) -> bool:
    assert isinstance(limit, RateLimit)
    try:
        limit.consume(key)
    except Problem:
        return False
    return True
