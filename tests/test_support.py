"""Tests of what other tests rely on: Redis, server processes, waiting."""

import asyncio
import socket
import subprocess
import sys
from collections import Counter, deque
from pathlib import Path

import psutil
import pytest

from server.realtime.state_topic import CHECKS
from support.nemesis.history import Delivery, Stretch
from support.nemesis.ledger import Ledger, Logged
from support.nemesis.readers import LocationReader, LogReader, OrdersReader, Reader
from support.nemesis.wire import Door
from support.nemesis.writers import Acknowledged
from support.processes import all_gone
from support.proxy import Proxy
from support.server_process import ROOT, StartServer
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


STORED = {seq: Logged("changed", {"n": seq}, at=100.0) for seq in range(1, 6)}


async def no_rows(sql: str) -> list[dict[str, object]]:
    return []


def stretch(start: int, *seqs: int, reset: bool = False, other: int = 0) -> Stretch:
    """One that got those; `other` is not as it is stored."""
    got = [Delivery(n, "changed", {"n": -n if n == other else n}, at=101.5) for n in seqs]
    return Stretch(start, got, reset)


@pytest.mark.parametrize(
    ("got", "allowed", "counts"),
    [
        ([stretch(1, 2, 3, 4, 5)], "", (0, 0, 0, 0)),
        ([stretch(1, 2, 4, 5)], "", (1, 0, 0, 0)),
        ([stretch(1, 2, 3, 3, 4)], "", (0, 1, 0, 0)),
        ([stretch(1, 1, 2)], "", (0, 1, 0, 0)),
        ([stretch(1, 2, 4, 3, 5)], "", (1, 0, 1, 0)),
        ([stretch(1, 2, 3, other=3)], "", (0, 0, 0, 1)),
        ([stretch(1, 2, 6)], "reset", (3, 0, 0, 1)),
        ([stretch(1, 2, reset=True), stretch(4, 5)], "", (1, 0, 0, 0)),
        ([stretch(1, 2, reset=True), stretch(4, 5)], "reset", (0, 0, 0, 0)),
        ([stretch(1, 2, 3, reset=True, other=3), stretch(3, 4)], "undo", (0, 0, 0, 0)),
        ([stretch(1, 2, 3, other=3)], "undo", (0, 0, 0, 1)),
    ],
)
def test_the_nemesis_finds_what_is_wrong_with_a_history(
    got: list[Stretch], allowed: str, counts: tuple[int, ...]
) -> None:
    ledger = Ledger(no_rows)
    ledger.topics["t"] = STORED
    reader = LogReader("one", Door(deque([1]), ""), "t", "", "")
    verdict = ledger.check([(reader, got)], may_reset=bool(allowed), may_undo=allowed == "undo")
    found = verdict.lost, verdict.repeated, verdict.out_of_order, verdict.foreign
    assert found == counts
    assert (verdict.wrong > 0) == bool(verdict.blamed)
    assert verdict.worst == 1.5


def test_the_nemesis_finds_states_that_go_back_and_writes_that_are_missing() -> None:
    ledger = Ledger(no_rows)
    ledger.states["state/driver:d1"] = 3, {"lat": 3, "lng": 0}
    reader: Reader = LocationReader("one", Door(deque([1]), ""), "d1", polls=True)

    def found(*seqs: int, driver: str = "d1") -> tuple[int, ...]:
        data = {"driver_id": driver, "lat": 3, "lng": 0}
        got = [Delivery(seq, "location", data, at=0) for seq in seqs]
        verdict = ledger.check([(reader, [Stretch(0, got)])], may_reset=False, may_undo=False)
        return verdict.repeated, verdict.out_of_order, verdict.foreign

    assert found(1, 3) == (0, 0, 0)
    assert found(2, 1, 3) == (0, 1, 0)
    assert found(3, 3) == (1, 0, 0)
    assert found(3, driver="d2") == (0, 0, 1)
    reader.history.begin(2)
    assert ledger.behind(reader)
    reader = OrdersReader("two", Door(deque([1]), ""), "acc_1")
    for changes, lost in ((CHECKS, 0), (CHECKS - 1, 1)):
        got = [Stretch(2, reset=True), Stretch(2 + changes)]
        assert ledger.check([(reader, got)], may_reset=False, may_undo=False).lost == lost
    known = Acknowledged({"ord_1": ("a", 2)}, {"b"}, {"c"}, {"a", "b", "c"})
    ledger.orders["ord_1"] = "acc_1", 2, "accepted", "a"
    ledger.messages, ledger.announcements = Counter("b"), Counter("c")
    assert known.missing(ledger) == []
    ledger.orders["ord_1"] = "acc_1", 1, "placed", "a"
    ledger.messages, ledger.announcements = Counter("bbx"), Counter()
    assert len(known.missing(ledger)) == 4


def test_nothing_is_left_of_a_process_that_is_killed() -> None:
    program = """
import subprocess, time
from tools.cluster.guard import Guard
from tools.cluster.redis_server import RedisServer
guard = Guard()
folder = guard.make_folder()
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder])  # where this user may
server = RedisServer(folder)
guard.watch(server)
server.start()
print(server.pid, guard._process.pid, folder, flush=True)
time.sleep(600)
"""
    owner = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE)
    assert owner.stdout is not None
    *pids, folder = owner.stdout.readline().decode().split()
    started = [psutil.Process(int(pid)) for pid in pids]
    assert all(one.is_running() for one in started)
    assert Path(folder).exists()
    owner.kill()
    owner.wait()

    all_gone(started)
    assert not Path(folder).exists()
