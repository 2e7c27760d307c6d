"""The experiments that compare the product with other servers, each in a process of its own."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis

from support.live_server import LiveServer, running_server, settings_for
from support.processes import all_gone
from support.server_process import ROOT
from support.waiting import PATIENCE, wait_until
from tools.cluster.redis_server import RedisServer
from tui.common.processes import ChildError
from tui.lab.__main__ import main
from tui.lab.bench import Bench, Experiment
from tui.lab.comparisons import one_thread, redis_connections, slow_reader, two_servers
from tui.lab.comparisons.crowd import Address, Crowd
from tui.lab.comparisons.process_usage import usage_of
from tui.lab.comparisons.product_run import events_of, product_run
from tui.lab.comparisons.two_servers import MEMORY_EVENTS, SERVER
from tui.lab.records import SSE, Plan
from tui.lab.screen.runs import Runs
from tui.lab.servers import UNLIMITED, OwnProcesses

MANY = 30


def demo(folder: Path, redis_url: str = "") -> AbstractAsyncContextManager[LiveServer]:
    """A demo's server in the test's own loop."""
    limits = dict.fromkeys(UNLIMITED, 0)
    return running_server(
        settings_for(folder, demo=True, redis_url=redis_url, max_streams_per_account=1000, **limits)
    )


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[LiveServer]:
    """The same, without Redis."""
    async with demo(tmp_path) as server:
        yield server


async def test_the_one_thread_server_freezes_and_the_event_loop_does_not(
    product: LiveServer,
) -> None:
    async with OwnProcesses() as own:
        (one, _), (threads, child) = await asyncio.gather(
            own.start("one", one_thread.SERVER, "--threads", "1"),
            own.start("many", one_thread.SERVER, "--threads", "many"),
        )
        began = time.monotonic()
        await one_thread.frozen(one, held=1)
        assert time.monotonic() - began >= 1, "the second window was answered meanwhile"
        held = Address(f"{threads}/status?timeout=60")
        threaded = await one_thread.beside_held(held, Address(f"{threads}/"), MANY, child.pid)
    assert not any(child.running for child in own.children)
    async with product_run(product.url, Plan(), 1) as run:
        looped = await one_thread.beside_held(run.poll(60), run.status, MANY, os.getpid(), run)
    assert max(threaded.wait, looped.wait) < float("inf")
    for found, least, most in ((threaded, MANY - 1, MANY), (looped, -MANY, MANY // 2)):
        if found.before is not None and found.after is not None:
            assert least <= found.after.threads - found.before.threads <= most
            assert found.after.reserved > found.after.resident > 0


async def test_a_slow_reader_keeps_others_waiting_only_where_they_are_served_in_turn(
    product: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(seconds=0.6, rate=60, size=32_000, readers=10, patterns=(SSE,), shape="steady")
    monkeypatch.setattr(slow_reader, "SETTLE_SECONDS", PATIENCE)
    async with OwnProcesses() as own:
        (turn, turning), (queue, queueing) = await asyncio.gather(
            own.start("turn", SERVER, "turn"), own.start("queue", SERVER, "queue")
        )
        monkeypatch.setattr(slow_reader, "GRACE_SECONDS", 0.3)
        in_turn = await slow_reader.of_broadcaster(plan, turn, turning.pid)
        monkeypatch.setattr(slow_reader, "GRACE_SECONDS", PATIENCE)
        queued = await slow_reader.of_broadcaster(plan, queue, queueing.pid)
        # Events kept in memory never reach another process.
        assert await two_servers.from_memory(queue, turn) == (0, MEMORY_EVENTS)
    async with product_run(product.url, plan, plan.seconds) as run:
        logged = await slow_reader.of_product(plan, run, os.getpid())
    assert in_turn.late > 0
    assert in_turn.others_complete
    assert (queued.late, logged.late) == (0, 0)
    assert queued.waiting
    assert logged.others_complete
    assert logged.slow_complete


async def test_each_reader_has_a_connection_to_redis_or_its_process_has(
    own_redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_connections, "IDLE_SECONDS", 0.1)
    monkeypatch.setattr(redis_connections, "SETTLE_SECONDS", PATIENCE)
    plan = Plan(seconds=0.5, rate=20, readers=MANY, patterns=(SSE,))
    async with OwnProcesses() as own, Redis.from_url(own_redis.url) as told:
        before = (await told.info("clients"))["connected_clients"]
        url, child = await own.start("each", SERVER, "redis", "--redis", own_redis.url)
        each = await redis_connections.each_reader(plan, url, child.pid, told, before)
        await asyncio.to_thread(child.end)
        await wait_until(lambda: gone(told, before))
        async with (
            demo(tmp_path, own_redis.url) as server,
            product_run(server.url, plan, plan.seconds) as run,
        ):
            shared = await redis_connections.one_process(
                plan, run, server.url, os.getpid(), told, before
            )
    assert each.complete
    assert shared.complete
    assert each.connections > MANY
    assert shared.connections <= 3
    assert each.redis_bytes > MANY * plan.size


async def gone(told: Redis, before: int) -> bool:
    return bool((await told.info("clients"))["connected_clients"] == before)


async def test_what_cannot_be_measured_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ChildError, match=r"Of 3 connections to 127\.0\.0\.1:1 one failed"):
        await Crowd(Address("http://127.0.0.1:1/")).join(3)
    with pytest.raises(SystemExit):
        main(["run", "--experiment", "redis", "--server", "http://127.0.0.1:1"])
    assert "starts its own servers: leave out --server" in capsys.readouterr().err
    with pytest.raises(ValueError, match="too few to measure"):
        events_of(Plan(seconds=1, rate=1))
    assert usage_of(2**22 + 1) is None


@pytest.mark.others
async def test_an_experiment_with_processes_of_its_own_leaves_its_results(tmp_path: Path) -> None:
    """The lessons' tests run all of them."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tui.lab", "run", "--experiment", "redis", "--readers", str(MANY)),
        *("--seconds", "1", "--out", str(tmp_path)),
        cwd=ROOT,
    )
    async with asyncio.timeout(3 * PATIENCE):
        assert await process.wait() == 0
    results = json.loads((tmp_path / "results.json").read_text())
    found = {one["name"]: one["value"] for one in results["findings"]}
    assert found["each_reader_connections"] > MANY
    assert found["each_process_connections"] <= 6


@pytest.mark.others
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_the_servers_end_with_the_experiment_however_it_ends(number: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tui.lab", "run", "--experiment", "redis", cwd=ROOT
    )
    lab = psutil.Process(process.pid)
    children = await wait_until(lambda: len(found := lab.children(recursive=True)) > 2 and found)
    process.send_signal(number)
    await process.wait()
    await asyncio.to_thread(all_gone, children)


async def test_the_screen_does_them_too_where_a_server_is_named() -> None:
    named: list[str] = []

    async def measure(bench: Bench, plan: Plan) -> None:
        named.append(bench.server)

    for own_servers in (False, True):
        experiment = Experiment("one", "", "", Plan(), measure, own_servers=own_servers)
        await Runs("http://127.0.0.1:1").measure(experiment, Plan(), lambda words: None)
    assert named == ["http://127.0.0.1:1", ""]
