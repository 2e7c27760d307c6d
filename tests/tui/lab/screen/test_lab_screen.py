"""The lab's screen with real runs: strips, figures, dials, results, and a server that dies."""

import asyncio
import json
import os
import re
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.app import App

from support.live_server import running_server, settings_for
from support.screen import misses, sees, shown, told
from support.waiting import PATIENCE, wait_until
from tui.common.processes import Child
from tui.lab.dials import PRESETS
from tui.lab.records import PATTERNS, PROMISES, SHORT_POLL, SSE, Plan
from tui.lab.screen.app import LabApp
from tui.lab.screen.details import SIDE_BY_SIDE
from tui.lab.screen.figures import NAMES
from tui.lab.screen.runs import Runs

PLAN = Plan(seconds=2.0, rate=40.0, poll_seconds=0.1)
SIZES = ((160, 48), (80, 24), (100, 30))
pytestmark = pytest.mark.usefixtures("few_frames")


def press(app: App[None], *keys: str) -> None:
    """Without waiting until the app rests: while a run goes on it does not."""
    for key in keys:
        app.simulate_key(key)


def lane(app: App[None], pattern: str) -> str:
    """The row of a pattern's strip."""
    name = re.escape(NAMES[pattern])
    found = re.search(rf"^│ [▸ ]\d {name}.*$", shown(app), re.MULTILINE)
    return found[0] if found else ""


def counted(app: App[None], pattern: str) -> int:
    """How many arrivals the histogram's rows have below the pattern's name."""
    lines = shown(app).splitlines()
    top = next(at for at, line in enumerate(lines) if "Histogram: ms" in line)
    left = lines[top].index("Histogram: ms")
    at = lines[top + 1].index(NAMES[pattern], left)
    total = 0
    for line in lines[top + 2 :]:
        if not re.match(r"[\s<≥]*[\d.]+–?[\d.]* ", line[left:]):
            break
        found = re.match(r"\S*\s+(\d+)\b", line[at:])
        total += int(found[1]) if found else 0
    return total


def results_in(folder: Path) -> dict[str, Any]:
    (written,) = folder.glob("lab-results/*/results.json")
    found: dict[str, Any] = json.loads(written.read_text())
    return found


async def until(runs: Runs, *states: str) -> None:
    await wait_until(lambda: runs.state in states, what=f"{states}, and no error")


async def test_a_run_to_its_results_then_a_dead_server_and_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = Runs(plan=PLAN)
    app = LabApp(runs)
    children: list[Child] = []
    async with app.run_test(size=SIZES[0], notifications=True) as pilot:
        await sees(app, "the server starts")
        await until(runs, "ended")
        await sees(app, "run 1 · ended, every promise kept")
        assert runs.servers is not None
        children += runs.servers.children

        # Nothing changes any more, and every size shows every pattern with its strip and figures.
        for columns, rows in SIZES:
            await pilot.resize_terminal(columns, rows)
            for pattern in PATTERNS:
                await wait_until(lambda name=pattern: "◆" in lane(app, name), what=pattern)  # type: ignore[misc]
            await sees(
                app, "poisson 40/s", "req/min", "B/event", "p99", "Quit", "lab late by", "now"
            )
            assert {len(line) for line in shown(app).splitlines()} == {columns}
            assert ("Ladder of short poll" in shown(app)) is (rows > 24)
            if columns < SIDE_BY_SIDE:
                assert "Histogram: ms" not in shown(app)
                press(app, "h")
            await sees(app, "Histogram: ms from commit to reader, full bar", "h Histogram")
            for pattern, latency in runs.watch.statistics.latencies.items():
                assert counted(app, pattern) == latency.count > 0
            if columns < SIDE_BY_SIDE:
                await sees(app, "worst")
                await misses(app, "All patterns", "Ladder of")
                press(app, "escape")
                await sees(app, "All patterns")
        events = runs.watch.statistics.source.newest
        assert events == runs.outcome.events  # type: ignore[union-attr]
        for pattern, result in runs.watch.results().items():
            got = result.figures.latency.count
            assert got + result.seen.missed == events, pattern
            assert pattern == SHORT_POLL or got == events

        await pilot.press("3", "i")
        await sees(app, "What is seen of SSE", "times its payload")
        await pilot.press("escape", "enter")
        await sees(app, "Ladder of SSE", "event", "B ")
        await misses(app, "All patterns")
        await pilot.press("escape", "question_mark")
        await sees(app, "Reading a strip", "Cut 10 s")
        await pilot.press("escape", "e")
        await wait_until(lambda: list(tmp_path.glob("lab-results/*/plot.svg")), what="a plot")
        document = results_in(tmp_path)
        assert document["promises_kept"]
        assert document["command"].startswith("tiffin-lab run --experiment patterns")
        assert [one["arrivals"] for one in document["runs"][0]["patterns"][1:]] == [events] * len(
            PROMISES
        )

        os.killpg(children[0].pid, signal.SIGKILL)
        await sees(app, "The lab's server has ended (exit code -9)", "Press s to start another.")
        await pilot.press("s")
        await until(runs, "running", "settling", "ended")
        await sees(app, "run 2 ·")
        await misses(app, "exit code")
        children += runs.servers.children
        press(app, "c")
        await sees(app, "Multiples of run 1", "×")
        assert [child.running for child in children] == [False, True]
    assert not children[1].running, "the server ends with the screen"


