"""What a run leaves behind is the same each time, and only like is compared with like."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tui.lab.compare import NotComparable, compare
from tui.lab.export import write
from tui.lab.fields import FIELDS
from tui.lab.plot import Curve, ecdf_plot
from tui.lab.records import LONG_POLL, SHORT_POLL, Appended, Arrival, Cost, Outcome, Plan, Verdict
from tui.lab.results import Check, Finding, Report, result_of
from tui.lab.statistics import Statistics

NAMES = ["results.json", "results.csv", "results.md", "plot.svg"]
SVG = "{http://www.w3.org/2000/svg}"


def report_with(
    latency: float = 0.1,
    *,
    lost: int = 0,
    arrive: bool = True,
    busy: float = 0.1,
    clock_error: float = 0.0,
    idle_cpu: float = 0.01,
    **changes: Any,
) -> Report:
    """Ten events, each a second after the one before."""
    plan = Plan(seconds=20, network="train", seed=3, patterns=(SHORT_POLL, LONG_POLL))
    plan = replace(plan, **changes)
    statistics = Statistics(plan)
    statistics.begun(100)
    for seq in range(1, 11):
        statistics.appended(Appended(seq, 100.0 + seq, 120))
        for pattern in plan.patterns if arrive else ():
            if pattern == LONG_POLL or seq % 2:
                at = 100 + seq + latency
                statistics.passed(pattern, at, up=False, data=bytes(360))
                statistics.arrived(Arrival(pattern, 0, seq, 100.0 + seq, at, False))
    for _ in range(10):
        statistics.late(110, 0.012)
        statistics.late(200, 1)  # after the run's end
    verdicts = {
        SHORT_POLL: Verdict(1, 1, 5, 0, 0, 0, ()),
        LONG_POLL: Verdict(1, 1, lost, 0, 0, 0, ()),
    }
    cost = Cost(
        cpu_seconds=0.3,
        idle_cpu=idle_cpu,
        seconds=20,
        memory=((10, 50_000), (20, 90_000), (30, 130_000), (40, 170_000)),
        threads_before=1,
        threads_connected=1,
        held=1,
    )
    outcome = Outcome(
        plan=plan,
        run_id="r",
        began=100.0,
        began_wall=1_700_000_000.0,
        events=10,
        clock_error=clock_error,
        busy=busy,
        verdicts={pattern: verdicts[pattern] for pattern in plan.patterns},
        costs={LONG_POLL: cost} if plan.isolated else {},
    )
    return Report(plan.experiment, "python -m tui.lab run", (result_of(outcome, statistics),))


def test_a_result_makes_the_same_four_files_each_time(tmp_path: Path) -> None:
    report = report_with()
    for folder in ("one", "two"):
        write(report, tmp_path / folder)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(NAMES)
    for name in NAMES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    document = json.loads((tmp_path / "one" / "results.json").read_text())
    names = [field.name for field in FIELDS]
    assert document["fields"] == {field.name: field.meaning for field in FIELDS}
    assert all(field.meaning.endswith(".") for field in FIELDS)
    (run,) = document["runs"]
    assert [set(row) - {"errors", "latency_buckets_ms"} for row in run["patterns"]] == [
        set(names)
    ] * 2
    assert run["began"] == "2023-11-14T22:13:20+00:00"
    assert run["network"]["cut_every"] == 40
    assert (run["seed"], run["radio_tail_seconds"]) == (3, 11.576)
    short, long = run["patterns"]
    assert (short["arrivals"], short["unseen"], short["promise_kept"]) == (5, 5, True)
    assert long["latency_p50_ms"] == long["latency_worst_ms"] == 100
    # Of ten events, five were lacked for 0.1 s, four until the next one came, the last to the end.
    assert (short["staleness_ms"], long["staleness_ms"]) == (1490.0, 100)
    assert (long["bytes_down_per_event"], long["overhead"]) == (360, 3)
    assert (long["radio_on_share"], long["radio_starts"]) == (0.945, 1)
    with (tmp_path / "one" / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["pattern"] for row in rows] == [SHORT_POLL, LONG_POLL]
    assert list(rows[0])[-len(names) :] == names
    text = (tmp_path / "one" / "results.md").read_text()
    for said in (
        "python -m tui.lab run",
        "seed | 3",
        "11.576 s",
        "Huang et al.",
        "tunnel",
        "| 94% |",
    ):
        assert said in text
    assert "Every pattern kept its promise." in text
    assert run["lab_late_p99_ms"] == 12
    assert "The lab's own timers were late by 12.0 ms (p50): more than a tenth" in text


def test_several_runs_and_what_they_show_are_in_every_file(tmp_path: Path) -> None:
    """And two such results are compared run by run, and figure by figure."""
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, latency in ((one, 0.1), (two, 0.3)):
        (run,) = report_with(latency).runs
        report = replace(
            report_with(latency),
            title="Twice",
            question="What | for?",
            runs=(replace(run, name="first"), replace(run, name="second")),
            findings=(
                Finding("waited", latency * 10, "s", "How long | it was."),
                Finding("long_poll_lost", 3, "events", "What did not come.", "long-poll"),
                Finding("sse_lost", None, "events", "What did not come.", "sse"),
            ),
            checks=(Check("It came.", kept=True), Check("It was red.", kept=folder == one)),
        )
        write(report, folder)
        assert report.kept is (folder == one)
    document = json.loads((one / "results.json").read_text())
    assert [run["name"] for run in document["runs"]] == ["first", "second"]
    assert [(one["name"], one["value"]) for one in document["findings"]] == [
        ("waited", 1),
        ("long_poll_lost", 3),
        ("sse_lost", None),
    ]
    with (one / "results.csv").open(newline="") as file:
        runs = [row["run"] for row in csv.DictReader(file)]
    assert runs == ["first", "first", "second", "second"]
    with (one / "findings.csv").open(newline="") as file:
        assert [row["value"] for row in csv.DictReader(file)] == ["1.0", "3", ""]
    text = (two / "results.md").read_text()
    for said in (
        "# Twice",
        "| waited | 3 s | How long \\| it was. |",
        "| figure | long-poll | sse | |",
        "| lost (events) | 3 | – | What did not come. |",
        "## second",
        "**Broken**",
    ):
        assert said in text
    assert "long-poll, second" in (one / "plot.svg").read_text()
    lines = compare(one, two).splitlines()
    assert "waited          3" in lines
    assert {"first", "second"} <= {*lines}


def test_a_broken_promise_and_a_busy_lab_are_said(tmp_path: Path) -> None:
    write(report_with(lost=2, busy=0.9, clock_error=0.004), tmp_path)
    text = (tmp_path / "results.md").read_text()
    assert f"{LONG_POLL} broke its promise: 2 lost." in text
    assert f"{SHORT_POLL} broke" not in text
    assert "90% of a core" in text
    assert "wrong by 4.0 ms" in text
    assert not json.loads((tmp_path / "results.json").read_text())["promises_kept"]


def test_a_plot_tells_its_curves_apart_without_colours() -> None:
    names = [f"pattern {number} <&>" for number in range(6)]
    steps = [(0.001 * (number + 1), (number + 1) / 2000) for number in range(2000)]
    root = ElementTree.fromstring(
        ecdf_plot([*(Curve(name, steps, "5% seen") for name in names), Curve("none", [])], "a & b")
    )
    assert root.findtext(f"{SVG}title") == "a & b"
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {*names, "none", "100 ms", "1 s", "p50 1 s, 5% seen", "nothing arrived"} <= {*texts}
    curves = [path for path in root.iter(f"{SVG}path") if len(path.get("d", "")) > 1000]
    looks = {(path.get("stroke-dasharray"), path.get("stroke-width")) for path in curves}
    assert len(curves) == len(looks) == 6
    empty = ElementTree.fromstring(ecdf_plot([Curve("none", [])], "nothing"))
    assert "No latency known." in [element.text for element in empty.iter(f"{SVG}text")]


def test_runs_are_compared_as_ratios(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write(report_with(0.1, isolated=True), one)
    write(report_with(0.25, isolated=True, network="none", patterns=(LONG_POLL,)), two)
    rows = {line.split()[0]: line.split()[1:] for line in compare(one, two).splitlines()}
    assert rows["latency_p50_ms"] == ["2.5"]
    assert rows["overhead"] == ["1"]
    assert rows["memory_bytes_per_reader"] == ["1"]
    assert rows["network:"] == ["none,", "was", "train"]
    assert rows["in"][-1] == SHORT_POLL
    write(replace(report_with(isolated=True), machine={"processor": "another"}), two)
    rows = {line.split()[0]: line.split()[1:] for line in compare(one, two).splitlines()}
    assert rows["cpu_us_per_event"] == ["other", "machine"] * 2
    assert rows["latency_p50_ms"] == ["1", "1"]


@pytest.mark.parametrize(("idle", "cpu_us"), [(0.01, 10_000), (0.02, None)])
def test_cpu_that_is_no_more_than_an_idle_server_uses_is_not_told(
    tmp_path: Path, idle: float, cpu_us: float | None
) -> None:
    write(report_with(isolated=True, idle_cpu=idle), tmp_path)
    (run,) = json.loads((tmp_path / "results.json").read_text())["runs"]
    row = run["patterns"][1]
    assert (row["cpu_us_per_event"], row["memory_bytes_per_reader"]) == (cpu_us, 4000)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rate": 5.0}, "different sources of events: rate 1.0"),
        ({"shape": "steady"}, "different sources"),
        ({"readers": 3}, "different numbers of readers: 1 and 3"),
        ({"poll_seconds": 5.0}, "times between short polls: 1.0 and 5.0"),
        ({"experiment": "tunnel"}, "different experiments: patterns and tunnel"),
    ],
)
def test_what_is_not_comparable_is_refused_in_words(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    write(report_with(), tmp_path / "one")
    write(report_with(**changes), tmp_path / "two")
    with pytest.raises(NotComparable, match=words):
        compare(tmp_path / "one", tmp_path / "two")


def test_what_is_no_result_is_refused_in_words(tmp_path: Path) -> None:
    write(report_with(), tmp_path / "one")
    with pytest.raises(NotComparable, match="cannot be read"):
        compare(tmp_path / "one", tmp_path / "two")
    for text, words in (("[]", "format None"), ('{"format": 1}', "format 1"), ("{", "cannot")):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(NotComparable, match=words):
            compare(tmp_path / "one", tmp_path)


def test_without_arrivals_there_is_no_latency(tmp_path: Path) -> None:
    write(report_with(arrive=False, network="offline"), tmp_path)
    rows = json.loads((tmp_path / "results.json").read_text())["runs"][0]["patterns"]
    assert [row["latency_p50_ms"] for row in rows] == [None, None]
    assert "p50 ms" not in (tmp_path / "results.md").read_text()
    compare(tmp_path, tmp_path)
