"""What an experiment leaves behind: results.json, results.csv, results.md and plot.svg."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tui.lab.dials import PRESETS
from tui.lab.fields import FIELDS, Field, Value, cell
from tui.lab.plot import Curve, ecdf_plot
from tui.lab.records import NO_PROMISE, Outcome, Plan
from tui.lab.results import OWN_SHARE, Report, RunResult

FORMAT = 2
"""Of results.json."""
BUSY = 0.7
"""From this share of a core on, the lab's own process may have made events late."""


def write(report: Report, directory: Path) -> None:
    """Write all four files, and findings.csv where there are any; the same report makes the same
    files. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    texts = {
        "results.json": json.dumps(document_of(report), indent=2, ensure_ascii=False) + "\n",
        "results.csv": _csv(report),
        "results.md": _markdown(report),
        "plot.svg": ecdf_plot(_curves(report), _title(report)),
    }
    if report.findings:
        texts["findings.csv"] = _findings_csv(report)
    for name, text in texts.items():
        (directory / name).write_text(text, encoding="utf-8", newline="\n")


def document_of(report: Report) -> dict[str, Any]:
    """What results.json holds."""
    return {
        "format": FORMAT,
        "experiment": report.experiment,
        "title": report.title,
        "question": report.question,
        "command": report.command,
        "promises_kept": report.kept,
        "findings": [
            asdict(finding) | {"value": _rounded(finding.value)} for finding in report.findings
        ],
        "checks": [asdict(check) for check in report.checks],
        "machine": dict(report.machine),
        "versions": dict(report.versions),
        "fields": {field.name: field.meaning for field in FIELDS},
        "runs": [_run_document(run) for run in report.runs],
    }


def _rounded(value: Value) -> Value:
    return round(value, 6) if isinstance(value, float) else value


def _run_document(result: RunResult) -> dict[str, Any]:
    outcome, plan = result.outcome, result.outcome.plan
    patterns: list[dict[str, Any]] = []
    for row, figures in zip(result.rows(), result.figures, strict=True):
        buckets = [[round(low * 1000, 4), count] for low, count in figures.latency.buckets()]
        errors = list(outcome.verdicts[figures.pattern].errors)
        patterns.append({**row, "errors": errors, "latency_buckets_ms": buckets})
    tails = [figures.radio_tail for figures in result.figures]
    return {
        "name": result.name,
        "began": datetime.fromtimestamp(outcome.began_wall, UTC).isoformat(timespec="seconds"),
        "network": {"preset": plan.network, **asdict(result.dials)},
        "turned": list(result.turned),
        "source": _source(plan),
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
        "notes": list(outcome.notes),
        "patterns": patterns,
    }


def _source(plan: Plan) -> dict[str, Value]:
    if plan.target is not None:
        return {"target": plan.target.url, "rate": plan.target.rate}
    return {"rate": plan.rate, "shape": plan.shape, "size": plan.size}


def _late_ms(result: RunResult, percent: float) -> float | None:
    late = result.lateness.percentile(percent)
    return None if late is None else round(late * 1000, 3)


def _curves(report: Report) -> list[Curve]:
    curves = list(report.curves)
    for run in report.runs:
        expected = run.outcome.events * run.outcome.plan.readers
        for each in run.figures:
            name = f"{each.pattern}, {run.name}" if run.name else each.pattern
            seen = f"{each.arrivals / expected:.0%} seen" if expected else f"{each.arrivals} came"
            curves.append(Curve(name, each.latency.ecdf(), seen))
    return curves


def _title(report: Report) -> str:
    if report.title or not report.runs:
        return report.title or report.experiment
    plan = report.runs[0].outcome.plan
    source = f"{plan.rate:g} a second ({plan.shape}), {plan.size} B"
    return f"Latency from commit to reader: network “{plan.network}”, {source}"


def _csv(report: Report) -> str:
    """A row for each pattern of each run."""
    text = io.StringIO()
    names = ["experiment", "run", "network", "rate", "shape", "size", "seconds", "seed"]
    writer = csv.DictWriter(text, [*names, *(each.name for each in FIELDS)], lineterminator="\n")
    writer.writeheader()
    for result in report.runs:
        plan = result.outcome.plan
        run = {
            "experiment": report.experiment,
            "run": result.name,
            "network": plan.network,
            **{name: value for name, value in _source(plan).items() if name in names},
            "seconds": plan.seconds,
            "seed": plan.seed,
        }
        for row in result.rows():
            writer.writerow({**run, **row})
    return text.getvalue()


def _findings_csv(report: Report) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("experiment", "name", "of", "value", "unit", "words"))
    for one in report.findings:
        value = _rounded(one.value)
        writer.writerow((report.experiment, one.name, one.of, value, one.unit, one.words))
    return text.getvalue()


def _markdown(report: Report) -> str:
    """Tables for a paper, and below them what it takes to make them again."""
    alone = len(report.runs) == 1 and not report.runs[0].name
    network = f", network “{report.runs[0].outcome.plan.network}”" if alone else ""
    lines = [f"# {report.title or report.experiment}{network}", ""]
    if report.question:
        lines += [report.question, ""]
    lines += _findings_lines(report)
    for check in report.checks:
        lines += [f"{'Kept' if check.kept else '**Broken**'}: {check.words}", ""]
    for run in report.runs:
        lines += _run_lines(run)
    about = {
        "machine": ", ".join(str(value) for value in report.machine.values()),
        "versions": ", ".join(f"{name} {one}" for name, one in report.versions.items()),
        "command": f"`{report.command}`",
    }
    lines += ["| | |", "|---|---|"]
    lines += [f"| {name} | {_escaped(text)} |" for name, text in about.items()]
    if report.runs:
        shown = {field.name for run in report.runs for field in _columns(run.rows())}
        lines += [""]
        lines += [f"- {each.heading}: {each.meaning}" for each in FIELDS if each.name in shown]
    return "\n".join([*lines, ""])


def _findings_lines(report: Report) -> list[str]:
    """A table of those that stand alone, and one with a column for each pattern or run."""
    lines: list[str] = []
    alone = [one for one in report.findings if not one.of]
    if alone:
        lines += ["| figure | value | |", "|---|--:|---|"]
        for one in alone:
            unit = one.unit if one.value is not None else ""
            value = f"{cell(one.value)} {unit}".strip()
            lines.append(f"| {one.name} | {value} | {_escaped(one.words)} |")
        lines.append("")
    compared = [one for one in report.findings if one.of]
    if compared:
        columns = list(dict.fromkeys(one.of for one in compared))
        lines += [f"| figure | {' | '.join(columns)} | |", f"|---|{'--:|' * len(columns)}---|"]
        for figure in dict.fromkeys(one.figure for one in compared):
            row = {one.of: one for one in compared if one.figure == figure}
            cells = [cell(row[of].value) if of in row else "–" for of in columns]
            first = next(iter(row.values()))
            unit = f" ({first.unit})" if first.unit else ""
            lines.append(f"| {figure}{unit} | {' | '.join(cells)} | {_escaped(first.words)} |")
        lines.append("")
    return lines


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _columns(rows: list[dict[str, Value]]) -> list[Field]:
    return [
        field
        for field in FIELDS
        if field.heading and any(row[field.name] is not None for row in rows)
    ]


def _run_lines(result: RunResult) -> list[str]:
    """The table of a run, what has to be known of it, and how it was made."""
    plan, rows = result.outcome.plan, result.rows()
    columns = _columns(rows)
    lines = [f"## {result.name}", ""] if result.name else []
    lines += [
        "| " + " | ".join(field.heading for field in columns) + " |",
        "|" + "|".join("---" if field.name == "pattern" else "--:" for field in columns) + "|",
    ]
    for row in rows:
        cells = [cell(row[field.name], field.name) for field in columns]
        lines.append("| " + " | ".join(cells) + " |")
    tail = f"{result.figures[0].radio_tail:g} s" if result.figures else "–"
    preset = PRESETS[plan.network]
    turned = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in asdict(result.dials).items()
        if value != getattr(preset.dials, name)
    ]
    about = {
        "source": _source_words(result.outcome),
        "network": f"{plan.network}: {preset.reason}"
        + (f" Set besides: {', '.join(turned)}." if turned else ""),
        "readers": f"{plan.readers} of each pattern, short poll "
        + (f"{plan.poll_seconds:g} s after an answer" if plan.poll_pace == "pause" else "")
        + (f"every {plan.poll_seconds:g} s" if plan.poll_pace == "rate" else "")
        + (", a server process for each pattern" if plan.isolated else "")
        + (", one server process" if not plan.isolated and plan.target is None else ""),
        "seed": str(plan.seed),
        "radio": f"tail time {tail} (Huang et al., MobiSys 2012; Balasubramanian et al., IMC 2009)",
    }
    lines += ["", *_remarks(result), "| | |", "|---|---|"]
    lines += [f"| {name} | {_escaped(text)} |" for name, text in about.items()]
    return [*lines, ""]


def _source_words(outcome: Outcome) -> str:
    plan = outcome.plan
    if plan.target is None:
        what = f"{plan.rate:g} a second, {plan.shape}, {plan.size} B of padding"
    elif plan.target.rate is None:
        return f"{plan.target.url}, to which the lab listened for {plan.seconds:g} s"
    else:
        what = f"{plan.target.url}, where the lab published {plan.target.rate:g} a second"
    return f"{what}, {plan.seconds:g} s, {outcome.events} events"


def _remarks(result: RunResult) -> list[str]:
    """What a reader of the figures has to know."""
    outcome, is_ours = result.outcome, result.outcome.plan.target is None
    remarks = []
    for pattern, verdict in outcome.verdicts.items():
        if not verdict.kept(pattern):
            what = [
                f"{count} {word}"
                for count, word in (
                    (0 if pattern in NO_PROMISE else verdict.lost, "lost"),
                    (verdict.repeated, "repeated"),
                    (verdict.unordered, "out of order"),
                )
                if count
            ]
            broke = " broke its promise" if is_ours else ""
            remarks.append(f"**{pattern}{broke}: {', '.join([*what, *verdict.errors])}.**")
        if verdict.connected < verdict.readers and (outcome.events or not is_ours):
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
        remarks.append(f"Turned while it ran: {'; '.join(result.turned)}.")
    remarks += outcome.notes
    if outcome.kept and is_ours:
        remarks.insert(0, "Every pattern kept its promise.")
    return ["  \n".join(remarks), ""] if remarks else []
