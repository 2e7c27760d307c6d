"""Readers of every pattern against a real server: what they get, and when."""

import asyncio
import json
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import get_args

import pytest

from support.live_server import LiveServer, running_server, settings_for
from support.server_process import ROOT
from support.waiting import PATIENCE, keeps, wait_until
from tui.lab import runner
from tui.lab.clock import ServerClock
from tui.lab.dials import Dials
from tui.lab.ledger import Ledger
from tui.lab.records import (
    LONG_POLL,
    PATTERNS,
    PROMISES,
    SHORT_POLL,
    SOCKETIO,
    SSE,
    WEBSOCKET,
    Appended,
    Arrival,
    Exchange,
    Outcome,
    Pace,
    Plan,
)
from tui.lab.runner import LabRun
from tui.lab.servers import Servers

NO_LIMITS = dict.fromkeys(
    ("lab_seconds", "lab_events_per_second", "max_unidentified_per_address"), 0
)


class Records:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.source: list[Appended] = []
        self.arrivals: dict[tuple[str, int], list[Arrival]] = defaultdict(list)
        self.exchanges: dict[tuple[str, int], list[Exchange]] = defaultdict(list)

    def appended(self, record: Appended) -> None:
        self.source.append(record)

    def arrived(self, record: Arrival) -> None:
        self.arrivals[record.pattern, record.reader].append(record)

    def exchanged(self, record: Exchange) -> None:
        self.exchanges[record.pattern, record.reader].append(record)

    def latencies(self, pattern: str) -> list[float]:
        return [one.received - one.committed for one in self.arrivals[pattern, 0]]

    def steps(self, pattern: str, state: str, kind: str = "") -> list[Exchange]:
        found = self.exchanges[pattern, 0]
        return [one for one in found if one.state == state and one.kind in (kind or one.kind)]


