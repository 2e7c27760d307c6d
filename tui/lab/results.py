"""What a run leaves behind: results.json, results.csv, results.md and plot.svg; and comparisons."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tui.lab.dials import PRESETS
from tui.lab.fields import FIELDS, Value, row_of
from tui.lab.plot import Curve, ecdf_plot
from tui.lab.records import PROMISES, Outcome
from tui.lab.statistics import Figures, Histogram, Statistics

FORMAT = 1
"""Of results.json; a later one is not compared with this."""
PACKAGES = ("tiffin", "aiohttp", "python-socketio", "pydantic", "uvloop")
BUSY = 0.7
"""From this share of a core on, the lab's own process may have made events late."""
OWN_SHARE = 0.1
"""The lab's own lateness is said from this share of what it shows on."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that has ended, and what it takes to repeat it."""

    outcome: Outcome
    figures: tuple[Figures, ...]
    lateness: Histogram
    """Of the lab's own timers."""
    command: str
    machine: dict[str, str | int]
    versions: dict[str, str]
    turned: tuple[str, ...] = ()
    """What was done to the network while the run went on, each with its second."""

    def rows(self) -> list[dict[str, Value]]:
        """Of each pattern, its figures by their names."""
        return [row_of(figures, self.outcome) for figures in self.figures]


def result_of(
    outcome: Outcome, statistics: Statistics, command: str, turned: tuple[str, ...] = ()
) -> RunResult:
    """The result of a run on this machine that has ended."""
    figures = tuple(statistics.figures(time.monotonic()))
    late = statistics.lateness
    return RunResult(outcome, figures, late, command, this_machine(), these_versions(), turned)


def this_machine() -> dict[str, str | int]:
    """What figures depend on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"processor": model, "cores": os.cpu_count() or 1, "system": platform.platform()}


def these_versions() -> dict[str, str]:
    """Of Python and of what the readers and the server run on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def document_of(result: RunResult) -> dict[str, Any]:
    """What results.json holds."""
    outcome, plan = result.outcome, result.outcome.plan
    patterns: list[dict[str, Any]] = []
    for row, figures in zip(result.rows(), result.figures, strict=True):
        buckets = [[round(low * 1000, 4), count] for low, count in figures.latency.buckets()]
        errors = list(outcome.verdicts[figures.pattern].errors)
        patterns.append({**row, "errors": errors, "latency_buckets_ms": buckets})
    tails = [figures.radio_tail for figures in result.figures]
    return {
        "format": FORMAT,
        "experiment": plan.experiment,
        "command": result.command,
        "began": datetime.fromtimestamp(outcome.began_wall, UTC).isoformat(timespec="seconds"),
        "network": {"preset": plan.network, **asdict(PRESETS[plan.network].dials)},
        "turned": list(result.turned),
        "source": {"rate": plan.rate, "shape": plan.shape, "size": plan.size},
        "seconds": plan.seconds,
        "readers": plan.readers,
        "seed": plan.seed,
        "poll_seconds": plan.poll_seconds,
        "poll_pace": plan.poll_pace,
        "isolated": plan.isolated,
        "radio_tail_seconds": tails[0] if tails else None,
        "clock_error_ms": round(outcome.clock_error * 1000, 3),
        "lab_busy": round(outcome.busy, 3),
        "lab_late_p50_ms": _late_ms(result, 50),
        "lab_late_p99_ms": _late_ms(result, 99),
        "promises_kept": outcome.kept,
        "machine": result.machine,
        "versions": result.versions,
        "fields": {field.name: field.meaning for field in FIELDS},
        "patterns": patterns,
    }


def _late_ms(result: RunResult, percent: float) -> float | None:
    late = result.lateness.percentile(percent)
    return None if late is None else round(late * 1000, 3)


