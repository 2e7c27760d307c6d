"""Under each preset every pattern keeps its promise: each event once and in order, or states."""

import asyncio
import os
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from support.live_server import running_server, settings_for
from tui.lab.dials import PRESETS
from tui.lab.records import PROMISES, SHORT_POLL, Outcome, Plan
from tui.lab.runner import LabRun
from tui.lab.servers import UNLIMITED, servers_for
from tui.lab.statistics import Figures, Statistics

SECONDS = float(os.environ.get("LAB_SECONDS", "2"))


async def run(network: str, folder: Path) -> tuple[Outcome, dict[str, Figures]]:
    """A run on a server of its own; tunnels and lifts come within it, however short it is."""
    plan = Plan(network=network, seconds=SECONDS, rate=10, seed=5, poll_seconds=0.2)
    settings = settings_for(folder, demo=True, **dict.fromkeys(UNLIMITED, 0))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_server(settings))
        servers = await stack.enter_async_context(
            servers_for(plan.patterns, isolated=False, url=server.url)
        )
        statistics = Statistics(plan)
        lab_run = LabRun(plan, servers, statistics, statistics)
        dials = PRESETS[network].dials
        if dials.cut_every > SECONDS:
            dials = replace(dials, cut_every=SECONDS * 0.8, cut_for=0.2)
        if dials.stall_every > SECONDS:
            dials = replace(dials, stall_every=SECONDS / 2, stall_for=0.2)
        lab_run.network.turn(dials)
        outcome = await lab_run.go()
    return outcome, {each.pattern: each for each in statistics.figures(time.monotonic())}


async def test_no_pattern_breaks_its_promise_under_any_preset(tmp_path: Path) -> None:
    found = await asyncio.gather(*(run(network, tmp_path / network) for network in PRESETS))
    for network, (outcome, figures) in zip(PRESETS, found, strict=True):
        for pattern, verdict in outcome.verdicts.items():
            assert verdict.kept(pattern), (network, pattern, verdict)
            assert not (pattern in PROMISES and verdict.lost)
        if network != "offline":
            assert figures[SHORT_POLL].latency.count > 0
    by_network = dict(zip(PRESETS, found, strict=True))
    assert all(verdict.late for verdict in by_network["offline"][0].verdicts.values())
    assert all(not each.latency.count for each in by_network["offline"][1].values())
    slow = by_network["3g"][1]["sse"].latency.least
    assert slow >= PRESETS["3g"].dials.delay
