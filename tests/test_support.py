"""Tests of what other tests rely on: Redis, server processes, waiting."""

import asyncio
import socket

import pytest

from support.proxy import Proxy
from support.server_process import StartServer
from support.waiting import PATIENCE, wait_for, wait_until
from tools.cluster.redis_server import RedisServer


def test_redis_restarts_on_its_port_with_no_data(own_redis: RedisServer) -> None:
    own_redis.command("SET", "dish", "soup")
    assert own_redis.command("GET", "dish") == "$4"
    own_redis.restart()
    assert own_redis.command("GET", "dish") == "$-1"
    assert own_redis.kill_pubsub() == 0


def test_a_frozen_redis_accepts_connections_and_does_not_answer(own_redis: RedisServer) -> None:
    own_redis.freeze()
    with pytest.raises(TimeoutError):
        own_redis.command("PING", seconds=0.2)
    own_redis.thaw()
    assert own_redis.command("PING") == "+PONG"
    own_redis.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", own_redis.port), timeout=1)


async def test_waiting_ends_with_the_fact_or_says_what_was_missing() -> None:
    answers = iter([None, 0, "soup"])
    assert await wait_until(lambda: next(answers)) == "soup"
    with pytest.raises(AssertionError, match=r"the bell \(last answer: False\)"):
        await wait_until(lambda: False, 0.05, what="the bell")
    with pytest.raises(AssertionError, match="not within"):
        wait_for(lambda: None, 0.05)


def test_a_killed_server_process_can_be_restarted(start_server: StartServer) -> None:
    server = start_server()
    assert server.ready()
    server.restart()
    assert server.ready()
    assert server.terminate() == 0


def test_a_server_that_cannot_start_shows_why(start_server: StartServer) -> None:
    with pytest.raises(AssertionError, match=r"TIFFIN_JWT_SECRET.*at least 32 bytes"):
        start_server(env={"TIFFIN_JWT_SECRET": "short"})


async def test_a_proxy_that_passes_again_holds_nothing_that_was_on_its_way() -> None:
    proxy, reader = Proxy(""), asyncio.StreamReader()
    proxy.stalling(5)
    body = asyncio.create_task(proxy._body(reader, 10))
    await asyncio.sleep(0)
    proxy.passing()
    reader.feed_data(b"0123456789")
    async with asyncio.timeout(PATIENCE):
        assert await body == b"0123456789"
