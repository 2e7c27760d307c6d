"""The race: a strip for each pattern, all on one axis of time, with its figures beside."""

from __future__ import annotations

import time
from collections.abc import Mapping

from textual.content import Content

from tui.common.format import fit
from tui.lab.screen.figures import INKS, NAMES, Result, beside, source_words
from tui.lab.screen.lines import Lines, Row, error_rows, joined
from tui.lab.screen.runs import Runs
from tui.lab.screen.timeline import (
    BUCKET_SECONDS,
    Timeline,
    ages_of,
    columns_of,
    source_of,
    strip_of,
)

LABEL_CELLS = 14
BESIDE_CELLS = 48
WIDE = 132
"""From so many cells on the figures stand beside the strips."""
TALL = 3
"""Lines of a pattern with its strip, the ages of its news, and its figures or a gap."""
STATES = {
    "starting": "the server starts",
    "ready": "s starts a run",
    "connecting": "readers connect",
    "settling": "waits for what is on its way",
    "ended": "ended",
    "stopped": "stopped",
    "failed": "failed",
}
LEGEND = (
    "╷ ┃ events  ░ ▒ cut  ↗ asks  ↘ no news  ◆ news  ═ held  ╌ on its way  • heartbeat  ✕ lost",
    "╷┃ events ░▒ cut ↗ asks ↘ none ◆ news ═ held ╌ on its way • alive ✕ lost",
)
"""Of the glyphs, and shorter."""
MOVE_SECONDS = 0.4
"""The picture moves about so often: each move paints every strip anew, and that is most of what it
costs."""
LEAST_WORST = 0.05
"""Seconds that a full bar of age stands for at least."""


