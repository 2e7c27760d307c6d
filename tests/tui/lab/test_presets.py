"""Under each preset every pattern keeps its promise: each event once and in order, or states."""

import asyncio
import os
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from support.live_server import running_server, settings_for
from tui.lab.dials import PRESETS, Dials
from tui.lab.records import PATTERNS, SHORT_POLL, SSE_FALLBACK, Outcome, Plan
from tui.lab.runner import LabRun
from tui.lab.servers import UNLIMITED, servers_for
from tui.lab.statistics import Figures, Statistics

SECONDS = float(os.environ.get("LAB_SECONDS", "2"))
ODD = {
    "HTTP/1.0": Dials(http10=True),
    "502": Dials(bad_gateway=5),
    "no upgrade": Dials(websocket="strip"),
    "slow reader": Dials(down=10_000, window=16_000),
    "idle": Dials(idle=1),
    "FIN": Dials(cut_every=1, reset=False),
    "lossy": Dials(loss=0.2),
    "half open": Dials(half_open=True),
}
"""Further networks, in the long run alone."""


def dials_of(network: str) -> Dials:
    """Tunnels and lifts come within the run, however short it is."""
    if network in ODD:
        return ODD[network]
    dials = PRESETS[network].dials
    if dials.cut_every > SECONDS:
        dials = replace(dials, cut_every=SECONDS * 0.8, cut_for=0.2)
    if dials.stall_every > SECONDS:
        dials = replace(dials, stall_every=SECONDS / 2, stall_for=0.2)
    return dials


async def run(network: str, folder: Path) -> tuple[Outcome, dict[str, Figures]]:
    """A run on a server of its own."""
    patterns = (*PATTERNS, SSE_FALLBACK)
    plan = Plan(seconds=SECONDS, rate=10, seed=5, poll_seconds=0.2, patterns=patterns)
    settings = settings_for(folder, demo=True, **dict.fromkeys(UNLIMITED, 0))
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_server(settings))
        servers = await stack.enter_async_context(
            servers_for(plan.patterns, isolated=False, url=server.url)
        )
        statistics = Statistics(plan)
        lab_run = LabRun(plan, servers, statistics, statistics)
        lab_run.network.turn(dials_of(network))
        outcome = await lab_run.go()
    return outcome, {each.pattern: each for each in statistics.figures(time.monotonic())}


async def test_no_pattern_breaks_its_promise_under_any_preset(tmp_path: Path) -> None:
    networks = [*PRESETS, *(ODD if SECONDS > 10 else ())]
    runs = [run(network, tmp_path / str(number)) for number, network in enumerate(networks)]
    found = dict(zip(networks, await asyncio.gather(*runs), strict=True))
    for network, (outcome, figures) in found.items():
        for pattern, verdict in outcome.verdicts.items():
            assert verdict.kept(pattern), (network, pattern, verdict)
        if network not in ("offline", "half open"):
            assert figures[SHORT_POLL].latency.count > 0, network
    outcome, figures = found["offline"]
    assert all(verdict.late for verdict in outcome.verdicts.values())
    assert all(not each.latency.count for each in figures.values())
    assert found["3g"][1]["sse"].latency.least >= PRESETS["3g"].dials.delay