def write(result: RunResult, directory: Path) -> None:
    """Write all four files; the same result makes the same files. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    document = json.dumps(document_of(result), indent=2, ensure_ascii=False)
    expected = max(1, result.outcome.events * result.outcome.plan.readers)
    curves = [
        Curve(each.pattern, each.latency.ecdf(), f"{each.latency.count / expected:.0%} seen")
        for each in result.figures
    ]
    for name, text in (
        ("results.json", document + "\n"),
        ("results.csv", _csv(result)),
        ("results.md", _markdown(result)),
        ("plot.svg", ecdf_plot(curves, _title(result))),
    ):
        (directory / name).write_text(text, encoding="utf-8", newline="\n")


def _title(result: RunResult) -> str:
    plan = result.outcome.plan
    source = f"{plan.rate:g} a second ({plan.shape}), {plan.size} B"
    return f"Latency from commit to reader: network “{plan.network}”, {source}"


def _csv(result: RunResult) -> str:
    plan = result.outcome.plan
    run = {
        "experiment": plan.experiment,
        "network": plan.network,
        "rate": plan.rate,
        "shape": plan.shape,
        "size": plan.size,
        "seconds": plan.seconds,
        "seed": plan.seed,
    }
    text = io.StringIO()
    names = [*run, *(field.name for field in FIELDS)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in result.rows():
        writer.writerow({**run, **row})
    return text.getvalue()


def _markdown(result: RunResult) -> str:
    """A table for a paper, and below it what it takes to make it again."""
    outcome, plan = result.outcome, result.outcome.plan
    rows = result.rows()
    columns = [
        field
        for field in FIELDS
        if field.heading and any(row[field.name] is not None for row in rows)
    ]
    lines = [
        f"# {plan.experiment}, network “{plan.network}”",
        "",
        "| " + " | ".join(field.heading for field in columns) + " |",
        "|" + "|".join("---" if field.name == "pattern" else "--:" for field in columns) + "|",
    ]
    for row in rows:
        cells = [_cell(row[field.name], field.name) for field in columns]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", *_remarks(result), "", "| | |", "|---|---|"]
    tail = f"{result.figures[0].radio_tail:g} s" if result.figures else "–"
    about = {
        "source": f"{plan.rate:g} a second, {plan.shape}, {plan.size} B of padding, "
        f"{plan.seconds:g} s, {outcome.events} events",
        "network": f"{plan.network}: {PRESETS[plan.network].reason}",
        "readers": f"{plan.readers} of each pattern, short poll "
        + (f"{plan.poll_seconds:g} s after an answer" if plan.poll_pace == "pause" else "")
        + (f"every {plan.poll_seconds:g} s" if plan.poll_pace == "rate" else "")
        + (", a server process for each pattern" if plan.isolated else ", one server process"),
        "seed": str(plan.seed),
        "radio": f"tail time {tail} (Huang et al., MobiSys 2012; Balasubramanian et al., IMC 2009)",
        "machine": ", ".join(str(value) for value in result.machine.values()),
        "versions": ", ".join(f"{name} {one}" for name, one in result.versions.items()),
        "command": f"`{result.command}`",
    }
    lines += [f"| {name} | {text.replace('|', chr(92) + '|')} |" for name, text in about.items()]
    lines += ["", *(f"- {field.heading}: {field.meaning}" for field in columns), ""]
    return "\n".join(lines)


def _remarks(result: RunResult) -> list[str]:
    """What a reader of the figures has to know."""
    outcome = result.outcome
    remarks = []
    for pattern, verdict in outcome.verdicts.items():
        if not verdict.kept(pattern):
            what = [
                f"{count} {word}"
                for count, word in (
                    (verdict.lost if pattern in PROMISES else 0, "lost"),
                    (verdict.repeated, "repeated"),
                    (verdict.unordered, "out of order"),
                )
                if count
            ]
            remarks.append(
                f"**{pattern} broke its promise: {', '.join([*what, *verdict.errors])}.**"
            )
        if verdict.connected < verdict.readers:
            missing = verdict.readers - verdict.connected
            remarks.append(
                f"{pattern}: {missing} of {verdict.readers} readers were never answered."
            )
        if verdict.late:
            remarks.append(f"{pattern}: {verdict.late} events came once the network was lifted.")
    if outcome.busy > BUSY:
        remarks.append(
            f"The lab itself used {outcome.busy:.0%} of a core: the figures are of a busy machine."
        )
    late = result.lateness.percentile(50)
    shown = [
        figures.pattern
        for figures in result.figures
        if late is not None and late > OWN_SHARE * (figures.latency.percentile(50) or math.inf)
    ]
    if late is not None and shown:
        remarks.append(
            f"The lab's own timers were late by {late * 1000:.1f} ms (p50): more than a tenth of "
            f"the p50 of {', '.join(shown)}."
        )
    if outcome.clock_error:
        remarks.append(f"Latencies may be wrong by {outcome.clock_error * 1000:.1f} ms (clocks).")
    if result.turned:
        remarks.append(f"Turned by hand while it ran: {'; '.join(result.turned)}.")
    if outcome.kept:
        remarks.insert(0, "Every pattern kept its promise.")
    return ["  \n".join(remarks)]


def _cell(value: Value, name: str = "") -> str:
    if value is None:
        return "–"
    if name == "radio_on_share":
        return f"{value:.0%}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


class NotComparable(ValueError):
    """Two results of which a ratio would say nothing; the message says why."""


def read(directory: Path) -> dict[str, Any]:
    """A run's results.json. Raises `NotComparable` where there is none that can be read."""
    path = directory / "results.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise NotComparable(f"{path} cannot be read as a run's results.") from fault
    found = document.get("format") if isinstance(document, dict) else None
    if not isinstance(document, dict) or found != FORMAT:
        raise NotComparable(f"{path} has format {found}, and this version compares {FORMAT}.")
    return document


