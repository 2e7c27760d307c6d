"""The map widget: keys and mouse, and drawing only what has changed."""

from collections.abc import Sequence
from enum import Enum
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Region
from textual.strip import Strip
from textual.widget import Widget

from tui.common.language import _
from tui.common.map import render as overlay
from tui.common.map.basemap import Basemap
from tui.common.map.geometry import LatLng, Overlay, View, margins
from tui.common.map.palette import Palette
from tui.common.map.render import RenderedBasemap

STEP = 1.5
"""Scale of one zoom step."""
FOLLOW_ZOOM = 2.2
"""How much closer the window is while it follows."""
SLACK = 1.7
"""How much closer the whole must fit before the window changes."""
CALM = 0.18
"""How far from the centre the marker followed may go, as a share of the window."""


class CameraMode(Enum):
    """What decides where the window is."""

    WHOLE = "whole"
    FOLLOW = "follow"
    FREE = "free"


class Camera:
    """Chooses the window, and keeps it while it serves: each new one redraws the basemap."""

    def __init__(self) -> None:
        self.mode = CameraMode.WHOLE
        self._view = View(0, 0)

    def view(self, overlay: Overlay, columns: int, rows: int, other: Sequence[LatLng] = ()) -> View:
        """The window for this overlay; `other` is shown where the overlay is empty."""
        view = self._view
        same = (view.columns, view.rows) == (columns, rows)
        view = view.resized(columns, rows)
        if self.mode is CameraMode.WHOLE:
            lat_lngs = overlay.lat_lngs() or tuple(other)
            whole = View.enclosing(lat_lngs, columns, rows)
            margin = min(margins(columns, rows)) / 3
            keep = same and lat_lngs and view.holds(lat_lngs, margin)
            if not keep or whole.scale > view.scale * SLACK:
                view = whole
        elif self.mode is CameraMode.FOLLOW and overlay.watched is not None:
            column, row = view.cell(overlay.watched.at)
            calm = abs(column - columns / 2) <= max(1.0, columns * CALM) and abs(
                row - rows / 2
            ) <= max(1.0, rows * CALM)
            if not calm or not same:
                view = view.centred(overlay.watched.at)
        self._view = view
        return view

    def whole(self) -> None:
        """Show everything again."""
        self.mode = CameraMode.WHOLE
        self._view = View(0, 0)

    def follow(self, overlay: Overlay) -> bool:
        """Follow the watched marker close up, or stop it. False where there is none."""
        if self.mode is CameraMode.FOLLOW:
            self.whole()
            return True
        if overlay.watched is None:
            return False
        if self.mode is CameraMode.WHOLE:
            self._view = self._view.zoomed(FOLLOW_ZOOM)
        self._view = self._view.centred(overlay.watched.at)
        self.mode = CameraMode.FOLLOW
        return True

    def zoom(self, overlay: Overlay, steps: float, at: tuple[float, float] | None = None) -> None:
        """Zoom in by so many steps, or out; the dot `at`, or the centre, stays in place."""
        if self.mode is CameraMode.WHOLE:
            if steps > 0 and at is None and overlay.watched is not None:
                self._view = self._view.centred(overlay.watched.at)
                self.mode = CameraMode.FOLLOW
            else:
                self.mode = CameraMode.FREE
        elif at is not None:
            self.mode = CameraMode.FREE
        self._view = self._view.zoomed(STEP**steps, at)

    def pan(self, right: float, down: float) -> None:
        """Move by so many dots, and stop following."""
        self.mode = CameraMode.FREE
        self._view = self._view.moved(right, down)


MAX_REGIONS = 60
"""With more changed regions the whole map is painted."""


