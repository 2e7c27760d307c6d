"""The tour on the lab's screen, with real runs; and events that are asked for one by one."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from textual.app import App

from support.live_server import running_server, settings_for
from support.screen import misses, sees, shown, told
from support.waiting import wait_until
from tui.lab.lessons.lesson import lessons
from tui.lab.records import PATTERNS, Plan
from tui.lab.screen.app import LabApp
from tui.lab.screen.page import pages_of
from tui.lab.screen.runs import Runs
from tui.lab.servers import UNLIMITED

LESSON = """
title = "{title}"
[[steps]]
say = "Watch."
why = "Half took {{sse.latency_p50_ms}} ms."
sources = ["tui/lab/runner.py"]
[steps.set]
seconds = {seconds}
rate = 20
patterns = ["short-poll", "sse"]
[steps.run]
experiment = "patterns"
takes = 5
[steps.ask]
question = "Which brings every event?"
[[steps.ask.choices]]
text = "short poll"
expect = "short_poll.unseen == 0"
shows = "{{short_poll.unseen}} unseen"
[[steps.ask.choices]]
text = "SSE"
expect = "sse.unseen == 0"
shows = "{{sse.unseen}} unseen"
"""


def press(app: App[None], *keys: str) -> None:
    for key in keys:
        app.simulate_key(key)


async def test_a_lesson_is_guessed_run_answered_and_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "NO_COLOR", "1")
    (tmp_path / "1-a.toml").write_text(LESSON.format(title="One", seconds=1.2))
    (tmp_path / "2-b.toml").write_text(LESSON.format(title="Two", seconds=60.0))
    settings = settings_for(tmp_path / "data", demo=True, **dict.fromkeys(UNLIMITED, 0))
    async with running_server(settings) as server:
        plan = Plan(seconds=600, shape="hand")
        runs = Runs(server.url, plan, begins=False)
        app = LabApp(runs, tour=True)
        app.lab.tour.pages = pages_of(lessons(tmp_path))
        async with app.run_test(size=(80, 24), notifications=True):
            # Nothing runs that nobody has asked for, and a page before its run shows no strips.
            await sees(app, "Tour 1 of 2 · One", "s starts a run")
            await misses(app, "now", "◆ news")
            assert not runs.number
            press(app, "escape", "s")
            await wait_until(lambda: runs.state == "running", what="a run by hand")

            # Nothing comes by itself; each event that is asked for comes over every pattern.
            assert runs.watch.statistics.source.newest == 0
            press(app, "full_stop")
            await sees(app, "events by hand", "1 event")
            press(app, "full_stop")
            await wait_until(
                lambda: all(not runs.watch.timeline.seen[one].behind(2, 1) for one in PATTERNS),
                what="the second event over every pattern",
            )

            press(app, "T")
            await sees(app, "Tour 1 of 2 · One", "Which brings every event?", "space runs it")
            press(app, "a", "space")
            await sees(app, "a ✗ short poll   ", "b ✓ SSE          0 unseen", "ms.", "runner.py")
            await sees(app, "You chose a: the figures say otherwise (", "0 of 1 guesses right")

            # A guess holds once there are figures; of a first run, it may be changed.
            number = runs.number
            press(app, "b")
            await told(app, "the guess holds")
            await sees(app, "▸ a ✗ short poll")
            press(app, "right")
            await sees(app, "Tour 2 of 2 · Two", "space runs it, about")
            await misses(app, "◆ news")
            press(app, "b", "enter")
            await sees(app, "▸ b SSE", "▶ patterns: ", "1 × 2 readers", "of 60 s", "◆ news")
            assert runs.number == number + 1, "no key of the lab in between"
            press(app, "space")
            await told(app, "Running; esc leaves it")
            press(app, "right")
            await told(app, "This is the last page")
            press(app, "a")
            await sees(app, "▸ a short poll")

            # What was left is found again; a run goes on meanwhile, and may be stopped.
            press(app, "left")
            await sees(app, "Tour 1 of 2 · One", "patterns: ", " of 60 s")
            await misses(app, "◆ news")
            press(app, "right", "escape")
            await misses(app, "Tour 2 of 2")
            press(app, "T")
            await sees(app, "Tour 2 of 2 · Two", "▸ a short poll", "▶ patterns: ")
            press(app, "s")
            await sees(app, "Stopped; space runs it again.")
            press(app, "left")
            await sees(app, "Tour 1 of 2 · One", "✓ SSE")

            # A run of one's own takes the place of a lesson's.
            press(app, "T", "plus")
            await wait_until(lambda: runs.state == "running", what="another run")
            assert runs.patterns == replace(plan).patterns
            assert "Tour" not in shown(app).splitlines()[1]
