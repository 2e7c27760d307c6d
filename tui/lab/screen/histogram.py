"""The histogram: how late the news of each pattern was, all on one logarithmic axis."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import accumulate, pairwise

from textual.content import Content

from tui.common.format import fit
from tui.common.styles import Part
from tui.lab.histogram import Histogram
from tui.lab.screen.figures import INKS, NAMES, number
from tui.lab.screen.lines import Lines, Row

SERIES = (
    (1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8),
    (1, 1.6, 2.5, 4, 6.3),
    (1, 2, 5),
    (1,),
)
"""Preferred numbers (ISO 3): where rows begin in each decade, of the finest that fits."""
LEAST_MS, MOST_MS = 0.1, 1e6
"""What is beyond is in the first or last row: a clock that is wrong makes ages below nothing."""
PERCENTS = (50, 95, 99)
LABEL_CELLS = 11
COUNT_CELLS = 5
MARK_CELLS = 7
LEAST_BAR = 2
GAP = 1
EIGHTHS = " ▏▎▍▌▋▊▉█"
FOOTER = 4
"""Lines with the percentiles, where there is no table beside."""


def edges_for(latencies: Sequence[Histogram], rows: int) -> list[float]:
    """Where at most so many rows begin, in ms, and where the last one ends: from the shortest of
    all latencies to the longest, in even steps of the logarithm or nearly. Empty without any."""
    known = [one for one in latencies if one.count]
    if not known or rows < 1:
        return []
    low = min(max(min(one.least for one in known) * 1000, LEAST_MS), MOST_MS)
    high = min(max(max(one.worst for one in known) * 1000, LEAST_MS), MOST_MS)
    decades = range(math.floor(math.log10(low)) - 1, math.floor(math.log10(high)) + 2)
    edges: list[float] = []
    for series in SERIES:
        # Rounded, as 0.1 * 1.25 is not what is written as 0.125.
        steps = [float(f"{step * 10.0**decade:g}") for decade in decades for step in series]
        edges = steps[bisect_right(steps, low) - 1 : bisect_right(steps, high) + 1]
        if len(edges) <= rows + 1:
            break
    return edges[-rows - 1 :]


def counts_of(latency: Histogram, edges: Sequence[float]) -> list[int]:
    """How many are in each row; the first and the last one have what is beyond too."""
    upto = [0, *latency.below([edge / 1000 for edge in edges[1:-1]]), latency.count]
    return [after - before for before, after in pairwise(upto)]


def marks_of(counts: Sequence[int]) -> dict[int, str]:
    """Rows in which percentiles are, such as `p50` or, of several, `p95–99`; by nearest rank, as
    `Histogram.percentile`."""
    upto = list(accumulate(counts))
    found: dict[int, list[int]] = {}
    for percent in PERCENTS if upto[-1] else ():
        rank = math.ceil(upto[-1] * percent / 100)
        found.setdefault(bisect_left(upto, rank), []).append(percent)
    return {
        row: f"p{one[0]}" + (f"–{one[-1]}" if len(one) > 1 else "") for row, one in found.items()
    }


def full_bar(most: int) -> int:
    """For how many a full bar stands: a round number, so that bars seldom change all at once."""
    power: int = 10 ** (len(str(most)) - 1)
    return next(step * power for step in (1, 2, 5, 10) if step * power >= most)


def rows_of(
    latencies: Mapping[str, Histogram], focus: str, width: int, height: int, *, footer: bool
) -> tuple[list[Row], int]:
    """A line for each range of latencies, a column for each pattern; and for how many a full bar
    stands. The pattern in focus has its percentiles marked, and all others where that fits."""
    lines = height - 1 - (FOOTER if footer else 0)
    shown = dict(latencies)
    if (width - LABEL_CELLS - MARK_CELLS) // len(shown) < GAP + LEAST_BAR + COUNT_CELLS:
        shown = {focus: shown[focus]}
    edges = edges_for(list(shown.values()), lines)
    if not edges:
        return [(("Nothing has arrived yet.", "wire-ink"),)], 0
    room = (width - LABEL_CELLS) // len(shown)
    all_marked = room >= GAP + 2 * LEAST_BAR + COUNT_CELLS + MARK_CELLS
    if not all_marked:
        room = (width - LABEL_CELLS - MARK_CELLS) // len(shown)
    bar = room - GAP - COUNT_CELLS - (MARK_CELLS if all_marked else 0)
    counts = {pattern: counts_of(one, edges) for pattern, one in shown.items()}
    full = full_bar(max(max(one) for one in counts.values()))

    head: list[Part] = [("ms ".rjust(LABEL_CELLS), "wire-ink")]
    rows = [_label(edges, at, shown) for at in range(len(edges) - 1)]
    below = [[(f"p{one}".rjust(LABEL_CELLS), "wire-ink")] for one in PERCENTS]
    below.append([("worst".rjust(LABEL_CELLS), "wire-ink")])
    for pattern, latency in shown.items():
        front, ink = pattern == focus, INKS[pattern]
        marked = all_marked or front
        cells = bar + COUNT_CELLS + (MARK_CELLS if marked else 0)
        name = f"{'▸' if front else ' '}{NAMES[pattern]}"
        head.append((fit(name, cells + GAP, pad=True), f"bold {ink}" if front else ink))
        marks = marks_of(counts[pattern])
        for at, count in enumerate(counts[pattern]):
            mark = f" {marks.get(at, '')}".ljust(MARK_CELLS) if marked else ""
            rows[at] += (
                (f" {_bar(count, full, bar)}", ink),
                (f"{_brief(count):>{COUNT_CELLS}}", "foreground" if front else "wire-ink"),
                (mark, "bold"),
            )
        for line, percent in zip(below, (*PERCENTS, 100) if footer else (), strict=False):
            value = latency.percentile(percent)
            text = number(None if value is None else value * 1000)
            line.append((f" {text:>{bar + COUNT_CELLS}}".ljust(cells + GAP), "foreground"))
    found = [tuple(head), *(tuple(row) for row in rows)]
    return found + ([tuple(line) for line in below] if footer else []), full


def _label(edges: Sequence[float], at: int, shown: Mapping[str, Histogram]) -> list[Part]:
    """The range of a row; of the first and the last one, whether they have what is beyond."""
    low, high = edges[at], edges[at + 1]
    words = f"{low:g}–{high:g}"
    if at == 0 and any(one.least * 1000 < low for one in shown.values()):
        words = f"<{high:g}"
    elif at == len(edges) - 2 and any(one.worst * 1000 >= high for one in shown.values()):
        words = f"≥{low:g}"
    return [(words.rjust(LABEL_CELLS), "wire-ink")]


def _bar(count: int, full: int, cells: int) -> str:
    """To an eighth of a cell; what there is at all is seen."""
    eighths = max(round(count / full * cells * 8), min(count, 1))
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()).ljust(cells)


def _brief(count: int) -> str:
    """In four digits; nothing for none."""
    for unit, size in (("M", 1_000_000), ("k", 1000)):
        if count >= 10 * size:
            return f"{count // size}{unit}"
    return str(count or "")


class HistogramPanel(Lines):
    """The latencies of all patterns since the run began; stands still while frozen."""

    def __init__(self) -> None:
        super().__init__("Histogram", id="histogram")
        self._kept: dict[str, Histogram] | None = None
        self._drawn: object = None

    def freeze(self, latencies: Mapping[str, Histogram] | None) -> None:
        """Keep the picture of these; None goes on."""
        self._kept = None if latencies is None else deepcopy(dict(latencies))

    def draw(self, latencies: Mapping[str, Histogram], focus: str) -> None:
        """Draw them if any has changed."""
        if self._kept is not None:
            latencies = self._kept
        width, height = self.size
        alone = self.has_class("-alone")
        counts = [one.count for one in latencies.values()]
        what = (width, height, alone, focus, list(latencies.items()), counts)
        if what == self._drawn or not width:
            return
        self._drawn = what
        rows, full = rows_of(latencies, focus, width, height, footer=alone)
        self.show(rows)
        scale = f", full bar {full:,} event{'' if full == 1 else 's'}" if full else ""
        self.border_title = Content(f"Histogram: ms from commit to reader{scale}")
        frozen = "" if self._kept is None else "frozen · "
        self.border_subtitle = Content(f"{frozen}p50, p95, p99: so many in 100 took no longer")
