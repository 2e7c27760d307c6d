"""What an experiment has shown: its runs, the figures that answer its question, and on what."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tui.lab.dials import PRESETS, Dials
from tui.lab.fields import Value, row_of
from tui.lab.histogram import Histogram
from tui.lab.plot import Curve
from tui.lab.records import Outcome
from tui.lab.statistics import Figures, Statistics

PACKAGES = ("tiffin", "aiohttp", "python-socketio", "pydantic", "uvloop")
OWN_SHARE = 0.1
"""The lab's own lateness is said from this share of what it shows on."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """A run that has ended."""

    outcome: Outcome
    figures: tuple[Figures, ...]
    lateness: Histogram
    """Of the lab's own timers."""
    dials: Dials
    """Of the network as the run began."""
    name: str = ""
    """Tells it from the other runs of its experiment, where there are any."""
    turned: tuple[str, ...] = ()
    """What was done to the network while the run went on, each with its second."""

    def rows(self) -> list[dict[str, Value]]:
        """Of each pattern, its figures by their names."""
        return [row_of(figures, self.outcome) for figures in self.figures]

    def row(self, pattern: str) -> dict[str, Value]:
        """The figures of a pattern by their names."""
        return next(row for row in self.rows() if row["pattern"] == pattern)


def snake(words: str) -> str:
    """As a part of a name."""
    return words.replace("-", "_").replace(" ", "_")


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure that answers the question of an experiment."""

    name: str
    value: Value
    """None where there is none, for instance as the system does not tell."""
    unit: str
    words: str
    """What it is, in a sentence that need not say of what."""
    of: str = ""
    """Of which pattern or run it is, where others have the same figure; `name` begins with it."""

    @property
    def figure(self) -> str:
        """The name without that."""
        return self.name.removeprefix(f"{snake(self.of)}_") if self.of else self.name


@dataclass(frozen=True, slots=True)
class Check:
    """Something that the product promises, and whether it was kept."""

    words: str
    kept: bool


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


@dataclass(frozen=True, slots=True)
class Report:
    """What an experiment has shown, and what it takes to repeat it."""

    experiment: str
    command: str
    runs: tuple[RunResult, ...]
    title: str = ""
    question: str = ""
    findings: tuple[Finding, ...] = ()
    checks: tuple[Check, ...] = ()
    curves: tuple[Curve, ...] = ()
    """Of the plot, beside those of the runs."""
    machine: Mapping[str, str | int] = field(default_factory=this_machine)
    versions: Mapping[str, str] = field(default_factory=these_versions)

    @property
    def kept(self) -> bool:
        """Whether everything came as it was promised."""
        outcomes = (run.outcome.kept for run in self.runs)
        return all(outcomes) and all(check.kept for check in self.checks)

    def value(self, name: str) -> Value:
        """Of a finding. Raises KeyError."""
        for finding in self.findings:
            if finding.name == name:
                return finding.value
        raise KeyError(name)


def result_of(
    outcome: Outcome,
    statistics: Statistics,
    *,
    name: str = "",
    dials: Dials | None = None,
    turned: tuple[str, ...] = (),
) -> RunResult:
    """The result of a run that has ended; `dials` are those of its network unless others are
    given."""
    return RunResult(
        outcome,
        tuple(statistics.figures(time.monotonic())),
        statistics.lateness,
        dials or PRESETS[outcome.plan.network].dials,
        name,
        turned,
    )
