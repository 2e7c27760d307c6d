"""Below the race and the table: the ladder of a pattern, and the histogram of all."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal

from tui.lab.screen.histogram import HistogramPanel
from tui.lab.screen.ladder import LadderPanel
from tui.lab.screen.lines import Lines
from tui.lab.screen.watch import Watch

LEAST_LADDER = 4
LEAST_HISTOGRAM = 10
"""Lines of either with its border, beside or below other things."""
SIDE_BY_SIDE = 146
"""From so many cells on, both are readable beside each other."""


class Details(Horizontal):
    """Side by side where there is room, or one of them alone."""

    DEFAULT_CSS = """
    Details { height: 1fr; & #histogram { width: 78; &.-alone { width: 1fr; } } }
    """

    def __init__(self) -> None:
        super().__init__()
        self.ladder = LadderPanel()
        self.histogram = HistogramPanel()
        self.panels: dict[str, Lines] = {"ladder": self.ladder, "histogram": self.histogram}
        self.alone: Lines | None = None
        """What has the screen for itself."""
        self.frozen: Watch | None = None
        """Of whose run the picture stands still."""

    def compose(self) -> ComposeResult:
        """Ladder and histogram."""
        yield self.ladder
        yield self.histogram

    def lay_out(self, lines: int) -> None:
        """Show what so many lines have room for."""
        alone, wide = self.alone, self.app.size.width >= SIDE_BY_SIDE
        self.display = lines >= LEAST_LADDER
        self.ladder.display = alone in (None, self.ladder)
        both = alone is None and wide and lines >= LEAST_HISTOGRAM
        self.histogram.display = both or alone is self.histogram
        self.histogram.set_class(alone is self.histogram, "-alone")

    def freeze(self, watch: Watch | None) -> None:
        """Keep the picture of that run; None goes on."""
        self.frozen = watch
        self.ladder.freeze(None if watch is None else watch.ladder)
        self.histogram.freeze(None if watch is None else watch.statistics.latencies)

    def draw(self, watch: Watch, focus: str, *, slow: bool) -> None:
        """Draw what has changed; what is beside other things only at a `slow` frame."""
        if not self.display:
            return
        if self.ladder.display and (slow or self.alone is self.ladder):
            readers = watch.statistics.plan.readers
            self.ladder.draw(watch.ladder, watch.began, focus, readers)
        if self.histogram.display and slow:
            self.histogram.draw(watch.statistics.latencies, focus)
