"""What the patterns cost, side by side."""

from typing import TYPE_CHECKING

from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui.common.format import human_bytes, human_latency, sparkline
from tui.common.styles import Part, ThemeStyles
from tui.common.theme import PATTERN_COLOR

if TYPE_CHECKING:
    from tui.common.client.meter import Pattern, PatternTotals, Wire

SPARK_CELLS = 24
DEAR_REQUESTS = 20
"""Requests a minute from which a pattern's rate is marked."""

ROOMY = (("conn", 5), ("req/min", 8), ("bytes/ev", 9), ("p50", 6))
COMPACT = (("conn", 4), ("/min", 4), ("B/ev", 6), ("p50", 5))
NAME_CELLS = 10


class PatternTable(Widget):
    """A line a pattern in use; columns go from the right as it narrows. Draws lines that differ."""

    DEFAULT_CSS = "PatternTable { height: auto; }"

    def __init__(self, wire: "Wire") -> None:
        super().__init__()
        self._wire = wire
        self._totals: list[PatternTotals] = []
        self._lines: list[list[Part]] = []
        self._width = 0
        self._theme_styles: ThemeStyles | None = None

    def show(self, totals: "list[PatternTotals]") -> None:
        """Draw these."""
        self._totals = totals
        before = self._lines
        self._update(self.size.width)
        if len(before) != len(self._lines):
            self.refresh(layout=True)
            return
        for y, (old, new) in enumerate(zip(before, self._lines, strict=True)):
            if old != new:
                self.refresh(Region(0, y, self._width, 1))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The head, and a line each."""
        return 1 + max(1, len(self._totals))

    def notify_style_update(self) -> None:
        """Another theme."""
        super().notify_style_update()
        self._theme_styles = None

    def render_line(self, y: int) -> Strip:
        """One line."""
        width = self.size.width
        if width != self._width:
            self._update(width)
        styles = self._theme_styles = self._theme_styles or ThemeStyles(self.app.theme_variables)
        parts = self._lines[y] if y < len(self._lines) else []
        return Strip(styles.line(parts, width), width)

    def _update(self, width: int) -> None:
        """Put the figures into lines of that width."""
        self._width = width
        room = width - NAME_CELLS
        columns = list(ROOMY if room >= sum(cells + 1 for _, cells in ROOMY) else COMPACT)
        while columns and sum(cells + 1 for _, cells in columns) > room:
            columns.pop()
        room -= sum(cells + 1 for _, cells in columns)
        wide = min(SPARK_CELLS, room - 2) if room >= 6 else 0
        head = "".join(f" {name:>{cells}}" for name, cells in columns)
        tail = "  latency" if wide >= len("latency") else ""
        self._lines = [[(f"{'pattern':<{NAME_CELLS}}{head}{tail}", "wire-ink")]]
        self._lines += [self._line(total, columns, wide) for total in self._totals]
        if not self._totals:
            self._lines.append([("nothing has been sent yet", "wire-ink")])

    def _line(
        self, total: "PatternTotals", columns: list[tuple[str, int]], wide: int
    ) -> list[Part]:
        hue = PATTERN_COLOR[total.pattern].removeprefix("$")
        figures = (
            str(total.connections),
            f"{total.requests_per_minute:.0f}",
            "–" if total.bytes_per_event is None else human_bytes(total.bytes_per_event),
            "–" if total.p50_ms is None else human_latency(total.p50_ms),
        )
        styles = [""] * len(figures)
        if total.requests_per_minute > DEAR_REQUESTS:
            styles[1] = "bold warning"
        cells = [
            (f" {figure:>{size}}", ink)
            for figure, ink, (_, size) in zip(figures, styles, columns, strict=False)
        ]
        drawn = sparkline(self._latencies(total.pattern, wide), wide, low=0.0)
        return [
            (f"{total.pattern:<{NAME_CELLS}}", f"bold {hue}"),
            *cells,
            (f"  {drawn.strip():<{wide}}" if wide else "", hue),
        ]

    def _latencies(self, pattern: "Pattern", count: int) -> list[float]:
        """The latencies of a pattern: of its busiest meter, as meters have no order among them."""
        meters = [meter for meter in self._wire.meters.values() if meter.pattern is pattern]
        busiest = max(meters, key=lambda meter: len(meter.latencies))
        return list(busiest.latencies)[-count:] if count else []
