"""The running log of frames, newest first."""

import json
from collections import deque
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Region, Size
from textual.strip import Strip

from tui.common.format import fit, human_bytes, human_latency
from tui.common.language import _
from tui.common.styles import PATTERN_COLOR
from tui.common.widgets.filter import Filterable, matcher
from tui.common.widgets.scroll_bar import ThinBarView
from tui.common.wire.frame_screen import FrameScreen, log_time

if TYPE_CHECKING:
    from tui.common.client.meter import Frame, Wire

SIZE_CELLS = 7
NARROW = 44
"""Below this many cells, the time has no milliseconds."""
WIDE = 76
"""From this many cells on, panel, exchange and how old or quick it was have columns."""
PANEL_CELLS = 13
NUMBER_CELLS = 5
MS_CELLS = 5


class FrameLog(ThinBarView, Filterable, can_focus=True):
    """Only lines in view that differ are drawn. While paused it keeps what it showed."""

    OF_PARTS = True
    DEFAULT_CSS = """
    FrameLog {
        scrollbar-size-vertical: 1; overflow-x: hidden; overflow-y: auto; background: $surface;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "newest", _("Newest"), show=False),
        Binding("up", "move(-1)", _("Newer frame"), show=False),
        Binding("down", "move(1)", _("Older frame"), show=False),
        Binding("enter", "open", _("Open the frame")),
    ]

    def __init__(self, wire: "Wire") -> None:
        super().__init__()
        self._wire = wire
        self._paused_frames: list[Frame] | None = None
        self._selected: Frame | None = None
        self._matching: tuple[object, list[Frame]] = (None, [])
        """The frames that match the filter, and what they were found for."""
        self._count = -1
        self._drawn: tuple[Size, Offset, list[Frame]] | None = None
        self._style_cache: dict[str, Style] = {}
        self._base: Style | None = None

    @property
    def paused(self) -> bool:
        """Whether it is held still."""
        return self._paused_frames is not None

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused_frames = list(self._wire.frames) if paused else None

    def update_lines(self) -> None:
        """Show what has come since, unless paused."""
        count = len(self._frames)
        if count != self._count:
            self._count = count
            size = Size(self.size.width, count)
            if self.show_vertical_scrollbar and count > self.size.height:
                # only the bar is another: a layout of the screen for each frame would cost most
                self.set_reactive(FrameLog.virtual_size, size)
                self._scroll_update(size)
            else:
                self.virtual_size = size
        if self.filter_text:
            self.filter_field.show_count()
        size, offset = self.size, self.scroll_offset
        frames = list(islice(reversed(self._frames), offset.y, offset.y + size.height))
        before, self._drawn = self._drawn, (size, offset, frames)
        if before is None or before[:2] != (size, offset) or len(before[2]) != len(frames):
            self.refresh()
            return
        for y, (old, new) in enumerate(zip(before[2], frames, strict=True)):
            if old is not new:
                self.refresh(Region(0, y, size.width, 1))

    def redraw(self) -> None:
        """Show what the filter leaves."""
        self.update_lines()
        self.refresh()

    def filter_counts(self) -> tuple[int, int, str]:
        """How many frames are shown, of those kept."""
        return len(self._frames), len(self._all), ""

    def action_newest(self) -> None:
        """Select nothing, and show the newest."""
        self._selected = None
        self.scroll_home(animate=False)
        self.refresh()

    def action_move(self, lines: int) -> None:
        """Select the next older frame, or newer by a negative number."""
        frames = list(reversed(self._frames))
        if not frames:
            return
        at = self._index(frames)
        at = self.scroll_offset.y if at is None else min(max(0, at + lines), len(frames) - 1)
        self._selected = frames[min(at, len(frames) - 1)]
        height = self.size.height
        if not self.scroll_offset.y <= at < self.scroll_offset.y + height:
            top = at if lines < 0 else at - height + 1
            self.scroll_to(y=top, animate=False, immediate=True)
        self.refresh()

    @property
    def cursor_rows(self) -> range:
        """The line of the selected frame, counted from the first in view."""
        at = self._index(list(reversed(self._frames))) or 0
        return range(at - self.scroll_offset.y, at - self.scroll_offset.y + 1)

    @property
    def frame(self) -> "Frame | None":
        """The selected frame, or the newest in view."""
        frames = list(reversed(self._frames))
        if not frames:
            return None
        at = self._index(frames)
        return frames[min(self.scroll_offset.y, len(frames) - 1) if at is None else at]

    def action_open(self) -> None:
        """Show that frame whole."""
        if (frame := self.frame) is not None:
            self._selected = frame
            self.refresh()
            self.app.push_screen(FrameScreen(frame))

    def on_click(self, event: events.Click) -> None:
        """Select the frame in that line, or open it if it is the selected one."""
        frames = list(reversed(self._frames))
        at = event.y + self.scroll_offset.y
        if at < len(frames):
            again = frames[at] is self._selected
            self._selected = frames[at]
            self.refresh()
            if again:
                self.action_open()

    def _index(self, frames: "list[Frame]") -> int | None:
        """The place of the selected frame, if it is still there."""
        return next((at for at, one in enumerate(frames) if one is self._selected), None)

    def exported(self) -> list[str]:
        """The frames, oldest first, one JSON object a line."""
        return [
            json.dumps(
                {
                    "at": datetime.fromtimestamp(frame.at, UTC).isoformat(timespec="milliseconds"),
                    "meter": frame.meter,
                    "pattern": str(frame.pattern),
                    "direction": frame.direction,
                    "what": frame.what,
                    "count": frame.heartbeats or 1,
                    "bytes": frame.size,
                }
            )
            + "\n"
            for frame in self._all
        ]

    def notify_style_update(self) -> None:
        """Another theme, other inks."""
        super().notify_style_update()
        self._style_cache.clear()
        self._base = None

    def render_line(self, y: int) -> Strip:
        """The frame in that line of the window."""
        frames = self._frames
        at = y + self.scroll_offset.y
        width = self.scrollable_content_region.width
        if self._base is None:
            self._base = self.rich_style
        base = self._base
        if not 0 <= at < len(frames):
            return Strip.blank(width, base)
        frame = next(islice(reversed(frames), at, None))
        return self._line(frame, width, base).adjust_cell_length(width, base)

    def _line(self, frame: "Frame", width: int, base: Style) -> Strip:
        """Time, panel and exchange, direction, words, milliseconds and size, as far as there is
        room."""
        stamp = log_time(frame.at, thousandths=width >= NARROW)
        tail = f" {human_bytes(frame.size):>{SIZE_CELLS}}"
        if width >= WIDE:
            took = frame.contents.took_ms if frame.age_ms is None else frame.age_ms
            tail = f" {'' if took is None else human_latency(took):>{MS_CELLS}}{tail}"
        whose = ""
        if width >= WIDE:
            number = f"#{frame.exchange}" if frame.exchange else ""
            whose = f"{fit(frame.meter, PANEL_CELLS, pad=True)} {number:<{NUMBER_CELLS}} "
        room = width - len(stamp) - len(tail) - cell_len(whose) - 3
        arrow = "◂" if frame.direction == "in" else "▸"
        quiet, hue = self._colored("$wire-ink"), self._colored(PATTERN_COLOR[frame.pattern])
        if frame is self._selected:  # seen without colour too
            base, quiet, hue = (style + Style(reverse=True) for style in (base, quiet, hue))
        return Strip(
            [
                Segment(f"{stamp} {whose}", quiet),
                Segment(f"{arrow} ", hue),
                Segment(fit(frame.words, room, pad=True), base),
                Segment(tail, quiet),
            ]
        )

    @property
    def _all(self) -> "list[Frame] | deque[Frame]":
        return self._wire.frames if self._paused_frames is None else self._paused_frames

    @property
    def _frames(self) -> "list[Frame] | deque[Frame]":
        """Those that the filter leaves."""
        if not self.filter_text:
            return self._all
        found_for = (self.filter_text, self.paused or self._wire.revision)
        if self._matching[0] != found_for:
            matches = matcher(self.filter_text)
            found = [one for one in self._all if matches(_searched(one))]
            self._matching = found_for, found
        return self._matching[1]

    def _colored(self, variable: str) -> Style:
        ink = self._style_cache.get(variable)
        if ink is None:
            colour = self.app.theme_variables[variable.removeprefix("$")]
            ink = self._style_cache[variable] = self.rich_style + Style(color=colour)
        return ink


def _searched(frame: "Frame") -> str:
    return f"{frame.meter} #{frame.exchange} {frame.pattern} {frame.words}"
