"""The last line of a panel: what the network is doing for it."""

import time
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.strip import Strip
from textual.widget import Widget

from tui.common.client.meter import ROUND_TRIPS, State
from tui.common.format import fit, human_bytes, human_latency, news_age, news_age_lasts, sparkline
from tui.common.language import _, ngettext
from tui.common.sanitize import plain
from tui.common.styles import PATTERN_COLOR, STATE_GLYPH, Part, ThemeStyles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tui.common.client.figures import Outage
    from tui.common.client.meter import Meter

SPARK_CELLS = 12
LATENCY_CELLS = 5
LABELLED = 56
"""Cells from which on the figure at the right has a name."""
TOLD_SECONDS = 30.0
"""For how long it tells what came back after an outage."""
ROOMY = 70
"""Cells from which on the words of a cut are whole: what restores it must have room, too."""
LEAST_WORDS = 16
"""Cells from which on words are cut rather than left out."""


class WireLine(Widget):
    """One meter, drawn in one line; what it is worth least goes first as the line narrows."""

    OF_PARTS = True
    DEFAULT_CSS = """
    WireLine { dock: bottom; height: 1; padding: 0 1; background: $wire; color: $wire-ink; }
    """

    def __init__(self, meter: "Meter", verb: str = "ev") -> None:
        """`verb` is what is counted: `polls` and `requests` that were sent, else events."""
        super().__init__()
        self.meter = meter
        self.verb = verb
        self._drawn: list[Part] = []
        self._theme_styles: ThemeStyles | None = None

    def update(self) -> float | None:
        """Repaint if something that is shown has changed. Returns the seconds until it changes with
        time, None where it does not."""
        line = self._line(self.size.width)
        if line != self._drawn:
            self._drawn = line
            self.refresh()
        meter, now = self.meter, time.monotonic()
        if meter.state is State.RETRY and meter.is_cut:
            return 1.0
        if meter.state is State.RETRY and meter.retry_at is not None:
            return 1.0 if meter.retry_at - now >= 1 else None
        if (left := self._told_for(now)) > 0:
            return left
        return None if meter.last_event_at is None else news_age_lasts(now - meter.last_event_at)

    def notify_style_update(self) -> None:
        """Another theme."""
        super().notify_style_update()
        self._theme_styles = None

    def render_line(self, y: int) -> Strip:
        """State and pattern, count, reconnects, costs, sparkline; the newest age at the right."""
        width = self.size.width
        styles = self._theme_styles = self._theme_styles or ThemeStyles(self.app.theme_variables)
        self._drawn = self._line(width)
        return Strip(styles.line(self._drawn, width, "wire"), width)

    def _told_for(self, now: float) -> float:
        """For how many seconds more it tells of the last outage."""
        outage = self.meter.outage
        back_at = None if outage is None else outage.back_at
        return 0.0 if back_at is None else back_at + TOLD_SECONDS - now

    def _line(self, width: int) -> list[Part]:
        meter = self.meter
        glyph, ink = STATE_GLYPH[meter.state]
        hue = PATTERN_COLOR[meter.pattern].removeprefix("$")
        head: list[Part] = [
            (f"{glyph} ", ink.removeprefix("$")),
            (str(meter.pattern), f"bold {hue}"),
        ]
        # Ages of news where there are any, else what it has of round trips.
        name = _("news") if meter.ages else ROUND_TRIPS[meter.pattern]
        shown: Sequence[float] = meter.ages or meter.latencies
        latency = human_latency(shown[-1]) if shown else "–"
        right = latency.rjust(LATENCY_CELLS)
        if meter.state is State.RETRY:  # the words have no room to spare
            shown, right = (), ""
        if shown and width >= LABELLED:
            right = f"{name} {right}"
        room = width - 2 - len(meter.pattern) - len(right) - 1
        tail: list[Part] = []
        for text, style in self._parts(width):
            if text == meter.detail and cell_len(text) + 3 > room >= LEAST_WORDS:
                text = fit(text, room - 3)
            cells = cell_len(text) + 3
            if cells <= room:
                tail += [(" · ", "wire-sep"), (text, style)]
                room -= cells
        wide = min(SPARK_CELLS, room - 1) if room >= 6 and shown else 0
        if wide:
            right = f" {right}"
            room -= 1
        drawn = sparkline(shown, wide, low=0.0)
        return [*head, *tail, (" " * max(1, room + 1 - wide), ""), (drawn, hue), (right, "")]

    def _parts(self, width: int) -> list[Part]:
        """What may stand between the pattern and the latency, the worthiest first."""
        meter, now = self.meter, time.monotonic()
        if meter.state is State.DOWN:
            return [(_("down"), "bold error"), (plain(meter.detail), "wire-ink")]
        if meter.state is State.RETRY and meter.is_cut and meter.outage is not None:
            words = _("cut, {seconds:.0f} s").format(seconds=now - meter.outage.began)
            missed = meter.outage.missed
            if missed is not None:
                more = (
                    ngettext(
                        ": {count} event missed so far", ": {count} events missed so far", missed
                    )
                    if width >= ROOMY
                    else ngettext(": {count} missed", ": {count} missed", missed)
                )
                words += more.format(count=missed)
            hint = _("X restores it") if width >= ROOMY or missed is None else _("X restores")
            if not meter.is_held:
                hint = _("back in {seconds:.0f} s").format(
                    seconds=max(0.0, (meter.retry_at or now) - now)
                )
            return [(words, "bold warning"), (hint, "wire-ink")]
        if meter.state is State.RETRY:
            wait = max(0.0, (meter.retry_at or now) - now)
            words = (
                _("reconnecting in {wait:.0f}s").format(wait=wait)
                if wait >= 1
                else _("reconnecting")
            )
            return [(words, "bold warning"), (plain(meter.detail), "wire-ink")]
        if meter.state is State.CONNECTING:
            return [(_("connecting"), "wire-ink"), (plain(meter.detail), "wire-ink")]
        count = meter.requests if self.verb in ("polls", "requests") else meter.events
        told = meter.outage is not None and self._told_for(now) > 0
        parts: list[Part] = []
        if told and meter.outage is not None:
            parts.append((_told(meter.outage, whole=width >= ROOMY), "bold title"))
        parts.append((_counted(self.verb, count), "wire-ink"))
        if meter.detail:  # why it is not carried as usual
            parts.append((plain(meter.detail), "warning"))
        if meter.reconnects and not told:
            back = (
                _("back {reconnects}×").format(reconnects=meter.reconnects)
                if meter.reconnects > 1
                else _("back")
            )
            parts.append(
                (
                    _("{back}, {replayed} replayed").format(back=back, replayed=meter.replayed),
                    "title",
                )
            )
        figures = meter.figures
        if figures.age_p50_ms is not None and figures.age_p95_ms is not None:
            ages = (
                f"p50 {human_latency(figures.age_p50_ms)} p95 {human_latency(figures.age_p95_ms)}"
            )
            error = human_latency(max(1.0, meter.clock_error_ms or 0.0))
            parts.append((_("age {ages} ±{error}").format(ages=ages, error=error), "wire-ink"))
        if figures.bytes_per_event is not None and figures.requests_per_event is not None:
            parts.append(
                (_("{bytes}/ev").format(bytes=human_bytes(figures.bytes_per_event)), "wire-ink")
            )
            parts.append((_("{count} ev/min").format(count=figures.events_per_minute), "wire-ink"))
            parts.append(
                (
                    _("{requests_per_event:.1f} req/ev").format(
                        requests_per_event=figures.requests_per_event
                    ),
                    "wire-ink",
                )
            )
        if figures.overhead is not None:
            parts.append(
                (_("overhead {overhead:.1f}×").format(overhead=figures.overhead), "wire-ink")
            )
        parts.append((human_bytes(figures.bytes), "wire-ink"))
        if meter.last_event_at is not None:
            parts.append((news_age(now - meter.last_event_at), "wire-ink"))
        return parts