async def test_dials_turn_while_a_run_goes_on_and_colours_are_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "NO_COLOR", "1")
    limits = dict.fromkeys(("lab_seconds", "lab_events_per_second"), 0)
    settings = settings_for(tmp_path, demo=True, photo_workers=0, **limits)
    async with running_server(settings) as server:
        runs = Runs(server.url, replace(PLAN, seconds=600.0))
        app = LabApp(runs)
        async with app.run_test(size=SIZES[1], notifications=True):
            await until(runs, "running")
            timeline = runs.watch.timeline
            for pattern in PATTERNS:
                await wait_until(lambda name=pattern: "◆" in lane(app, name), what=pattern)  # type: ignore[misc]
            assert app.no_color
            assert "▸" in lane(app, SHORT_POLL), "the focus is seen without colour"

            # A network and a dial, which hold at once for the same run.
            press(app, "n")
            await sees(app, "Hotel Wi-Fi")
            press(app, "down", "enter")
            await sees(app, "network office")
            run = runs.number
            press(app, "d")
            await sees(app, "delay, one way")
            press(app, "right")
            await sees(app, "‹ 10 ms ›")
            press(app, "escape")
            await sees(app, "network by hand")
            assert runs.dials == replace(PRESETS["office"].dials, delay=0.01)
            assert runs.number == run

            # A cut that is held, seen in every strip, and what comes back after it.
            press(app, "X")
            await sees(app, "CUT, X restores")
            for pattern in PATTERNS:
                await wait_until(lambda name=pattern: "✕" in lane(app, name), what=pattern)  # type: ignore[misc]
            await wait_until(lambda: "░" in shown(app), what="the cut beside the source")
            press(app, "X", "m")
            await misses(app, "CUT")
            await wait_until(
                lambda: all(
                    one.figures.replayed
                    for name, one in runs.watch.results().items()
                    if name in PROMISES
                ),
                what="what was missed is replayed",
            )
            await wait_until(lambda: "┊" in shown(app), what="the mark")
            assert [words.partition(": ")[2] for words in runs.turned] == [
                "network “office”", "delay, one way: 10 ms", "cut until restored", "restored",
            ]  # fmt: skip

            # A frozen picture stands still while the run goes on.
            press(app, "space")
            await sees(app, "frozen, space goes on")
            picture, revision = lane(app, SHORT_POLL), timeline.revision
            await wait_until(lambda: timeline.revision > revision + 50, what="news")
            assert lane(app, SHORT_POLL) == picture
            press(app, "h")
            await sees(app, "Histogram: ms", "frozen · p50")
            count, latency = counted(app, SSE), runs.watch.statistics.latencies[SSE]
            await wait_until(lambda: latency.count > count + 50, what="news")
            press(app, "3")
            await sees(app, "▸SSE")
            assert counted(app, SSE) == count
            press(app, "space")
            await misses(app, "frozen")
            await wait_until(lambda: counted(app, SSE) > count, what="the histogram grows")
            press(app, "escape")
            await wait_until(lambda: lane(app, SHORT_POLL) != picture, what="the picture moves")

            # What the network does is said, whoever has turned it and whatever it is called.
            assert runs._run is not None
            network, began = runs._run.network, runs.watch.began or 0.0
            network.turn(replace(runs.dials, cut=True))
            await sees(app, "network by hand · CUT by the experiment")
            passed = time.monotonic() - began
            network.turn(replace(runs.dials, cut_every=passed, cut_for=0.9 * passed))
            await sees(app, "network by hand · CUT, ", " s left")
            network.turn(replace(runs.dials, stall=True))
            await sees(app, "network by hand · everything WAITS")
            network.turn(runs.dials)
            runs.network = "none"
            press(app, "X")
            await sees(app, "─ network CUT, X restores · ")
            press(app, "X")
            await sees(app, "─ network none · ")

            # Another source is another run, and no still picture; the network stays.
            press(app, "space")
            await sees(app, "frozen")
            press(app, "plus")
            await sees(app, "poisson 50/s")
            await misses(app, "frozen")
            await until(runs, "running")
            assert runs.number == run + 1
            assert runs.watch.timeline is not timeline

            # However fast they are replaced, a run that was begun does not block the next one.
            for _ in range(4):
                number = runs.number
                async with asyncio.timeout(PATIENCE):
                    while runs.number == number:  # the run before tells the server its end
                        runs.start()
                        await asyncio.sleep(0.001)
                await asyncio.sleep(0)  # the server is asked to begin a run
            await until(runs, "running")
            assert not runs.error
            press(app, "s")
            await until(runs, "stopped")
            await sees(app, "· stopped")


async def test_a_server_that_cannot_start_is_not_tried_again_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    runs = Runs(plan=PLAN)
    serving = asyncio.create_task(runs.serve())
    try:
        await until(runs, "failed")
        assert "No such file or directory" in runs.error
        assert runs.error.endswith("Press s to start another.")
        assert not runs.is_going
    finally:
        serving.cancel()
        await asyncio.wait({serving})


async def test_without_a_server_the_screen_says_what_to_do() -> None:
    runs = Runs("http://127.0.0.1:9", PLAN)
    app = LabApp(runs)
    async with app.run_test(size=SIZES[2], notifications=True) as pilot:
        await until(runs, "failed")
        await sees(app, "The run could not go on", "Press s to try again.")
        await pilot.press("e")
        await told(app, "There are results once a run has ended.")
        await pilot.resize_terminal(56, 16)
        await misses(app, "All patterns", "too small")
        await sees(app, "Press s to try again.", "Quit")
        await pilot.resize_terminal(50, 12)
        await sees(app, "too small")
