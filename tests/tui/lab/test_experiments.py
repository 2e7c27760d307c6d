"""Each experiment of the lab does its runs for real, and its figures answer its question.

They are short here; with `LAB_SECONDS` set, as `make test-all` has it, as long as anybody's.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import get_args

import pytest

from support.live_server import running_server, settings_for
from support.waiting import keeps
from tui.lab import runner
from tui.lab.__main__ import main
from tui.lab.bench import Bench
from tui.lab.dials import Dials
from tui.lab.experiments import EXPERIMENTS, on_share
from tui.lab.export import write
from tui.lab.records import LONG_POLL, SHORT_POLL, SOCKETIO, SSE, WEBSOCKET, Pace, Plan
from tui.lab.results import Report
from tui.lab.servers import UNLIMITED

FULL = "LAB_SECONDS" in os.environ
NAMES = {"results.json", "results.csv", "results.md", "findings.csv", "plot.svg"}


async def report_of(name: str, plan: Plan, folder: Path, *, own: bool = False) -> Report:
    """What an experiment shows with that plan, on a server here or, `own`, of its own."""
    experiment = EXPERIMENTS[name]
    async with AsyncExitStack() as stack:
        url = ""
        if not (own or FULL):
            settings = settings_for(folder / "data", demo=True, **dict.fromkeys(UNLIMITED, 0))
            url = (await stack.enter_async_context(running_server(settings))).url
        bench = await stack.enter_async_context(Bench(url))
        report = await bench.report(experiment, experiment.plan if FULL else plan, "command")
    names = [finding.name for finding in report.findings]
    assert len(names) == len(set(names))
    assert all(run.outcome.kept for run in report.runs)
    assert report.kept or not FULL
    return report


def figure(report: Report, name: str) -> float:
    value = report.value(name)
    assert isinstance(value, int | float), name
    return value


async def test_polls_that_bring_nothing_cost_more_than_held_ones(tmp_path: Path) -> None:
    plan = replace(EXPERIMENTS["idle"].plan, seconds=1.5, poll_seconds=0.1)
    report = await report_of("idle", plan, tmp_path)
    assert report.runs[0].outcome.events == 1
    hourly = {
        name: figure(report, f"{name}_bytes_per_hour")
        for name in ("short_poll", "long_poll", "sse", "websocket", "socketio")
    }
    assert hourly["short_poll"] > 2 * hourly["long_poll"]
    assert hourly["long_poll"] > 2 * max(hourly["sse"], hourly["websocket"])
    assert figure(report, "sse_requests_per_hour") == 0
    write(report, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == NAMES


@pytest.mark.parametrize(
    ("packets", "share"),
    [([], 0), ([12], 0.5), ([4, 5, 16, 22], 0.95), ([0.1 * at for at in range(200)], 1), ([21], 0)],
)
def test_a_radio_is_on_for_a_tail_after_each_packet(packets: list[float], share: float) -> None:
    """In 20 s that come again and again: what was before a run goes on into it."""
    assert on_share(packets, 10, 20) == pytest.approx(share)


async def test_a_held_poll_takes_memory_and_no_thread(tmp_path: Path) -> None:
    plan = replace(EXPERIMENTS["held"].plan, seconds=0.5, readers=40, patterns=(LONG_POLL,))
    report = await report_of("held", plan, tmp_path, own=True)
    assert report.kept
    outcome = report.runs[0].outcome
    readers = outcome.plan.readers
    assert figure(report, "long_poll_held") == readers
    assert figure(report, "long_poll_threads") >= 1
    memory = outcome.costs[LONG_POLL].memory
    at = [each for each, _ in memory]
    assert not at or (len(at) > 3 and readers * 0.4 < at[0] < at[-1] <= readers)
    each = report.value("long_poll_memory_per_reader")  # None: so few take what was free before
    assert each is None or 0 < float(each) < 100_000


async def test_polls_miss_states_and_a_steady_source_keeps_step_with_them(tmp_path: Path) -> None:
    plan = replace(EXPERIMENTS["missed"].plan, seconds=1.8, rate=12, poll_seconds=0.25)

    async def out_of_step() -> float:
        report = await report_of("missed", plan, tmp_path)
        for shape in ("poisson", "steady"):
            expected = figure(report, f"{shape}_unseen_expected")
            assert 0 < figure(report, f"{shape}_unseen_share") < 1
            assert expected == pytest.approx(2 / 3, abs=0.2)
            assert figure(report, f"{shape}_stream_unseen") == 0
        # The polls may fall on the events: then some find one that is new, some the one before.
        return figure(report, "steady_spread") / figure(report, "poisson_spread")

    await keeps(0.9, out_of_step)


async def test_a_stream_that_a_proxy_holds_back_is_replaced_by_polls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is held back is not answered, and never complete.
    monkeypatch.setattr(runner, "CONNECT_SECONDS", 2.2)
    monkeypatch.setattr(runner, "SETTLE_SECONDS", 0.5)
    plan = replace(EXPERIMENTS["buffering"].plan, seconds=1.5, rate=20)
    report = await report_of("buffering", plan, tmp_path)
    # The wait begins before the connection is noted, by more on a busy machine.
    assert figure(report, "fell_back_after") > 1.2
    assert figure(report, "sse_first_news") > figure(report, "sse_fallback_first_news")
    assert figure(report, "sse_p50") > 2 * figure(report, "sse_fallback_p50")
    assert figure(report, "sse_first_news") > figure(report, "socketio_first_news")
    assert report.runs[0].row(WEBSOCKET)["arrivals"] == 0


async def test_only_a_cursor_brings_back_what_happened_in_the_tunnel(tmp_path: Path) -> None:
    plan = replace(EXPERIMENTS["tunnel"].plan, seconds=3, rate=20, poll_seconds=0.2)
    report = await report_of("tunnel", plan, tmp_path)
    assert report.runs[0].turned[0].endswith("into the tunnel, cut")
    meanwhile = figure(report, "events_meanwhile")
    assert figure(report, "sse_no_cursor_missed") >= meanwhile > 0
    for pattern in ("long_poll", "sse", "websocket", "socketio"):
        assert figure(report, f"{pattern}_missed") == 0
        assert figure(report, f"{pattern}_replayed") >= meanwhile
        payload = figure(report, f"{pattern}_replayed_payload")
        assert figure(report, f"{pattern}_recovery_bytes") > payload > 0


@pytest.mark.skipif(not FULL, reason="a run that is long enough for percentiles")
@pytest.mark.parametrize("pace", get_args(Pace))
async def test_the_labs_figures_are_what_the_network_makes_of_them(pace: Pace) -> None:
    """With 100 ms each way. The least of many is compared in `test_lab_patterns`."""

    async def excess() -> float:
        """By how many seconds the medians are higher than that."""
        async with Bench() as bench:
            plan = Plan(seconds=20, rate=2, poll_pace=pace)
            result = await bench.run(plan, dials=Dials(delay=0.1))
        rows = {str(row["pattern"]): row for row in result.rows()}
        middle = {pattern: float(row["latency_p50_ms"] or 0) for pattern, row in rows.items()}
        assert min(middle.values()) >= 100
        expected = 60 / (plan.poll_seconds + 0.2) if pace == "pause" else 60 / plan.poll_seconds
        made = float(rows[SHORT_POLL]["requests_per_minute"] or 0)
        assert made <= 1.1 * expected
        if made < 0.9 * expected:
            return inf  # the machine was too busy to keep the pace
        # Up to a round trip more where no poll is held.
        pushed = max(middle[pattern] for pattern in (SSE, WEBSOCKET, SOCKETIO))
        return max(pushed, middle[LONG_POLL] - 200) / 1000 - 0.1

    await keeps(0.02, excess)


async def test_what_is_asked_for_and_cannot_be_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    def code_of(*arguments: str) -> object:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return ended.value.code

    asked = ("run", "--experiment", "missed", "--shape", "steady", "--poll-pace", "rate")
    assert await asyncio.to_thread(code_of, *asked) == 2
    assert "leave out --poll-pace, --shape" in capsys.readouterr().err