class Race:
    """The rows of the race: a strip for each pattern, all on one axis of time."""

    def __init__(self, width: int, window: float, lines: int) -> None:
        """`width` cells, of which the strips' share shows `window` seconds; 1 to 3 `lines` for
        each pattern."""
        self.wide = width >= WIDE
        self.lines = lines
        self.width = width
        self.cells = width - LABEL_CELLS - (BESIDE_CELLS if self.wide else 0)
        self.buckets = max(1, round(window / BUCKET_SECONDS / max(1, self.cells)))

    @property
    def window(self) -> float:
        """Seconds that a strip really shows."""
        return self.cells * self.buckets * BUCKET_SECONDS

    def last_column(self, now: float) -> int:
        """The number of the last cell in view: the picture moves when it changes. The next news go
        into the cells that are left empty."""
        moves = max(1, round(MOVE_SECONDS / BUCKET_SECONDS / self.buckets))
        return (self._column(now) // moves + 1) * moves - 1

    def _column(self, now: float) -> int:
        return int(now / BUCKET_SECONDS) // self.buckets

    def rows(
        self, timeline: Timeline, words: Mapping[str, tuple[str, str]], now: float, focus: str
    ) -> list[Row]:
        """All of them, the source first and the axis last."""
        left = self.last_column(now) - self.cells + 1
        begin, until = left * self.buckets, self._column(now) - left
        columns = columns_of(timeline.source, begin, self.cells, self.buckets)
        newest = timeline.newest
        count = f"{newest:,} event{'' if newest == 1 else 's'} committed"
        rows = [joined([("  source      ", "title"), *source_of(columns, until)])]
        if self.wide:
            rows[0] += ((f"  {count}", "wire-ink"),)
        strips = {
            pattern: columns_of(buckets, begin, self.cells, self.buckets)
            for pattern, buckets in timeline.strips.items()
        }
        oldest = (column.age for columns in strips.values() for column in columns)
        worst = max(max(oldest, default=0.0), LEAST_WORST)
        for number, (pattern, columns) in enumerate(strips.items(), start=1):
            ink, front = INKS[pattern], pattern == focus
            label = f"{'▸' if front else ' '}{number} {NAMES[pattern]}".ljust(LABEL_CELLS)
            strip = [(label, f"bold {ink}" if front else ink), *strip_of(columns, ink, until)]
            first, second = words.get(pattern, ("", ""))
            ages = [(" " * LABEL_CELLS, ""), *ages_of(columns, ink, worst)]
            if self.wide:
                found = [
                    joined([*strip, (f"  {first}", "foreground")]),
                    joined([*ages, (f"  {second}", "wire-ink")]),
                    (),
                ]
            else:
                below = f"{first} · {second.replace('/event', '/ev')}" if first else ""
                below = fit(below, self.width - LABEL_CELLS)
                words_below = ((" " * LABEL_CELLS, ""), (below, "wire-ink"))
                found = [joined(strip), words_below]
                if self.lines == TALL:
                    found.insert(1, joined(ages))
            rows += found[: self.lines]
        rows.append(self._axis(worst, count))
        return rows

    def _axis(self, worst: float, count: str) -> Row:
        left, middle = f"-{self.window:.0f} s", f"-{self.window / 2:.0f} s"
        half = self.cells // 2
        line = left.ljust(half - len(middle) // 2) + middle
        line = line.ljust(self.cells - 4) + "now "
        ages = self.wide and self.lines > 1
        told = f"  bars: age of news, full {worst * 1000:,.0f} ms" if ages else ""
        label = " " * LABEL_CELLS if self.wide else fit(count.split(" comm")[0], 13, pad=True) + " "
        return ((label, "wire-ink"), (line, "wire-ink"), (told, "wire-ink"))


def height_of_race(patterns: int, lines: int) -> int:
    """Lines with the border, and so many for each pattern."""
    return 4 + patterns * lines


def headline(runs: Runs, now: float) -> str:
    """Which run it is, and where it stands."""
    if runs.doing:
        return runs.doing
    watch, plan = runs.watch, runs.watch.statistics.plan
    words = STATES.get(runs.state, "")
    if runs.state == "running" and watch.began is not None:
        words = f"{now - watch.began:.0f} of {plan.seconds:g} s"
    elif runs.state == "ended":
        outcome, report = runs.outcome, runs.report
        verdicts = {} if outcome is None else outcome.verdicts
        broken = [NAMES[name] for name, verdict in verdicts.items() if not verdict.kept(name)]
        words = "ended, every promise kept"
        if broken:
            words = f"ended, {', '.join(broken)} broke its promise"
        elif report is not None and not report.kept:
            words = "ended, a promise was broken"
        if report is not None:
            return f"{report.experiment} · {words}"
    return f"run {runs.number} · {words}" if runs.number else words


class RacePanel(Lines):
    """The race of the run under way; or why there is none."""

    def __init__(self) -> None:
        super().__init__("Race", id="race")
        self._drawn: object = None
        self._words: dict[str, tuple[str, str]] = {}
        """Beside each strip."""

    def draw(
        self,
        runs: Runs,
        focus: str,
        window: float,
        frozen_at: float | None,
        lines: int,
    ) -> None:
        """Draw what has changed; `frozen_at` is the time of a picture that stands still."""
        width = self.size.width
        if width <= LABEL_CELLS:  # it has just been shown, and has no size yet
            self._drawn = None
            return
        if runs.state == "failed":
            self._drawn = None
            self.show(error_rows(runs.error, width))
            return
        watch, now = runs.watch, time.monotonic()
        at = frozen_at
        if at is None:
            ends = (watch.began or now) + watch.statistics.plan.seconds
            at = now if runs.is_going else min(now, ends)
        race = Race(width, window, lines)
        what: tuple[object, ...] = (width, lines, window, focus, watch, race.last_column(at))
        if frozen_at is None:
            what = (*what, watch.timeline.revision, id(self._words))
        if what != self._drawn:
            self._drawn = what
            self.show(race.rows(watch.timeline, self._words, at, focus))

    def draw_figures(
        self,
        runs: Runs,
        results: Mapping[str, Result],
        *,
        frozen: bool,
        short: bool,
    ) -> None:
        """What is run, through which network; and the figures beside, with the next strips."""
        if not frozen:
            self._words = {pattern: beside(result) for pattern, result in results.items()}
        plan = runs.watch.statistics.plan
        readers = f"{plan.readers:,} × {len(plan.patterns)} readers"
        source = f"{source_words(plan)}, {plan.size:,} B, {readers}"
        if not short:
            source += f", short polls {plan.poll_seconds:g} s apart"
        self.border_title = Content(f"{runs.network_words} · {source}")
        self.border_subtitle = Content("frozen, space goes on" if frozen else LEGEND[short])
