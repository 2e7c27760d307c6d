"""What the patterns cost, side by side."""

from typing import TYPE_CHECKING

from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tui.common.client.meter import ROUND_TRIPS
from tui.common.format import human_bytes, human_latency, sparkline
from tui.common.language import _
from tui.common.styles import PATTERN_COLOR, Part, ThemeStyles

if TYPE_CHECKING:
    from collections.abc import Callable

    from tui.common.client.meter import Pattern, PatternTotals, Wire

    Column = tuple[str, bool, int, Callable[[PatternTotals], str]]

SPARK_CELLS = 24
LEAST_SPARK_CELLS = 6
DEAR_OVERHEAD = 5
"""Bytes for each of the events' data from which a pattern's overhead is marked."""
OVERHEAD = "overhead"
NAME_CELLS = 10
ROUND_TRIP_CELLS = 18

COLUMNS: "tuple[tuple[str, str, int, Callable[[PatternTotals], str]], ...]" = (
    (_("age p50"), "p50", 5, lambda one: _latency(one.figures.age_p50_ms)),
    (_("age p95"), "p95", 5, lambda one: _latency(one.figures.age_p95_ms)),
    ("events/min", "ev/min", 6, lambda one: f"{one.figures.events_per_minute:,}"),
    ("requests/ev", "req/ev", 6, lambda one: _number(one.figures.requests_per_event)),
    ("bytes/ev", "B/ev", 7, lambda one: _size(one.figures.bytes_per_event)),
    (OVERHEAD, "over", 6, lambda one: _times(one.figures.overhead)),
    ("conn", "conn", 4, lambda one: str(one.connections)),
)
"""Head, short head, least width and figure, the worthiest first: those that have no room are left
out."""


class PatternTable(Widget):
    """A line a pattern in use, and one that says what the ages are; columns go from the right as it
    narrows. Draws lines that differ."""

    OF_PARTS = True
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
        """The head, a line each, and the note."""
        return 2 + max(1, len(self._totals))

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
        roomy = room >= sum(max(cells, len(head)) + 2 for head, _, cells, _ in COLUMNS)
        columns: list[Column] = []
        for head, short, cells, figure in COLUMNS:
            name = head if roomy else short
            wide = max(cells, len(name)) + (2 if roomy else 1)
            if wide > room:
                break
            columns.append((name, head == OVERHEAD, wide, figure))
            room -= wide
        round_trip = room >= ROUND_TRIP_CELLS + 2
        if round_trip:
            room -= ROUND_TRIP_CELLS + 2
        spark = min(SPARK_CELLS, room - 2) if room >= LEAST_SPARK_CELLS + 2 else 0
        line = "".join(f"{name:>{cells}}" for name, _overhead, cells, _figure in columns)
        if round_trip:
            line += "  " + _("round trip").ljust(ROUND_TRIP_CELLS)
        if spark:
            line += _("  ages")
        self._lines = [[(_("pattern").ljust(NAME_CELLS) + line, "wire-ink")]]
        self._lines += [self._line(total, columns, round_trip, spark) for total in self._totals]
        if not self._totals:
            self._lines.append([(_("nothing has been sent yet"), "wire-ink")])
        self._lines.append([(self._note(), "wire-ink")])

    def _note(self) -> str:
        error = self._wire.clock.error_ms
        if error is None:
            return _("p50, p95: age of news, once the server has told its clock")
        return _("p50, p95: age of news, logged to received, ±{value}").format(
            value=human_latency(max(1.0, error))
        )

    def _line(
        self,
        total: "PatternTotals",
        columns: "list[Column]",
        round_trip: bool,
        spark: int,
    ) -> list[Part]:
        hue = PATTERN_COLOR[total.pattern].removeprefix("$")
        overhead = total.figures.overhead or 0
        parts: list[Part] = [(f"{total.pattern:<{NAME_CELLS}}", f"bold {hue}")]
        for _head, is_overhead, cells, figure in columns:
            dear = is_overhead and overhead >= DEAR_OVERHEAD
            parts.append((f"{figure(total):>{cells}}", "bold warning" if dear else ""))
        if round_trip:
            took = total.figures.round_trip_ms
            words = "–" if took is None else f"{ROUND_TRIPS[total.pattern]} {human_latency(took)}"
            parts.append((f"  {words:<{ROUND_TRIP_CELLS}}", "wire-ink"))
        if spark:
            drawn = sparkline(self._ages(total.pattern, spark), spark, low=0.0)
            parts.append((f"  {drawn.strip():<{spark}}", hue))
        return parts

    def _ages(self, pattern: "Pattern", count: int) -> list[float]:
        """The ages of a pattern's news: of its busiest meter, as meters have no order among
        them."""
        meters = [meter for meter in self._wire.meters.values() if meter.pattern is pattern]
        busiest = max(meters, key=lambda meter: len(meter.ages))
        return list(busiest.ages)[-count:]


def _latency(milliseconds: float | None) -> str:
    return "–" if milliseconds is None else human_latency(milliseconds)


def _size(count: float | None) -> str:
    return "–" if count is None else human_bytes(count)


def _number(count: float | None) -> str:
    return "–" if count is None else f"{count:.1f}" if count < 100 else f"{count:,.0f}"


def _times(factor: float | None) -> str:
    return "–" if factor is None else f"{factor:,.1f}×" if factor < 1000 else f"{factor:,.0f}×"
