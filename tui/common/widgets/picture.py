"""A picture, or two with a divider between them: before and after."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.content import Content
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

from tui.common.format import centred
from tui.common.language import _
from tui.common.uploads.bitmap import Bitmap
from tui.common.uploads.cells import Cells, Paper, draw, fitted_size

STEPS = 24
"""Presses of an arrow key from one end to the other."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be drawn, and how."""

    before: Bitmap | None
    after: Bitmap | None
    size: Size
    paper: Paper


class PictureView(Widget, can_focus=True):
    """Shows `before` left of the divider and `after` right of it; a single picture has no divider.

    Shows words without pictures, or if the terminal has no colours for them.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = "PictureView { height: 1fr; width: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "slide(-1)", _("Compare"), key_display="← →"),
        Binding("right", "slide(1)", _("Compare"), show=False),
        Binding("home", "slide_to(0)", show=False),
        Binding("end", "slide_to(1)", show=False),
    ]

    def __init__(self, *, id: str | None = None, chequered: bool = True) -> None:
        """`chequered`: transparent pixels are shown as a chequered pattern, otherwise as the
        surface."""
        super().__init__(id=id)
        self.before: Bitmap | None = None
        self.after: Bitmap | None = None
        self.words = Content("")
        """Shown where there is no picture."""
        self.split = 0.5
        """Where the divider is, 0 to 1 of the picture's width."""
        self.drawings = 0
        """How often pictures have been drawn."""
        self._chequered = chequered
        self._drawn: tuple[Cells | None, Cells | None] = (None, None)
        self._drawn_for: _Wanted | None = None
        self._drawing = False
        self._held = False

    @property
    def compares(self) -> bool:
        """Whether there is a divider to move."""
        return self.before is not None and self.after is not None and self.can_draw

    @property
    def can_draw(self) -> bool:
        """Whether this terminal has the colours for pictures."""
        few = self.app.console.color_system in (None, "standard", "windows")
        return not self.app.no_color and (self.app.is_headless or not few)

    @property
    def settled(self) -> bool:
        """Whether the screen shows what it should."""
        return self._drawn_for == self._wanted()

    @property
    def picture_region(self) -> Region:
        """The picture's area in the widget, in cells; it may be larger, until redrawn."""
        cells = self._drawn[0] or self._drawn[1]
        if cells is None:
            return Region(0, 0, 0, 0)
        columns, rows = cells.columns, len(cells.rows)
        return Region(
            (self.size.width - columns) // 2, (self.size.height - rows) // 2, columns, rows
        )

    def show(
        self, before: Bitmap | None, after: Bitmap | None, words: Content | None = None
    ) -> None:
        """Show these from now on, or `words` if that is impossible."""
        other = (before, after) != (self.before, self.after)
        self.before, self.after = before, after
        if words is not None and words != self.words:
            self.words = words
            self.refresh()
        if other:
            self._redraw()

    def action_slide(self, steps: int) -> None:
        """Move the divider."""
        columns = self.picture_region.width
        step = max(1, round(columns / STEPS))
        self._divide(self._divider + steps * step)

    def action_slide_to(self, split: float) -> None:
        """Move the divider to an end: 0 shows only `after`, 1 only `before`."""
        self._divide(round(split * self.picture_region.width))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Grab the divider."""
        if self.compares:
            self._held = True
            self.capture_mouse()
            self._divide(event.x - self.picture_region.x)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag the divider."""
        if self._held:
            self._divide(event.x - self.picture_region.x)

    def on_mouse_up(self) -> None:
        """Release the divider."""
        self._held = False
        self.release_mouse()

    def on_resize(self) -> None:
        """Draw it for the available size."""
        self._redraw()

    def notify_style_update(self) -> None:
        """Draw it with the theme's colours."""
        super().notify_style_update()
        self._redraw()

    def render_line(self, y: int) -> Strip:
        """A line of the last drawing, centred; or of the words."""
        width = self.size.width
        if not self.can_draw or (self.before is None and self.after is None):
            return self._words_line(y, width)
        region = self.picture_region
        if not region.y <= y < region.bottom:
            return Strip.blank(width, self.rich_style)
        strip = self._picture_line(y - region.y)
        if region.x < 0:
            return strip.crop(-region.x, width - region.x)
        blank = Segment(" " * region.x, self.rich_style)
        return Strip([blank, *strip], region.x + region.width).adjust_cell_length(
            width, self.rich_style
        )

    # -- the divider

    @property
    def _divider(self) -> int:
        """Columns of the picture that show `before`."""
        return round(self.split * self.picture_region.width)

    def _divide(self, column: int) -> None:
        region, old = self.picture_region, self._divider
        if not self.compares or not region.width:
            return
        column = max(0, min(region.width, column))
        self.split = column / region.width
        if column != old:
            left, right = min(old, column), max(old, column)
            self.refresh(Region(max(0, region.x + left), 0, right - left + 1, self.size.height))

    def _picture_line(self, row: int) -> Strip:
        before, after = self._drawn
        columns = self.picture_region.width
        at = self._divider if before and after else 0
        if before is None or after is None:
            whole = before or after
            assert whole is not None
            return _strip(whole.rows[row])
        line = before.rows[row][:at] + after.rows[row][at:]
        if 0 < at < columns:
            handle = row == len(before.rows) // 2
            ink = Color.parse(self.app.theme_variables["foreground"]).rich_color
            style = Style(color=ink, bgcolor=line[at][1].bgcolor, bold=True)
            line[at] = ("◆" if handle else "│", style)
        return _strip(line)

    # -- drawing

    def _wanted(self) -> _Wanted:
        variables = self.app.theme_variables
        surface = Color.parse(variables["surface"])
        other = surface.blend(Color.parse(variables["foreground"]), 0.12)
        paper = (surface.rgb, other.rgb if self._chequered else surface.rgb)
        return _Wanted(self.before, self.after, self.size, paper)

    def _redraw(self) -> None:
        """Draw in a thread; meanwhile the last drawing is shown."""
        if not self.is_attached:
            return
        if self.before is None and self.after is None:
            self._drawn, self._drawn_for = (None, None), self._wanted()
            self.refresh()
        elif not self._drawing:
            self._drawing = True
            self.run_worker(self._keep_up(), group="picture", exit_on_error=False)

    async def _keep_up(self) -> None:
        """Draw until the drawing is current: of many sizes in a row only the last counts."""
        try:
            while self.is_attached and not self.settled:
                wanted = self._wanted()
                drawn = await asyncio.to_thread(_drawn, wanted)
                self._drawn, self._drawn_for = drawn, wanted
                self.drawings += 1
                self.refresh()
        finally:
            self._drawing = False

    def _words_line(self, y: int, width: int) -> Strip:
        line = centred(self.words, y, width, self.size.height)
        if not line or width < 1:
            return Strip.blank(width, self.rich_style)
        strips = Visual.to_strips(
            self, line, width, 1, self.visual_style, pad=True, apply_selection=False
        )
        return strips[0].adjust_cell_length(width, self.rich_style)


def _drawn(wanted: _Wanted) -> tuple[Cells | None, Cells | None]:
    whole = wanted.after or wanted.before
    assert whole is not None
    columns, rows = fitted_size(whole.width, whole.height, *wanted.size)
    if not columns:
        return None, None
    before, after = (
        None if one is None else draw(one, columns, rows, wanted.paper)
        for one in (wanted.before, wanted.after)
    )
    return before, after


def _strip(cells: list[tuple[str, Style]]) -> Strip:
    segments: list[Segment] = []
    text, style = "", None
    for char, wanted in cells:
        if wanted is not style:
            if text:
                segments.append(Segment(text, style))
            text, style = "", wanted
        text += char
    segments.append(Segment(text, style))
    return Strip(segments, len(cells))
