"""The lessons of the tour: they load, fit a small screen, and figures answer them."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from server.text import fault
from support.live_server import running_server, settings_for
from tui.lab.bench import Bench
from tui.lab.lessons.lesson import (
    LessonError,
    Step,
    Unknown,
    evaluate,
    figures_of,
    fill,
    lessons,
)
from tui.lab.results import Finding
from tui.lab.screen.page import LETTERS, Page, keys_of, pages_of, rows_of, title_of, written
from tui.lab.servers import UNLIMITED

ROOT = Path(__file__).parents[3]
SECONDS = float(os.environ.get("LAB_SECONDS", "0"))
"""In the long run every lesson is run as it is; otherwise some, and in a few seconds."""


def step_of(page: Page) -> Step:
    assert isinstance(page.step, Step)
    return page.step


RIGHT = {
    "idle": "a",
    "held": "c",
    "missed": "c",
    "buffering": "b",
    "tunnel": "c",
    "slow-reader": "a",
    "redis": "c",
    "two-servers": "c",
    "one-thread": "a",
}
"""What the figures are to say of each experiment."""
QUICK = {"idle": 4.0, "tunnel": 3.0}
*STEPS, END = pages_of(lessons())
PAGES = {step_of(page).run.experiment: page for page in STEPS}
ALONE = (76, 18)
"""The same where there is no race."""
SMALL = (76, 11)
"""What a window of 80 by 24 leaves for a page below the race, and its border."""
LESSON = """
title = "One"
[[steps]]
say = "Two."
why = "{sse.latency_p50_ms} ms"
sources = ["tui/lab/runner.py"]
[steps.run]
experiment = "patterns"
takes = 5
[steps.ask]
question = "Three?"
choices = [
  {text = "yes", expect = "sse.latency_p50_ms < 1000", shows = "{sse.latency_p50_ms} ms"},
  {text = "no", expect = "not sse.latency_p50_ms < 1000"},
]
"""


def text_of(page: Page, width: int, height: int) -> list[str]:
    return ["".join(words for words, _ in row) for row in rows_of(page, width, height)]


def right(page: Page) -> str:
    found = {LETTERS[at]: one.is_right(page.figures) for at, one in enumerate(page.choices)}
    assert None not in found.values(), f"{found}: a figure is missing"
    return "".join(letter for letter, is_right in found.items() if is_right)


@pytest.mark.parametrize("experiment", PAGES)
def test_a_page_can_be_read_at_once_on_the_smallest_screen(experiment: str) -> None:
    page, (width, height) = PAGES[experiment], SMALL
    step = step_of(page)
    shown = text_of(page, width, height)
    assert len(shown) <= height, "\n".join(shown)
    assert max(map(len, shown)) <= width
    assert all(fault(line) is None for line in shown)
    answered = replace(page, state="answered", guess=0)
    if step.run.race:
        assert len(text_of(answered, width, height)) <= height + 1
    assert all((ROOT / source).exists() for source in step.sources)


def test_the_lessons_come_in_the_order_of_their_numbers_and_the_summary_last() -> None:
    assert [*PAGES] == [*RIGHT]
    assert [page.number for page in STEPS] == [f"{place} of 9" for place in range(1, 10)]
    assert title_of(END, [*STEPS, END], 70) == f"Tour · {END.title}"
    end = replace(END, words="You guessed 7 of 9 right.")
    shown = text_of(end, *ALONE)
    assert len(shown) <= ALONE[1]
    assert max(map(len, shown)) <= ALONE[0]
    for words in ("order status", "long polling", "7 of 9", "docs/decision-report.md"):
        assert words in "\n".join(shown)


@pytest.mark.parametrize(
    ("width", "title"),
    [
        (70, "Tour 4 of 9 · A stream behind a proxy that buffers"),
        (60, "Tour 4 of 9 · A stream behind a proxy that buffers"),
        (48, "4 of 9 · A stream behind a proxy that buffers"),
        (40, "Tour 4 of 9"),
    ],
)
def test_a_title_is_not_cut(width: int, title: str) -> None:
    page = PAGES["buffering"]
    assert title_of(page, STEPS, width) == title
    guessed = replace(page, state="answered", guess=0, figures={"long_poll_first_news": 9.0})
    assert len(title_of(guessed, [guessed], width)) <= width
    assert "1 of 1" in title_of(guessed, [guessed], width)


@pytest.mark.parametrize(
    ("width", "keys"),
    [
        (90, "page ↓ for more · space runs it again · ← → lessons · esc leaves, T comes back"),
        (76, "page ↓ for more · space runs it again · ← → lessons"),
    ],
)
def test_the_keys_of_a_page_are_not_cut(width: int, keys: str) -> None:
    page = replace(PAGES["tunnel"], state="answered")
    assert keys_of(page, width, goes_on=True) == keys


@pytest.mark.parametrize("experiment", RIGHT if SECONDS else QUICK)
async def test_the_figures_of_a_lesson_answer_its_question(experiment: str, tmp_path: Path) -> None:
    page = replace(PAGES[experiment])
    step, plan = step_of(page), step_of(page).plan
    if not SECONDS:
        plan = replace(plan, seconds=QUICK[experiment])
    settings = settings_for(tmp_path, demo=True, **dict.fromkeys(UNLIMITED, 0))
    async with running_server(settings) as server, Bench("" if SECONDS else server.url) as bench:
        report = await bench.report(step.experiment, plan, "")
    assert report.kept or not SECONDS
    assert {*step.table} <= {one.figure for one in report.findings}
    page.figures, page.state = figures_of(report), "answered"
    assert right(page) == RIGHT[experiment], page.figures
    page.guess = LETTERS.index(RIGHT[experiment])
    shown = "\n".join(text_of(page, 96, 40))
    words, _, _ = shown.partition("In the code:")  # a table below may have cells without figures
    assert not SECONDS or "–" not in words, shown  # a short run may end before the news
    assert f"▸ {RIGHT[experiment]} ✓" in shown
    assert "the figures say so too" in shown


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("title", "titel", "1-one.toml: title"),
        ('say = "Two."', 'say = ""', "steps.0.say"),
        ('"patterns"', '"pattern"', "steps.0.run: There is no experiment “pattern”"),
        ('sse.latency_p50_ms < 1000", s', "open('x') < 1000\", s", "steps.0.ask.choices.0.expect"),
        ('{sse.latency_p50_ms} ms"\n', '{sse.latency_p50_ms ms"\n', "steps.0.why"),
        ("tui/lab/runner.py", "../etc/passwd", "steps.0.sources.0"),
        ("takes = 5", "takes = 5\n[steps.set]\nspeed = 9", "set.speed"),
        ("takes = 5", 'takes = 5\n[steps.set]\nrate = "x"', "set.rate"),
        ("title = ", "title ", "line 2"),
    ],
)
def test_a_bad_lesson_names_its_file_and_the_key(
    before: str, after: str, named: str, tmp_path: Path
) -> None:
    assert before in LESSON
    (tmp_path / "1-one.toml").write_text(LESSON)
    assert [one.title for one in lessons(tmp_path)] == ["One"]
    (tmp_path / "1-one.toml").write_text(LESSON.replace(before, after, 1))
    with pytest.raises(LessonError, match=r"1-one\.toml") as found:
        lessons(tmp_path)
    assert named in str(found.value)


def test_formulas_are_of_figures_and_numbers_alone() -> None:
    figures = {"a": 2, "sse.p50": 3.5, "none": None, "word": "on"}
    assert evaluate("a < sse.p50 <= 3.5 and not a == 3", figures) is True
    assert evaluate("-a * 2 + sse.p50 / 7", figures) == -3.5
    assert fill("{a} of {a / 0} {none} {b}", figures, str) == "2 of – – –"
    for unknown in ("none > 1", "b"):
        with pytest.raises(Unknown):
            evaluate(unknown, figures)
    for wrong in ("a.__class__()", "a[0]", "[a]", "lambda: 1", "a if a else 1", "a <"):
        with pytest.raises(ValueError, match="formula"):
            evaluate(wrong, figures)


def test_findings_that_were_not_measured_are_said_not_to_be() -> None:
    page = replace(PAGES["one-thread"], state="answered", guess=1)
    page.findings = (Finding("waiting", None, "B", "Of each; this system does not tell."),)
    shown = "\n".join(text_of(page, 76, 40))
    assert "b ?" in shown
    assert "no figure tells" in shown
    assert "waiting  –  Of each" in shown


def test_the_table_says_shares_in_percent_and_noise_as_about_none() -> None:
    page = replace(PAGES["redis"], state="answered")
    page.findings = (
        Finding("a_missed", 1.0, "of events", "What never came.", "a"),
        Finding("b_missed", 0, "of events", "What never came.", "b"),
        Finding("a_memory", -23.2, "B a reader", "Of Redis.", "a"),
        Finding("b_memory", 31.0, "B a reader", "Of Redis.", "b"),
        Finding("left_out", 9, "events", "Not asked for."),
    )
    page.step = step_of(page).model_copy(update={"table": ["missed", "memory"]})
    for width in (60, 100):
        table = " ".join(" ".join(text_of(page, width, 40)).split()).partition("In the code:")[2]
        assert "a b missed 100 % 0 % What never came. memory about 0 B a reader 31 B" in table
        assert "Of Redis. About 0: less than can be measured." in table
        assert "left out" not in table
    assert "about 0 kB" in fill("{memory / 1000} kB", {"memory": -23.2}, written)
