"""The table of all patterns' figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.content import Content

from tui.lab.screen.figures import (
    INKS,
    NAME_CELLS,
    NAMES,
    Result,
    cell,
    columns_for,
    number,
    own_lateness,
    source_words,
)
from tui.lab.screen.lines import Lines, Row
from tui.lab.screen.runs import Runs


def table_rows(
    results: Sequence[Result], before: Mapping[str, Result] | None, width: int, focus: str
) -> list[Row]:
    """The table of all patterns; with `before`, as multiples of those figures."""
    columns = columns_for(width)
    head = "".join(f"{column.heading:>{cells}}" for column, cells in columns)
    rows: list[Row] = [((" " * NAME_CELLS, ""), (head, "wire-ink"))]
    for result in results:
        older = None if before is None else before.get(result.pattern)
        if before is not None and older is None:
            figures = "".join(f"{'–':>{cells}}" for _, cells in columns)
        else:
            figures = "".join(
                f"{cell(column, result, older):>{cells}}" for column, cells in columns
            )
        ink, front = INKS[result.pattern], result.pattern == focus
        name = f"{'▸' if front else ' '}{NAMES[result.pattern]}".ljust(NAME_CELLS)
        rows.append(((name, f"bold {ink}" if front else ink), (figures, "foreground")))
    return rows


class TablePanel(Lines):
    """All figures, and how late the lab itself is."""

    def __init__(self) -> None:
        super().__init__("All patterns", id="table")

    def draw(
        self, runs: Runs, results: Mapping[str, Result], focus: str, *, compares: bool
    ) -> None:
        """Draw them; `compares` as multiples of the last run's, where there was one."""
        last = runs.last if compares else None
        found = list(results.values())
        before = None if last is None else last.results
        self.show(table_rows(found, before, self.size.width, focus))
        title = "All patterns"
        if last is not None:
            plan = last.plan
            title = (
                f"Multiples of run {last.number}: {source_words(plan)}, {plan.readers:,}"
                f" readers, network {last.network}"
            )
        self.border_title = Content(title)
        late = runs.watch.statistics.lateness.percentile(50)
        words = "" if late is None else f"lab late by {number(late * 1000)} ms (p50)"
        if above := own_lateness(late, found):
            words += f", above a tenth of {', '.join(above)}"
        self.border_subtitle = Content(words)
