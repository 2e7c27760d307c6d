"""The running log of frames, newest first."""

import json
import time
from collections import deque
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Region, Size
from textual.strip import Strip

from tui.common.format import fit, human_bytes
from tui.common.theme import PATTERN_COLOR
from tui.common.widgets.scroll_bar import ThinBarView

if TYPE_CHECKING:
    from tui.common.client.meter import Frame, Wire

SIZE_CELLS = 7
NARROW = 44
"""Below this many cells, milliseconds are left out."""


class FrameLog(ThinBarView, can_focus=True):
    """Only lines in view that differ are drawn. While paused it keeps what it showed."""

    DEFAULT_CSS = """
    FrameLog {
        scrollbar-size-vertical: 1; overflow-x: hidden; overflow-y: auto; background: $surface;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "scroll_home", "Newest", show=False),
    ]

    def __init__(self, wire: "Wire") -> None:
        super().__init__()
        self._wire = wire
        self._paused_frames: list[Frame] | None = None
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
        size, offset = self.size, self.scroll_offset
        frames = list(islice(reversed(self._frames), offset.y, offset.y + size.height))
        before, self._drawn = self._drawn, (size, offset, frames)
        if before is None or before[:2] != (size, offset) or len(before[2]) != len(frames):
            self.refresh()
            return
        for y, (old, new) in enumerate(zip(before[2], frames, strict=True)):
            if old is not new:
                self.refresh(Region(0, y, size.width, 1))

    def export(self, path: Path) -> int:
        """Write the frames, oldest first, one JSON object a line; the number of them."""
        frames = list(self._frames)
        with path.open("x", encoding="utf-8") as file:
            for frame in frames:
                record = {
                    "at": datetime.fromtimestamp(frame.at, UTC).isoformat(timespec="milliseconds"),
                    "meter": frame.meter,
                    "pattern": str(frame.pattern),
                    "direction": frame.direction,
                    "what": frame.what,
                    "count": frame.heartbeats or 1,
                    "bytes": frame.size,
                }
                file.write(json.dumps(record) + "\n")
        return len(frames)

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
        moment = time.localtime(frame.at)
        stamp = time.strftime("%H:%M:%S", moment)
        if width >= NARROW:
            stamp += f".{int(frame.at % 1 * 1000):03d}"
        size = f"{human_bytes(frame.size):>{SIZE_CELLS}}"
        room = width - len(stamp) - len(size) - 4
        arrow = "◂" if frame.direction == "in" else "▸"
        quiet = self._colored("$wire-ink")
        return Strip(
            [
                Segment(f"{stamp} ", quiet),
                Segment(f"{arrow} ", self._colored(PATTERN_COLOR[frame.pattern])),
                Segment(fit(frame.words, room, pad=True), base),
                Segment(f" {size}", quiet),
            ]
        ).adjust_cell_length(width, base)

    @property
    def _frames(self) -> "list[Frame] | deque[Frame]":
        return self._wire.frames if self._paused_frames is None else self._paused_frames

    def _colored(self, variable: str) -> Style:
        ink = self._style_cache.get(variable)
        if ink is None:
            colour = self.app.theme_variables[variable.removeprefix("$")]
            ink = self._style_cache[variable] = self.rich_style + Style(color=colour)
        return ink
