"""Two results of the same experiment, the second's figures as multiples of the first's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tui.lab.export import FORMAT
from tui.lab.fields import FIELDS, Value, cell


class NotComparable(ValueError):
    """Two results of which a ratio would say nothing; the message says why."""


SAME = {
    "source": "sources of events",
    "readers": "numbers of readers",
    "poll_seconds": "times between short polls",
    "poll_pace": "ways to pace short polls",
    "radio_tail_seconds": "tails of the radio",
    "isolated": "ways to run the servers (isolated or not)",
}
"""What two runs must have in common, and what it is called."""
MAY_DIFFER = ("network", "seconds", "seed")


def read(directory: Path) -> dict[str, Any]:
    """The results.json of an experiment. Raises `NotComparable` where there is none that can be
    read."""
    path = directory / "results.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise NotComparable(f"{path} cannot be read as results of the lab.") from fault
    found = document.get("format") if isinstance(document, dict) else None
    if not isinstance(document, dict) or found != FORMAT:
        raise NotComparable(f"{path} has format {found}, and this version compares {FORMAT}.")
    return document


def compare(first: Path, second: Path) -> str:
    """Tables of the second's figures as multiples of the first's. Raises `NotComparable`."""
    before, after = read(first), read(second)
    _require_same(before, after, "experiment", "experiments")
    lines = [f"{second} ÷ {first}"]
    lines += _differences(before, after, ("machine", "versions"))
    same_machine = before["machine"] == after["machine"]
    figures = {one["name"]: one["value"] for one in after["findings"]}
    rows = [
        [one["name"], _ratio(one["value"], figures[one["name"]])]
        for one in before["findings"]
        if one["name"] in figures
    ]
    lines += _table(rows)
    others = {run["name"]: run for run in after["runs"]}
    both = [(run, others[run["name"]]) for run in before["runs"] if run["name"] in others]
    for run, other in both:
        lines += _run_lines(run, other, same_machine=same_machine)
    if not both and not rows:
        raise NotComparable("The results have no run and no figure in common.")
    return "\n".join(lines)


def _run_lines(before: dict[str, Any], after: dict[str, Any], *, same_machine: bool) -> list[str]:
    for name, words in SAME.items():
        _require_same(before, after, name, words)
    lines = ["", before["name"]] if before["name"] else []
    lines += _differences(before, after, MAY_DIFFER)
    rows = {row["pattern"]: row for row in before["patterns"]}
    others = {row["pattern"]: row for row in after["patterns"]}
    both = [pattern for pattern in rows if pattern in others]
    if not both:
        raise NotComparable("The runs have no pattern in common.")
    table = [["", *both]]
    for field in FIELDS:
        if not field.compared:
            continue
        if field.by_machine and not same_machine:
            ratios = ["other machine"] * len(both)
        else:
            ratios = [_ratio(rows[one][field.name], others[one][field.name]) for one in both]
        if any(ratio != "–" for ratio in ratios):
            table.append([field.name, *ratios])
    lines += _table(table)
    left_out = sorted((rows.keys() | others.keys()) - set(both))
    if left_out:
        lines.append(f"in one of the runs only: {', '.join(left_out)}")
    return lines


def _require_same(before: dict[str, Any], after: dict[str, Any], name: str, words: str) -> None:
    if before[name] != after[name]:
        raise NotComparable(
            f"The runs have different {words}: {_brief(before[name])} and {_brief(after[name])}."
            " Ratios of their figures would say nothing."
        )


def _differences(
    before: dict[str, Any], after: dict[str, Any], names: tuple[str, ...]
) -> list[str]:
    return [
        f"{name}: {_brief(after[name])}, was {_brief(before[name])}"
        for name in names
        if before[name] != after[name]
    ]


def _table(rows: list[list[str]]) -> list[str]:
    """Lines with the first column to the left, and the others to the right."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def _ratio(before: Value, after: Value) -> str:
    """The one as a multiple of the other, where that is a number."""
    if before is None or after is None or isinstance(before, str) or isinstance(after, str):
        return "–"
    if not before:
        return "1" if not after else f"0 → {cell(after)}"
    return f"{after / before:.3g}"


def _brief(value: object) -> str:
    if isinstance(value, dict):
        if "preset" in value:
            return str(value["preset"])
        return ", ".join(f"{name} {one}" for name, one in value.items())
    return str(value)