@pytest.fixture(autouse=True)
def settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lifted early on a busy machine."""
    monkeypatch.setattr(runner, "SETTLE_SECONDS", PATIENCE)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[LiveServer]:
    settings = settings_for(
        tmp_path, demo=True, max_streams_per_account=1000, photo_workers=0, **NO_LIMITS
    )
    async with running_server(settings) as running:
        yield running


def lab_run(server: LiveServer, plan: Plan, records: Records) -> LabRun:
    doors = dict.fromkeys(plan.patterns, server.url)
    return LabRun(plan, Servers(server.url, doors), records)


async def outcome_of(run: LabRun) -> Outcome:
    async with asyncio.timeout(run.plan.seconds + 2 * PATIENCE):
        return await run.go()


async def test_each_reader_gets_what_its_pattern_promises(server: LiveServer) -> None:
    records = Records()
    plan = Plan(seconds=1, rate=40, shape="burst", readers=2, size=300, poll_seconds=0.1)
    outcome = await outcome_of(lab_run(server, plan, records))
    assert outcome.events == 40
    assert outcome.kept
    assert (outcome.clock_error, outcome.costs) == (0, {})
    assert [one.seq for one in records.source] == list(range(1, 41))
    assert all(one.payload > 300 for one in records.source)
    committed = {one.seq: one.committed for one in records.source}
    for (pattern, reader), arrivals in records.arrivals.items():
        seqs = [one.seq for one in arrivals]
        if pattern in PROMISES:
            assert seqs == list(range(1, 41)), (pattern, reader)
        else:
            assert seqs == sorted(set(seqs))
            assert seqs[-1] == 40
        for one in arrivals:
            assert one.committed == committed[one.seq]
            assert one.committed < one.received
            assert not one.replayed
    verdicts = outcome.verdicts
    seen = sum(len(records.arrivals[SHORT_POLL, reader]) for reader in range(2))
    assert verdicts[SHORT_POLL].lost == 80 - seen > 0
    for pattern in PATTERNS:
        assert verdicts[pattern].connected == 2
        assert verdicts[pattern].late == 0

    for (pattern, reader), exchanges in records.exchanges.items():
        numbers = sorted({one.number for one in exchanges})
        assert numbers == list(range(1, len(numbers) + 1)), (pattern, reader)
        for number in numbers:
            states = [one.state for one in exchanges if one.number == number]
            assert states[0] == "started"
            assert states[-1] == "ended", (pattern, states)
            assert states[1:-1] in (["answered"], []), (pattern, states)
    for pattern in (SSE, WEBSOCKET):
        (ended,) = records.steps(pattern, "ended", "connection")
        assert ended.down > 40 * 300
    assert len(records.steps(SOCKETIO, "ended", "request")) == 1
    assert len(records.steps(SOCKETIO, "ended", "connection")) == 1
    bursts = 4  # each comes in one answer, and two may come in the same one
    assert 1 <= len(records.steps(LONG_POLL, "answered", "request")) <= bursts
    polls = records.steps(SHORT_POLL, "answered", "request")
    assert len(polls) > len(records.arrivals[SHORT_POLL, 0]) >= 1


async def test_a_cut_network_is_made_up_for(server: LiveServer) -> None:
    records = Records()
    run = lab_run(server, Plan(seconds=4, rate=40, poll_seconds=0.1), records)
    going = asyncio.create_task(outcome_of(run))
    try:
        await wait_until(lambda: all(records.arrivals[name, 0] for name in PATTERNS))
        run.network.turn(Dials(cut=True))
        cut_at = time.monotonic()
        await wait_until(lambda: all(records.steps(name, "failed") for name in PROMISES))
        lost = len(records.source)
        await wait_until(lambda: len(records.source) >= lost + 5)
        run.network.turn(Dials())
        outcome = await going
    finally:
        going.cancel()
    assert outcome.kept
    for pattern in PROMISES:
        arrivals = records.arrivals[pattern, 0]
        assert [one.seq for one in arrivals] == list(range(1, outcome.events + 1)), pattern
        assert outcome.verdicts[pattern].late == 0
        replayed = [one for one in arrivals if one.replayed]
        assert replayed, pattern
        assert all(one.received > cut_at for one in replayed)
    assert not any(one.replayed for one in records.arrivals[SHORT_POLL, 0])


DELAY = 0.1
PAUSE = 0.3


@pytest.mark.parametrize("pace", get_args(Pace))
async def test_latencies_and_polls_are_what_the_network_makes_of_them(
    server: LiveServer, pace: Pace
) -> None:
    """With a delay of 100 ms each way and a source that keeps no step with polls. The least of many
    is compared, as a busy machine delays some of them."""
    seed = 1

    async def excess() -> float:
        """By how many seconds the figures are higher than the network explains."""
        nonlocal seed
        records, seed = Records(), seed + 1
        plan = Plan(seconds=1.5, rate=12, seed=seed, poll_seconds=PAUSE, poll_pace=pace)
        run = lab_run(server, plan, records)
        run.network.turn(Dials(delay=DELAY))
        outcome = await outcome_of(run)
        assert outcome.kept
        for pattern in PATTERNS:
            assert min(records.latencies(pattern)) >= DELAY, pattern
        pushed = [min(records.latencies(pattern)) for pattern in (SSE, WEBSOCKET, SOCKETIO)]
        polls = [one.at for one in records.steps(LONG_POLL, "started")]
        waited = []
        for one in records.arrivals[LONG_POLL, 0]:
            # An event that meets no held poll waits for the next one to reach the server.
            asked = max(at for at in polls if at < one.received) + DELAY
            waited.append(one.received - max(one.committed, asked) - DELAY)
        assert min(waited) >= -0.001
        cycle = PAUSE + 2 * DELAY if pace == "pause" else PAUSE
        starts = [one.at for one in records.steps(SHORT_POLL, "started")]
        between = [later - at for at, later in pairwise(starts)]
        if pace == "pause":
            assert min(between) >= cycle - 0.001
        return max(
            max(pushed) - DELAY,
            min(waited),
            min(between) - cycle,
        )

    await keeps(0.1, excess)


async def test_rare_news_waits_for_half_a_poll_and_the_way_back(server: LiveServer) -> None:
    """Where the source keeps no step with the polls. And after each of them, its bytes are as many
    for the client library, heads included, as for the network between."""
    every, way_back, between = 0.2, 0.05, 0.37

    class Counted(Records):
        def exchanged(self, record: Exchange) -> None:
            super().exchanged(record)
            if record.state == "ended":
                link, ended = run.network.links[SHORT_POLL], self.steps(SHORT_POLL, "ended")
                ours = sum(one.up for one in ended), sum(one.down for one in ended)
                counts.append((ours, (link.bytes_up, link.bytes_down)))

    run: LabRun
    counts: list[tuple[tuple[int, int], tuple[int, int]]] = []

    async def off() -> float:
        """By how many seconds the median is not what it should be."""
        nonlocal run
        records = Counted()
        counts.clear()
        plan = Plan(
            seconds=8.5 * between,
            rate=1 / between,
            shape="steady",
            poll_seconds=every,
            poll_pace="rate",
            patterns=(SHORT_POLL,),
        )
        run = lab_run(server, plan, records)
        run.network.turn(Dials(delay=way_back))
        outcome = await outcome_of(run)
        assert outcome.events == 8
        ages = records.latencies(SHORT_POLL)
        assert min(ages) >= way_back
        del counts[-1]  # the run's end may have cut the last one short
        assert counts
        assert all(ours == theirs for ours, theirs in counts)
        return abs(median(ages) - (every / 2 + way_back))

    await keeps(0.05, off)


@pytest.mark.parametrize(
    ("seqs", "late", "expected"),
    [
        ([1, 2, 3], [], (0, 0, 0, 0, True)),
        ([1, 3], [], (1, 0, 0, 0, False)),
        ([1, 2], [3], (0, 0, 0, 1, True)),
        ([1, 2, 2, 3], [], (0, 1, 0, 0, False)),
        ([1, 3, 2], [], (0, 0, 1, 0, False)),
        ([], [], (3, 0, 0, 0, False)),
        ([], [1, 2, 3], (0, 0, 0, 3, True)),
    ],
)
def test_what_readers_got_is_judged(
    seqs: list[int], late: list[int], expected: tuple[int, int, int, int, bool]
) -> None:
    records = Records()
    ledger = Ledger(records)
    ledger.appended(Appended(3, 0.0, 100))
    for seq in seqs:
        ledger.arrived(Arrival(SSE, 0, seq, 0.0, 1.0, replayed=False))
    ledger.lifted = True
    for seq in late:
        ledger.arrived(Arrival(SSE, 0, seq, 0.0, 1.0, replayed=False))
    found = ledger.verdict(SSE, 3, 1)
    assert (found.lost, found.repeated, found.unordered, found.late, found.kept(SSE)) == expected
    assert len(records.arrivals[SSE, 0]) == len(seqs)
    assert ledger.is_complete(3, [SSE], 1) is (found.lost == 0)


def test_a_state_that_was_replaced_is_seen_no_more() -> None:
    ledger = Ledger(Records())
    ledger.appended(Appended(5, 0.0, 100))
    for seq in (2, 5):
        ledger.arrived(Arrival(SHORT_POLL, 0, seq, 0.0, 1.0, replayed=False))
    found = ledger.verdict(SHORT_POLL, 5, 1)
    assert found.lost == 3
    assert found.kept(SHORT_POLL)
    assert ledger.is_complete(5, [SHORT_POLL], 1)


@pytest.mark.parametrize("ahead", [0.0, 5000.0, -3.0])
async def test_the_servers_clock_is_corrected_unless_it_is_ours(ahead: float) -> None:
    async def ask() -> float:
        await asyncio.sleep(0.001)
        answered = time.monotonic() + ahead
        await asyncio.sleep(0.001)
        return answered

    clock = ServerClock(ask)
    await clock.refresh()
    assert abs(clock.to_local(ahead)) <= clock.error
    assert (clock.error == 0) is (ahead == 0)


async def lab_command(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tui.lab", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(3 * PATIENCE):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def test_a_run_from_the_command_line_leaves_its_results(
    server: LiveServer, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    plan = ("--seconds", "0.5", "--rate", "20", "--patterns", "sse,short-poll", "--seed", "5")
    plan = (*plan, "--radio-tail", "2.5")
    code, printed = await lab_command("run", *plan, "--server", server.url, "--out", str(out))
    assert code == 0, printed
    found = json.loads((out / "results.json").read_text())
    (run,) = found["runs"]
    assert (run["seed"], run["radio_tail_seconds"], found["promises_kept"]) == (5, 2.5, True)
    assert [one["pattern"] for one in run["patterns"]] == [SHORT_POLL, SSE]
    assert (out / "results.md").read_text() in printed


async def test_a_run_that_is_told_to_end_has_no_result(server: LiveServer) -> None:
    command = ("-m", "tui.lab", "run", "--seconds", "60", "--patterns", "sse")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--server", server.url, cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(3 * PATIENCE):
            assert process.stderr is not None
            assert b"Readers" in await process.stderr.readline()
            process.terminate()
            assert await process.stderr.read() == b""
            assert await process.wait() == 128 + signal.SIGTERM
    finally:
        if process.returncode is None:
            process.kill()


@pytest.mark.others
async def test_each_pattern_has_a_server_of_its_own_where_costs_are_measured(
    tmp_path: Path,
) -> None:
    """Four servers and a Redis."""
    plan = ("--seconds", "2", "--rate", "50", "--readers", "20", "--patterns", "sse,long-poll")
    code, printed = await lab_command("run", "--isolated", *plan, "--out", str(tmp_path))
    assert code == 0, printed
    rows = json.loads((tmp_path / "results.json").read_text())["runs"][0]["patterns"]
    assert [one["pattern"] for one in rows] == [LONG_POLL, SSE]
    # A held poll is a request for each answer, a stream is not. On a busy machine one answer brings
    # many events: an event may then cost less than over a stream, and a request costs no less.
    a_request = rows[0]["cpu_us_per_event"] / rows[0]["requests_per_event"]
    assert a_request > 4 * rows[1]["cpu_us_per_event"] > 0, "as if both had the same server"