SAME = {
    "experiment": "experiments",
    "source": "sources of events",
    "readers": "numbers of readers",
    "poll_seconds": "times between short polls",
    "poll_pace": "ways to pace short polls",
    "isolated": "ways to run the servers (isolated or not)",
}
"""What two runs must have in common, and what it is called."""
MAY_DIFFER = ("network", "seconds", "seed", "machine", "versions")


def compare(first: Path, second: Path) -> str:
    """A table of the second run's figures as multiples of the first's. Raises `NotComparable`."""
    before, after = read(first), read(second)
    for name, words in SAME.items():
        if before[name] != after[name]:
            raise NotComparable(
                f"The runs have different {words}: {_brief(before[name])} and "
                f"{_brief(after[name])}. Ratios of their figures would say nothing."
            )
    differ = [name for name in MAY_DIFFER if before[name] != after[name]]
    fields = [field for field in FIELDS if field.compared]
    lines = [f"{second} ÷ {first}"]
    lines += [f"{name}: {_brief(after[name])}, was {_brief(before[name])}" for name in differ]
    rows = {row["pattern"]: row for row in before["patterns"]}
    others = {row["pattern"]: row for row in after["patterns"]}
    both = [pattern for pattern in rows if pattern in others]
    if not both:
        raise NotComparable("The runs have no pattern in common.")
    table = [["", *both]]
    for field in fields:
        if field.by_machine and "machine" in differ:
            ratios = ["other machine"] * len(both)
        else:
            ratios = [_ratio(rows[one][field.name], others[one][field.name]) for one in both]
        if any(ratio != "–" for ratio in ratios):
            table.append([field.name, *ratios])
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    left_out = sorted((rows.keys() | others.keys()) - set(both))
    if left_out:
        lines.append(f"in one of the runs only: {', '.join(left_out)}")
    return "\n".join(lines)


def _ratio(before: Value, after: Value) -> str:
    """The one as a multiple of the other, where that is a number."""
    if before is None or after is None or isinstance(before, str) or isinstance(after, str):
        return "–"
    if not before:
        return "1" if not after else f"0 → {_cell(after)}"
    return f"{after / before:.3g}"


def _brief(value: object) -> str:
    if isinstance(value, dict):
        if "preset" in value:
            return str(value["preset"])
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return str(value)