class TownMap(Widget, can_focus=True):
    """Draws `overlay` over `basemap`; without a basemap, over a plain grid of known width."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "TownMap { height: 1fr; width: 1fr; }"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", _("Follow")),
        Binding("plus,equals_sign", "zoom(1)", _("Zoom"), key_display="+ -"),
        Binding("minus", "zoom(-1)", _("Zoom out"), show=False),
        Binding("0", "whole", _("Whole route"), show=False),
        Binding("left", "pan(-1, 0)", _("Move left"), show=False),
        Binding("right", "pan(1, 0)", _("Move right"), show=False),
        Binding("up", "pan(0, -1)", _("Move up"), show=False),
        Binding("down", "pan(0, 1)", _("Move down"), show=False),
    ]

    def __init__(self, basemap: Basemap | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.overlay = Overlay()
        self.basemap_draws = 0
        """How often the basemap has been drawn: once for each new window."""
        self._basemap = basemap
        self._camera = Camera()
        self._palette: Palette | None = None
        self._palette_checked = False
        self._up_to_date = False
        """Whether basemap and overlay are drawn as they are now."""
        self._view = View(0, 0)
        self._rendered: RenderedBasemap | None = None
        self._drag_from: Offset | None = None
        self._drawn: overlay.Drawn = {}
        self._drawn_rows: set[int] = set()
        self._plain: dict[int, Strip] = {}
        self._drawn_overlay: Overlay | None = None

    @property
    def basemap(self) -> Basemap | None:
        """What lies under the overlay; None is a plain grid, never invented streets."""
        return self._basemap

    @basemap.setter
    def basemap(self, basemap: Basemap | None) -> None:
        if basemap is not self._basemap:
            self._basemap = basemap
            self._rendered = None
            self._up_to_date = False
            self.refresh()

    @property
    def following(self) -> bool:
        """Whether the window follows the watched marker."""
        return self._camera.mode is CameraMode.FOLLOW

    def show(self, overlay: Overlay) -> None:
        """Replace the overlay. Only what has changed is painted."""
        if overlay == self.overlay:
            return
        self.overlay = overlay
        self._changed()

    def action_follow(self) -> None:
        """Follow the watched marker, or show everything again."""
        if self._camera.follow(self.overlay):
            self._changed()

    def action_zoom(self, steps: int) -> None:
        """Zoom in, or out."""
        self._camera.zoom(self.overlay, steps)
        self._changed()

    def action_whole(self) -> None:
        """Show everything."""
        self._camera.whole()
        self._changed()

    def action_pan(self, right: int, down: int) -> None:
        """Move the window by a share of its size."""
        self._camera.pan(right * self.size.width * 0.3, down * self.size.height * 0.6)
        self._changed()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in where the mouse is."""
        self._wheel(event, 0.5)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out from where the mouse is."""
        self._wheel(event, -0.5)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Start to drag the map."""
        self._drag_from = event.screen_offset
        self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag the map."""
        if self._drag_from is not None and event.screen_offset != self._drag_from:
            moved = event.screen_offset - self._drag_from
            self._drag_from = event.screen_offset
            self._camera.pan(-2 * moved.x, -4 * moved.y)
            self._changed()

    def on_mouse_up(self) -> None:
        """Stop dragging."""
        self._drag_from = None
        self.release_mouse()

    def notify_style_update(self) -> None:
        """Check the palette again: the theme may have changed."""
        super().notify_style_update()
        self._palette_checked = self._up_to_date = False

    def render_line(self, y: int) -> Strip:
        """One line of the map."""
        self._draw()
        if self._rendered is None or not 0 <= y < len(self._rendered.rows):
            return Strip.blank(self.size.width, self.rich_style)
        if y not in self._drawn_rows:
            strip = self._plain.get(y)
            if strip is None:
                strip = self._plain[y] = self._strip(y, {})
            return strip
        return self._strip(y, self._drawn)

    def _wheel(self, event: events.MouseEvent, steps: float) -> None:
        event.stop()
        self._camera.zoom(self.overlay, steps, (2.0 * event.x, 4.0 * event.y))
        self._changed()

    def _changed(self) -> None:
        """Paint what has changed on the screen."""
        self._up_to_date = False
        before, old = self._rendered, self._drawn
        if before is None or not self.is_on_screen:
            self.refresh()
            return
        self._draw()
        if self._rendered is not before:
            self.refresh()
            return
        regions = changed_regions(old, self._drawn, self._view.columns)
        if len(regions) > MAX_REGIONS:
            self.refresh()
        elif regions:
            self.refresh(*regions)

    def _draw(self) -> None:
        """Draw basemap and overlay as far as they have changed."""
        columns, rows = self.size
        if self._up_to_date and (columns, rows) == (self._view.columns, self._view.rows):
            return
        self._up_to_date = True
        if not columns or not rows:
            self._view, self._rendered, self._drawn = View(columns, rows), None, {}
            return
        palette = self._palette
        if palette is None or not self._palette_checked:
            app = self.app
            palette = Palette.of(app.theme_variables, app.current_theme.dark, app.no_color)
            self._palette_checked = True
            if palette != self._palette:
                self._palette, self._rendered = palette, None
        corners = self._basemap.middle() if self._basemap and not self.overlay.lat_lngs() else ()
        view = self._camera.view(self.overlay, columns, rows, corners)
        if self._rendered is None or view != self._view:
            self._view = view
            self._rendered = RenderedBasemap.draw(self._basemap, view, palette)
            self._plain.clear()
            self._drawn_overlay = None
            self.basemap_draws += 1
        if self._drawn_overlay is not self.overlay:
            self._drawn = overlay.draw(
                self.overlay, view, self._rendered, palette, self._basemap is None
            )
            self._drawn_rows = {cell // columns for cell in self._drawn}
            self._drawn_overlay = self.overlay

    def _strip(self, y: int, drawn: overlay.Drawn) -> Strip:
        assert self._rendered is not None
        start = y * self._view.columns
        segments: list[Segment] = []
        text: list[str] = []
        style = None
        for column, (char, basemap, _name) in enumerate(self._rendered.rows[y]):
            shown, wanted = drawn.get(start + column, (char, basemap))
            if wanted is not style:
                if text:
                    segments.append(Segment("".join(text), style))
                text, style = [], wanted
            text.append(shown)
        segments.append(Segment("".join(text), style))
        return Strip(segments, self._view.columns)


def changed_regions(old: overlay.Drawn, new: overlay.Drawn, columns: int) -> list[Region]:
    """Where two drawings differ, one region a row."""
    changed: dict[int, tuple[int, int]] = {}
    for cell in old.keys() | new.keys():
        before, after = old.get(cell), new.get(cell)
        if before != after:
            row, column = divmod(cell, columns)
            cells = max(1, *(cell_len(drawn[0]) for drawn in (before, after) if drawn))
            first, end = changed.get(row, (column, column))
            changed[row] = (min(first, column), max(end, column + cells))
    return [Region(first, row, end - first, 1) for row, (first, end) in changed.items()]
