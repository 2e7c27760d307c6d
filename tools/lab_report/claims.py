"""The claims of the decision report, and the verdicts that the lab's figures lead to.

The files in claims/, one for each feature, hold both: each claim names the figures it is about, and
the rule that decides.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).parent
Value = float | int | str | bool | None


class Results:
    """What the runs of the lab have found, as it is kept in a folder: one file for each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, dict[str, Any]] = {}

    def __getitem__(self, run: str) -> dict[str, Any]:
        """All that is kept of a run. Raises OSError."""
        if run not in self._read:
            self._read[run] = json.loads((self._folder / f"{run}.json").read_text("utf-8"))
        return self._read[run]

    def figure(self, path: str) -> Value:
        """The figure of a path: `run: finding`, or `run: pattern field`, where a run of several
        parts has `run: part pattern field`. Raises KeyError, naming what there is."""
        run, _, name = (part.strip() for part in path.partition(":"))
        kept = self[run]
        *place, last = name.split()
        if not place:
            found = kept["findings"]
        else:
            part = place[0] if len(place) > 1 else ""
            found = kept["patterns"][part][place[-1]]
        if last not in found:
            raise KeyError(f"{path}: there is no {last}, only {', '.join(found)}")
        figure = found[last]
        value: Value = figure["value"] if isinstance(figure, dict) else figure
        return value


@dataclass(frozen=True)
class Verdict:
    """What the figures say of a claim."""

    kind: Literal["holds", "partly", "fails", "unknown", "argument"]
    words: str
    """Such as "holds"."""
    text: str
    rule: str = ""
    figures: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """A sentence of the decision report, in our words, and what decides whether it holds.

    `figures` names each figure by its path (see `Results.figure`), or derives it from those before
    by an expression that begins with "=". `holds` and `where` are expressions over these names:
    where `holds` is true the claim holds; otherwise, where `where` is true, it holds under the
    condition `only`; otherwise it does not hold. `yes`, `partly` and `no` say so, with figures.
    A claim without figures is an `argument`.
    """

    part: str
    says: str
    figures: Mapping[str, str] = field(default_factory=dict)
    holds: str = ""
    where: str = ""
    only: str = ""
    yes: str = ""
    partly: str = ""
    no: str = ""
    argument: str = ""

    @cached_property
    def runs(self) -> list[str]:
        """The runs that test it."""
        paths = [path for path in self.figures.values() if not path.startswith("=")]
        return list(dict.fromkeys(path.partition(":")[0].strip() for path in paths))

    def values(self, results: Results) -> dict[str, Value]:
        """Its figures. Raises KeyError, OSError."""
        values: dict[str, Value] = {}
        for name, path in self.figures.items():
            if not path.startswith("="):
                values[name] = results.figure(path)
            elif None in values.values():
                values[name] = None
            else:
                values[name] = _evaluated(path[1:], values)
        return values

    def verdict(self, results: Results) -> Verdict:
        """What the kept figures say of it."""
        if self.argument:
            return Verdict("argument", "argument", self.argument)
        values = self.values(results)
        if None in values.values():
            missing = ", ".join(name for name, value in values.items() if value is None)
            why = "Less than can be measured, or not told by this system"
            return Verdict("unknown", "not measured", f"{why}: {missing}.")
        rule = f"Holds if `{self.holds}`"
        if self.where:
            rule += f", holds {self.only} if `{self.where}`"
        if _evaluated(self.holds, values):
            return Verdict("holds", "holds", self.yes.format(**values), rule, values)
        if self.where and _evaluated(self.where, values):
            words = f"holds {self.only}"
            return Verdict("partly", words, self.partly.format(**values), rule, values)
        return Verdict("fails", "does not hold", self.no.format(**values), rule, values)


def _evaluated(expression: str, values: Mapping[str, Value]) -> Any:
    names = {"__builtins__": {}, "max": max, "min": min, "abs": abs}
    return eval(expression.strip(), names, dict(values))


@dataclass(frozen=True)
class Feature:
    """A feature of the report."""

    title: str
    pattern: str
    """What the report chooses for it."""
    claims: tuple[Claim, ...]


def features() -> list[Feature]:
    """All of them, in the report's order."""
    found = []
    for path in sorted((FOLDER / "claims").glob("*.toml")):
        entry = tomllib.loads(path.read_text("utf-8"))
        claims = tuple(Claim(**claim) for claim in entry["claim"])
        found.append(Feature(entry["title"], entry["pattern"], claims))
    return found


def runs() -> dict[str, dict[str, Any]]:
    """The runs that test the claims, by name: the `arguments` of `tui.lab run`, and what it
    `shows`."""
    return tomllib.loads((FOLDER / "runs.toml").read_text("utf-8"))
