"""What the patterns cost, side by side."""

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from tui.common.format import human_bytes, human_latency, sparkline
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
    """A line a pattern in use; columns go from the right as it narrows."""

    DEFAULT_CSS = "PatternTable { height: auto; text-wrap: nowrap; }"

    def __init__(self, wire: "Wire") -> None:
        super().__init__()
        self._wire = wire
        self._totals: list[PatternTotals] = []

    def show(self, totals: "list[PatternTotals]") -> None:
        """Draw these."""
        grown = len(totals) != len(self._totals)
        self._totals = totals
        self.refresh(layout=grown)

    def render(self) -> Content:
        """Head and lines."""
        width = self.content_size.width or self.container_size.width
        room = width - NAME_CELLS
        columns = list(ROOMY if room >= sum(cells + 1 for _, cells in ROOMY) else COMPACT)
        while columns and sum(cells + 1 for _, cells in columns) > room:
            columns.pop()
        room -= sum(cells + 1 for _, cells in columns)
        wide = min(SPARK_CELLS, room - 2) if room >= 6 else 0
        head = "".join(f" {name:>{cells}}" for name, cells in columns)
        tail = "  latency" if wide >= len("latency") else ""
        lines = [Content.assemble((f"{'pattern':<{NAME_CELLS}}{head}{tail}", "$wire-ink"))]
        lines += [self._line(total, columns, wide) for total in self._totals]
        if not self._totals:
            lines.append(Content.assemble(("nothing has been sent yet", "$wire-ink")))
        return Content("\n").join(lines)

    def _line(self, total: "PatternTotals", columns: list[tuple[str, int]], wide: int) -> Content:
        hue = PATTERN_COLOR[total.pattern]
        figures = (
            str(total.connections),
            f"{total.requests_per_minute:.0f}",
            "–" if total.bytes_per_event is None else human_bytes(total.bytes_per_event),
            "–" if total.p50_ms is None else human_latency(total.p50_ms),
        )
        styles = [""] * len(figures)
        if total.requests_per_minute > DEAR_REQUESTS:
            styles[1] = "bold $warning"
        cells = [
            (f" {figure:>{size}}", ink)
            for figure, ink, (_, size) in zip(figures, styles, columns, strict=False)
        ]
        drawn = sparkline(self._latencies(total.pattern, wide), wide, low=0.0)
        return Content.assemble(
            (f"{total.pattern:<{NAME_CELLS}}", f"bold {hue}"),
            *cells,
            (f"  {drawn.strip():<{wide}}" if wide else "", hue),
        )

    def _latencies(self, pattern: "Pattern", count: int) -> list[float]:
        """The latencies of a pattern: of its busiest meter, as meters have no order among them."""
        meters = [meter for meter in self._wire.meters.values() if meter.pattern is pattern]
        busiest = max(meters, key=lambda meter: len(meter.latencies))
        return list(busiest.latencies)[-count:] if count else []