def _counted(verb: str, count: int) -> str:
    """`1 poll`, `12 ev`."""
    match verb:
        case "msgs":
            words = ngettext("{count} msg", "{count} msgs", count)
        case "polls":
            words = ngettext("{count} poll", "{count} polls", count)
        case "requests":
            words = ngettext("{count} request", "{count} requests", count)
        case _other:
            words = ngettext("{count} ev", "{count} ev", count)
    return words.format(count=count)


def _told(outage: "Outage", *, whole: bool) -> str:
    """What came back after it: `back after 12.4 s: 3 replayed in 18 ms, 1,204 B`; the first half
    where not `whole`."""
    words = _("back after {seconds:.1f} s").format(
        seconds=(outage.back_at or outage.began) - outage.began
    )
    missed = (
        _(" of {count}").format(count=outage.counted) if outage.counted > outage.replayed else ""
    )
    if not outage.replayed or not whole:
        return _("{words}: {replayed}{missed} replayed").format(
            words=words, replayed=outage.replayed, missed=missed
        )
    took = (outage.replayed_at - outage.asked_at) * 1000
    return _("{words}: {replayed}{missed} replayed in {took:,.0f} ms, {replayed_bytes:,} B").format(
        words=words,
        replayed=outage.replayed,
        missed=missed,
        took=took,
        replayed_bytes=outage.replayed_bytes,
    )
